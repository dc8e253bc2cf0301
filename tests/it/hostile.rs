//! A provider that wants to do harm: answers without end, without haste, packed, nested, with more head than body. Each is one
//! clear error in bounded time and memory.

use std::io::{Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::rig::Gateway;

/// What is said to each request, and how many bytes of it were taken in all.
struct Hostile {
    url: String,
    taken: Arc<AtomicUsize>,
}

/// Counts what is taken, and stops at the first that is not.
struct Tap<'a>(&'a mut TcpStream, &'a AtomicUsize);

impl Tap<'_> {
    fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)?;
        self.1.fetch_add(bytes.len(), Ordering::SeqCst);
        Ok(())
    }

    fn for_ever(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        loop {
            self.say(bytes)?;
        }
    }

    fn slowly(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        loop {
            self.say(bytes)?;
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Hostile {
    fn new(answer: fn(Tap<'_>) -> std::io::Result<()>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/api", listener.local_addr().expect("an address"));
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = taken.clone();
        std::thread::spawn(move || {
            for mut socket in listener.incoming().map_while(Result::ok) {
                let counted = counted.clone();
                std::thread::spawn(move || {
                    let mut request = [0; 16 * 1024];
                    let _read = socket.read(&mut request);
                    let _until_it_is_closed = answer(Tap(&mut socket, &counted));
                });
            }
        });
        Self { url, taken }
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

fn body(mut tap: Tap<'_>, headers: &str, body: &[u8]) -> std::io::Result<()> {
    tap.say(OK)?;
    tap.say(format!("{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len()).as_bytes())?;
    tap.say(body)
}

const PROVISIONAL: &str = "provisional answers without end";

/// Each way, what comes of a read, and by which rule.
type Way = (&'static str, fn(Tap<'_>) -> std::io::Result<()>, &'static [&'static str]);

const WAYS: &[Way] = &[
    (
        "a body without end",
        |mut tap| {
            tap.say(OK)?;
            tap.say(b"transfer-encoding: chunked\r\n\r\n")?;
            tap.for_ever(&[b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat())
        },
        &["answer_too_long"],
    ),
    ("a head without end", |mut tap| tap.say(OK).and_then(|()| tap.for_ever(&[b'a'; 4096])), &[]),
    ("headers without end", |mut tap| tap.say(OK).and_then(|()| tap.for_ever(b"x-a: b\r\n")), &[]),
    ("a header of a megabyte", |tap| body(tap, &format!("x-a: {}\r\n", "b".repeat(1 << 20)), b"{}"), &[]),
    (PROVISIONAL, |mut tap| tap.for_ever(b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"), &[]),
    ("a head byte by byte", |mut tap| tap.slowly(b"H"), &[]),
    (
        "a body byte by byte",
        |mut tap| {
            tap.say(OK)?;
            tap.say(b"content-length: 1000000\r\n\r\n")?;
            tap.slowly(b" ")
        },
        &[],
    ),
    (
        "trailers without end",
        |mut tap| {
            tap.say(OK)?;
            tap.say(b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")?;
            tap.for_ever(b"x-a: b\r\n")
        },
        &[],
    ),
    (
        "more announced than there is",
        |mut tap| {
            tap.say(OK)
                .and_then(|()| tap.say(b"content-length: 999999999999999999\r\n\r\n{\"success\":true}"))
        },
        &[],
    ),
    (
        "a packed answer that nobody asked for",
        |tap| body(tap, "content-encoding: gzip\r\n", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
        &["compressed"],
    ),
    ("arrays in arrays", |tap| body(tap, "", &[b'['; 900_000]), &[]),
    ("objects in objects", |tap| body(tap, "", "{\"a\":".repeat(180_000).as_bytes()), &[]),
    ("XML in XML", |tap| body(tap, "", "<a>".repeat(300_000).as_bytes()), &[]),
    ("PHP in PHP", |tap| body(tap, "", "a:1:{i:0;".repeat(100_000).as_bytes()), &[]),
    (
        "a number of a megabyte",
        |tap| body(tap, "", format!("{{\"success\":true,\"balance\":{}}}", "9".repeat(900_000)).as_bytes()),
        &[],
    ),
    (
        "a million members",
        |tap| body(tap, "", format!("{{{}\"a\":1}}", "\"a\":1,".repeat(160_000)).as_bytes()),
        &[],
    ),
];

#[tokio::test]
async fn whatever_the_provider_does_it_is_one_error_in_bounded_time_and_memory() {
    for (way, answer, rules) in WAYS {
        let provider = Hostile::new(*answer);
        let gateway = Gateway::towards(&provider.url, &[("GIZAD_UPSTREAM_TIMEOUT", "700ms")]);
        for (method, path) in [("GET", "/wallet"), ("POST", "/vps/1/reboot"), ("GET", "/catalog/vps-plans")] {
            let answer = gateway.rest(method, path, None).await;
            let reason = answer.reason();
            // What is understood all the same is no harm; what may have run is never called a failure.
            let is_once = method == "POST";
            assert!(
                if is_once {
                    reason == "OUTCOME_UNKNOWN" || answer.status == 200
                } else {
                    answer.status != 500
                },
                "{way}, {path}: {}",
                answer.text
            );
            let rule = answer.json()["upstream_rule"].as_str().unwrap_or_default().to_owned();
            assert!(rules.is_empty() || rules.contains(&rule.as_str()), "{way}, {path}: {}", answer.text);
            assert!(answer.text.len() < 1 << 21, "{way}, {path}: {} bytes", answer.text.len());
        }
        // Three answers, and what the system holds of each on its way.
        let taken = provider.taken.load(Ordering::SeqCst);
        // Provisional answers are no answers (RFC 9110, section 15.2): their end is that of the exchange's time.
        assert!(taken < 3 << 23 || *way == PROVISIONAL, "{way}: {taken} bytes were taken");
        let most = gateway.most_memory();
        assert!(most < 64.0, "{way}: {most} MiB of memory");
        assert!(!gateway.log().contains("panicked"), "{way}: {}", gateway.log());
        assert_eq!(gateway.admin("GET", "/livez").await.json(), json!({"status": "alive"}), "{way}");
    }
}
