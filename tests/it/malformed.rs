//! What nobody should send: raw HTTP/1, frames of HTTP/2, protobuf and JSON, made of what somebody does send by spoiling it.
//! No panic, no 5xx, no hang.
//!
//! A few thousand in the test command; `TEST_MALFORMED=1000000` sends as many (`CONTRIBUTING.md`).

use std::io::{ErrorKind, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prost::Message as _;
use prost_reflect::DynamicMessage;

use super::operations::{Row, local_rows, rows};
use super::rig::{Gateway, PATIENCE, message, operation};
use crate::attacks::{END_HEADERS, END_STREAM, GET, HEADERS, POST, frame, greeting};

/// Connections at once.
const AT_ONCE: usize = 48;
/// How long to wait for the answer to something that may be none, before nothing more is said.
const A_MOMENT: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_is_answered_or_ended_and_harms_nobody() {
    let many = std::env::var("TEST_MALFORMED").map_or(4000, |many| many.parse().expect("a number"));
    let gateway = Gateway::sandbox_with(&[
        ("GIZAD_LIMITS_HEAD_TIMEOUT", "1s"),
        ("GIZAD_LIMITS_BODY_TIMEOUT", "1s"),
        ("GIZAD_LIMITS_IDLE_TIMEOUT", "5s"),
        ("GIZAD_LOG_LEVEL", "warn,gizad::boot=info"),
    ]);
    let at: SocketAddr = gateway.api.trim_start_matches("http://").parse().expect("an address");
    // Purchases lack their key, so that they are read and go no further.
    let corpus: Vec<Row> = rows().into_iter().chain(local_rows()).collect();
    let (next, corpus) = (AtomicU64::new(0), &corpus);
    // Of each kind: taken, refused, and ended without a word of HTTP/1.
    let told: [[AtomicU64; 3]; 4] = Default::default();
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                let mut kept = None;
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= many {
                        return;
                    }
                    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
                    let kind = usize::try_from(seed % 4).expect("small");
                    let answer = match kind {
                        0 => raw(at, &http1(&mut dice, corpus), seed),
                        1 => raw(at, &http2(&mut dice), seed),
                        2 => whole(&mut kept, at, &protobuf(&mut dice, corpus), seed),
                        _ => whole(&mut kept, at, &json(&mut dice, corpus), seed),
                    };
                    let is_taken = answer.starts_with(b"HTTP/1.1 2");
                    let how = if is_taken { 0 } else { 1 + usize::from(!answer.starts_with(b"HTTP/1.1 ")) };
                    told[kind][how].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    for (kind, told) in ["HTTP/1", "frames of HTTP/2", "protobuf", "JSON"].iter().zip(&told) {
        let [taken, refused, ended] = told.each_ref().map(|count| count.load(Ordering::Relaxed));
        println!("{kind}: {taken} were taken, {refused} refused, {ended} ended without a word");
        // What is spoiled too much, or too little, tries nothing. gRPC says both with 200.
        let is_http1 = *kind == "HTTP/1" || *kind == "JSON";
        assert!(
            !is_http1 || taken.min(refused) * 50 > taken + refused,
            "{kind}: {taken}, {refused}, {ended}"
        );
    }
    assert_eq!(gateway.get("/wallet").await.status, 200, "{}", gateway.log());
    let log = gateway.log();
    assert!(!log.contains("panicked") && !log.contains("\"level\":\"ERROR\""), "{log}");
}

/// Numbers that are the same whenever they are asked for by the same seed (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("64 bits") % end.max(1)
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// What readers of HTTP, and of JSON, have stumbled over.
const HTTP: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b"content-length: 5\r\n",
    b"content-length: -1\r\n",
    b"content-length: 99999999999999999999\r\n",
    b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: chunked, identity\r\n",
    b"host: localhost\r\n",
    b"host: evil.example\r\n",
    b"expect: 100-continue\r\n",
    b"upgrade: h2c\r\n",
    b"connection: upgrade, close\r\n",
    b"HTTP/1.0\r\n",
    b"HTTP/2.0",
    b"%00%ff%",
    b"/../..//",
    b"http://localhost/",
    b"*",
    b"?a=%&b&&=",
    b"authorization: Bearer gzd_\xff\r\n",
    b"grpc-timeout: 99999999999H\r\n",
    b"idempotency-key: \xff\r\n",
    b"traceparent: 00-0-0-0\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
];
const JSON: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"null",
    b"true",
    b"1e999",
    b"-0",
    b"1e-400",
    b"\\u0000",
    b"\\ud800",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"{\"a\":",
    b"[[[[[[[[[[[[[[[[",
    b"\"extra\":{\"action\":\"x\"},",
    b"\"$serde_json::private::Number\":\"1\"",
    b"NaN",
    b"\0",
];

