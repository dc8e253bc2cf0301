//! A PostgreSQL that belongs to one test, which stops and starts it as it likes, and what lies between it and one replica.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::block_in_place;

/// A server. It is gone with the test, however that ends.
pub struct Store {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    pub url: String,
}

impl Store {
    pub fn open() -> Self {
        let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres"))
            .arg("obey")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it begins");
        let orders = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = block_in_place(|| answers.next()).expect("an address").expect("read");
        Self { child, orders, answers, url }
    }

    fn order(&mut self, order: &str, done: &str) {
        let mut orders = self.orders.as_ref().expect("it is there");
        writeln!(orders, "{order}").expect("it listens");
        let answer = block_in_place(|| self.answers.next()).expect("an answer").expect("read");
        assert_eq!(answer, done, "{order}");
    }

    /// As a crash would: nobody is told, nothing is put in order.
    pub fn stop(&mut self) {
        self.order("stop", "stopped");
    }

    pub fn start(&mut self) {
        self.order("start", "started");
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // It ends with its input, and takes away what it has made.
        drop(self.orders.take());
        let _ended = self.child.wait();
    }
}

/// What becomes of what is said between a replica and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    /// Every connection ends, and no other is made.
    Cut,
    /// Nothing passes in either direction, and nobody is told.
    Held,
}

/// What lies between.
pub struct Line {
    pub url: String,
    mode: watch::Sender<Mode>,
}

impl Line {
    pub async fn to(url: &str) -> Self {
        let host = url.rsplit_once('@').and_then(|(_, rest)| rest.split('/').next()).expect("a host");
        let server: SocketAddr = host.parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let here = listener.local_addr().expect("an address");
        let (mode, modes) = watch::channel(Mode::Open);
        tokio::spawn(accept(listener, server, modes));
        Self { url: url.replace(host, &here.to_string()), mode }
    }

    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    pub fn hold(&self) {
        self.mode.send_replace(Mode::Held);
    }

    pub fn open(&self) {
        self.mode.send_replace(Mode::Open);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, modes: watch::Receiver<Mode>) {
    while let Ok((client, _)) = listener.accept().await {
        let mode = *modes.borrow();
        if mode != Mode::Cut {
            tokio::spawn(carry(client, server, modes.clone()));
        }
    }
}

async fn carry(client: TcpStream, server: SocketAddr, mut modes: watch::Receiver<Mode>) {
    if modes.wait_for(|mode| *mode != Mode::Held).await.is_err() {
        return;
    }
    // Where the server is down, its client learns it by the end of this connection.
    let Ok(server) = TcpStream::connect(server).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("set");
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let there = pass(from_client, to_server, modes.clone());
    let back = pass(from_server, to_client, modes.clone());
    tokio::select! {
        () = there => {}
        () = back => {}
        _cut = modes.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

/// Lets pass in one direction what comes, as long as anything does.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut modes: watch::Receiver<Mode>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if modes.wait_for(|mode| *mode != Mode::Held).await.is_err()
            || to.write_all(&bytes[..read]).await.is_err()
        {
            return;
        }
    }
}
