//! Sockets that somebody else holds: used if they are what the settings say, and left open.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileTypeExt as _;

use rustix::process::Signal;

use super::callers::{Plain, Seen, Target};
use super::process::{Holder, inherited};

fn target(holder: &Holder) -> Target {
    Target { api: holder.api, socket: holder.socket.clone(), bearer: holder.bearer.clone() }
}

const URL: (&str, &str) = ("GIZAD_UPSTREAM_URL", "http://127.0.0.1:9/api");

#[test]
fn what_is_handed_over_is_listened_on_and_a_stop_leaves_it_open() {
    let holder = Holder::new();
    let mut first = holder.start_all(&[URL]);
    let (seen, mut tcp, mut unix) =
        (Seen::default(), Plain::new(target(&holder), false), Plain::new(target(&holder), true));
    for plain in [&mut tcp, &mut unix] {
        let (status, body) = plain.call("GET", "/operations", None, "", &seen).expect("an answer");
        assert_eq!(status, 200, "{body}");
    }
    // Nobody else may look at the descriptors of a process that hides its memory.
    for fd in (3..6).filter(|_| rustix::process::geteuid().is_root()) {
        let link = std::fs::read_link(format!("/proc/{}/fd/{fd}", first.id())).expect("a descriptor");
        assert!(link.to_string_lossy().starts_with("socket:"), "{link:?}");
        let info = std::fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", first.id())).expect("about it");
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags").trim();
        assert_ne!(u32::from_str_radix(flags, 8).expect("octal") & 0o2_000_000, 0, "close-on-exec: {flags}");
    }
    first.signal(Signal::TERM);
    assert_eq!(first.ended(), 0, "{}", first.log());
    // Nobody listens, and nobody is refused: the next one answers.
    let waiting = TcpStream::connect(holder.api).expect("a place in the queue");
    assert!(std::fs::metadata(&holder.socket).expect("still there").file_type().is_socket());
    let asking = {
        let (target, seen) = (target(&holder), Seen::default());
        std::thread::spawn(move || Plain::new(target, true).call("GET", "/operations", None, "", &seen))
    };
    let _second = holder.start_all(&[URL]);
    assert_eq!(asking.join().expect("no panic").expect("an answer").0, 200);
    drop(waiting);
}

/// Without names, each is known by its address.
#[test]
fn sockets_without_names_go_where_their_addresses_say() {
    let holder = Holder::new();
    let [api, admin, unix] = &holder.sockets[..] else { panic!("three") };
    for names in ["", "gizad.socket:gizad.socket:gizad.socket"] {
        let process = holder.start(&[unix, admin, api], names, &[URL]);
        process.logged("\"message\":\"ready\"");
        let (status, _) = Plain::new(target(&holder), false)
            .call("GET", "/operations", None, "", &Seen::default())
            .expect("an answer");
        assert_eq!(status, 200);
    }
}

/// What is not handed over is opened, what is meant for another process is left alone.
#[test]
fn some_may_be_handed_over_and_those_of_others_are_not_looked_at() {
    let mut holder = Holder::new();
    let api = holder.sockets.remove(0);
    holder.sockets.clear();
    std::fs::remove_file(&holder.socket).expect("it was there");
    holder.admin.set_port(0);
    let process = holder.start(&[&api], "api", &[URL]);
    process.logged("\"message\":\"ready\"");
    drop((process, api));
    let mut command = holder.command(&[], "", &[URL]);
    let mut process = super::process::Process::start(command.env("LISTEN_FDS", "7").env("LISTEN_PID", "1"));
    // The shell sets LISTEN_PID to gizad's own number, so seven are expected, and none is there.
    assert_eq!(process.ended(), 1);
    assert!(process.log().contains("descriptor 9"), "{}", process.log());
}

#[test]
fn what_is_not_what_the_settings_say_is_refused_with_what_was_expected() {
    let holder = Holder::new();
    let [api, admin, unix] = &holder.sockets[..] else { panic!("three") };
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = stranger.local_addr().expect("an address");
    let stranger = inherited(&stranger);
    let connected = inherited(TcpStream::connect(holder.api).expect("a connection"));
    let datagrams = inherited(std::net::UdpSocket::bind("127.0.0.1:0").expect("a port"));
    let (api_at, admin_at) = (holder.api, holder.admin);
    let rows = [
        (vec![&stranger], "api", format!("descriptor 3 (api) is {at}; expected {api_at} (listen.api)")),
        (
            vec![&stranger],
            "",
            format!("descriptor 3 is {at}; expected {api_at} (listen.api) or {admin_at} (listen.admin)"),
        ),
        (vec![admin], "api", format!("is {admin_at}; expected {api_at} (listen.api)")),
        (vec![api, api], "api:api", format!("descriptor 4 (api) is {api_at}, the second one for listen.api")),
        (vec![api], "unix", format!("is {api_at}, and a Unix socket was expected by that name")),
        (vec![unix], "admin", "and TCP was expected by that name".to_owned()),
        (vec![&datagrams], "", "descriptor 3 is no stream socket".to_owned()),
        (vec![&connected], "api", "does not listen; expected a socket that does".to_owned()),
    ];
    for (given, names, expected) in rows {
        let mut process = holder.start(&given, names, &[URL]);
        assert_eq!(process.ended(), 1, "{names}");
        assert!(process.log().contains(&expected), "{expected:?} in {}", process.log());
    }
    // All of it at once.
    let mut process = holder.start(&[&stranger, &datagrams], "api:admin", &[URL]);
    assert_eq!(process.ended(), 1);
    assert!(process.log().contains("descriptor 3 (api)") && process.log().contains("descriptor 4 (admin)"));
}
