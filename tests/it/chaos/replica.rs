//! The replicas: each with a clock that is wrong in its own way, and a line of its own to what they share.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, RwLock};

use super::store::Line;
use crate::ledger::Folder;
use crate::rig::Gateway;

/// How many there are.
pub const REPLICAS: usize = 4;
/// How wrong their clocks are, in milliseconds.
const SKEWS: [&str; REPLICAS] = ["-5000", "5000", "-2300", "4100"];
/// The account's pace.
pub const RATE: f64 = 100.0;
pub const BURST: f64 = 30.0;

/// Where each replica can be called at the moment.
pub type Doors = Arc<[RwLock<String>; REPLICAS]>;

/// What it takes to begin one.
pub struct Ground {
    provider: String,
    settings: String,
    clock: PathBuf,
    _folder: Folder,
}

impl Ground {
    pub fn new(provider: &str, settings: &str) -> Self {
        let (clock, folder) = built("clock");
        Self { provider: provider.to_owned(), settings: settings.to_owned(), clock, _folder: folder }
    }

    /// Begins one. Waits until it is ready.
    pub fn begin(&self, number: usize, line: &Line) -> Gateway {
        let (rate, burst) = (format!("{RATE}/s"), BURST.to_string());
        let clock = self.clock.to_str().expect("text");
        let environment = [
            ("LD_PRELOAD", clock),
            ("CLOCK_SKEW_MS", SKEWS[number]),
            ("GIZAD_UPSTREAM_URL", self.provider.as_str()),
            ("GIZAD_CREDENTIALS_IDENTIFIER", "IDENTIFIER-canary-41"),
            ("GIZAD_CREDENTIALS_SECRET", "SECRET-canary-42"),
            ("GIZAD_SHARED_URL", &line.url),
            ("GIZAD_LEDGER_DIR", ""),
            // With those that were killed and are believed for a while.
            ("GIZAD_SHARED_MAX_REPLICAS", "10"),
            ("GIZAD_SHARED_STATEMENT_TIMEOUT", "2s"),
            ("GIZAD_UPSTREAM_TIMEOUT", "2s"),
            ("GIZAD_PACE_RATE", &rate),
            ("GIZAD_PACE_BURST", &burst),
            ("GIZAD_PACE_LONGEST_PAUSE", "1s"),
            ("GIZAD_DEADLINE_SPEND", "8s"),
            ("GIZAD_PURCHASE_TIME", "20s"),
            ("GIZAD_PURCHASE_LOOK_EVERY", "500ms"),
            // Longer than the provider may be late, than anybody stands still, and than two clocks differ.
            ("GIZAD_PURCHASE_QUIET", super::QUIET),
            ("GIZAD_PURCHASE_READINGS", "2"),
        ];
        Gateway::start(&["--config", &self.settings], &environment)
    }
}

/// A library for LD_PRELOAD, built where it is needed.
fn built(name: &str) -> (PathBuf, Folder) {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).expect("a folder");
    let library = folder.path().join(format!("{name}.so"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/chaos/{name}.c"));
    let mut compiler = Command::new("cc");
    let compiler = compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    let built = compiler.output().expect("a C compiler, as SQLite needs one too");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    (library, folder)
}
