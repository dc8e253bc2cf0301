//! More connections than there are places, and those that keep theirs without using it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::attacks::{Attack, END_HEADERS, HEADERS, frame, greeting};
use crate::rig::{Gateway, PATIENCE};

const GET: &[u8] = b"GET /catalog/vps-plans HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().expect("an address")
}

fn connected(gateway: &Gateway) -> TcpStream {
    let stream = TcpStream::connect(address(&gateway.api)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// What comes until the other side ends it.
fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("it is still open: {error}"),
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A request that is the last of its connection.
fn last(request: &[u8]) -> Vec<u8> {
    [request.strip_suffix(b"\r\n").expect("a head"), b"connection: close\r\n\r\n"].concat()
}

/// Reads one answer, and leaves the connection as it is.
fn one(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut some = [0; 4096];
    loop {
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.and_then(|length| length.parse().ok()).is_some_and(|length: usize| body.len() >= length)
            {
                return whole;
            }
        }
        let read = stream.read(&mut some).expect("an answer");
        assert!(read > 0, "it was ended: {whole}");
        text.extend(&some[..read]);
    }
}

#[tokio::test]
async fn whoever_is_silent_or_slow_makes_room_for_newcomers() {
    let gateway = Gateway::sandbox_with(&[
        ("GIZAD_LIMITS_CONNECTIONS", "8"),
        ("GIZAD_LIMITS_HEAD_TIMEOUT", "1h"),
        ("GIZAD_LIMITS_BODY_TIMEOUT", "1h"),
    ]);
    let mut served = connected(&gateway);
    served.write_all(GET).expect("sent");
    assert!(one(&mut served).starts_with("HTTP/1.1 200"));
    let body = b"POST /wallet/deposits HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
        content-length: 100\r\n\r\n{";
    let mut idlers = Vec::new();
    for said in [&b""[..], b"GET / HTTP/1.1\r\n", body, b"PRI * HTTP/2.0\r\n"].repeat(10) {
        let mut stream = connected(&gateway);
        stream.write_all(said).expect("sent");
        idlers.push(stream);
        // Each of them in a connection of its own, as somebody would who comes by.
        let mut newcomer = connected(&gateway);
        newcomer.write_all(&last(GET)).expect("sent");
        assert!(rest(newcomer).starts_with("HTTP/1.1 200"), "{}", gateway.log());
    }
    let last = idlers.split_off(idlers.len() - 4);
    for idler in idlers.drain(..idlers.len() - 4) {
        assert_eq!(rest(idler), "", "it was ended");
    }
    served.write_all(GET).expect("sent");
    assert!(
        one(&mut served).starts_with("HTTP/1.1 200"),
        "whoever was served stays before those who were not"
    );
    drop(last);
    gateway.logged("connections were asked to go").await;
}

#[tokio::test]
async fn a_peer_gets_its_share_and_is_told_when_all_of_it_is_at_work() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_LIMITS_CONNECTIONS_PER_PEER", "3")]);
    gateway.order(json!({"kind": "delay", "ms": 600_000, "times": 3})).await;
    let mut busy = Vec::new();
    for (path, action) in [("/wallet", "balance"), ("/invoices", "hoadon"), ("/profile", "user_profile")] {
        let mut stream = connected(&gateway);
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sent");
        gateway.reached(action).await;
        busy.push(stream);
    }
    let refused = rest(connected(&gateway));
    assert!(
        refused.starts_with("HTTP/1.1 503 ") && refused.contains("limits.connections_per_peer"),
        "{refused}"
    );
    assert!(refused.ends_with("\n") && refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
    // Whoever has gone is not worked for any more.
    drop(busy.pop());
    let begun = Instant::now();
    loop {
        let mut newcomer = connected(&gateway);
        let _refused = newcomer.write_all(&last(GET));
        if rest(newcomer).starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the place is not free again");
    }
}

/// One address that has all that it may have keeps nobody else from being served.
#[tokio::test]
async fn the_limit_of_one_peer_is_nobody_elses() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_LIMITS_CONNECTIONS_PER_PEER", "2")]);
    gateway.order(json!({"kind": "delay", "ms": 600_000, "times": 2})).await;
    let mut busy = Vec::new();
    for (path, action) in [("/wallet", "balance"), ("/invoices", "hoadon")] {
        let mut stream = connected(&gateway);
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).expect("sent");
        gateway.reached(action).await;
        busy.push(stream);
    }
    // More of the same peer than may wait for a place, and then somebody from elsewhere.
    let more: Vec<TcpStream> = (0..40).map(|_| connected(&gateway)).collect();
    let elsewhere = tokio::net::TcpSocket::new_v4().expect("a socket");
    elsewhere.bind("127.0.0.2:0".parse().expect("an address")).expect("all of 127.0.0.0/8 is here");
    let stream = elsewhere.connect(address(&gateway.api)).await.expect("a connection");
    let mut stream = stream.into_std().expect("a socket");
    stream.set_nonblocking(false).expect("a socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(&last(GET)).expect("sent");
    assert!(rest(stream).starts_with("HTTP/1.1 200"), "{}", gateway.log());
    drop((busy, more));
}

/// A stream that nobody ends is not what a stop waits for.
#[tokio::test]
async fn whoever_keeps_a_stream_open_does_not_keep_it_from_stopping() {
    let mut gateway = Gateway::sandbox_with(&[("GIZAD_LIMITS_WRITE_TIMEOUT", "300ms")]);
    let mut stream = connected(&gateway);
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let mut head = b"\x83\x86\x01\x09localhost\x04".to_vec();
    head.push(u8::try_from(path.len()).expect("short"));
    head.extend(path.as_bytes());
    head.extend(b"\x0f\x10\x10application/grpc");
    stream.write_all(&[greeting(&[]), frame(HEADERS, END_HEADERS, 1, &head)].concat()).expect("sent");
    // The head of its answer: it is under way.
    let mut said: Vec<u8> = Vec::new();
    while !said.windows(9).any(|window| window[3] == HEADERS && window[4] & END_HEADERS != 0) {
        let mut some = [0; 1024];
        let read = stream.read(&mut some).expect("an answer");
        assert!(read > 0, "it was ended");
        said.extend(&some[..read]);
    }
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert!(!gateway.log().contains("the time to finish ran out"), "{}", gateway.log());
}

#[tokio::test]
async fn each_thing_has_its_time() {
    let gateway = Gateway::sandbox_with(&[
        ("GIZAD_LIMITS_HEAD_TIMEOUT", "300ms"),
        ("GIZAD_LIMITS_IDLE_TIMEOUT", "600ms"),
        ("GIZAD_LIMITS_WRITE_TIMEOUT", "300ms"),
    ]);
    for said in [&b""[..], b"GET / HTTP/1.1\r\nhost: loc", b"PRI * HTTP/2.0\r\n"] {
        let mut stream = connected(&gateway);
        stream.write_all(said).expect("sent");
        assert_eq!(rest(stream), "", "{}", String::from_utf8_lossy(said));
    }
    let mut kept = connected(&gateway);
    for _ in 0..3 {
        kept.write_all(GET).expect("sent");
        assert!(one(&mut kept).starts_with("HTTP/1.1 200"));
    }
    assert_eq!(rest(kept), "", "idle");
    // Much more than the system holds for anybody: asked for, and not taken.
    let mut greedy = connected(&gateway);
    greedy.set_write_timeout(Some(PATIENCE)).expect("a socket");
    let asked = GET.repeat(1000);
    let begun = Instant::now();
    while greedy.write_all(&asked).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it is never ended");
    }
    // In HTTP/2 the other side says itself that it has no room.
    let until = Instant::now() + Duration::from_secs(3);
    let closed = Attack::NoWindow.run(address(&gateway.api), 2, until).await;
    assert!(closed >= 2, "{closed}");
    assert_eq!(gateway.get("/catalog/vps-plans").await.status, 200);
}

