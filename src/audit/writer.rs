//! The one that writes, in a thread of its own: what waits is written together, and synced once for all who want that.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;

use tokio::sync::oneshot;

use super::chain::{Head, Key};
use super::entry::{Entry, Opened, next};
use super::file::Open;

/// How many lines may wait; more are not written, and counted.
const QUEUE: usize = 4096;
/// How many are written at once.
const BATCH: usize = 256;

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To standard error, beside the other log.
    Stderr,
    /// To a file.
    File(PathBuf),
}

/// The hand on the log. Its copies share one writer.
#[derive(Clone, Debug)]
pub struct Log {
    orders: SyncSender<Order>,
    key: Arc<RwLock<Arc<Key>>>,
    tally: Arc<Tally>,
}

/// How the log stands, as its writer has last seen it.
#[derive(Debug, Default)]
pub struct Tally {
    written: AtomicU64,
    unwritten: AtomicU64,
    fails: AtomicBool,
}

impl Tally {
    /// Lines that were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lines that were not.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// Whether the last one was not.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.fails.load(Ordering::Relaxed)
    }

    fn count(&self, lines: usize, written: bool) {
        let count = if written { &self.written } else { &self.unwritten };
        count.fetch_add(lines as u64, Ordering::Relaxed);
        self.fails.store(!written, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Order {
    Write { entry: Box<Entry>, sync: bool, done: Option<Done> },
    Reopen,
    Sign(Arc<Key>),
    Finish(oneshot::Sender<()>),
}

type Done = oneshot::Sender<Result<(), String>>;

impl Log {
    /// Opens the log. If it has to be there now, trouble is returned; otherwise it is tried again with every line.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub fn open(place: Place, key: Key, now: bool) -> io::Result<Self> {
        let (orders, received) = sync_channel(QUEUE);
        let (key, tally) = (Arc::new(key), Arc::new(Tally::default()));
        let mut writer = Writer {
            place,
            key: key.clone(),
            sink: Sink::Closed,
            last: None,
            unwritten: 0,
            told: false,
            tally: tally.clone(),
        };
        if let Err(error) = writer.open() {
            if now {
                return Err(error);
            }
            writer.complain(&error);
            tally.count(0, false);
        }
        thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&received))?;
        Ok(Self { orders, key: Arc::new(RwLock::new(key)), tally })
    }

    /// How it stands.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What fingerprints are made with.
    #[must_use]
    pub fn key(&self) -> Arc<Key> {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes on with another key: the API secret is another one.
    pub fn sign_with(&self, key: Key) {
        let key = Arc::new(key);
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = key.clone();
        if self.orders.try_send(Order::Sign(key)).is_err() {
            tracing::error!("the audit log is signed with the former secret until it is opened again");
        }
    }

    /// Writes a line before something is done, to the disk if that is wanted.
    ///
    /// # Errors
    /// Why it is not written.
    pub async fn write(&self, entry: Entry, sync: bool) -> Result<(), String> {
        let (done, written) = oneshot::channel();
        let order = Order::Write { entry: Box::new(entry), sync, done: Some(done) };
        self.orders.try_send(order).map_err(|error| {
            self.tally.count(1, false);
            match error {
                TrySendError::Full(_) => "more waits to be written than can be".to_owned(),
                TrySendError::Disconnected(_) => "its writer is gone".to_owned(),
            }
        })?;
        written.await.unwrap_or_else(|_| Err("its writer is gone".to_owned()))
    }

    /// Has a line written after something was done. Nobody waits for it.
    pub fn note(&self, entry: Entry) {
        if self.orders.try_send(Order::Write { entry: Box::new(entry), sync: false, done: None }).is_err() {
            self.tally.count(1, false);
            tracing::error!("a line of the audit log is lost: more waits to be written than can be");
        }
    }

    /// Goes on in a new file, if the present one was moved away.
    pub fn reopen(&self) {
        let _gone = self.orders.try_send(Order::Reopen);
    }

    /// Waits until everything that was noted is written.
    pub async fn finish(&self) {
        let (done, finished) = oneshot::channel();
        if self.orders.try_send(Order::Finish(done)).is_ok() {
            let _gone = finished.await;
        }
    }
}

enum Sink {
    Closed,
    Stderr(Head),
    File(Open),
}

struct Writer {
    place: Place,
    key: Arc<Key>,
    sink: Sink,
    /// Where the chain ended when a file was closed.
    last: Option<Head>,
    /// Lines since then that could not be written.
    unwritten: u64,
    /// Whether the trouble was told.
    told: bool,
    tally: Arc<Tally>,
}

