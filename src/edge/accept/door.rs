//! The ways in: TCP, TLS over TCP, a Unix socket; and what each says of who came.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::places;
use super::stream::Stream;
use crate::call::{Peer, Process};
use crate::edge::tls::{Tls, certificate};

/// How every TLS connection begins: with a record of the kind *handshake* (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// What whoever forgot the `s` of `https` is told.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 46\r\n\
    connection: close\r\n\r\nthis port speaks TLS: say https, not http here";

/// A way in, bound already.
pub enum Door {
    /// TCP.
    Tcp(TcpListener),
    /// TLS over TCP.
    Tls(TcpListener, Arc<Tls>),
    /// A Unix socket, and the user that gizad runs as.
    Unix(UnixListener, u32),
}

/// Who came in.
#[derive(Clone, Debug)]
pub struct Guest {
    /// From where; from nowhere over a Unix socket.
    pub address: Option<IpAddr>,
    /// What the connection proves.
    pub peer: Peer,
}

/// A connection that nothing was read from yet.
pub(super) enum Arrived {
    Tcp(TcpStream, IpAddr),
    Tls(TcpStream, IpAddr, Arc<ServerConfig>),
    Unix(UnixStream, u32),
}

impl Door {
    /// The next connection.
    pub(super) async fn next(&self) -> io::Result<Arrived> {
        let tcp = async |listener: &TcpListener| {
            let (stream, peer) = listener.accept().await?;
            // Answers are small and written at once; waiting to fill a segment only delays them.
            stream.set_nodelay(true)?;
            io::Result::Ok((stream, peer.ip().to_canonical()))
        };
        match self {
            Self::Tcp(listener) => tcp(listener).await.map(|(stream, ip)| Arrived::Tcp(stream, ip)),
            Self::Tls(listener, tls) => {
                tcp(listener).await.map(|(stream, ip)| Arrived::Tls(stream, ip, tls.present()))
            }
            Self::Unix(listener, own) => {
                listener.accept().await.map(|(stream, _unnamed)| Arrived::Unix(stream, *own))
            }
        }
    }
}

impl Arrived {
    /// Whose connection it is.
    pub(super) fn peer(&self) -> io::Result<places::Peer> {
        match self {
            Self::Tcp(_, ip) | Self::Tls(_, ip, _) => Ok(places::Peer::at(*ip)),
            Self::Unix(stream, _) => Ok(places::Peer::User(stream.peer_cred()?.uid())),
        }
    }

    /// Says something to a connection that is not served, if it can be said at once.
    pub(super) fn turn_away(&self, said: &[u8]) {
        let _said = match self {
            Self::Tcp(stream, _) => stream.try_write(said),
            Self::Unix(stream, _) => stream.try_write(said),
            // It would have to be said inside.
            Self::Tls(..) => Ok(0),
        };
    }

    /// Finds out who it is, with a handshake if there is one, which may take for ever.
    pub(super) async fn greet(self) -> io::Result<(Stream, Guest)> {
        match self {
            Self::Tcp(stream, ip) => {
                Ok((Stream::Tcp(stream), Guest { address: Some(ip), peer: Peer::Unproven }))
            }
            Self::Tls(mut stream, ip, config) => {
                let mut first = [0];
                if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
                    stream.write_all(NOT_TLS).await?;
                    stream.shutdown().await?;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "no TLS"));
                }
                let stream = TlsAcceptor::from(config).accept(stream).await?;
                // The first one is the caller's own; the verifier has followed the others to the CA.
                let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let peer = match shown {
                    Some(shown) => Peer::Certificate(Arc::new(certificate(shown)?)),
                    None => Peer::Unproven,
                };
                Ok((Stream::Tls(Box::new(stream)), Guest { address: Some(ip), peer }))
            }
            Self::Unix(stream, own) => {
                let (uid, gid) = stream.peer_cred().map(|peer| (peer.uid(), peer.gid()))?;
                let peer = Peer::Process(Process { uid, gid, is_own: uid == own });
                Ok((Stream::Unix(stream), Guest { address: None, peer }))
            }
        }
    }
}
