//! What others notice of an attack: the latency of ordinary calls before, during and after it, in one run, with 256
//! descriptors and the limits that gizad has by default.
//!
//! `cargo bench --bench floods` takes a minute and a half. Attackers and callers share the cores with gizad, on loopback only.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark measures clocks and talks to a person"
)]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gizad::contract::Contract;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use prost_reflect::DynamicMessage;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

#[path = "../client/attacks.rs"]
mod attacks;
#[path = "../client/codec.rs"]
mod codec;
#[path = "../client/memory.rs"]
mod memory;

use attacks::Attack;
use codec::Dynamic;
use memory::memory;

/// How long each part goes on.
const SPAN: Duration = Duration::from_secs(4);
/// How long a recovery may take.
const RECOVERY: Duration = Duration::from_secs(5);
/// How long a caller rests between two calls.
const REST: Duration = Duration::from_millis(4);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let daemon = Daemon::start();
        while TcpStream::connect(daemon.api).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        let _warm = callers(daemon.api, SPAN).await;
        let before = callers(daemon.api, SPAN).await;
        println!("256 descriptors, 8 to 300 attackers of each kind for {} s", SPAN.as_secs());
        println!(
            "{:<14} {:>8} {:>8} {:>6} {:>9} {:>9} {:>7} {:>9} {:>8} {:>9}",
            "", "calls", "fewest", "lost", "p50 µs", "p99 µs", "× p99", "worst ms", "RSS MiB", "closed"
        );
        let line = |name: &str, calls: &Calls, closed: usize| {
            println!(
                "{name:<14} {:>8} {:>8} {:>6} {:>9.0} {:>9.0} {:>7.2} {:>9.1} {:>8.1} {closed:>9}",
                calls.latencies.len(),
                calls.fewest,
                calls.lost,
                calls.at(50),
                calls.at(99),
                calls.at(99) / before.at(99),
                calls.latencies.last().map_or(f64::NAN, |worst| worst.as_secs_f64() * 1000.0),
                daemon.resident(),
            );
        };
        line("nobody", &before, 0);
        for attack in Attack::ALL {
            let attackers = match attack {
                Attack::Silence | Attack::SlowHead | Attack::SlowBody => 300,
                Attack::SlowRead => 200,
                Attack::Churn => 20,
                _ => 8,
            };
            let until = Instant::now() + SPAN;
            let (closed, during) =
                tokio::join!(attack.run(daemon.api, attackers, until), callers(daemon.api, SPAN));
            line(&format!("{attack:?}"), &during, closed);
            let over = Instant::now();
            let after = loop {
                let after = callers(daemon.api, Duration::from_secs(1)).await;
                if after.lost == 0 && after.at(99) <= before.at(99) * 1.5 || over.elapsed() > RECOVERY {
                    break after;
                }
            };
            line("  and after it", &after, 0);
        }
        println!("most memory of all {:>6.1} MiB, open descriptors {}", daemon.most(), daemon.descriptors());
    });
}

struct Daemon {
    child: Child,
    api: SocketAddr,
}

impl Daemon {
    fn start() -> Self {
        let port =
            || std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let api = port();
        let child = Command::new("sh")
            .args([
                "-c",
                "ulimit -n 256 && exec \"$0\" \"$@\"",
                env!("CARGO_BIN_EXE_gizad"),
                "serve",
                "--sandbox",
            ])
            .args(["--listen", &api.to_string(), "--admin-listen", "127.0.0.1:0"])
            .envs([
                ("GIZAD_PACE_RATE", "1000000/s"),
                ("GIZAD_PACE_BURST", "1000000"),
                ("GIZAD_STATE_DIR", ""),
            ])
            .envs([("GIZAD_QUOTA_RATE", "1000000/s"), ("GIZAD_QUOTA_BURST", "1000000")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Self { child, api }
    }

    /// Resident memory, in MiB.
    fn resident(&self) -> f64 {
        memory(self.child.id(), "VmRSS")
    }

    /// The most it ever was, in MiB.
    fn most(&self) -> f64 {
        memory(self.child.id(), "VmHWM")
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[derive(Default)]
struct Calls {
    latencies: Vec<Duration>,
    lost: usize,
    /// Of the caller that got the fewest answers.
    fewest: usize,
}

impl Calls {
    /// A percentile, in microseconds.
    fn at(&self, percent: usize) -> f64 {
        let at = self.latencies.len() * percent / 100;
        self.latencies.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1_000_000.0)
    }

    fn note(&mut self, begun: Instant, is_answered: bool) {
        if is_answered { self.latencies.push(begun.elapsed()) } else { self.lost += 1 }
    }
}

/// Ordinary callers: of the catalog and of the wallet over connections that they keep, of the catalog over a new one each time,
/// and over gRPC.
async fn callers(at: SocketAddr, span: Duration) -> Calls {
    let until = Instant::now() + span;
    let mut callers = JoinSet::new();
    for (path, is_kept) in [("/catalog/vps-plans", true), ("/wallet", true), ("/catalog/vps-plans", false)] {
        callers.spawn(async move {
            let mut calls = Calls::default();
            let mut kept = None;
            while Instant::now() < until {
                let begun = Instant::now();
                let answered = match kept.take() {
                    Some(sender) => ask(sender, path).await,
                    None => match connect(at).await {
                        Some(sender) => ask(sender, path).await,
                        None => None,
                    },
                };
                calls.note(begun, answered.is_some());
                kept = answered.filter(|_| is_kept);
                sleep(REST).await;
            }
            calls
        });
    }
    callers.spawn(async move {
        let operation =
            Contract::embedded().expect("sound").operation("CatalogService.ListVpsPlans").expect("a row");
        let endpoint = tonic::transport::Channel::from_shared(format!("http://{at}")).expect("a URL");
        let channel = endpoint.tcp_nodelay(true).connect_lazy();
        let mut calls = Calls::default();
        while Instant::now() < until {
            let begun = Instant::now();
            let mut client = tonic::client::Grpc::new(channel.clone());
            let codec = Dynamic::new(operation.output.descriptor.clone());
            let request = tonic::Request::new(DynamicMessage::new(operation.input.descriptor.clone()));
            let path = operation.grpc_path.parse().expect("a path");
            let answered = client.ready().await.is_ok() && client.unary(request, path, codec).await.is_ok();
            calls.note(begun, answered);
            sleep(REST).await;
        }
        calls
    });
    let mut all = Calls { fewest: usize::MAX, ..Calls::default() };
    for calls in callers.join_all().await {
        all.fewest = all.fewest.min(calls.latencies.len());
        all.latencies.extend(calls.latencies);
        all.lost += calls.lost;
    }
    all.latencies.sort();
    all
}

type Sender = hyper::client::conn::http1::SendRequest<Empty<Bytes>>;

async fn connect(at: SocketAddr) -> Option<Sender> {
    let stream = TcpStream::connect(at).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}

/// Asks once; returns the connection if it was answered.
async fn ask(mut sender: Sender, path: &str) -> Option<Sender> {
    let request = Request::get(path).header("host", "localhost").body(Empty::new()).expect("a request");
    sender.ready().await.ok()?;
    let response = sender.send_request(request).await.ok()?;
    let is_fine = response.status().is_success();
    response.into_body().collect().await.ok()?;
    is_fine.then_some(sender)
}
