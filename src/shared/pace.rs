//! Where replicas keep what they say of their shares and of the account's pace, and how they hear that another has said
//! something. Each renewal is one statement, which is carried out as a whole or not at all.
//!
//! Absent here: what is said; [`renewal`](super::renewal) reckons that.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::Shared;
use super::renewal::{Account, Renewal, Row, View, Word};
use crate::database::{Cells, Notice, Statement, Value, first};

pub use crate::database::{Pending, Trouble};

/// What it is called in what is said to others.
const TOPIC: &str = "pace";

/// What a replica says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    /// What it has read before.
    pub view: View,
    /// When it came.
    pub came_ms: i64,
    /// What it says of itself.
    pub renewal: Renewal,
    /// What it says of the account, if that is something new.
    pub account: Option<Account>,
}

impl Saying {
    /// Whether it holds only at the revision that was read.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.renewal.guarded || self.account.is_some()
    }

    /// The row that a replica has when this was said.
    #[must_use]
    pub fn row(&self, name: &str, address: &str) -> Row {
        let seen = self.view.row(name).map(|row| row.renewed_ms);
        Row {
            name: name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: address.to_owned(),
            begun_ms: self.came_ms,
            // Two renewals are never the same one.
            renewed_ms: seen.map_or(self.view.now_ms, |seen| self.view.now_ms.max(seen.saturating_add(1))),
            until_ms: self.view.until_ms(),
            share: self.renewal.share,
            wants: self.renewal.wants,
        }
    }
}

/// What is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Another has said this.
    Word(Word),
    /// Something may have been missed.
    Missed,
}

/// Where shares are kept.
pub trait Store: Send + Sync {
    /// The name of this replica.
    fn name(&self) -> &str;

    /// Where it listens.
    fn address(&self) -> &str;

    /// How many there are at most.
    fn most(&self) -> u32;

    /// Everything as it is; nothing if the account is new. What the clock shows is from before anything was read.
    fn read(&self) -> Pending<'_, Option<View>>;

    /// Begins an account that is new, at a part of the configured rate.
    fn begin(&self, part: u64) -> Pending<'_, ()>;

    /// Says something: if the replica's row is as it was read (or still absent); what is guarded only at the revision that was read,
    /// which is then another; and what removes rows only if they are as they were read. False if it was not done.
    fn say<'a>(&'a self, saying: &'a Saying) -> Pending<'a, bool>;

    /// Takes the replica's row away, and sees to it that nothing it has said before is carried out any more.
    fn leave(&self) -> Pending<'_, ()>;

    /// Hears what others say from now on.
    fn ears(&self) -> Box<dyn Ears>;
}

/// What hears.
pub trait Ears: Send {
    /// The next that is heard.
    fn hear(&mut self) -> std::pin::Pin<Box<dyn Future<Output = Heard> + Send + '_>>;
}

/// The table of replicas and the row of the account.
pub struct Table {
    shared: Shared,
    address: String,
}

impl Table {
    /// Those of an account, for a replica that listens at an address.
    #[must_use]
    pub fn new(shared: Shared, address: &str) -> Self {
        Self { shared, address: address.to_owned() }
    }

    fn account(&self) -> &str {
        &self.shared.account
    }

    fn payload(&self, word: Word) -> String {
        let said = match word {
            Word::Wanted(level) => format!("wanted {level}"),
            Word::Free => "free".to_owned(),
            Word::Slower => "slower".to_owned(),
        };
        format!("{} {TOPIC} {} {said}", self.account(), self.shared.name)
    }

    fn plain(&self, saying: &Saying) -> Statement {
        let row = saying.row(self.name(), &self.address);
        let seen = saying.view.row(self.name()).map(|row| row.renewed_ms);
        let word = saying.renewal.word.map(|word| self.payload(word));
        Statement::new(
            "WITH own AS (UPDATE replicas SET renewed_ms = $4, until_ms = $5, share = $6, wants = $7 \
             WHERE account = $1 AND name = $2 AND renewed_ms = $3 RETURNING 1), \
             said AS (SELECT pg_notify('gizad', $8) FROM own WHERE $8 <> '') \
             SELECT (SELECT count(*) FROM own), (SELECT count(*) FROM said)",
            [
                self.account().into(),
                self.name().into(),
                Value::Number(seen),
                row.renewed_ms.into(),
                row.until_ms.into(),
                number(row.share),
                number(row.wants),
                word.unwrap_or_default().as_str().into(),
            ],
        )
    }

