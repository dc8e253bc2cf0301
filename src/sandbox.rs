//! A stand-in for the provider, on a real socket: it speaks the documented wire format, keeps an account with
//! money and servers in it, remembers every byte it was sent, and misbehaves when it is told to.
//!
//! Absent here: the gateway. Nothing in the gateway knows that this exists either; it is reached like the real
//! one. Being a provider, it spells actions and parameters by itself.

mod account;
mod actions;
mod catalog;
mod control;
mod mischief;
mod params;
mod payload;
mod personality;
mod replay;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;

pub use personality::Personality;

use account::Account;
use mischief::Mischief;
use replay::Replay;
use wire::Memory;

/// What the stand-in is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it answers like the provider.
    pub listen: SocketAddr,
    /// Where it takes orders.
    pub control: SocketAddr,
    /// The identifier it accepts.
    pub identifier: String,
    /// The secret it accepts.
    pub secret: String,
    /// How it speaks.
    pub personality: Personality,
    /// What is in its wallet, in đồng.
    pub balance_vnd: i64,
    /// How long a new VPS is being installed.
    pub install_time: Duration,
    /// How long a VPS takes to start, stop or reboot.
    pub power_time: Duration,
    /// How long a deposit takes to arrive.
    pub deposit_time: Duration,
    /// A recording that it answers from.
    pub replay: Option<PathBuf>,
}

/// A stand-in whose sockets are bound.
pub struct Sandbox {
    provider: TcpListener,
    control: TcpListener,
    world: World,
}

/// Everything the two sockets share.
#[derive(Clone)]
struct World {
    options: Arc<Options>,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    account: Account,
    mischief: Mischief,
    memory: Memory,
    personality: Personality,
    /// The identifier and the secret it accepts.
    pair: (String, String),
    /// What is answered instead.
    replay: Option<Replay>,
}

impl World {
    /// No holder of this lock waits for anything, and a panic of one does not make the rest wrong.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sandbox {
    /// Takes sockets that are bound already.
    ///
    /// # Errors
    /// When there is a recording that cannot be played.
    pub fn new(options: Options, provider: TcpListener, control: TcpListener) -> Result<Self, String> {
        let replay = options.replay.as_deref().map(Replay::load).transpose()?;
        let shared = Shared {
            account: Account::new(&options),
            mischief: Mischief::default(),
            memory: Memory::default(),
            personality: options.personality,
            pair: (options.identifier.clone(), options.secret.clone()),
            replay,
        };
        let world = World { options: Arc::new(options), shared: Arc::new(Mutex::new(shared)) };
        Ok(Self { provider, control, world })
    }

    /// Where it answers like the provider, and where it takes orders.
    ///
    /// # Errors
    /// If a socket has no address.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.provider.local_addr()?, self.control.local_addr()?))
    }

    /// Serves both sockets, for ever.
    pub async fn run(self) {
        let provider = wire::serve(self.provider, self.world.clone());
        let control = control::serve(self.control, self.world);
        tokio::join!(provider, control);
    }
}
