//! What lies between gizad and its provider: it lets everything pass but one exchange that buys, and does to that one
//! what it was asked for, at an exact byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Request,
    Answer,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Both ends see the end of the connection.
    End,
    /// Both ends see it reset.
    Reset,
    /// Nothing more comes, until gizad gives up.
    Stall,
    /// One bit of that byte is another.
    Flip,
    /// Everything from there on comes twice.
    Twice,
    /// Nothing more comes, until the test says how it goes on.
    Hold,
}

/// What happens, and where: behind so many bytes.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub way: Way,
    pub at: usize,
    pub act: Act,
}

/// What the two ends said.
#[derive(Debug)]
pub struct Exchange {
    pub request: Vec<u8>,
    /// Only where it was waited for.
    pub answer: Vec<u8>,
}

/// The hand on an exchange that is to come.
pub struct Hand {
    /// Comes when it is held.
    pub held: oneshot::Receiver<()>,
    /// How it goes on: whether the rest is let through.
    pub rest: oneshot::Sender<bool>,
    /// Comes when the provider can do nothing more about it.
    pub over: oneshot::Receiver<Exchange>,
}

struct Armed {
    cut: Option<Cut>,
    held: oneshot::Sender<()>,
    rest: oneshot::Receiver<bool>,
    over: oneshot::Sender<Exchange>,
}

type Next = Arc<Mutex<Option<Armed>>>;

/// The wire.
pub struct Wire {
    pub url: String,
    address: SocketAddr,
    provider: SocketAddr,
    next: Next,
    accepting: JoinHandle<()>,
}

impl Wire {
    pub async fn towards(url: &str) -> Self {
        let provider =
            url.trim_start_matches("http://").trim_end_matches("/api").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let next = Next::default();
        let accepting = tokio::spawn(accept(listener, provider, next.clone()));
        Self { url: format!("http://{address}/api"), address, provider, next, accepting }
    }

    /// Does this to the next exchange that buys; nothing, if only to watch it.
    pub fn arm(&self, cut: Option<Cut>) -> Hand {
        let (held, is_held) = oneshot::channel();
        let (says, rest) = oneshot::channel();
        let (over, is_over) = oneshot::channel();
        *self.next.lock().unwrap() = Some(Armed { cut, held, rest, over });
        Hand { held: is_held, rest: says, over: is_over }
    }

    /// Takes back what was not used. Says whether it was there.
    pub fn disarm(&self) -> bool {
        self.next.lock().unwrap().take().is_some()
    }

    /// Takes no new connection any more; those that there are live on.
    pub async fn close(&mut self) {
        self.accepting.abort();
        let _aborted = (&mut self.accepting).await;
    }

    pub async fn reopen(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the same port");
        self.accepting = tokio::spawn(accept(listener, self.provider, self.next.clone()));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, provider: SocketAddr, next: Next) {
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        tokio::spawn(carry(client, provider, next.clone()));
    }
}

/// Carries one connection. What buys has one for itself, so that its first request says what it is.
async fn carry(mut client: TcpStream, provider: SocketAddr, next: Next) {
    let Some(request) = request(&mut client).await else { return };
    let mut server = TcpStream::connect(provider).await.expect("the provider accepts");
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("set");
    }
    let buys = request.windows(21).any(|bytes| bytes == br#""action":"create_vps""#);
    let armed = if buys { next.lock().unwrap().take() } else { None };
    let Some(armed) = armed else {
        let _gone = server.write_all(&request).await;
        let _gone = copy_bidirectional(&mut client, &mut server).await;
        return;
    };
    let Armed { cut, held, rest, over } = armed;
    let ends = Ends { client, server, held, rest };
    let answer = match cut {
        Some(cut) if cut.way == Way::Request => ends.request(&request, cut.at, cut.act).await,
        Some(cut) => ends.answer(&request, cut.at, cut.act).await,
        None => ends.answer(&request, usize::MAX, Act::End).await,
    };
    let _nobody_waits = over.send(Exchange { request, answer });
}

/// One whole request.
async fn request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    loop {
        if let Some(head) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().expect("a number"));
            if read.len() >= head + 4 + length {
                return Some(read);
            }
        }
        match client.read_buf(&mut read).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

