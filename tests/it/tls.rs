//! TLS to the provider, on both lanes: a certificate that is not trusted proves that nothing was sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::rig::{File, Gateway};

/// A provider behind TLS, and how many requests it got to read.
pub struct Provider {
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
    pub ca_pem: String,
}

pub async fn provider(name: &str) -> Provider {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec![name.to_owned()])
        .expect("parameters")
        .signed_by(&key, &ca)
        .expect("signed");
    let _chosen = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a server");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, requests) = (listener.local_addr().expect("an address"), Arc::new(AtomicUsize::new(0)));
    let counted = requests.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, counted) = (acceptor.clone(), counted.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let mut buffer = [0; 4096];
                if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let body = r#"{"success":true,"data":{"balance":5,"done":1}}"#;
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    let _gone = stream.write_all(answer.as_bytes()).await;
                    let _gone = stream.shutdown().await;
                }
            });
        }
    });
    Provider { address, requests, ca_pem: ca.pem() }
}

#[tokio::test]
async fn both_lanes_speak_tls_with_the_operators_own_ca() {
    let provider = provider("localhost").await;
    let ca = File::new("trusted", &provider.ca_pem);
    let url = format!("https://localhost:{}/api", provider.address.port());
    let gateway = Gateway::towards(&url, &[("GIZAD_UPSTREAM_CA_FILE", ca.path())]);
    assert_eq!(gateway.get("/wallet").await.json()["balance_vnd"], 5);
    let reboot = gateway.rest("POST", "/vps/1/reboot", None).await;
    assert_eq!(reboot.status, 200, "{}", reboot.text);
    assert_eq!(provider.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_or_for_another_name_gets_no_byte() {
    let provider = provider("localhost").await;
    let ca = File::new("other-name", &provider.ca_pem);
    let port = provider.address.port();
    for (url, ca_file) in
        [(format!("https://localhost:{port}/api"), ""), (format!("https://127.0.0.1:{port}/api"), ca.path())]
    {
        let gateway = Gateway::towards(&url, &[("GIZAD_UPSTREAM_CA_FILE", ca_file)]);
        for (method, path) in [("GET", "/wallet"), ("POST", "/vps/1/reboot")] {
            let answer = gateway.rest(method, path, None).await;
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (503, "UPSTREAM_UNREACHABLE"),
                "{url} {path}: {}",
                answer.text
            );
            assert_eq!(answer.json()["sent"], json!("never"));
        }
        gateway.logged("certificate").await;
    }
    assert_eq!(provider.requests.load(Ordering::SeqCst), 0);
}
