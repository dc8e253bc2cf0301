//! A gizad that is started in any way, heard, and told to end; and whoever holds its sockets while it goes and comes.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gizad::call::{Scope, Token};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use crate::limits::OUT_OF_THE_WAY;
use crate::rig::{File, Folder, unique};

/// How long anything may take here, where many things run at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A process, and what it says on standard error.
pub struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (kept, stderr) = (log.clone(), BufReader::new(child.stderr.take().expect("piped")));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits for a line with these words.
    pub fn logged(&self, words: &str) -> String {
        self.logged_times(words, 1)
    }

    /// Waits for as many such lines, and returns the last of them.
    pub fn logged_times(&self, words: &str, times: usize) -> String {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let found =
                self.log.lock().unwrap().iter().filter(|line| line.contains(words)).nth(times - 1).cloned();
            if let Some(line) = found {
                return line;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("nothing logged about {words:?}: {}", self.log());
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("it is there");
    }

    /// Waits for its end, and says its exit code, or the signal that ended it as a number below zero.
    pub fn ended(&mut self) -> i32 {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code().unwrap_or_else(|| -status.signal().expect("a signal"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("it did not end: {}", self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Whoever holds the sockets of a gizad, as systemd does.
pub struct Holder {
    pub api: SocketAddr,
    pub admin: SocketAddr,
    pub socket: String,
    /// Somebody who may do everything, as the value of `Authorization`.
    pub bearer: String,
    pub sockets: Vec<OwnedFd>,
    folder: Folder,
    settings: File,
}

impl Holder {
    pub fn new() -> Self {
        let folder = Folder::new("held");
        std::fs::create_dir_all(folder.path()).expect("a folder");
        let socket = format!("{}/s", folder.path());
        let tcp = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (api, admin, unix) = (tcp(), tcp(), UnixListener::bind(&socket).expect("a socket"));
        let (token, text) = Token::new("rig").expect("randomness");
        let settings =
            File::new(&format!("held-{}", unique()), &gizad::settings::caller("rig", &token, &Scope::ALL));
        let at = |listener: &TcpListener| listener.local_addr().expect("an address");
        Self {
            api: at(&api),
            admin: at(&admin),
            socket,
            bearer: format!("Bearer {text}"),
            sockets: vec![inherited(&api), inherited(&admin), inherited(&unix)],
            folder,
            settings,
        }
    }

    /// The file of its settings.
    pub fn settings(&self) -> &str {
        self.settings.path()
    }

    /// Starts a gizad that is given these sockets, in this order, under these names.
    pub fn start(&self, given: &[&OwnedFd], names: &str, environment: &[(&str, &str)]) -> Process {
        Process::start(&mut self.command(given, names, environment))
    }

    /// Starts one that is given all of them.
    pub fn start_all(&self, environment: &[(&str, &str)]) -> Process {
        let process = self.start(&self.sockets.iter().collect::<Vec<_>>(), "api:admin:unix", environment);
        process.logged("\"message\":\"ready\"");
        process
    }

    pub fn command(&self, given: &[&OwnedFd], names: &str, environment: &[(&str, &str)]) -> Command {
        // The shell puts them where sd_listen_fds(3) says, and becomes gizad, so that its own number is gizad's.
        let mut script = String::new();
        for (number, fd) in given.iter().enumerate() {
            script.push_str(&format!("exec {}<&{}\n", number + 3, fd.as_raw_fd()));
        }
        for fd in &self.sockets {
            script.push_str(&format!("exec {}<&-\n", fd.as_raw_fd()));
        }
        script.push_str("export LISTEN_PID=$$\nexec \"$0\" \"$@\"");
        let mut command = Command::new("bash");
        let [api, admin] = [self.api, self.admin].map(|address| address.to_string());
        command
            .args(["-euc", &script, env!("CARGO_BIN_EXE_gizad"), "serve", "--config", self.settings.path()])
            .args(["--listen", &api, "--admin-listen", &admin, "--socket", &self.socket])
            .env("LISTEN_FDS", given.len().to_string())
            .env("LISTEN_FDNAMES", names)
            .env("GIZAD_LOG_FORMAT", "json")
            .env("GIZAD_LEDGER_DIR", format!("{}/ledger", self.folder.path()))
            .env("GIZAD_AUDIT_FILE", format!("{}/audit.log", self.folder.path()))
            .env("GIZAD_CREDENTIALS_IDENTIFIER", "IDENTIFIER-canary-41")
            .env("GIZAD_CREDENTIALS_SECRET", "SECRET-canary-42")
            .envs(OUT_OF_THE_WAY)
            .envs(environment.iter().copied());
        command
    }
}

/// A second hold on a socket that outlives an `exec`, with a number that is not among the first.
pub fn inherited(socket: impl AsFd) -> OwnedFd {
    let fd = fcntl_dupfd_cloexec(socket, 20).expect("a descriptor");
    fcntl_setfd(&fd, FdFlags::empty()).expect("kept over exec");
    fd
}
