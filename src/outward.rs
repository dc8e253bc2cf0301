//! What every connection that gizad opens itself has in common: whom it believes to be who they say, and how its errors read.

use std::error::Error;
use std::iter::successors;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// TLS 1.2 and newer, the roots of the browsers, and the operator's own.
///
/// # Errors
/// When a certificate cannot be used.
pub fn tls(extra_ca: &[CertificateDer<'static>]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in extra_ca {
        roots.add(certificate.clone()).map_err(|error| format!("a certificate cannot be used: {error}"))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// An error with everything below it, which is where the reason stands.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let below = successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source());
    below.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_what_is_below_it() {
        let inner = std::io::Error::other("no route");
        assert_eq!(causes(&inner), "no route");
        let outer = std::io::Error::other(tokio_rustls::rustls::Error::Other(
            tokio_rustls::rustls::OtherError(Arc::new(inner)),
        ));
        assert!(causes(&outer).ends_with(": no route"), "{}", causes(&outer));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert!(tls(&[]).is_ok());
        let told = tls(&[CertificateDer::from(vec![1, 2, 3])]).expect_err("none");
        assert!(told.starts_with("a certificate cannot be used: "), "{told}");
    }
}