    fn guarded(&self, saying: &Saying) -> Statement {
        let row = saying.row(self.name(), &self.address);
        let seen = saying.view.row(self.name()).map(|row| row.renewed_ms);
        let account = saying.account.unwrap_or(saying.view.account);
        let word = saying.renewal.word.map(|word| self.payload(word));
        let removed = &saying.renewal.removed;
        let mut statement = Statement::new(
            "WITH turn AS (UPDATE paces SET revision = revision + 1, part = $5, changed_ms = $6, cut_ms = $7, \
             paused_until_ms = $8 WHERE account = $1 AND revision = $3 AND (SELECT renewed_ms FROM replicas WHERE \
             account = $1 AND name = $2) IS NOT DISTINCT FROM $4 RETURNING 1), gone AS (DELETE FROM replicas WHERE \
             account = $1 AND EXISTS (SELECT 1 FROM turn) AND (FALSE",
            [
                self.account().into(),
                self.name().into(),
                saying.view.revision.into(),
                Value::Number(seen),
                number(account.part),
                account.changed_ms.into(),
                account.cut_ms.into(),
                account.paused_until_ms.into(),
                row.version.as_str().into(),
                row.address.as_str().into(),
                row.begun_ms.into(),
                row.renewed_ms.into(),
                row.until_ms.into(),
                number(row.share),
                number(row.wants),
                word.unwrap_or_default().as_str().into(),
                i64::try_from(removed.len()).unwrap_or(i64::MAX).into(),
            ],
        );
        for (name, renewed_ms) in removed {
            statement.add(" OR (name = $?", name.as_str());
            statement.add(" AND renewed_ms = $?)", *renewed_ms);
        }
        statement.text.push_str(
            ") RETURNING 1), own AS (INSERT INTO replicas (account, name, version, address, begun_ms, renewed_ms, until_ms, share, \
             wants) SELECT $1, $2, $9, $10, $11, $12, $13, $14, $15 FROM turn WHERE (SELECT count(*) FROM gone) = $17 \
             ON CONFLICT (account, name) DO UPDATE SET renewed_ms = excluded.renewed_ms, until_ms = excluded.until_ms, \
             share = excluded.share, wants = excluded.wants WHERE replicas.renewed_ms = $4 RETURNING 1), \
             said AS (SELECT pg_notify('gizad', $16) FROM own WHERE $16 <> '') \
             SELECT (SELECT count(*) FROM own), (SELECT count(*) FROM said)",
        );
        statement
    }
}

impl Store for Table {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn most(&self) -> u32 {
        self.shared.max_replicas.get()
    }

