//! TLS of the listener, and callers that are known by their certificate.

use std::net::TcpStream;

use tokio_rustls::rustls::{ClientConnection, StreamOwned};

use super::*;
use crate::certificates::{Ca, Pair, ca, client, server, server_named, trusting};

/// A gateway with a certificate of its own, that trusts one CA of callers.
struct Guarded {
    house: House,
    ca: Ca,
}

const CALLERS: &str = "[callers.shop]\nspiffe = \"spiffe://example.org/shop\"\nscopes = [\"read\"]\n\
    [callers.ops]\nsubject = \"CN=ops,O=Example\"\nscopes = [\"admin\"]\n";

impl Guarded {
    fn new(required: bool) -> Self {
        let ca = ca();
        let folder = Folder::new("tls");
        std::fs::create_dir_all(folder.path()).expect("a folder");
        write(&folder, &server(&ca));
        std::fs::write(format!("{}/ca.pem", folder.path()), ca.pem()).expect("written");
        let settings = format!(
            "[listen.tls]\ncertificate_file = \"{{}}/chain.pem\"\nkey_file = \"{{}}/key.pem\"\n\
             client_ca_file = \"{{}}/ca.pem\"\nrequire_client_certificate = {required}\n{CALLERS}"
        );
        Self { house: House::within(folder, &settings), ca }
    }

    fn connect(&self) -> TcpStream {
        let stream =
            TcpStream::connect(self.house.gateway.api.trim_start_matches("http://")).expect("accepted");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
    }

    /// What somebody gets who trusts the CA of the gateway, and the certificate that it showed.
    fn get(&self, ca: &Ca, shown: Option<&Pair>, path: &str) -> Result<(u16, String, Vec<u8>), String> {
        let config = trusting(ca, shown, b"http/1.1");
        let name = "localhost".try_into().expect("a name");
        let connection = ClientConnection::new(config, name).expect("a connection");
        let mut stream = StreamOwned::new(connection, self.connect());
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(|error| error.to_string())?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let leaf = stream.conn.peer_certificates().expect("shown")[0].to_vec();
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        Ok((status(&answer), answer, leaf))
    }

    fn asked(&self, shown: Option<&Pair>, path: &str) -> (u16, String) {
        let (status, answer, _) = self.get(&self.ca, shown, path).expect("answered");
        (status, answer)
    }
}

fn write(folder: &Folder, pair: &Pair) {
    std::fs::write(format!("{}/chain.pem", folder.path()), &pair.chain).expect("written");
    std::fs::write(format!("{}/key.pem", folder.path()), &pair.key).expect("written");
}

#[test]
fn a_caller_is_known_by_its_certificate() {
    let guarded = Guarded::new(false);
    let other = ca();
    let ca = &guarded.ca;
    let shop = client(ca, "anything", Some("spiffe://example.org/shop"));
    let ops = client(ca, "ops", None);
    assert_eq!(guarded.asked(Some(&shop), "/wallet").0, 200);
    let (status, answer) = guarded.asked(Some(&ops), "/wallet");
    assert_eq!(status, 403, "{answer}");
    assert!(answer.contains("error=\"insufficient_scope\", scope=\"read\""), "{answer}");

    let stranger = client(ca, "ops,O=Example", Some("spiffe://example.org/shop/"));
    for path in ["/wallet", "/catalog/vps-plans"] {
        let (status, answer) = guarded.asked(Some(&stranger), path);
        assert_eq!(status, 401, "{answer}");
        assert!(answer.contains("the certificate of spiffe://example.org/shop/ is of no caller"), "{answer}");
    }
    // Without one it is like TCP.
    assert_eq!(guarded.asked(None, "/catalog/vps-plans").0, 200);
    assert_eq!(guarded.asked(None, "/wallet").0, 401);
    // One of another CA is no certificate, whatever it says.
    let forged = client(&other, "ops", Some("spiffe://example.org/shop"));
    guarded.get(ca, Some(&forged), "/wallet").expect_err("no handshake");
    // Nor is one that was made for servers.
    guarded
        .get(ca, Some(&server_named(ca, "spiffe://example.org/shop")), "/wallet")
        .expect_err("no handshake");
}

#[test]
fn where_certificates_are_required_nobody_comes_in_without() {
    let guarded = Guarded::new(true);
    guarded.get(&guarded.ca, None, "/catalog/vps-plans").expect_err("no handshake");
    let shop = client(&guarded.ca, "x", Some("spiffe://example.org/shop"));
    assert_eq!(guarded.asked(Some(&shop), "/catalog/vps-plans").0, 200);
}

