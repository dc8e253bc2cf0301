//! This gizad's part among several on one account: its share of the pace, and the board on which all show each other what they
//! have seen, sealed with the keys of the ledger that they share.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use super::ledger::Opened;
use crate::ledger::Ledger;
use crate::policy::purchase::Desk;
use crate::policy::{Traffic, elsewhere};
use crate::shared::pace::{Store as _, Table};
use crate::shared::{Board, Hearing, Seal};

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

/// What it has in common with others; nothing if it is the only one.
pub(super) struct Replica(Option<(Arc<Table>, Arc<Board>)>);

impl Replica {
    /// Joins them, before the first call.
    pub(super) fn join(opened: &Opened, traffic: &Traffic, address: SocketAddr) -> Self {
        let (Some(shared), Ok(ledger)) = (opened.shared.clone(), opened.ledger.clone()) else {
            return Self(None);
        };
        tracing::info!(replica = shared.name(), "shares its account with other replicas");
        let board = Arc::new(Board::new(shared.clone(), Arc::new(Keys(ledger))));
        let shares = Arc::new(Table::new(shared, &address.to_string()));
        traffic.share(shares.clone());
        traffic.is_shared_by(board.clone(), board.clone());
        Self(Some((shares, board)))
    }

    /// The name that they know it by.
    pub(super) fn name(&self) -> Option<String> {
        self.0.as_ref().map(|(shares, _)| shares.name().to_owned())
    }

    /// Hears what they say, for as long as gizad runs.
    pub(super) async fn hear(&self, traffic: &Traffic, desk: &Desk) {
        match &self.0 {
            Some((_, board)) => {
                let board: Arc<dyn Hearing> = board.clone();
                desk.is_shared_by(board.clone());
                elsewhere::hear(&board, traffic, desk).await;
            }
            None => pending().await,
        }
    }

    /// Says farewell.
    pub(super) async fn leave(&self, traffic: &Traffic) {
        if let Some((shares, _)) = &self.0 {
            traffic.leave(&**shares).await;
        }
    }
}
