//! Files that change while gizad runs: read again by itself, checked first, the last good ones kept.

use std::fs;
use std::os::unix::fs::symlink;

use gizad::call::{Scope, Token};
use rcgen::{CertificateParams, KeyPair};

use crate::rig::{Folder, Gateway};

/// Looked at often, so that nobody has to wait for long.
const OFTEN: (&str, &str) = ("GIZAD_RELOAD_EVERY", "50ms");

fn write(folder: &Folder, name: &str, text: &str) -> String {
    fs::create_dir_all(folder.path()).expect("a folder");
    let path = format!("{}/{name}", folder.path());
    fs::write(&path, text).expect("written");
    path
}

async fn figure(gateway: &Gateway, name: &str) -> f64 {
    let text = gateway.admin("GET", "/metrics").await.text;
    let value = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
    text.lines().find_map(value).unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[tokio::test]
async fn a_file_of_settings_that_is_written_is_taken_over_and_a_wrong_one_is_not() {
    let folder = Folder::new("written");
    let path = write(&folder, "gizad.toml", "");
    let gateway = Gateway::run(&["--sandbox", "--config", &path], &[OFTEN, ("GIZAD_STATE_DIR", "")]);
    write(&folder, "gizad.toml", "[quota]\nrate = \"7/s\"\n[limits]\nconnections = 500\n");
    let line = gateway.logged("settings taken over").await;
    assert!(line.contains("\"changed\":\"quota.rate\""), "{line}");
    let line = gateway.logged("only taken over by a restart").await;
    assert!(line.contains("\"settings\":\"limits.connections\""), "{line}");
    assert_eq!(figure(&gateway, "gizad_last_reload_successful").await, 1.0);
    assert_eq!(gateway.admin("GET", "/status").await.json()["settings_taken_over"], true);
    write(&folder, "gizad.toml", "[quota]\nrate = \"often\"\n");
    let line = gateway.logged("a mistake in the settings").await;
    assert!(line.contains("\"setting\":\"quota.rate\""), "{line}");
    gateway.logged("everything stays as it was").await;
    assert_eq!(figure(&gateway, "gizad_last_reload_successful").await, 0.0);
    assert_eq!(gateway.admin("GET", "/status").await.json()["settings_taken_over"], false);
    // And it is read once, not every time that it is looked at.
    for _ in 0..20 {
        assert_eq!(gateway.get("/wallet").await.status, 200);
    }
    assert_eq!(figure(&gateway, "gizad_reloads_total{result=\"failure\"}").await, 1.0);
    // One that is gone is no better; one that is well again is taken.
    fs::remove_file(&path).expect("it was there");
    gateway.logged("cannot be read").await;
    assert_eq!(gateway.get("/wallet").await.status, 200);
    write(&folder, "gizad.toml", "[quota]\nrate = \"8/s\"\n");
    while figure(&gateway, "gizad_last_reload_successful").await != 1.0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// As kubelet does: all files of a volume are in a folder that a link points to, and the link is put in the place of the old one.
#[tokio::test]
async fn a_volume_of_kubernetes_is_swapped() {
    let folder = Folder::new("volume");
    let at = |name: &str| format!("{}/{name}", folder.path());
    let callers = |name: &str| {
        let (token, text) = Token::new(name).expect("randomness");
        (gizad::settings::caller(name, &token, &[Scope::Read]), text)
    };
    let ((first, old), (second, new)) = (callers("old"), callers("new"));
    for (version, text) in [("..1", &first), ("..2", &second)] {
        fs::create_dir_all(at(version)).expect("a folder");
        fs::write(format!("{}/gizad.toml", at(version)), text).expect("written");
    }
    symlink("..1", at("..data")).expect("a link");
    symlink("..data/gizad.toml", at("gizad.toml")).expect("a link");
    let gateway =
        Gateway::run(&["--sandbox", "--config", &at("gizad.toml")], &[OFTEN, ("GIZAD_STATE_DIR", "")]);
    let status = async |token: &str| {
        let bearer = format!("Bearer {token}");
        gateway.send("GET", "/wallet", None, &[("authorization", &bearer)]).await.status
    };
    assert_eq!((status(&old).await, status(&new).await), (200, 401));
    symlink("..2", at("..data_tmp")).expect("a link");
    fs::rename(at("..data_tmp"), at("..data")).expect("swapped");
    gateway.logged("settings taken over").await;
    assert_eq!((status(&old).await, status(&new).await), (401, 200));
    let log = gateway.log();
    assert!(log.contains("callers.new.token_sha256") && !log.contains(&old) && !log.contains(&new), "{log}");
}

fn pair() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let signed = CertificateParams::new(vec!["localhost".to_owned()])
        .expect("names")
        .self_signed(&key)
        .expect("signed");
    (signed.pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_once_its_key_is_there_too() {
    let folder = Folder::new("renewed");
    let (first, second) = (pair(), pair());
    let (certificate, key) = (write(&folder, "tls.crt", &first.0), write(&folder, "tls.key", &first.1));
    let ca = write(&folder, "ca.crt", &first.0);
    let gateway = Gateway::run(
        &["--sandbox"],
        &[
            OFTEN,
            ("GIZAD_STATE_DIR", ""),
            ("GIZAD_LISTEN_TLS_CERTIFICATE_FILE", &certificate),
            ("GIZAD_LISTEN_TLS_KEY_FILE", &key),
            ("GIZAD_LISTEN_TLS_CLIENT_CA_FILE", &ca),
        ],
    );
    let shows = async |pem: &str| {
        let trusted = reqwest::Certificate::from_pem(pem.as_bytes()).expect("a certificate");
        let client =
            reqwest::Client::builder().no_proxy().tls_certs_only([trusted]).build().expect("a client");
        let url = gateway.api.replace("http://127.0.0.1", "https://localhost");
        client.get(format!("{url}/wallet")).send().await.is_ok()
    };
    assert!(shows(&first.0).await && !shows(&second.0).await);
    write(&folder, "tls.crt", &second.0);
    let line = gateway.logged("a mistake in the settings").await;
    assert!(line.contains("listen.tls.certificate_file"), "{line}");
    assert!(shows(&first.0).await, "the last good one");
    write(&folder, "tls.key", &second.1);
    let line = gateway.logged("settings taken over").await;
    let changed = "\"changed\":\"listen.tls.certificate_file, listen.tls.key_file\"";
    assert!(line.contains(changed), "{line}");
    assert!(shows(&second.0).await && !shows(&first.0).await);
    write(&folder, "ca.crt", &second.0);
    let line = gateway.logged("\"changed\":\"listen.tls.client_ca_file\"").await;
    assert!(!line.contains("BEGIN"), "{line}");
}

/// What is in the file of a setting that needs a restart is not taken over, and that is said.
#[tokio::test]
async fn a_file_that_needs_a_restart_is_named() {
    let folder = Folder::new("restart");
    let path = write(&folder, "ca.pem", &pair().0);
    let gateway = Gateway::sandbox_with(&[OFTEN, ("GIZAD_UPSTREAM_CA_FILE", &path)]);
    write(&folder, "ca.pem", &pair().0);
    let line = gateway.logged("only taken over by a restart").await;
    assert!(line.contains("\"settings\":\"upstream.ca_file\""), "{line}");
}

#[tokio::test]
async fn what_is_not_to_be_looked_at_is_read_on_a_signal_alone() {
    let folder = Folder::new("off");
    let path = write(&folder, "gizad.toml", "");
    let off = ("GIZAD_RELOAD_EVERY", "off");
    let gateway = Gateway::run(&["--sandbox", "--config", &path], &[off, ("GIZAD_STATE_DIR", "")]);
    write(&folder, "gizad.toml", "[quota]\nrate = \"7/s\"\n");
    gateway.signal("HUP");
    let line = gateway.logged("settings taken over").await;
    assert!(line.contains("quota.rate"), "{line}");
    assert!(!gateway.log().contains("files of the settings have changed"), "{}", gateway.log());
}