#[test]
fn whoever_forgets_the_s_is_told_and_whoever_says_nothing_is_let_go() {
    let guarded = Guarded::new(false);
    let mut plain = guarded.connect();
    let answer = asked(&mut plain, "GET", "/wallet", "host: localhost\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("this port speaks TLS"), "{answer}");
    // The beginning of a handshake that never ends.
    for begun in [&b""[..], b"\x16\x03\x01"] {
        let mut silent = guarded.connect();
        silent.write_all(begun).expect("sent");
        let mut rest = Vec::new();
        let ended = silent.read_to_end(&mut rest).map_err(|error| error.kind());
        let is_open = matches!(ended, Err(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
        assert!(!is_open && !rest.starts_with(b"HTTP/"), "closed, and nothing served");
    }
    assert_eq!(guarded.asked(None, "/catalog/vps-plans").0, 200, "others are served");
}

#[tokio::test]
async fn certificates_are_replaced_on_sighup_and_broken_ones_are_not_taken_over() {
    let guarded = Guarded::new(false);
    let (house, ca) = (&guarded.house, &guarded.ca);
    let shown = || guarded.get(ca, None, "/catalog/vps-plans").expect("answered").2;
    let first = shown();
    let next = server(ca);
    write(&house.folder, &next);
    assert_eq!(shown(), first, "nobody has asked");
    house.gateway.signal("HUP");
    house.gateway.logged("settings taken over").await;
    let second = shown();
    assert_ne!(first, second);

    for broken in [
        Pair { chain: "no certificate".into(), ..next.clone() },
        Pair { key: server(ca).key, ..next.clone() },
    ] {
        write(&house.folder, &broken);
        house.gateway.signal("HUP");
        house.gateway.logged("settings not taken over").await;
        assert_eq!(shown(), second, "the last good one");
    }
    let log = house.gateway.log();
    assert!(log.contains("listen.tls.certificate_file") && !log.contains("PRIVATE KEY"), "{log}");
}

#[test]
fn the_settings_of_listening_are_read_strictly() {
    let ca = ca();
    let folder = Folder::new("strict");
    std::fs::create_dir_all(folder.path()).expect("a folder");
    let Pair { chain, .. } = server(&ca);
    write(&folder, &Pair { chain, key: server(&ca).key });
    let checked = |text: &str| {
        let settings = File::new(&format!("strict-{}", unique()), &text.replace("{}", folder.path()));
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_gizad"))
            .args(["check", "--config", settings.path()])
            .envs([("GIZAD_CREDENTIALS_IDENTIFIER", "i"), ("GIZAD_CREDENTIALS_SECRET", "s")])
            .output()
            .expect("it runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let pair = "[listen.tls]\ncertificate_file = \"{}/chain.pem\"\n";
    for (text, expected) in [
        ("[listen]\nsocket = \"s\"\n".to_owned(), "listen.socket: expected an absolute path"),
        (format!("[listen]\nsocket = \"/{}\"\n", "x".repeat(90)), "listen.socket: expected an absolute path"),
        ("[listen]\nsocket_mode = \"0666\"\n".to_owned(), "listen.socket_mode: expected \"0600\""),
        (
            format!("{pair}key_file = \"{{}}/key.pem\"\n"),
            "listen.tls.certificate_file: expected a certificate that fits",
        ),
        (format!("{pair}key_file = \"{{}}/none.pem\"\n"), "listen.tls.key_file: expected a readable file"),
        (format!("{pair}key_file = \"{{}}/chain.pem\"\n"), "listen.tls.key_file: expected a readable file"),
        (
            pair.replace("chain", "key"),
            "listen.tls.certificate_file: expected a file with at least one certificate",
        ),
        (
            "[listen.tls]\nkey_file = \"k\"\n".to_owned(),
            "listen.tls.key_file: expected nothing, or a certificate",
        ),
        (
            "[listen.tls]\nrequire_client_certificate = true\n".to_owned(),
            "listen.tls.require_client_certificate: expected",
        ),
        ("[listen]\napi = \"0.0.0.0:7070\"\n".to_owned(), "or listen.tls"),
        (
            "[listen]\napi = \"0.0.0.0:7070\"\n[access]\nanonymous = [\"read\"]\n".to_owned(),
            "access.anonymous: expected []",
        ),
        ("[callers.a]\nuid = -1\n".to_owned(), "callers.a.uid: expected the number of a user"),
        (
            "[callers.a]\nuid = 1\n[callers.b]\nuid = [2, 1]\n".to_owned(),
            "callers.b.uid: expected what no other caller claims, and a does",
        ),
        ("[callers.a]\nspiffe = \"https://x\"\n".to_owned(), "callers.a.spiffe: expected a SPIFFE ID"),
        (
            "[callers.a]\nspiffe = \"spiffe://x/y\"\n".to_owned(),
            "callers.a.spiffe: expected a file with the CAs",
        ),
        ("[callers.a]\nsubject = \"ops\"\n".to_owned(), "callers.a.subject: expected a subject"),
        ("[callers.a]\nscopes = [\"read\"]\n".to_owned(), "or uid, gid, spiffe or subject"),
        ("[callers.owner]\nuid = 1\n".to_owned(), "none of anonymous, gizad and owner"),
    ] {
        let said = checked(&text);
        assert!(said.contains(expected), "{expected:?} in {said}");
    }
}
