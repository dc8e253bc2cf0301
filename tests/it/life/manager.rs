//! What the service manager is told, over a real socket.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::process::Signal;

use super::process::{Holder, PATIENCE};
use crate::rig::{Folder, unique};

const URL: (&str, &str) = ("GIZAD_UPSTREAM_URL", "http://127.0.0.1:9/api");

/// Waits for something that is said with these words, and returns it.
fn heard(manager: &UnixDatagram, words: &str) -> String {
    manager.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut all = Vec::new();
    loop {
        let mut said = [0; 4096];
        let length = manager.recv(&mut said).unwrap_or_else(|error| panic!("{words:?}: {error}; {all:?}"));
        let said = String::from_utf8_lossy(&said[..length]).into_owned();
        if said.contains(words) {
            return said;
        }
        all.push(said);
    }
}

fn tell_a_life(manager: &UnixDatagram, at: &str) {
    let holder = Holder::new();
    let mut process = holder.start(
        &holder.sockets.iter().collect::<Vec<_>>(),
        "api:admin:unix",
        &[URL, ("NOTIFY_SOCKET", at), ("WATCHDOG_USEC", "200000")],
    );
    let ready = heard(manager, "READY=1");
    assert!(
        ready.contains(&format!("STATUS=serving on {}; health on {}", holder.api, holder.admin)),
        "{ready}"
    );
    // What it says when it lives; a process that does not run says nothing.
    heard(manager, "WATCHDOG=1");
    heard(manager, "WATCHDOG=1");
    process.logged("\"message\":\"ready\"");
    process.signal(Signal::HUP);
    let reloading = heard(manager, "RELOADING=1");
    let micros = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("the time");
    assert!(micros.parse::<u64>().expect("a number") > 0);
    heard(manager, "READY=1");
    process.signal(Signal::TERM);
    let stopping = heard(manager, "STOPPING=1");
    assert!(stopping.contains("\nEXTEND_TIMEOUT_USEC=10000000\n"), "{stopping}");
    assert!(
        stopping.contains("STATUS=stopping: 0 calls and 0 purchases are being finished, for"),
        "{stopping}"
    );
    assert_eq!(process.ended(), 0, "{}", process.log());
}

#[test]
fn a_manager_at_a_path_is_told_of_a_whole_life() {
    let folder = Folder::new("manager");
    std::fs::create_dir_all(folder.path()).expect("a folder");
    let at = format!("{}/notify", folder.path());
    tell_a_life(&UnixDatagram::bind(&at).expect("a socket"), &at);
}

#[test]
fn and_so_is_one_with_an_abstract_name() {
    let name = format!("gizad-manager-{}", unique());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    tell_a_life(&UnixDatagram::bind_addr(&address).expect("a socket"), &format!("@{name}"));
}

/// The watchdog of another process is none of gizad's business, and a manager that is gone holds nothing up.
#[test]
fn nobody_who_listens_is_no_trouble() {
    let holder = Holder::new();
    let mut process = holder.start_all(&[
        URL,
        ("NOTIFY_SOCKET", "/nowhere/at/all"),
        ("WATCHDOG_USEC", "1000"),
        ("WATCHDOG_PID", "1"),
    ]);
    process.signal(Signal::TERM);
    assert_eq!(process.ended(), 0, "{}", process.log());
}
