//! Certificates of listeners and callers, made for the test that needs them.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, SanType,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Who signs.
pub type Ca = CertifiedIssuer<'static, KeyPair>;

pub fn ca() -> Ca {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA")
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    pub chain: String,
    pub key: String,
}

/// For a listener.
pub fn server(ca: &Ca) -> Pair {
    signed(ca, &CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters"))
}

/// For a caller, whom its subject names, and a SPIFFE ID.
pub fn client(ca: &Ca, common: &str, spiffe: Option<&str>) -> Pair {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, common);
    params.subject_alt_names.extend(spiffe.map(|id| SanType::URI(id.try_into().expect("a URI"))));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    signed(ca, &params)
}

fn signed(ca: &Ca, params: &CertificateParams) -> Pair {
    let key = KeyPair::generate().expect("a key");
    let chain = params.signed_by(&key, ca).expect("signed").pem();
    Pair { chain, key: key.serialize_pem() }
}

/// A certificate for servers alone that says whom it names all the same.
pub fn server_named(ca: &Ca, id: &str) -> Pair {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.subject_alt_names = vec![SanType::URI(id.try_into().expect("a URI"))];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    signed(ca, &params)
}

/// A client that trusts a CA, shows a certificate if it has one, and wants one protocol.
pub fn trusting(ca: &Ca, shown: Option<&Pair>, protocol: &[u8]) -> Arc<ClientConfig> {
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).expect("a CA");
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match shown {
        Some(Pair { chain, key }) => {
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            config.with_client_auth_cert(chain.expect("certificates"), key).expect("a client")
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}
