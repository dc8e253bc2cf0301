//! The catalog from memory, over REST and over gRPC, beside a bare hyper server that returns the same head and the same
//! body: how many a second, and what one costs. `cargo bench --bench catalog`.
//!
//! Each server has one core to itself and the client another, so that neither takes the other's time. Rounds alternate,
//! and the median counts. The cost is what the kernel charged the server's process, in user and system time.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark measures clocks and talks to a person"
)]

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Names the part that a process plays, if it is not the one that a person has started.
const PART: &str = "CATALOG_BENCH_PART";
const CONNECTIONS: usize = 64;
const ROUNDS: usize = 5;
const SPAN: Duration = Duration::from_secs(3);
const REST: &str = "/catalog/vps-plans";
const GRPC: &str = "/gizad.v1.CatalogService/ListVpsPlans";
/// Ticks a second in which the kernel counts time (`sysconf(_SC_CLK_TCK)` on every Linux).
const TICKS: f64 = 100.0;

fn main() {
    match std::env::var(PART).as_deref() {
        Ok("bare") => bare(),
        Ok(_) => runtime().block_on(measure()),
        Err(_) => {
            let own = std::env::current_exe().expect("a program");
            let status = pinned(1, own.to_str().expect("a path")).env(PART, "client").status();
            assert!(status.expect("taskset (util-linux) is there").success());
        }
    }
}

/// A command that has one core.
fn pinned(core: usize, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string(), program]);
    command
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// Keeps the client's core from going to sleep between two answers: to wake it is the work of whoever sends one, so that
/// the slower a server is, the more of it it would be charged.
async fn stay_awake() {
    loop {
        tokio::task::yield_now().await;
    }
}

async fn measure() {
    // Until the runtime ends.
    let _awake = tokio::spawn(stay_awake());
    let daemon = daemon();
    let (head, body) = answer(daemon.address).await;
    println!(
        "{REST}: {} bytes of body, {CONNECTIONS} connections, {ROUNDS} rounds of {} s",
        body.len(),
        SPAN.as_secs()
    );
    let bare = bare_of(&head, &body, &frame(daemon.address).await);
    for (face, load) in [("REST", Load::Rest), ("gRPC", Load::Grpc)] {
        let mut ratios = Vec::new();
        let mut costs = Vec::new();
        let mut rates = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (bare_rate, bare_cost) = run(&bare, load).await;
            let (rate, cost) = run(&daemon, load).await;
            ratios.push(rate / bare_rate);
            costs.push(bare_cost / cost);
            rates.0.push(rate);
            rates.1.push(bare_rate);
        }
        println!(
            "{face}: {:>7.0}/s from memory, {:>7.0}/s bare hyper: {:.2} × as many, {:.2} × by processor time",
            median(rates.0),
            median(rates.1),
            median(ratios),
            median(costs)
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Server {
    /// The processor time it has had, in seconds.
    fn time(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).expect("a number");
        (ticks(11) + ticks(12)) / TICKS
    }
}

fn daemon() -> Server {
    let mut child = pinned(0, env!("CARGO_BIN_EXE_gizad"))
        .args(["serve", "--sandbox", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .env("GIZAD_LOG_FORMAT", "json")
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let ready = lines.next().expect("a line").expect("text");
    // Whatever it logs is read, as a log is.
    std::thread::spawn(move || lines.for_each(drop));
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    let address = ready["api"].as_str().expect("an address").parse().expect("an address");
    Server { child, address }
}

/// Head (without its first line) and body of the answer from memory.
async fn answer(address: SocketAddr) -> (String, Bytes) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let mut last = Vec::new();
    for _ in 0..2 {
        stream.write_all(request(address).as_bytes()).await.expect("sent");
        last = whole(&mut stream).await;
    }
    let text = String::from_utf8(last).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("gizad; hit"), "{head}");
    (head.split_once("\r\n").expect("a first line").1.to_owned(), Bytes::copy_from_slice(body.as_bytes()))
}

/// The framed message of the answer over gRPC.
async fn frame(address: SocketAddr) -> Bytes {
    let mut sender = http2(address).await;
    let response = sender.send_request(grpc_request(address)).await.expect("an answer");
    response.into_body().collect().await.expect("a body").to_bytes()
}

fn request(address: SocketAddr) -> String {
    format!("GET {REST} HTTP/1.1\r\nhost: {address}\r\n\r\n")
}

async fn whole(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::with_capacity(16 * 1024);
    loop {
        stream.read_buf(&mut read).await.expect("an answer");
        let Some(end) = find(&read) else { continue };
        let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default()).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.and_then(|text| text.parse().ok()).expect("a length");
        if read.len() >= end + 4 + length {
            return read;
        }
    }
}