impl Writer {
    fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(first) = orders.recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH {
                match orders.try_recv() {
                    Ok(order) => batch.push(order),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            self.carry_out(batch);
        }
    }

    fn carry_out(&mut self, batch: Vec<Order>) {
        let (mut entries, mut waiting, mut finished) = (Vec::new(), Vec::new(), Vec::new());
        let (mut sync, mut reopen, mut key) = (false, false, None);
        for order in batch {
            match order {
                Order::Write { entry, sync: wanted, done } => {
                    sync |= wanted;
                    entries.push(entry);
                    waiting.extend(done);
                }
                Order::Reopen => reopen = true,
                Order::Sign(with) => key = Some(with),
                Order::Finish(done) => finished.push(done),
            }
        }
        if let Some(key) = key {
            self.sign_with(key);
        }
        if reopen {
            self.reopen();
        }
        if !entries.is_empty() {
            let written = self.write(&entries, sync).map_err(|error| {
                self.unwritten = self.unwritten.saturating_add(entries.len() as u64);
                self.complain(&error);
                error.to_string()
            });
            self.tally.count(entries.len(), written.is_ok());
            for done in waiting {
                let _gone = done.send(written.clone());
            }
        }
        for done in finished {
            let _gone = done.send(());
        }
    }

    fn open(&mut self) -> io::Result<()> {
        self.sink = match &self.place {
            Place::Stderr => {
                let head = self.last.unwrap_or_default();
                let (line, head) = next(head, &self.key, 0, &Opened::new(head, &self.key, None));
                io::stderr().lock().write_all(line.as_bytes())?;
                Sink::Stderr(head)
            }
            Place::File(path) => Sink::File(Open::new(path, &self.key, self.last)?),
        };
        Ok(())
    }

    fn write(&mut self, entries: &[Box<Entry>], sync: bool) -> io::Result<()> {
        if matches!(self.sink, Sink::Closed) {
            self.open()?;
        }
        let begun = match &self.sink {
            Sink::Closed => return Err(io::Error::other("it is not open")),
            Sink::Stderr(head) => *head,
            Sink::File(open) => open.head,
        };
        let (mut head, mut lines, mut unwritten) = (begun, String::new(), self.unwritten);
        for entry in entries {
            let (line, after) = next(head, &self.key, unwritten, entry);
            (head, unwritten) = (after, 0);
            lines += &line;
        }
        let written = match &mut self.sink {
            Sink::Closed => Ok(()),
            Sink::Stderr(at) => io::stderr().lock().write_all(lines.as_bytes()).map(|()| *at = head),
            Sink::File(open) => {
                let written = open.append(lines.as_bytes()).map(|()| open.head = head);
                written.and_then(|()| if sync { open.sync() } else { Ok(()) })
            }
        };
        if let Err(error) = written {
            // What is in the file is looked at anew: after a failure nobody knows.
            if let Sink::File(_) = &self.sink {
                (self.sink, self.last) = (Sink::Closed, Some(begun));
            }
            return Err(error);
        }
        if self.unwritten > 0 {
            tracing::warn!(
                unwritten = self.unwritten,
                "the audit log is written again; what is missing is counted in it"
            );
        }
        (self.unwritten, self.told) = (0, false);
        Ok(())
    }

    /// Closes what was signed so far, and opens it anew, which says so in its first line.
    fn sign_with(&mut self, key: Arc<Key>) {
        match &self.sink {
            Sink::Closed => {}
            Sink::Stderr(head) => self.last = Some(*head),
            Sink::File(open) => self.last = Some(open.head),
        }
        (self.key, self.sink) = (key, Sink::Closed);
        if let Err(error) = self.open() {
            self.complain(&error);
        }
    }

    /// A file that was moved is written to until there is a new one.
    fn reopen(&mut self) {
        let (Place::File(path), Sink::File(open)) = (&self.place, &self.sink) else { return };
        if !open.was_moved(path) {
            return;
        }
        match Open::new(path, &self.key, Some(open.head)) {
            Ok(new) => {
                if let Err(error) = open.sync() {
                    tracing::warn!(%error, "the former file of the audit log could not be synced");
                }
                tracing::info!(file = %path.display(), "the audit log goes on in a new file");
                self.sink = Sink::File(new);
            }
            Err(error) => tracing::error!(
                %error, file = %path.display(), "no new file for the audit log; it goes on in the one that was moved"
            ),
        }
    }

    /// Says once what the trouble is.
    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::error!(%error, place = ?self.place, "the audit log cannot be written");
        }
    }
}
