//! The settings of listening: addresses, the Unix socket, and the files of TLS.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::check::Check;
use crate::edge::tls::{Material, Tls};

/// The longest path of a socket, in bytes: the system takes 107, and a name beside it is needed for a moment.
const LONGEST: usize = 90;
/// The files of TLS.
pub(super) const CERTIFICATE: &str = "listen.tls.certificate_file";
const KEY: &str = "listen.tls.key_file";
const CLIENT_CA: &str = "listen.tls.client_ca_file";
const REQUIRED: &str = "listen.tls.require_client_certificate";

/// Where to listen.
#[derive(Debug)]
pub struct Listen {
    /// REST and gRPC.
    pub api: SocketAddr,
    /// TLS for them, if it is to be spoken.
    pub tls: Option<Tls>,
    /// REST and gRPC for processes of this machine.
    pub socket: Option<Socket>,
    /// Health and metrics.
    pub admin: SocketAddr,
}

/// A Unix socket.
#[derive(Clone, Debug)]
pub struct Socket {
    /// Where it is.
    pub path: PathBuf,
    /// Who may connect, as bits of a mode.
    pub mode: u32,
}

impl Check<'_> {
    pub(super) fn listen(&mut self, in_sandbox: bool) -> Listen {
        let (api, admin) = (self.address("listen.api"), self.address("listen.admin"));
        let tls = self.tls();
        if !in_sandbox && !api.ip().is_loopback() && self.text(CERTIFICATE).is_empty() {
            self.wrong(
                "listen.api",
                "a loopback address, because tokens and answers would go over the network in the clear; or \
                 listen.tls",
            );
        }
        if api == admin && api.port() != 0 {
            self.wrong("listen.admin", "another address than that of listen.api");
        }
        Listen { api, tls, socket: self.socket(), admin }
    }

    /// Addresses and networks of proxies.
    pub(super) fn proxies(&mut self) -> Vec<IpNet> {
        const PROXIES: &str = "listen.trusted_proxies";
        let read = |text: &String| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok();
        let written = self.names(PROXIES);
        let known: Option<Vec<IpNet>> = written.iter().map(read).collect();
        known.unwrap_or_else(|| {
            self.wrong(PROXIES, "a list of addresses and networks, such as [\"10.1.2.3\", \"10.2.0.0/16\"]");
            Vec::new()
        })
    }

    fn socket(&mut self) -> Option<Socket> {
        let mode = match self.text("listen.socket_mode").as_str() {
            "0600" => 0o600,
            "0660" => 0o660,
            _ => {
                self.wrong("listen.socket_mode", "\"0600\" (the user of gizad) or \"0660\" (its group, too)");
                0o600
            }
        };
        let path = self.text("listen.socket");
        if path.is_empty() {
            return None;
        }
        let is_named = Path::new(&path).file_name().is_some() && !path.ends_with('/');
        if !path.starts_with('/') || !is_named || path.len() > LONGEST {
            self.wrong("listen.socket", &format!("an absolute path of at most {LONGEST} bytes, or nothing"));
        }
        Some(Socket { path: path.into(), mode })
    }

    fn tls(&mut self) -> Option<Tls> {
        let [chain, key, client_ca] = [CERTIFICATE, KEY, CLIENT_CA].map(|path| self.text(path));
        let required = self.flag(REQUIRED);
        if required && client_ca.is_empty() {
            self.wrong(REQUIRED, "false, or a file with the CAs of callers in listen.tls.client_ca_file");
        }
        if chain.is_empty() {
            for path in [KEY, CLIENT_CA] {
                if !self.text(path).is_empty() {
                    self.wrong(path, &format!("nothing, or a certificate in {CERTIFICATE}, too"));
                }
            }
            return None;
        }
        let before = self.mistakes.len();
        let chain = self.chain(CERTIFICATE, &chain);
        let client_cas = if client_ca.is_empty() { Vec::new() } else { self.chain(CLIENT_CA, &client_ca) };
        let key = PrivateKeyDer::from_pem_file(&key)
            .map_err(|error| {
                self.wrong(KEY, &format!("a readable file with a private key in PEM: {}", said(&error)))
            })
            .ok()?;
        if self.mistakes.len() > before {
            return None;
        }
        Tls::new(Material { chain, key, client_cas, required })
            .map_err(|error| {
                self.wrong(CERTIFICATE, &format!("a certificate that fits its key and its CAs: {error}"))
            })
            .ok()
    }

    /// The certificates of a file.
    pub(super) fn chain(&mut self, setting: &str, path: &str) -> Vec<CertificateDer<'static>> {
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match read {
            Ok(certificates) if !certificates.is_empty() => return certificates,
            Ok(_) => self.wrong(setting, "a file with at least one certificate in PEM"),
            Err(error) => {
                let expected = format!("a readable file with certificates in PEM: {}", said(&error));
                self.wrong(setting, &expected);
            }
        }
        Vec::new()
    }
}

/// What is wrong with a file, without what is in it.
fn said(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "there is none in it".to_owned(),
        _ => "it is not whole".to_owned(),
    }
}
