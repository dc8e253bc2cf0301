//! The figures: size, start, memory, and calls per second beside what bounds them, all in one run.
//!
//! `cargo bench` builds the release binary and prints them. Load goes to loopback only, for a few seconds each.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark measures clocks and talks to a person"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gizad::contract::Contract;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use prost_reflect::DynamicMessage;
use tokio::net::{TcpListener, TcpStream};

#[path = "../client/codec.rs"]
mod codec;
#[path = "../client/memory.rs"]
mod memory;

use codec::Dynamic;
use memory::memory;

const CONNECTIONS: usize = 64;
const SPAN: Duration = Duration::from_secs(4);
const STARTS: usize = 25;
const POST: &str = r#"{"action":"balance","identifier":"sandbox","secret":"sandbox-secret"}"#;

fn main() {
    let binary = env!("CARGO_BIN_EXE_gizad");
    let size = std::fs::metadata(binary).expect("a binary").len();
    println!("binary                               {:>9.1} MiB", size as f64 / 1_048_576.0);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            starts.push(start_to_answer().await);
        }
        starts.sort();
        println!(
            "start to first answered request      {:>9.1} ms (median of {STARTS})",
            millis(starts.get(STARTS / 2))
        );

        let alone = Daemon::start(false);
        tokio::time::sleep(Duration::from_secs(1)).await;
        println!("idle memory (RSS)                    {:>9.1} MiB", alone.resident());
        drop(alone);

        let daemon = Daemon::start(true);
        tokio::time::sleep(Duration::from_millis(300)).await;
        println!("idle memory with the sandbox inside  {:>9.1} MiB", daemon.resident());

        let bare = bare_server(&rest(daemon.api, "GET", "/wallet", "").await).await;
        let limit = load(bare, "GET", "/wallet", "").await;
        println!(
            "\n{CONNECTIONS} connections, {} s each, client and servers on the same cores",
            SPAN.as_secs()
        );
        println!("bare hyper, the same bytes           {limit:>9.0} req/s");
        let direct = load(daemon.provider, "POST", "/api", POST).await;
        println!("the sandbox alone                    {direct:>9.0} req/s");
        let through = load(daemon.api, "GET", "/wallet", "").await;
        println!(
            "REST through gizad                   {through:>9.0} req/s  {:.2} × the sandbox alone",
            through / direct
        );
        let grpc = load_grpc(daemon.api).await;
        println!(
            "gRPC through gizad                   {grpc:>9.0} req/s  {:.2} × the sandbox alone",
            grpc / direct
        );
        let lone = load(daemon.api, "POST", "/vps/1/reboot", "").await;
        println!(
            "REST, a connection each (reboot)     {lone:>9.0} req/s  {:.2} × the sandbox alone",
            lone / direct
        );
        println!("memory after the load                {:>9.1} MiB", daemon.resident());
    });
}

fn millis(duration: Option<&Duration>) -> f64 {
    duration.map_or(f64::NAN, |duration| duration.as_secs_f64() * 1000.0)
}

/// A free port of this machine.
fn port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address")
}

struct Daemon {
    child: Child,
    api: SocketAddr,
    provider: SocketAddr,
}

impl Daemon {
    fn start(sandbox: bool) -> Self {
        let (api, provider) = (port(), port());
        let mut command = Command::new(env!("CARGO_BIN_EXE_gizad"));
        command
            .args(["serve", "--listen", &api.to_string(), "--admin-listen", "127.0.0.1:0"])
            .env("GIZAD_SANDBOX_LISTEN", provider.to_string())
            // What is measured is the way through, not the waiting for turns, and nothing is to be remembered.
            .envs([
                ("GIZAD_PACE_RATE", "1000000/s"),
                ("GIZAD_PACE_BURST", "1000000"),
                ("GIZAD_STATE_DIR", ""),
            ])
            .envs([("GIZAD_QUOTA_RATE", "1000000/s"), ("GIZAD_QUOTA_BURST", "1000000")])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if sandbox {
            command.arg("--sandbox");
        } else {
            command.envs([("GIZAD_CREDENTIALS_IDENTIFIER", "i"), ("GIZAD_CREDENTIALS_SECRET", "s")]);
            command.env("GIZAD_ACCESS_ANONYMOUS", "read");
        }
        Self { child: command.spawn().expect("it starts"), api, provider }
    }

    /// Resident memory, in MiB.
    fn resident(&self) -> f64 {
        memory(self.child.id(), "VmRSS")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// From the start of the process to the end of its first answer.
async fn start_to_answer() -> Duration {
    let begun = Instant::now();
    let daemon = Daemon::start(true);
    while TcpStream::connect(daemon.api).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not start");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    rest(daemon.api, "GET", "/wallet", "").await;
    begun.elapsed()
}

type Sender = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

async fn connect(address: SocketAddr) -> Sender {
    let stream = loop {
        match TcpStream::connect(address).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    stream.set_nodelay(true).expect("a socket");
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut Sender, method: &str, path: &str, body: &str) -> Bytes {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::from(body.to_owned()))
        .expect("a request");
    sender.ready().await.expect("a connection");
    let response = sender.send_request(request).await.expect("an answer");
    assert!(response.status().is_success(), "{method} {path}: {}", response.status());
    response.into_body().collect().await.expect("a body").to_bytes()
}

async fn rest(address: SocketAddr, method: &str, path: &str, body: &str) -> Bytes {
    ask(&mut connect(address).await, method, path, body).await
}

/// Calls per second over many connections.
async fn load(address: SocketAddr, method: &'static str, path: &'static str, body: &'static str) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let done = done.clone();
            tokio::spawn(async move {
                let mut sender = connect(address).await;
                while begun.elapsed() < SPAN {
                    ask(&mut sender, method, path, body).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no failure");
    }
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// The same over gRPC, in as many streams on four connections.
async fn load_grpc(address: SocketAddr) -> f64 {
    let operation =
        Contract::embedded().expect("a sound contract").operation("WalletService.GetWallet").expect("a row");
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let endpoint = tonic::transport::Channel::from_shared(format!("http://{address}")).expect("a URL");
        let channel = endpoint.tcp_nodelay(true).connect().await.expect("a connection");
        for _ in 0..CONNECTIONS / 4 {
            let (channel, done) = (channel.clone(), done.clone());
            tasks.push(tokio::spawn(async move {
                let mut client = tonic::client::Grpc::new(channel);
                while begun.elapsed() < SPAN {
                    client.ready().await.expect("a connection");
                    let request =
                        tonic::Request::new(DynamicMessage::new(operation.input.descriptor.clone()));
                    let codec = Dynamic::new(operation.output.descriptor.clone());
                    let path = http::uri::PathAndQuery::from_static("/gizad.v1.WalletService/GetWallet");
                    client.unary(request, path, codec).await.expect("an answer");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
    }
    for task in tasks {
        task.await.expect("no failure");
    }
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// A hyper server that answers everything with the same bytes: the limit.
async fn bare_server(body: &Bytes) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, body) = (listener.local_addr().expect("an address"), body.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _best_effort = stream.set_nodelay(true);
            let body = body.clone();
            let service = hyper::service::service_fn(move |_| {
                let answer = Response::builder()
                    .header("content-type", "application/json")
                    .body(Full::<Bytes>::from(body.clone()));
                std::future::ready(Ok::<_, Infallible>(answer.expect("a response")))
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}
