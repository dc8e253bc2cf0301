//! The board on which replicas show each other what they have seen: sealed with the keys of the ledger that they share.

use std::future::pending;
use std::sync::Arc;

use super::ledger::Opened;
use crate::ledger::Ledger;
use crate::policy::purchase::Desk;
use crate::policy::{Traffic, elsewhere};
use crate::shared::{Board, Seal};

/// The ledger's keys.
struct Keys(Ledger);

impl Seal for Keys {
    fn seal(&self, of: &str, open: &[u8]) -> Vec<u8> {
        self.0.seal(of, open)
    }

    fn unseal(&self, of: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.unseal(of, sealed)
    }

    fn print(&self, what: &[u8]) -> [u8; 32] {
        self.0.print(what)
    }
}

/// The board, if anything is shared.
pub(super) fn of(opened: &Opened) -> Option<Arc<Board>> {
    let (shared, ledger) = (opened.shared.clone()?, opened.ledger.clone().ok()?);
    Some(Arc::new(Board::new(shared, Arc::new(Keys(ledger)))))
}

/// Hears what other replicas say, if there are any, for as long as gizad runs.
pub(super) async fn hear(board: Option<&Board>, traffic: &Traffic, desk: &Desk) {
    match board {
        Some(board) => elsewhere::hear(board, traffic, desk).await,
        None => pending().await,
    }
}