struct Ends {
    client: TcpStream,
    server: TcpStream,
    held: oneshot::Sender<()>,
    rest: oneshot::Receiver<bool>,
}

impl Ends {
    /// Cuts the request, and returns the answer as far as there was one.
    async fn request(mut self, request: &[u8], at: usize, act: Act) -> Vec<u8> {
        let at = at.min(request.len());
        let (first, rest) = request.split_at(at);
        let _gone = match act {
            Act::Flip => self.server.write_all(&flipped(request, at)).await,
            Act::Twice => self.server.write_all(&[request, rest].concat()).await,
            Act::End | Act::Reset | Act::Stall | Act::Hold => self.server.write_all(first).await,
        };
        match act {
            Act::Flip | Act::Twice => return relay(self.client, self.server).await,
            Act::End => drop(self.client),
            Act::Reset => {
                reset(self.client);
                // Whoever has the whole request may still carry it out, and is waited for.
                if !rest.is_empty() {
                    reset(self.server);
                    return Vec::new();
                }
            }
            Act::Stall => gone(&mut self.client).await,
            Act::Hold => {
                if hold(self.held, self.rest).await {
                    // Nobody hangs up on the provider before it has answered.
                    let _gone = self.server.write_all(rest).await;
                    let mut answer = Vec::new();
                    let _end = self.server.read_to_end(&mut answer).await;
                    let _gone = self.client.write_all(&answer).await;
                    return answer;
                }
                drop(self.client);
            }
        }
        drained(self.server).await
    }

    /// Cuts the answer, and returns it whole.
    async fn answer(mut self, request: &[u8], at: usize, act: Act) -> Vec<u8> {
        let _gone = self.server.write_all(request).await;
        let mut answer = Vec::new();
        let _end = self.server.read_to_end(&mut answer).await;
        let (first, rest) = answer.split_at(at.min(answer.len()));
        let _gone = match act {
            Act::Flip => self.client.write_all(&flipped(&answer, at)).await,
            Act::Twice => self.client.write_all(&[&answer, rest].concat()).await,
            Act::End | Act::Reset | Act::Stall | Act::Hold => self.client.write_all(first).await,
        };
        match act {
            Act::Flip | Act::Twice | Act::End => {}
            Act::Reset => reset(self.client),
            Act::Stall => gone(&mut self.client).await,
            Act::Hold => {
                if hold(self.held, self.rest).await {
                    let _gone = self.client.write_all(rest).await;
                }
            }
        }
        answer
    }
}

/// Lets the rest pass, until both have said all they have to say.
async fn relay(mut client: TcpStream, mut server: TcpStream) -> Vec<u8> {
    let (mut answer, mut unread) = (Vec::new(), [0; 1024]);
    loop {
        let before = answer.len();
        tokio::select! {
            read = server.read_buf(&mut answer) => match read {
                Ok(0) | Err(_) => return answer,
                Ok(_) => {
                    let _gone = client.write_all(&answer[before..]).await;
                }
            },
            read = client.read(&mut unread) => if matches!(read, Ok(0) | Err(_)) {
                answer.extend(drained(server).await);
                return answer;
            },
        }
    }
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1 << (at % 8);
    bytes
}

/// Says that it is held, and waits for how it goes on.
async fn hold(held: oneshot::Sender<()>, rest: oneshot::Receiver<bool>) -> bool {
    let _nobody = held.send(());
    rest.await.unwrap_or(false)
}

/// Waits until one end has gone.
async fn gone(stream: &mut TcpStream) {
    let mut unread = [0; 1024];
    while let Ok(1..) = stream.read(&mut unread).await {}
}

/// Says that nothing more comes, and waits until the other end has nothing more to say.
async fn drained(mut server: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _closed = server.shutdown().await;
    let _end = server.read_to_end(&mut answer).await;
    answer
}

#[expect(deprecated, reason = "with no time to linger nothing is waited for: that is what is wanted")]
fn reset(stream: TcpStream) {
    stream.set_linger(Some(std::time::Duration::ZERO)).expect("set");
    drop(stream);
}
