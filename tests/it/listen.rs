//! Who is at the other end: the Unix socket, its mode and its users; TLS and the certificates of callers.

mod socket;
mod tls;

use std::io::{Read, Write};

use super::rig::{File, Folder, Gateway, PATIENCE, Sandbox, unique};

/// A gateway with real credentials, as far as it knows, in front of a sandbox, and the folder of its socket.
struct House {
    gateway: Gateway,
    provider: Sandbox,
    folder: Folder,
    _settings: File,
}

impl House {
    /// `{}` in the settings is the folder.
    fn new(settings: &str) -> Self {
        let folder = Folder::new("listen");
        std::fs::create_dir_all(folder.path()).expect("a folder");
        Self::within(folder, settings)
    }

    fn within(folder: Folder, settings: &str) -> Self {
        let provider = Sandbox::start();
        let text = settings.replace("{}", folder.path());
        let settings = File::new(&format!("listen-{}", unique()), &text);
        let gateway = Gateway::start(
            &["--config", settings.path()],
            &[
                ("GIZAD_UPSTREAM_URL", &provider.url),
                ("GIZAD_CREDENTIALS_IDENTIFIER", "IDENTIFIER-canary-41"),
                ("GIZAD_CREDENTIALS_SECRET", "SECRET-canary-42"),
                ("GIZAD_CACHE_TTL", "5m"),
            ],
        );
        Self { gateway, provider, folder, _settings: settings }
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.path())
    }
}

/// Asks in HTTP/1.1 over anything, and reads to the end: the whole answer, head and all.
fn asked(stream: &mut (impl Read + Write), method: &str, path: &str, headers: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}
