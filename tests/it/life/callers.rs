//! Programs that call all the time, each in its own way, and count what went wrong as they would notice it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint};

use super::process::PATIENCE;
use crate::codec::Dynamic;
use crate::rig::{message, operation};

/// What all of them saw.
#[derive(Default)]
pub struct Seen {
    /// How long each call took.
    pub times: Mutex<Vec<Duration>>,
    /// What came of calls that were not answered with success, by who called and what it was.
    pub failures: Mutex<Vec<String>>,
    /// Connections of HTTP/1 that were closed while a call was on its way, which every client then makes on another one.
    pub stale: Mutex<usize>,
}

impl Seen {
    fn note(&self, who: &str, begun: Instant, outcome: Result<(), String>) {
        self.times.lock().unwrap().push(begun.elapsed());
        if let Err(what) = outcome {
            self.failures.lock().unwrap().push(format!("{who}: {what}"));
        }
    }
}

/// Where to call, and as whom.
#[derive(Clone)]
pub struct Target {
    pub api: SocketAddr,
    pub socket: String,
    pub bearer: String,
}

/// Callers at work, until they are told to stop.
pub struct Crowd {
    pub seen: Arc<Seen>,
    over: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Crowd {
    /// Keep-alive and new connections over TCP, keep-alive over the Unix socket, and channels of gRPC; each rests between calls.
    pub fn start(target: &Target, rest: Duration) -> Self {
        let (seen, over) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
        let mut crowd = Self { seen, over, threads: Vec::new(), tasks: Vec::new() };
        for (who, keeps, over_unix, path) in [
            ("keep-alive", true, false, "/wallet"),
            ("keep-alive from memory", true, false, "/catalog/vps-plans"),
            ("new connections", false, false, "/wallet"),
            ("unix keep-alive", true, true, "/wallet"),
            ("unix new connections", false, true, "/vps"),
        ] {
            let (seen, over, target) = (crowd.seen.clone(), crowd.over.clone(), target.clone());
            crowd.threads.push(std::thread::spawn(move || {
                let mut plain = Plain { target, over_unix, keeps, stream: None };
                while !over.load(Relaxed) {
                    let begun = Instant::now();
                    let outcome = plain.call("GET", path, None, "", &seen);
                    seen.note(
                        who,
                        begun,
                        outcome.and_then(|(status, body)| {
                            if status == 200 { Ok(()) } else { Err(format!("{status} {body}")) }
                        }),
                    );
                    std::thread::sleep(rest);
                }
            }));
        }
        for who in ["gRPC", "another gRPC"] {
            let (seen, over, target) = (crowd.seen.clone(), crowd.over.clone(), target.clone());
            crowd.tasks.push(tokio::spawn(async move {
                let channel = channel(target.api);
                while !over.load(Relaxed) {
                    let begun = Instant::now();
                    let outcome = wallet(&channel, &target.bearer).await;
                    seen.note(who, begun, outcome.map_err(|status| format!("{status:?}")));
                    tokio::time::sleep(rest).await;
                }
            }));
        }
        crowd
    }

    /// Lets them finish, and says what they saw.
    pub async fn stop(self) -> Arc<Seen> {
        self.over.store(true, Relaxed);
        for task in self.tasks {
            task.await.expect("no panic");
        }
        let threads = self.threads;
        tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"))
        })
        .await
        .expect("no panic");
        self.seen
    }
}

/// A channel that connects when it has to.
pub fn channel(api: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{api}")).expect("a URL").timeout(PATIENCE).connect_lazy()
}

/// One call over gRPC. What the other side proves not to have processed is sent once more, as gRPC's own libraries do
/// ("transparent retry" of gRFC A6): tonic leaves that to its user.
pub async fn wallet(channel: &Channel, bearer: &str) -> Result<(), tonic::Status> {
    match wallet_once(channel, bearer).await {
        Err(status) if is_unprocessed(&status) => wallet_once(channel, bearer).await,
        outcome => outcome,
    }
}

