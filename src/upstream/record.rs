//! Exchanges with the provider, one a line, with everything private taken out, so that a bug report is one file and can be played
//! again (`gizad serve --sandbox --replay FILE`).
//!
//! Absent here: credentials, passwords, names, addresses, or anything else that is somebody's.

mod mask;

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;

use super::encode::Outgoing;
use super::judge::Words;
use super::lanes::{Broken, Received};
use super::reading::{Reading, read};
use super::{Credentials, secrets};
use crate::ambient;
use crate::call::{Call, Reply};
use crate::contract::Operation;
use crate::fault::Fault;

use mask::{Mask, View};

/// The most that one file holds, in bytes.
const LONGEST: u64 = 32 * 1024 * 1024;

/// Where exchanges are written down.
#[derive(Clone)]
pub struct Recorder(Arc<Mutex<Kept>>);

struct Kept {
    file: File,
    written: u64,
    over: bool,
    begun: Instant,
    mask: Mask,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

/// An exchange that has come to its end.
pub(super) struct Exchanged<'a> {
    pub(super) call: &'a Call,
    pub(super) operation: &'a Operation,
    pub(super) outgoing: &'a Outgoing,
    pub(super) begun: Instant,
    pub(super) received: Result<&'a Received, &'a Broken>,
    pub(super) outcome: Result<&'a Reply, &'a Fault>,
    pub(super) credentials: &'a Credentials,
    pub(super) words: &'a Words,
}

impl Recorder {
    /// Begins a file of its own in a folder, which is made if it is not there. Nobody else may read it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(folder: &Path) -> io::Result<(Self, PathBuf)> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let now = jiff::Timestamp::from_millisecond(ambient::unix_millis()).unwrap_or_default();
        let path =
            folder.join(format!("gizad-{}-{}.jsonl", now.strftime("%Y%m%dT%H%M%SZ"), std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let mask = Mask::new().ok_or_else(|| io::Error::other("the system has no randomness"))?;
        let kept = Kept { file, written: 0, over: false, begun: ambient::instant(), mask };
        let recorder = Self(Arc::new(Mutex::new(kept)));
        recorder.line(&json!({"gizad": env!("CARGO_PKG_VERSION"), "format": 1, "begun": now.to_string()}));
        Ok((recorder, path))
    }

    /// Writes an exchange down.
    pub(super) fn note(&self, exchanged: &Exchanged<'_>) {
        let line = {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.over {
                return;
            }
            exchanged.line(&kept.mask, kept.begun)
        };
        self.line(&line);
    }

    /// Writes one line, and the last one if it would be too much.
    fn line(&self, line: &Json) {
        let kept = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.over {
            return;
        }
        let mut text = format!("{line}\n");
        if kept.written.saturating_add(text.len() as u64) > LONGEST {
            kept.over = true;
            text = format!("{}\n", json!({"over": "the file is as long as it gets"}));
            tracing::warn!("the recording is as long as it gets; nothing more is recorded");
        }
        kept.written += text.len() as u64;
        if let Err(error) = kept.file.write_all(text.as_bytes()) {
            kept.over = true;
            tracing::error!(%error, "the recording cannot be written; nothing more is recorded");
        }
    }
}

impl Exchanged<'_> {
    fn line(&self, mask: &Mask, begun: Instant) -> Json {
        let view = View::of(self.operation, self.call.effect, self.words);
        let own = secrets(self.call);
        let scrub = |text: &str| {
            own.iter()
                .fold(self.credentials.scrub(text), |text, secret| text.replace(secret, super::REDACTED))
        };
        let parameters: Map<String, Json> = self
            .outgoing
            .parameters
            .iter()
            .map(|(name, json)| (name.clone(), mask.parameter(name, json, &view)))
            .collect();
        let since = |moment: Instant| {
            u64::try_from(moment.saturating_duration_since(begun).as_millis()).unwrap_or(u64::MAX)
        };
        let mut line = json!({
            "action": self.outgoing.action,
            "effect": self.call.effect.as_str(),
            "parameters": parameters,
            "at_ms": since(self.begun),
            "took_ms": u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        let Some(members) = line.as_object_mut() else { return line };
        match self.received {
            Err(broken) => members.extend([
                ("broken".to_owned(), json!(broken.at.rule())),
                ("sent".to_owned(), json!(broken.sent.as_str())),
            ]),
            Ok(received) => {
                members.insert("status".to_owned(), json!(received.status));
                members.extend(
                    received.retry_after.map(|wait| ("retry_after_s".to_owned(), json!(wait.as_secs()))),
                );
                members.extend(
                    received
                        .server
                        .as_deref()
                        .map(|server| ("server".to_owned(), json!(mask.sentence(&scrub(server), &view)))),
                );
                members.extend(
                    received
                        .location
                        .as_deref()
                        .map(|_| ("location".to_owned(), json!("https://example.invalid/"))),
                );
                let (name, body) = match read(&received.body) {
                    Reading::Tree { mut json, .. } => {
                        self.credentials.scrub_tree(&mut json);
                        ("body", mask.tree(&json, &view, &scrub))
                    }
                    Reading::Page(_) | Reading::Text(_) | Reading::Empty | Reading::Unreadable(_) => {
                        let text = String::from_utf8_lossy(&received.body);
                        ("text", json!(mask.sentence(&scrub(&text), &view)))
                    }
                };
                members.insert(name.to_owned(), body);
            }
        }
        let judged = match self.outcome {
            Ok(reply) => json!({"rule": reply.rule}),
            Err(fault) => {
                json!({"reason": fault.reason.as_str(), "rule": fault.answer.as_ref().map(|answer| answer.rule)})
            }
        };
        members.insert("judged".to_owned(), judged);
        line
    }
}
