//! The processes that are measured, the connections to them, and what is made of the times.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gizad::call::{Scope, Token};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::limits::OUT_OF_THE_WAY;
use crate::memory::memory;

/// The pair of the account at the provider.
pub(crate) const SECRET: &str = "sandbox-secret";

/// Who calls, as a header, and the file that says what it may do.
static CALLER: LazyLock<(String, PathBuf)> = LazyLock::new(|| {
    let (token, text) = Token::new("bench").expect("randomness");
    let path = std::env::temp_dir().join(format!("gizad-bench-{}.toml", std::process::id()));
    std::fs::write(&path, gizad::settings::caller("bench", &token, &Scope::ALL)).expect("written");
    (format!("Bearer {text}"), path)
});

/// A process that ends with its owner.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.env("GIZAD_LOG_LEVEL", "error").spawn().expect("it starts"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The sandbox, with money for a million servers.
pub(crate) struct Provider {
    _process: Process,
    pub(crate) api: SocketAddr,
    pub(crate) control: SocketAddr,
}

impl Provider {
    pub(crate) fn start() -> Self {
        let (api, control) = (port(), port());
        let mut command = Command::new(env!("CARGO_BIN_EXE_gizad"));
        command.args(["sandbox", "--listen", &api.to_string(), "--control", &control.to_string()]);
        command.env("GIZAD_SANDBOX_BALANCE_VND", "1000000000000");
        Self { _process: Process::start(&mut command), api, control }
    }

    /// The account as it was at the beginning.
    pub(crate) async fn reset(&self) {
        connect(self.control).await.ask("POST", "/reset", None, "{}").await;
    }
}

/// Where purchases are written down.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Folder(&'a Path),
    Database(&'a str),
}

/// A gateway to the provider.
pub(crate) struct Gateway {
    process: Process,
    pub(crate) api: SocketAddr,
}

impl Gateway {
    pub(crate) fn start(provider: &Provider, place: Place<'_>, more: &[(&str, &str)]) -> Self {
        let api = port();
        let mut command = settled(provider, place);
        command.args(["serve", "--listen", &api.to_string(), "--admin-listen", "127.0.0.1:0"]);
        command.arg("--config").arg(&CALLER.1);
        Self { process: Process::start(command.envs(more.iter().copied())), api }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Resident memory, in MiB.
    pub(crate) fn resident(&self) -> f64 {
        memory(self.pid(), "VmRSS")
    }
}

/// The program with the settings of a gateway.
pub(crate) fn settled(provider: &Provider, place: Place<'_>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gizad"));
    command.envs(OUT_OF_THE_WAY).env("GIZAD_UPSTREAM_URL", format!("http://{}/api", provider.api));
    command.envs([("GIZAD_CREDENTIALS_IDENTIFIER", "sandbox"), ("GIZAD_CREDENTIALS_SECRET", SECRET)]);
    match place {
        Place::Folder(folder) => command.env("GIZAD_LEDGER_DIR", folder),
        Place::Database(url) => command.env("GIZAD_SHARED_URL", url),
    };
    command
}

/// A free port of this machine.
fn port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address")
}

/// A connection that is kept.
pub(crate) struct Connection(hyper::client::conn::http1::SendRequest<Full<Bytes>>);

/// Waits until somebody listens.
pub(crate) async fn connect(address: SocketAddr) -> Connection {
    let begun = Instant::now();
    let stream = loop {
        match TcpStream::connect(address).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_micros(200)).await,
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody listens on {address}");
    };
    stream.set_nodelay(true).expect("a socket");
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    Connection(sender)
}

impl Connection {
    pub(crate) async fn ask(&mut self, method: &str, path: &str, key: Option<&str>, body: &str) -> Bytes {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        request = request.header("authorization", &CALLER.0);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.header("content-type", "application/json").body(Full::from(body.to_owned()));
        self.0.ready().await.expect("a connection");
        let response = self.0.send_request(request.expect("a request")).await.expect("an answer");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert!(status.is_success(), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        body
    }

    pub(crate) async fn json(&mut self, method: &str, path: &str) -> serde_json::Value {
        serde_json::from_slice(&self.ask(method, path, None, "").await).expect("JSON")
    }
}

/// Durations, from the shortest to the longest.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(times: &[Duration]) -> Self {
        let mut times = times.to_vec();
        times.sort_unstable();
        Self(times)
    }

    /// The time that so many of a hundred were done in, in milliseconds.
    pub(crate) fn percent(&self, percent: usize) -> f64 {
        let at = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    }

    pub(crate) fn median(&self) -> f64 {
        self.percent(50)
    }
}