/// The same with one to six things wrong with it.
fn spoiled(dice: &mut Dice, sound: &[u8], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..=dice.below(6).min(dice.below(6)) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(12)).min(bytes.len());
        match dice.below(8) {
            0 if !bytes.is_empty() => {
                let at = at.min(bytes.len() - 1);
                bytes[at] ^= 1 << dice.below(8);
            }
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].repeat(1 + dice.below(40));
                bytes.splice(at..at, again);
            }
            3 => bytes.truncate(at),
            4 => bytes.insert(at, u8::try_from(dice.below(256)).expect("a byte")),
            5 => drop(bytes.splice(at..at, words[0].repeat(dice.below(5000)))),
            _ => drop(bytes.splice(at..at, dice.one(words).to_vec())),
        }
    }
    bytes
}

fn asked(row: &Row, kind: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        if kind == "application/json" { row.method } else { "POST" },
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn http1(dice: &mut Dice, corpus: &[Row]) -> Vec<u8> {
    let row = dice.one(corpus);
    let sound = asked(row, "application/json", row.path, &body(row));
    spoiled(dice, &sound, HTTP)
}

fn body(row: &Row) -> Vec<u8> {
    row.body.as_ref().map(ToString::to_string).unwrap_or_default().into_bytes()
}

fn json(dice: &mut Dice, corpus: &[Row]) -> Vec<u8> {
    let row = dice.one(corpus);
    let sound = if row.body.is_some() { body(row) } else { b"{}".to_vec() };
    asked(row, "application/json", row.path, &spoiled(dice, &sound, JSON))
}

/// gRPC as it goes over HTTP/1: a flag, a length, a message.
fn protobuf(dice: &mut Dice, corpus: &[Row]) -> Vec<u8> {
    let row = dice.one(corpus);
    let operation = operation(row.operation);
    let sound: DynamicMessage = message(operation, &row.request);
    let bytes =
        spoiled(dice, &sound.encode_to_vec(), &[&[0xff; 9], &[0x0a, 0xff], &[0x0b], &[0x80; 11], &[0x12]]);
    let length = u32::try_from(bytes.len()).expect("short").to_be_bytes();
    let mut framed = [&[0], length.as_slice(), &bytes].concat();
    if dice.below(4) == 0 {
        framed = spoiled(dice, &framed, &[&[0; 4], &[1], &[0x80]]);
    }
    asked(row, "application/grpc-web+proto", &operation.grpc_path, &framed)
}

/// A greeting and some frames, of which some are none.
fn http2(dice: &mut Dice) -> Vec<u8> {
    let mut said = greeting(&[]);
    for _ in 0..1 + dice.below(12) {
        let stream = u32::try_from(dice.below(9)).expect("small");
        let bytes = match dice.below(8) {
            0 => frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream | 1,
                &spoiled(dice, &GET, &[&[0xff; 6], &[0x3f, 0xe1]]),
            ),
            1 => frame(HEADERS, END_HEADERS, stream | 1, &spoiled(dice, &POST, &[&[0x7f], &[0x80]])),
            2 => frame(
                0,
                u8::from(dice.below(2) == 0),
                stream | 1,
                &spoiled(dice, b"{\"amount_vnd\":500000}", JSON),
            ),
            _ => {
                let (kind, flags) = (dice.below(12), dice.below(256));
                let payload: Vec<u8> =
                    (0..dice.below(40)).map(|_| u8::try_from(dice.below(256)).expect("a byte")).collect();
                frame(
                    u8::try_from(kind).expect("a byte"),
                    u8::try_from(flags).expect("a byte"),
                    stream,
                    &payload,
                )
            }
        };
        said.extend(bytes);
    }
    if dice.below(3) == 0 { spoiled(dice, &said, &[&[0; 9], &[0xff; 3]]) } else { said }
}