fn find(read: &[u8]) -> Option<usize> {
    read.windows(4).position(|window| window == b"\r\n\r\n")
}

#[derive(Clone, Copy)]
enum Load {
    Rest,
    Grpc,
}

/// Answers a second, and processor time for each.
async fn run(server: &Server, load: Load) -> (f64, f64) {
    let done = Arc::new(AtomicU64::new(0));
    let (before, begun) = (server.time(), Instant::now());
    let mut tasks = Vec::new();
    for number in 0..CONNECTIONS {
        let (done, address) = (done.clone(), server.address);
        tasks.push(tokio::spawn(async move {
            match load {
                Load::Rest => rest(address, begun, &done).await,
                // Sixteen streams in each of four connections.
                Load::Grpc if number % 16 == 0 => grpc(address, begun, &done).await,
                Load::Grpc => {}
            }
        }));
    }
    for task in tasks {
        task.await.expect("no failure");
    }
    let done = done.load(Ordering::Relaxed) as f64;
    (done / begun.elapsed().as_secs_f64(), (server.time() - before) / done)
}

async fn rest(address: SocketAddr, begun: Instant, done: &AtomicU64) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("set");
    let request = request(address);
    stream.write_all(request.as_bytes()).await.expect("sent");
    let length = whole(&mut stream).await.len();
    let mut buffer = vec![0; length + 64];
    while begun.elapsed() < SPAN {
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut read = 0;
        // The head changes its length only with the digits of the age; the body ends it.
        while read < length - 2 || buffer.get(read - 1) != Some(&b'\n') {
            read += stream.read(buffer.get_mut(read..).expect("room")).await.expect("an answer");
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}

type Http2 = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn http2(address: SocketAddr) -> Http2 {
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("set");
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("a connection");
    tokio::spawn(connection);
    sender
}

fn grpc_request(address: SocketAddr) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::POST)
        .uri(format!("http://{address}{GRPC}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::from(Bytes::from_static(&[0; 5])))
        .expect("a request")
}

async fn grpc(address: SocketAddr, begun: Instant, done: &AtomicU64) {
    let sender = http2(address).await;
    let streams = (0..16).map(|_| {
        let mut sender = sender.clone();
        async move {
            while begun.elapsed() < SPAN {
                let response = sender.send_request(grpc_request(address)).await.expect("an answer");
                let body = response.into_body().collect().await.expect("a body");
                assert_eq!(
                    body.trailers().and_then(|t| t.get("grpc-status")).map(|s| s.as_bytes()),
                    Some(&b"0"[..])
                );
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    futures_util::future::join_all(streams).await;
}

/// Starts the bare server with what it is to return.
fn bare_of(head: &str, body: &Bytes, frame: &Bytes) -> Server {
    let own = std::env::current_exe().expect("a program");
    let mut child = pinned(0, own.to_str().expect("a path"))
        .env(PART, "bare")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let kept: Vec<(&str, &str)> = head
        .split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| !["content-length", "date"].contains(name))
        .collect();
    let answer = serde_json::json!({"head": kept, "body": &**body, "frame": &**frame});
    writeln!(child.stdin.take().expect("piped"), "{answer}").expect("written");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    Server { child, address: line.trim().parse().expect("an address") }
}

/// What the bare server returns.
#[derive(Clone)]
struct Same {
    head: HeaderMap,
    body: Bytes,
    frame: Bytes,
}

fn bare() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    let answer: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let bytes = |name: &str| serde_json::from_value::<Vec<u8>>(answer[name].clone()).expect("bytes").into();
    let head: Vec<(String, String)> = serde_json::from_value(answer["head"].clone()).expect("pairs");
    let head = head.iter().map(|(n, v)| (n.parse().expect("a name"), v.parse().expect("a value"))).collect();
    let same = Arc::new(Same { head, body: bytes("body"), frame: bytes("frame") });
    runtime().block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("set");
            let same = same.clone();
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let same = same.clone();
                async move {
                    let response = respond(&same, request.method());
                    request.into_body().collect().await.expect("a body");
                    Ok::<_, Infallible>(response)
                }
            });
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move { builder.serve_connection(TokioIo::new(stream), service).await });
        }
    });
}

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

fn respond(same: &Same, method: &Method) -> Response<Body> {
    let mut response = if method == Method::POST {
        let ok = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            "0".parse().expect("a value"),
        )]);
        let frames = [Frame::data(same.frame.clone()), Frame::trailers(ok)].map(Ok::<_, Infallible>);
        Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
    } else {
        Response::new(Full::from(same.body.clone()).boxed_unsync())
    };
    *response.headers_mut() = same.head.clone();
    response
}