/// Every attack, with few places: nobody else notices, and nothing of it is left.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_others_are_served() {
    // At trace level a flood of frames is another one of lines.
    let few = ("GIZAD_LIMITS_CONNECTIONS", "32");
    let gateway = Gateway::sandbox_with(&[few, ("GIZAD_CACHE_TTL", "1h"), ("GIZAD_LOG_LEVEL", "info")]);
    let gateway = Arc::new(gateway);
    for attack in Attack::ALL {
        let (mut closed, mut served, mut lost) = (0, 0, 0);
        let begun = Instant::now();
        // Whoever reads a byte now and then has not come to the end of what was sent before.
        while served < 20 || (closed == 0 && attack != Attack::SlowRead) {
            assert!(begun.elapsed() < PATIENCE, "{attack:?}: {closed} were closed, {served} were served");
            let until = Instant::now() + Duration::from_millis(1200);
            let legitimate = tokio::spawn(served_until(gateway.clone(), attack, until));
            closed += attack.run(address(&gateway.api), 60, until).await;
            let more = legitimate.await.expect("no panic");
            (served, lost) = (served + more.0, lost + more.1);
        }
        // On a machine that is busy with something else, a connection may be taken for a silent one before its first byte.
        assert!(lost * 10 <= served, "{attack:?}: {lost} were lost, {served} were served");
    }
    let log = gateway.log();
    assert!(!log.contains("panicked") && !log.contains("\"level\":\"ERROR\""), "{log}");
}

/// How many calls were answered, and how many connections were ended before that, as clients see it who ask again then.
async fn served_until(gateway: Arc<Gateway>, attack: Attack, until: Instant) -> (u32, u32) {
    let (mut served, mut lost) = (0, 0);
    while Instant::now() < until {
        for path in ["/catalog/vps-plans", "/wallet"] {
            match gateway.http.get(format!("{}{path}", gateway.api)).send().await {
                Ok(answer) => assert_eq!(answer.status(), 200, "{attack:?}"),
                Err(_) => lost += 1,
            }
        }
        served += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (served, lost)
}