fn connected(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// Says it over a connection of its own, and hears the other side out.
fn raw(at: SocketAddr, said: &[u8], seed: u64) -> Vec<u8> {
    let mut stream = connected(at);
    stream.set_read_timeout(Some(A_MOMENT)).expect("a socket");
    // It may be ended before all of it is said.
    let _said = stream.write_all(said);
    let (mut answer, mut is_over) = (Vec::new(), false);
    let mut some = [0; 4096];
    loop {
        match stream.read(&mut some) {
            Ok(0) => break,
            Ok(read) => answer.extend(&some[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && !is_over => {
                is_over = true;
                let _gone = stream.shutdown(Shutdown::Write);
                stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => break,
            Err(error) => panic!("seed {seed}: {error}, after {:?}", String::from_utf8_lossy(said)),
        }
    }
    assert_no_5xx(&answer, said, seed);
    answer
}

/// Says a request that HTTP can read, over a connection that is kept as long as the other side keeps it: one that does not want the
/// body of what it refuses closes it after its answer.
fn whole(kept: &mut Option<TcpStream>, at: SocketAddr, said: &[u8], seed: u64) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Some(stream) = kept.take() {
        answer = answered(stream, said, kept);
    }
    if answer.is_empty() {
        answer = answered(connected(at), said, kept);
    }
    assert!(!answer.is_empty(), "seed {seed}: no answer to {:?}", String::from_utf8_lossy(said));
    assert_no_5xx(&answer, said, seed);
    let text = String::from_utf8_lossy(&answer);
    for status in ["2", "13", "14", "15"] {
        let trailer = format!("grpc-status:{status}\r\n");
        assert!(!text.contains(&trailer), "seed {seed}: {text} to {:?}", String::from_utf8_lossy(said));
    }
    if text.contains("connection: close") {
        *kept = None;
    }
    answer
}

/// What is answered; nothing if the connection was closed before.
fn answered(mut stream: TcpStream, said: &[u8], kept: &mut Option<TcpStream>) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut answer = Vec::new();
    let mut some = [0; 16 * 1024];
    let _said = stream.write_all(said);
    while !is_whole(&answer) {
        match stream.read(&mut some) {
            Ok(read) if read > 0 => answer.extend(&some[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("it hangs: {:?}", String::from_utf8_lossy(said))
            }
            Ok(_) | Err(_) => return answer,
        }
    }
    *kept = Some(stream);
    answer
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some(end) = text.find("\r\n\r\n") else { return false };
    let (head, _) = text.split_at(end);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    match length {
        Some(length) => answer.len() >= end + 4 + length,
        None => answer.ends_with(b"\r\n0\r\n\r\n") || !head.contains("transfer-encoding: chunked"),
    }
}

fn assert_no_5xx(answer: &[u8], said: &[u8], seed: u64) {
    assert!(
        !answer.starts_with(b"HTTP/1.1 5"),
        "seed {seed}: {} to {:?}",
        String::from_utf8_lossy(answer),
        String::from_utf8_lossy(said)
    );
}
