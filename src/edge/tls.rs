//! TLS of gizad's own listener, and whom a caller's certificate names.
//!
//! Absent here: the files that the certificates are in, and whether anybody knows the caller.

use std::fmt;
use std::io;
use std::str::FromStr as _;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{Error, RootCertStore, ServerConfig};
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::RdnSequence;

use crate::call;

/// How a SPIFFE ID begins.
pub const SPIFFE: &str = "spiffe://";
/// What is spoken inside, the better first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What a listener shows and asks for, as it is now.
pub struct Tls(RwLock<Arc<ServerConfig>>);

/// What it shows, and whose certificates it trusts.
pub struct Material {
    /// Its own certificate, and those that lead from it to its CA.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first.
    pub key: PrivateKeyDer<'static>,
    /// The CAs of callers' certificates. Without one no certificate is asked for.
    pub client_cas: Vec<CertificateDer<'static>>,
    /// Whether a caller without a certificate is let in.
    pub required: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// A listener with this.
    ///
    /// # Errors
    /// If the key is not the certificate's, or a CA is none.
    pub fn new(material: Material) -> Result<Self, Error> {
        Ok(Self(RwLock::new(Arc::new(config(material)?))))
    }

    /// Takes over what another one has. Connections that are there stay as they are.
    pub fn change(&self, other: &Self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = other.present();
    }

    pub(super) fn present(&self) -> Arc<ServerConfig> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn config(material: Material) -> Result<ServerConfig, Error> {
    let provider = Arc::new(default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let asks = !material.client_cas.is_empty();
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        for ca in material.client_cas {
            roots.add(ca)?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = if material.required { verifier } else { verifier.allow_unauthenticated() };
        let verifier = verifier.build().map_err(|error| Error::General(error.to_string()))?;
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(material.chain, material.key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    if asks {
        // A session that is resumed would not have its certificate looked at again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

/// Whom a certificate names that was verified.
pub(super) fn certificate(der: &CertificateDer<'_>) -> io::Result<call::Certificate> {
    let unreadable = |error: x509_cert::der::Error| io::Error::new(io::ErrorKind::InvalidData, error);
    let read = x509_cert::Certificate::from_der(der).map_err(unreadable)?.tbs_certificate;
    let names =
        read.get::<SubjectAltName>().map_err(unreadable)?.map(|(_, names)| names.0).unwrap_or_default();
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
        _ => None,
    });
    // An X.509-SVID has exactly one URI (SPIFFE X.509-SVID, section 2); of two, nobody could say which is meant.
    let only = uris.next().filter(|uri| uri.starts_with(SPIFFE) && uris.next().is_none());
    Ok(call::Certificate { spiffe: only.map(str::to_owned), subject: read.subject.to_string() })
}

/// A subject as certificates' are compared with, from what a person wrote; nothing if it is none.
#[must_use]
pub fn subject(text: &str) -> Option<String> {
    let read = RdnSequence::from_str(text).ok().filter(|name| !name.is_empty())?;
    Some(read.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn named(common: &str, organisation: &str, uris: &[&str]) -> call::Certificate {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, organisation);
        params.distinguished_name.push(DnType::CommonName, common);
        let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("a URI")));
        params.subject_alt_names =
            uris.chain([SanType::DnsName("x.y".try_into().expect("a name"))]).collect();
        let signed = params.self_signed(&KeyPair::generate().expect("a key")).expect("signed");
        certificate(signed.der()).expect("readable")
    }

    #[test]
    fn a_certificate_names_one_id_and_a_subject_that_nothing_else_can_look_like() {
        let id = "spiffe://example.org/ns/default/sa/ci";
        assert_eq!(named("ci", "Ex", &[id]).spiffe.as_deref(), Some(id));
        for none in
            [&[][..], &["https://example.org"], &[id, "spiffe://example.org/other"], &[id, "https://x"]]
        {
            assert_eq!(named("ci", "Ex", none).spiffe, None, "{none:?}");
        }
        assert_eq!(named("ci", "Ex", &[]).subject, "CN=ci,O=Ex");
        assert_eq!(subject("CN=ci,O=Ex").as_deref(), Some("CN=ci,O=Ex"));
        let forged = named("ci,O=Ex", "Other", &[]).subject;
        assert_eq!(forged, "CN=ci\\,O\\=Ex,O=Other".replace("\\=", "="));
        assert_eq!(subject(&forged), Some(forged));
        for wrong in ["", "ci", "X=y", "CN"] {
            assert_eq!(subject(wrong), None, "{wrong}");
        }
    }
}