/// A stream that was refused, or that a GOAWAY said would not be looked at (RFC 9113, sections 6.8 and 8.7), or that never left.
fn is_unprocessed(status: &tonic::Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            return h2.is_go_away() && h2.is_remote() || h2.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
            return true;
        }
        source = error.source();
    }
    false
}

async fn wallet_once(channel: &Channel, bearer: &str) -> Result<(), tonic::Status> {
    let asked = operation("WalletService.GetWallet");
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
    let mut request = tonic::Request::new(message(asked, &json!({})));
    request.metadata_mut().insert("authorization", bearer.parse().expect("a value"));
    let codec = Dynamic::new(asked.output.descriptor.clone());
    client.unary(request, asked.grpc_path.parse().expect("a path"), codec).await.map(drop)
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// A client of HTTP/1.1 that does what the specification asks for, and nothing for which it could be thanked.
pub struct Plain {
    pub target: Target,
    pub over_unix: bool,
    pub keeps: bool,
    stream: Option<Box<dyn Stream>>,
}

impl Plain {
    pub fn new(target: Target, over_unix: bool) -> Self {
        Self { target, over_unix, keeps: true, stream: None }
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        if self.over_unix {
            let stream = UnixStream::connect(&self.target.socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            return Ok(Box::new(stream));
        }
        let stream = TcpStream::connect(self.target.api)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    /// One call. A connection that was kept and turns out to be closed before a byte of the answer is there costs another try, as
    /// RFC 9112 (section 9.3.1) has it for what may be repeated; everything else is a failure.
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &str,
        seen: &Seen,
    ) -> Result<(u16, String), String> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let connection = if self.keeps { "" } else { "connection: close\r\n" };
        let bearer =
            if self.over_unix { String::new() } else { format!("authorization: {}\r\n", self.target.bearer) };
        let length = body.len();
        let said = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{bearer}{kind}{connection}{headers}content-length: {length}\r\n\r\n{body}"
        );
        if let Some(stream) = self.stream.take() {
            match self.exchange(stream, &said) {
                Ok(answer) => return Ok(answer),
                Err(Lost::Unanswered(_)) => *seen.stale.lock().unwrap() += 1,
                Err(Lost::Answering(why)) => return Err(why),
            }
        }
        let stream = self.connect().map_err(|error| format!("cannot connect: {error}"))?;
        self.exchange(stream, &said).map_err(|lost| match lost {
            Lost::Unanswered(why) | Lost::Answering(why) => why,
        })
    }

    fn exchange(&mut self, mut stream: Box<dyn Stream>, said: &str) -> Result<(u16, String), Lost> {
        stream
            .write_all(said.as_bytes())
            .map_err(|error| Lost::Unanswered(format!("cannot write: {error}")))?;
        let mut read = Vec::new();
        let (head, rest) = loop {
            let mut some = [0; 16 * 1024];
            match stream.read(&mut some) {
                Ok(0) if read.is_empty() => {
                    return Err(Lost::Unanswered("closed without an answer".to_owned()));
                }
                Ok(0) => return Err(Lost::Answering("closed in the middle of an answer".to_owned())),
                Ok(more) => read.extend(&some[..more]),
                Err(error) if read.is_empty() => return Err(Lost::Unanswered(error.to_string())),
                Err(error) => return Err(Lost::Answering(error.to_string())),
            }
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
                break (head, read.split_off(end + 4));
            }
        };
        let field = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(|value| value.trim().to_owned())
        };
        let length: usize = field("content-length").and_then(|length| length.parse().ok()).expect("a length");
        let mut body = rest;
        while body.len() < length {
            let mut some = [0; 16 * 1024];
            match stream.read(&mut some) {
                Ok(0) => return Err(Lost::Answering("closed in the middle of a body".to_owned())),
                Ok(more) => body.extend(&some[..more]),
                Err(error) => return Err(Lost::Answering(error.to_string())),
            }
        }
        if self.keeps && field("connection").as_deref() != Some("close") {
            self.stream = Some(stream);
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

enum Lost {
    Unanswered(String),
    Answering(String),
}
