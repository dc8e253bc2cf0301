//! Sockets that somebody else has opened and goes on holding (sd_listen_fds(3)): while one gizad goes and the next one comes,
//! connections wait in them, and none is refused.
//!
//! Each of them must be one that the settings ask for. What is not handed over is opened here.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use tokio::net::TcpSocket;

use super::Failure;
use super::socket::{self, Place};
use crate::settings::{self, Listen};

/// The descriptor of the first one (sd_listen_fds(3)).
const FIRST: usize = 3;

/// What the service manager gave this process.
pub struct Handed {
    /// By their names, in the order in which they came.
    sockets: Vec<(String, Socket)>,
    pub(super) said: settings::Manager,
}

/// One of them.
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
    Neither,
}

impl Handed {
    /// Takes it, and takes it out of the environment. Called after the last `exec`, before there is a second thread, and before
    /// anything is opened that could have the number of what was promised and is not there.
    #[must_use]
    pub fn take(said: settings::Manager) -> Self {
        let mut given = if said.sockets.is_empty() { ListenFd::empty() } else { ListenFd::from_env() };
        let mut take = |number| match (given.take_tcp_listener(number), given.take_unix_listener(number)) {
            (Ok(Some(listener)), _) => Socket::Tcp(listener),
            (_, Ok(Some(listener))) => Socket::Unix(listener),
            _ => Socket::Neither,
        };
        let sockets =
            said.sockets.iter().enumerate().map(|(number, name)| (name.clone(), take(number))).collect();
        Self { sockets, said }
    }
}

/// What is listened on.
pub(super) struct Listeners {
    pub(super) api: tokio::net::TcpListener,
    pub(super) admin: tokio::net::TcpListener,
    /// With the user that gizad runs as.
    pub(super) socket: Option<(tokio::net::UnixListener, u32)>,
    /// The socket's place, if gizad has made it.
    pub(super) place: Option<Place>,
}

/// Listens on what the settings say, on sockets that are handed over where there are such.
///
/// # Errors
/// All that was handed over and is not wanted, or what cannot be listened on.
pub(super) async fn listen(wanted: &Listen, handed: Handed) -> Result<Listeners, Failure> {
    let found = Found::sorted(wanted, handed).map_err(|wrong| {
        Failure::Build(format!(
            "sockets were handed over (LISTEN_FDS) that cannot be used: {}",
            wrong.join("; ")
        ))
    })?;
    let tcp = |found: Option<TcpListener>, address| match found {
        Some(listener) => {
            listener.set_nonblocking(true)?;
            Ok(tokio::net::TcpListener::from_std(listener)?)
        }
        None => bind(address),
    };
    let (api, admin) = (tcp(found.api, wanted.api)?, tcp(found.admin, wanted.admin)?);
    let (socket, place) = match (found.unix, &wanted.socket) {
        (Some(listener), _) => {
            listener.set_nonblocking(true)?;
            (Some((tokio::net::UnixListener::from_std(listener)?, socket::own_user()?)), None)
        }
        (None, Some(wanted)) => match socket::bind(wanted).await {
            Ok((listener, own, place)) => (Some((listener, own)), Some(place)),
            Err(error) => return Err(Failure::Socket(wanted.path.clone(), error)),
        },
        (None, None) => (None, None),
    };
    Ok(Listeners { api, admin, socket, place })
}

/// Connections that the system accepts on its own until gizad does, as far as it allows (`net.core.somaxconn`). Whoever finds no
/// place there tries again after a second.
const BACKLOG: u32 = 4096;

pub(super) fn bind(address: SocketAddr) -> Result<tokio::net::TcpListener, Failure> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        #[expect(clippy::disallowed_methods, reason = "boot is the only place that binds")]
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| Failure::Bind(address, error))
}

/// Those that were handed over, each where it belongs.
#[derive(Default)]
struct Found {
    api: Option<TcpListener>,
    admin: Option<TcpListener>,
    unix: Option<UnixListener>,
}

impl Found {
    fn sorted(wanted: &Listen, handed: Handed) -> Result<Self, Vec<String>> {
        let (mut found, mut wrong) = (Self::default(), Vec::new());
        for (number, (name, socket)) in handed.sockets.into_iter().enumerate() {
            let sorted = match socket {
                Socket::Tcp(listener) => found.tcp(wanted, &name, listener),
                Socket::Unix(listener) => found.unix(wanted, &name, listener),
                Socket::Neither => Err("is no stream socket of TCP or of this machine".to_owned()),
            };
            if let Err(why) = sorted {
                let named = if name.is_empty() { String::new() } else { format!(" ({name})") };
                wrong.push(format!("descriptor {}{named} {why}", FIRST.saturating_add(number)));
            }
        }
        if wrong.is_empty() { Ok(found) } else { Err(wrong) }
    }

    /// By its name, or else by its address.
    fn tcp(&mut self, wanted: &Listen, name: &str, listener: TcpListener) -> Result<(), String> {
        let at = listener.local_addr().map_err(|error| error.to_string())?;
        listens(&listener)?;
        let is = |asked: SocketAddr| asked == at || asked.port() == 0 && asked.ip() == at.ip();
        let (setting, asked, place) = match name {
            "api" => ("listen.api", wanted.api, &mut self.api),
            "admin" => ("listen.admin", wanted.admin, &mut self.admin),
            "unix" => return Err(format!("is {at}, and a Unix socket was expected by that name")),
            // A port that is left open is nobody's address.
            _ if wanted.api == at => ("listen.api", wanted.api, &mut self.api),
            _ if wanted.admin == at => ("listen.admin", wanted.admin, &mut self.admin),
            _ => {
                let (api, admin) = (wanted.api, wanted.admin);
                return Err(format!("is {at}; expected {api} (listen.api) or {admin} (listen.admin)"));
            }
        };
        if !is(asked) {
            return Err(format!("is {at}; expected {asked} ({setting})"));
        }
        match place.replace(listener) {
            None => Ok(()),
            Some(_) => Err(format!("is {at}, the second one for {setting}")),
        }
    }

    fn unix(&mut self, wanted: &Listen, name: &str, listener: UnixListener) -> Result<(), String> {
        let at = listener.local_addr().map_err(|error| error.to_string())?;
        let at = at.as_pathname().map(Path::to_path_buf).unwrap_or_default();
        listens(&listener)?;
        let shown = at.display();
        if matches!(name, "api" | "admin") {
            return Err(format!("is the Unix socket {shown}, and TCP was expected by that name"));
        }
        match &wanted.socket {
            None => Err(format!("is the Unix socket {shown}; expected none, because listen.socket is empty")),
            Some(asked) if asked.path != at => {
                Err(format!("is the Unix socket {shown}; expected {} (listen.socket)", asked.path.display()))
            }
            Some(_) => match self.unix.replace(listener) {
                None => Ok(()),
                Some(_) => Err(format!("is the Unix socket {shown}, a second time")),
            },
        }
    }
}

/// Whether it is one that connections come in by, and not one of them (`Accept=yes`).
fn listens(socket: impl AsFd) -> Result<(), String> {
    match socket_acceptconn(socket) {
        Ok(true) => Ok(()),
        Ok(false) => Err("does not listen; expected a socket that does (Accept=no)".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
