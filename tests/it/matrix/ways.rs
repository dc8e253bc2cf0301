//! The ways to a gateway: straight over TCP, through a user of its Unix socket, and through TLS with or without a certificate.
//!
//! Each of them is an address on loopback behind which somebody hands on what is said, so that one client calls them all.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tonic::transport::Channel;

/// One way to a gateway.
pub struct Way {
    /// Where REST is spoken.
    pub rest: String,
    /// Where gRPC is.
    pub grpc: Channel,
    _user: Option<User>,
}

/// A process of another user, which is gone with this.
struct User(Child);

impl Drop for User {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn channel(url: &str) -> Channel {
    Channel::from_shared(url.to_owned()).expect("a URL").connect_lazy()
}

impl Way {
    /// Straight there.
    pub fn tcp(url: &str) -> Self {
        Self { rest: url.to_owned(), grpc: channel(url), _user: None }
    }

    /// By the Unix socket, as a user and a group, or as who runs this.
    pub fn unix(socket: &str, user: Option<(u32, u32)>) -> Self {
        let mut somebody = Command::new(std::env::current_exe().expect("this program"));
        if let Some((uid, gid)) = user {
            somebody.uid(uid).gid(gid);
        }
        let mut child = somebody
            .args(["--ignored", "--exact", "matrix::ways::somebody_at_the_socket", "--nocapture"])
            .env("SOCKET", socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test has to become other users: run it as root");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let said = lines.filter_map(|line| line.split_once("at: ").map(|(_, url)| url.to_owned())).next();
        let url = said.expect("it says where it is");
        Self { rest: url.clone(), grpc: channel(&url), _user: Some(User(child)) }
    }

    /// By TLS: `trusting` says how, for a protocol.
    pub async fn tls(gateway: &str, trusting: impl Fn(&[u8]) -> Arc<ClientConfig>) -> Self {
        let [rest, grpc] = [&b"http/1.1"[..], b"h2"].map(|protocol| {
            let (config, to) = (trusting(protocol), gateway.trim_start_matches("http://").to_owned());
            inside(config, to)
        });
        Self { rest: rest.await, grpc: channel(&grpc.await), _user: None }
    }
}

/// Where what is said comes out inside TLS.
async fn inside(config: Arc<ClientConfig>, to: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let connector = TlsConnector::from(config);
    tokio::spawn(async move {
        while let Ok((mut plain, _)) = listener.accept().await {
            let (connector, to) = (connector.clone(), to.clone());
            tokio::spawn(async move {
                let outer = tokio::net::TcpStream::connect(to).await.expect("accepted");
                let name = "localhost".try_into().expect("a name");
                // Whoever is not let in finds that out here, or when it reads.
                if let Ok(mut inner) = connector.connect(name, outer).await {
                    let _ended = copy_bidirectional(&mut plain, &mut inner).await;
                }
            });
        }
    });
    format!("http://{address}")
}

/// Hands on what it is told to the Unix socket, as the user that it runs as, until nobody needs it any more.
#[test]
#[ignore = "the other half of Way::unix"]
fn somebody_at_the_socket() {
    let socket = std::env::var("SOCKET").expect("a path");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("at: http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for plain in listener.incoming() {
            let plain = plain.expect("a connection");
            let unix = UnixStream::connect(&socket).expect("somebody listens");
            let (from, to) = (plain.try_clone().expect("a socket"), unix.try_clone().expect("a socket"));
            std::thread::spawn(move || handed(from, to, |to| to.shutdown(Shutdown::Write)));
            std::thread::spawn(move || handed(unix, plain, |to: &TcpStream| to.shutdown(Shutdown::Write)));
        }
    });
    let _ended = std::io::stdin().read_to_end(&mut Vec::new());
}

fn handed<R: std::io::Read, W: std::io::Write>(
    mut from: R,
    mut to: W,
    end: impl Fn(&W) -> std::io::Result<()>,
) {
    let _ended = std::io::copy(&mut from, &mut to);
    let _gone = end(&to);
}