    fn read(&self) -> Pending<'_, Option<View>> {
        Box::pin(async {
            // The transaction's time is from before the snapshot that it reads.
            let statement = Statement::new(
                "SELECT floor(extract(epoch FROM now()) * 1000)::bigint, p.revision, p.part, p.changed_ms, p.cut_ms, \
                 p.paused_until_ms, r.name, r.version, r.address, r.begun_ms, r.renewed_ms, r.until_ms, r.share, r.wants \
                 FROM paces p LEFT JOIN replicas r ON r.account = p.account WHERE p.account = $1",
                [self.account().into()],
            );
            let mut view: Option<View> = None;
            for mut cells in self.shared.session.rows(&statement).await? {
                let (now_ms, revision) = (cells.number()?, cells.number()?);
                let account = Account {
                    part: share(&mut cells)?,
                    changed_ms: cells.number()?,
                    cut_ms: cells.number()?,
                    paused_until_ms: cells.number()?,
                };
                let view = view.get_or_insert_with(|| View { now_ms, revision, account, rows: Vec::new() });
                if let Some(name) = cells.maybe_text()? {
                    view.rows.push(Row {
                        name,
                        version: cells.text()?,
                        address: cells.text()?,
                        begun_ms: cells.number()?,
                        renewed_ms: cells.number()?,
                        until_ms: cells.number()?,
                        share: share(&mut cells)?,
                        wants: share(&mut cells)?,
                    });
                }
            }
            Ok(view)
        })
    }

    fn begin(&self, part: u64) -> Pending<'_, ()> {
        Box::pin(async move {
            let statement = Statement::new(
                "INSERT INTO paces (account, revision, part, changed_ms, cut_ms, paused_until_ms) \
                 VALUES ($1, 0, $2, floor(extract(epoch FROM now()) * 1000)::bigint, 0, 0) ON CONFLICT DO NOTHING",
                [self.account().into(), number(part)],
            );
            self.shared.session.change(&statement).await.map(drop)
        })
    }

    fn say<'a>(&'a self, saying: &'a Saying) -> Pending<'a, bool> {
        Box::pin(async {
            let statement = if saying.is_guarded() { self.guarded(saying) } else { self.plain(saying) };
            let rows = self.shared.session.rows(&statement).await?;
            Ok(first(rows, |mut cells: Cells| cells.number())? == Some(1))
        })
    }

    fn leave(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let statement = Statement::new(
                "WITH turn AS (UPDATE paces SET revision = revision + 1 WHERE account = $1 RETURNING 1), \
                 gone AS (DELETE FROM replicas WHERE account = $1 AND name = $2 AND EXISTS (SELECT 1 FROM turn) RETURNING 1), \
                 said AS (SELECT pg_notify('gizad', $3) FROM gone) \
                 SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM said)",
                [self.account().into(), self.name().into(), self.payload(Word::Free).as_str().into()],
            );
            self.shared.session.rows(&statement).await.map(drop)
        })
    }

    fn ears(&self) -> Box<dyn Ears> {
        Box::new(Listener {
            notices: self.shared.session.notices(),
            account: self.shared.account.clone(),
            name: self.shared.name.clone(),
        })
    }
}

/// Hears what is said about this.
struct Listener {
    notices: broadcast::Receiver<Notice>,
    account: Arc<str>,
    name: Arc<str>,
}

impl Ears for Listener {
    fn hear(&mut self) -> std::pin::Pin<Box<dyn Future<Output = Heard> + Send + '_>> {
        Box::pin(async {
            loop {
                match self.notices.recv().await {
                    Ok(Notice::Said(said)) => {
                        if let Some(word) = word(&said, &self.account, &self.name) {
                            return Heard::Word(word);
                        }
                    }
                    Ok(Notice::Lost) => {}
                    Ok(Notice::Again) | Err(RecvError::Lagged(_)) => return Heard::Missed,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        })
    }
}

/// What another has said about this account's pace, if it did.
fn word(said: &str, account: &str, own: &str) -> Option<Word> {
    let (of, rest) = said.split_once(' ')?;
    let (topic, rest) = rest.split_once(' ')?;
    let (name, rest) = rest.split_once(' ')?;
    if (of, topic) != (account, TOPIC) || name == own {
        return None;
    }
    match rest.split_once(' ') {
        Some(("wanted", level)) => level.parse().ok().map(Word::Wanted),
        Some(_) => None,
        None if rest == "free" => Some(Word::Free),
        None => (rest == "slower").then_some(Word::Slower),
    }
}

fn number(share: u64) -> Value {
    Value::Number(i64::try_from(share).ok())
}

fn share(cells: &mut Cells) -> Result<u64, Trouble> {
    Ok(u64::try_from(cells.number()?).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_of_this_account_is_understood_and_nothing_else() {
        let heard = |said| word(said, "acc", "me");
        assert_eq!(heard("acc pace you wanted 12"), Some(Word::Wanted(12)));
        assert_eq!(heard("acc pace you free"), Some(Word::Free));
        assert_eq!(heard("acc pace you slower"), Some(Word::Slower));
        for other in [
            "acc pace me free",
            "other pace you free",
            "acc sight you free",
            "acc pace you",
            "",
            "acc pace you x y",
        ] {
            assert_eq!(heard(other), None, "{other}");
        }
    }
}
