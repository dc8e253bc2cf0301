//! Whether a log is what was written: read from its first line to its last, over as many files as it has.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use serde::Deserialize;

use super::chain::{self, Head, Key};
use super::entry::Opened;

/// What is read of a line to check it.
#[derive(Deserialize)]
struct Seen {
    seq: u64,
    event: String,
    before: Option<String>,
    key: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// For a person to read.
    pub text: String,
    /// Whether every line is what was written, and none is missing between them.
    pub sound: bool,
}

/// Where the reading is.
struct Reading<'a> {
    keys: &'a [Key],
    /// The key of the lines from here on.
    key: Option<&'a Key>,
    head: Option<Head>,
    lines: u64,
    /// What is worth knowing of a sound log.
    notes: Vec<String>,
}

/// Checks files that belong together, the oldest first, up to the first line that is wrong.
///
/// # Errors
/// When a file cannot be read.
pub fn verify(files: &[PathBuf], keys: &[Key]) -> Result<Verdict, String> {
    let mut reading = Reading { keys, key: None, head: None, lines: 0, notes: Vec::new() };
    for path in files {
        let named = path.display();
        let unread = |error: std::io::Error| format!("{named} cannot be read: {error}");
        let mut file = BufReader::new(File::open(path).map_err(unread)?);
        for number in 1_u64.. {
            let mut line = Vec::new();
            if file.read_until(b'\n', &mut line).map_err(unread)? == 0 {
                break;
            }
            if let Err(wrong) = reading.check(&line) {
                let text = format!("{named}, line {number}: {wrong}\nthe audit log is NOT sound\n");
                return Ok(Verdict { text: reading.told() + &text, sound: false });
            }
        }
    }
    let text = reading.told() + &reading.end();
    Ok(Verdict { text, sound: true })
}

impl Reading<'_> {
    fn check(&mut self, line: &[u8]) -> Result<(), String> {
        let Some(line) = line.strip_suffix(b"\n") else {
            return Err("it is cut off in the middle".to_owned());
        };
        let read = std::str::from_utf8(line).ok();
        let read =
            read.and_then(|line| Some((chain::parted(line)?, serde_json::from_str::<Seen>(line).ok()?)));
        let Some(((text, mac), seen)) = read else {
            return Err("it is no line of an audit log, or was changed".to_owned());
        };
        let opens = seen.event == Opened::EVENT;
        let before = match (self.head, opens) {
            (Some(head), _) => head,
            (None, true) => self.begin(&seen)?,
            (None, false) => {
                return Err("a file begins with a line that says opened; what is before this one is missing"
                    .to_owned());
            }
        };
        if opens {
            let named = seen.key.as_deref().unwrap_or_default();
            self.key = self.keys.iter().find(|key| key.name() == named);
            if self.key.is_none() {
                return Err(format!(
                    "from here on it is signed with another API secret, by the name {named}: give that one as \
                     credentials.former_secret_file"
                ));
            }
        }
        if seen.seq != before.seq + 1 {
            return Err(format!(
                "it is number {}, and {} was expected: lines are missing, doubled or moved",
                seen.seq,
                before.seq + 1
            ));
        }
        if self.key.is_none_or(|key| key.mac(&before.mac, text) != mac) {
            return Err("it was changed, or what was before it".to_owned());
        }
        self.head = Some(Head { seq: seen.seq, mac });
        self.lines += 1;
        Ok(())
    }

    /// Where a log goes on whose beginning is not at hand.
    fn begin(&mut self, seen: &Seen) -> Result<Head, String> {
        let mac = seen.before.as_deref().and_then(chain::unhex);
        let mac = mac.ok_or_else(|| "it does not say what was before it".to_owned())?;
        let head = Head { seq: seen.seq.saturating_sub(1), mac };
        if head != Head::default() {
            self.notes.push(format!(
                "it goes on behind line {} of an earlier file, whose MAC ends in {}",
                head.seq,
                last_digits(&head)
            ));
        }
        Ok(head)
    }

    fn told(&self) -> String {
        self.notes.iter().fold(format!("{} lines checked\n", self.lines), |told, note| told + note + "\n")
    }

    fn end(&self) -> String {
        let Some(head) = self.head else { return "there is nothing in it\n".to_owned() };
        format!(
            "it ends with line {}, whose MAC ends in {}\nthe audit log is sound\n",
            head.seq,
            last_digits(&head)
        )
    }
}

/// Enough of a MAC to compare it with a note by hand.
fn last_digits(head: &Head) -> String {
    chain::hex(head.mac.get(24..).unwrap_or_default())
}
