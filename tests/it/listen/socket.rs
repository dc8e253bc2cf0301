//! The Unix socket.

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use gizad::call::{Scope, Token};
use serde_json::json;

use super::*;
use crate::rig::operation;

const SOCKET: &str = "[listen]\nsocket = \"{}/s\"\n";

fn over(path: &str, method: &str, target: &str, headers: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    asked(&mut stream, method, target, headers)
}

/// What curl gets as another user, and the status.
fn as_user(uid: u32, path: &str, target: &str) -> (String, bool) {
    let curl = ["-sS", "-i", "--max-time", "20", "--unix-socket", path];
    let output = Command::new("curl")
        .args(curl)
        .arg(format!("http://localhost{target}"))
        .uid(uid)
        .gid(0)
        .output()
        .expect("this test has to become other users: run it as root, and with curl installed");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

#[test]
fn whoever_runs_gizad_may_do_everything_and_its_name_is_owner() {
    let mut house = House::new(SOCKET);
    let socket = house.at("s");
    for host in
        ["host: localhost\r\n", "host: %2Frun%2Fgizad.sock\r\n", "host: docker\r\n", "host: [::]:50051\r\n"]
    {
        let wallet = over(&socket, "GET", "/wallet", host);
        assert_eq!(status(&wallet), 200, "{wallet}");
    }
    // A proxy before the socket may carry pages all the same.
    let page = over(&socket, "GET", "/wallet", "host: localhost\r\norigin: http://evil.com\r\n");
    assert_eq!(status(&page), 403, "{page}");
    let elsewhere = over(&socket, "GET", "/wallet", "host: localhost\r\nsec-fetch-site: cross-site\r\n");
    assert_eq!(status(&elsewhere), 403, "{elsewhere}");

    let body = r#"{"plan_id":26,"hostname":"a","password":"Passw0rd-1","os":"ubuntu-22.04","billing_cycle":"monthly"}"#;
    let head = format!(
        "host: localhost\r\nidempotency-key: k\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    let bought = over(&socket, "POST", "/vps", &format!("{head}\r\n{body}"));
    assert_eq!(status(&bought), 201, "{bought}");
    assert!(over(&socket, "GET", "/operations", "host: localhost\r\n").contains("\"caller\":\"owner\""));
    let untyped =
        over(&socket, "PATCH", "/vps/1", "host: localhost\r\ncontent-length: 16\r\n\r\n{\"hostname\":\"b\"}");
    assert_eq!(status(&untyped), 200, "no page reaches a socket, so a body needs no type: {untyped}");
    // Over TCP the same process has no name.
    let tcp = &house.gateway.api.trim_start_matches("http://").to_owned();
    let mut stream = std::net::TcpStream::connect(tcp).expect("a connection");
    let unnamed = asked(&mut stream, "GET", "/operations", "host: localhost\r\n");
    assert_eq!(status(&unnamed), 401, "{unnamed}");
    let mut stream = std::net::TcpStream::connect(tcp).expect("a connection");
    assert_eq!(
        status(&asked(&mut stream, "GET", "/wallet", "host: docker\r\n")),
        421,
        "the host still counts there"
    );
    house.provider.kill();
}

#[tokio::test]
async fn grpc_works_over_the_socket() {
    let house = House::new(SOCKET);
    let wallet = operation("WalletService.GetWallet");
    let channel = tonic::transport::Endpoint::from_shared(format!("unix://{}", house.at("s")))
        .expect("a target")
        .connect()
        .await
        .expect("somebody listens");
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("a connection");
    let codec = crate::codec::Dynamic::new(wallet.output.descriptor.clone());
    let request = tonic::Request::new(crate::rig::message(wallet, &json!({})));
    client.unary(request, wallet.grpc_path.parse().expect("a path"), codec).await.expect("the owner may");
}

#[test]
fn every_other_user_is_the_caller_that_claims_it_or_nobody() {
    let (token, text) = Token::new("ci").expect("randomness");
    let house = House::new(&format!(
        "[listen]\nsocket = \"{{}}/s\"\nsocket_mode = \"0660\"\n[access]\nanonymous = [\"read\"]\n\
         [callers.cron]\nuid = [4242, 4243]\nscopes = [\"read\"]\n[callers.group]\ngid = 77\n{}",
        gizad::settings::caller("ci", &token, &Scope::ALL)
    ));
    let socket = house.at("s");
    for uid in [4242, 4243] {
        let (wallet, _) = as_user(uid, &socket, "/wallet");
        assert_eq!(status(&wallet), 200, "{wallet}");
    }
    let (operations, _) = as_user(4242, &socket, "/operations");
    assert_eq!(status(&operations), 200, "{operations}");
    // Also what is in memory by now, and at hand for those of whom nothing is known.
    assert_eq!(status(&over(&socket, "GET", "/catalog/vps-plans", "host: x\r\n")), 200);
    for target in ["/wallet", "/catalog/vps-plans"] {
        let (stranger, _) = as_user(4244, &socket, target);
        assert_eq!(status(&stranger), 401, "{target}: {stranger}");
        assert!(
            stranger.contains("the uid 4244 and the gid 0") && stranger.contains("callers.NAME.uid"),
            "{stranger}"
        );
        assert!(stranger.contains("www-authenticate: Bearer realm=\"gizad\"\r\n"), "{stranger}");
    }
    // The token counts, whoever shows it; and one that is not known is not passed over.
    let with = |token: &str| format!("host: localhost\r\nauthorization: Bearer {token}\r\n");
    assert!(over(&socket, "GET", "/operations", &with(&text)).starts_with("HTTP/1.1 200"));
    let broken = over(&socket, "GET", "/wallet", &with(&text.replace("gzd_ci", "gzd_cj")));
    assert_eq!(status(&broken), 401, "{broken}");
    assert!(broken.contains("error=\"invalid_token\""), "{broken}");
}

#[test]
fn a_mode_is_there_before_the_socket_is() {
    for (mode, bits) in [("0600", 0o600), ("0660", 0o660)] {
        let house = House::new(&format!("{SOCKET}socket_mode = \"{mode}\"\n"));
        let socket = house.at("s");
        let found = std::fs::symlink_metadata(&socket).expect("there").permissions().mode();
        assert_eq!(found & 0o7777, bits);
        assert_eq!(as_user(4244, &socket, "/wallet").1, mode == "0660", "who may connect at all");
        let beside: Vec<_> = std::fs::read_dir(house.folder.path()).expect("a folder").collect();
        assert_eq!(beside.len(), 2, "the socket and its lock: {beside:?}");
    }
    // Whatever the mask, and however closely somebody watches.
    let folder = Folder::new("watched");
    std::fs::create_dir_all(folder.path()).expect("a folder");
    let path = format!("{}/s", folder.path());
    let done = AtomicBool::new(false);
    let modes = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                if let Ok(found) = std::fs::symlink_metadata(&path) {
                    seen.insert(found.permissions().mode() & 0o7777);
                }
            }
            seen
        });
        for _ in 0..20 {
            let mut child = Command::new("sh")
                .args(["-c", "umask 000; exec \"$0\" serve --sandbox --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --socket \"$1\""])
                .args([env!("CARGO_BIN_EXE_gizad"), &path])
                .env("GIZAD_STATE_DIR", "")
                .stderr(Stdio::piped())
                .spawn()
                .expect("it starts");
            let mut log = std::io::BufReader::new(child.stderr.take().expect("piped"));
            let mut line = String::new();
            while !line.contains("ready") {
                line.clear();
                assert!(std::io::BufRead::read_line(&mut log, &mut line).expect("a line") > 0, "it ended");
            }
            child.kill().expect("killed");
            child.wait().expect("gone");
            std::fs::remove_file(&path).expect("it was there");
        }
        done.store(true, Ordering::Relaxed);
        watcher.join().expect("no panic")
    });
    assert_eq!(modes, BTreeSet::from([0o600]));
}

#[tokio::test]
async fn a_dead_socket_is_replaced_a_living_one_is_not_and_at_the_end_it_is_gone() {
    let folder = Folder::new("stale");
    std::fs::create_dir_all(folder.path()).expect("a folder");
    let path = format!("{}/s", folder.path());
    drop(UnixListener::bind(&path).expect("bound"));
    let mut house = House::within(folder, SOCKET);
    assert_eq!(status(&over(&path, "GET", "/wallet", "host: x\r\n")), 200, "nobody listened there any more");

    let refused = |path: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_gizad"))
            .args([
                "serve",
                "--sandbox",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--socket",
                path,
            ])
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refused(&path);
    assert!(said.contains("listen.socket: cannot listen on") && said.contains("another gizad"), "{said}");
    let foreign = house.at("foreign");
    let living = UnixListener::bind(&foreign).expect("bound");
    assert!(refused(&foreign).contains("another process listens there"));
    drop(living);
    let file = house.at("file");
    std::fs::write(&file, "precious").expect("written");
    assert!(refused(&file).contains("no socket"));
    assert_eq!(std::fs::read_to_string(&file).expect("still there"), "precious");
    assert_eq!(status(&over(&path, "GET", "/wallet", "host: x\r\n")), 200, "it listens as before");

    house.gateway.signal("TERM");
    assert_eq!(house.gateway.ended().await.code(), Some(0));
    assert!(std::fs::symlink_metadata(&path).is_err(), "it took its socket with it");
}

#[tokio::test]
async fn a_socket_that_is_not_its_own_any_more_is_left_alone() {
    let mut house = House::new(SOCKET);
    let path = house.at("s");
    std::fs::remove_file(&path).expect("it was there");
    let other = UnixListener::bind(&path).expect("bound");
    let number = std::fs::symlink_metadata(&path).expect("there").ino();
    house.gateway.signal("TERM");
    assert_eq!(house.gateway.ended().await.code(), Some(0));
    let found = std::fs::symlink_metadata(&path).expect("still there");
    assert!(found.file_type().is_socket() && found.ino() == number);
    drop(other);
}
