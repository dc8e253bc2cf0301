//! A provider that never dedupes and remembers everything: what it has carried out, and for whom. That list is what the
//! invariants are held against.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::purchase::{Item, Listing, Marks, Sight};

/// How long its balance, and its lists, may lag behind.
pub(super) const LAG_MS: i64 = 20 * 60_000;
/// How late it may carry something out.
pub(super) const LATE_MS: i64 = 3 * 3_600_000;
/// What was in the wallet at first.
pub(super) const WALLET: i64 = 1_000_000;
const MONTH_MS: i64 = 30 * 86_400_000;

/// What is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A server, which is listed under its hostname.
    Server,
    /// A month more for a server.
    Renewal,
    /// A key, which is in no list.
    Key,
}

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) kind: Kind,
    /// The hostname, or the number of what is renewed.
    pub(super) name: String,
    pub(super) price: i64,
}

/// Something that was carried out.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) at_ms: i64,
    /// When it arrived.
    pub(super) sent_ms: i64,
    /// The operation it was sent for, by its identifier.
    pub(super) id: String,
    pub(super) caller: String,
    pub(super) key: String,
    pub(super) fingerprint: Vec<u8>,
    pub(super) wish: Wish,
    pub(super) service: String,
}

#[derive(Default)]
pub(super) struct Account {
    pub(super) done: Vec<Done>,
    /// What arrived: when, for which operation, which attempt.
    pub(super) arrived: Vec<(i64, String, u32)>,
    /// When the last exchange ended whose record still stood as being sent.
    pub(super) last_end_ms: i64,
    /// Until when its balance, and its lists, show what was so much earlier.
    pub(super) lags: [(i64, i64); 2],
    services: u64,
}

#[derive(Clone, Default)]
pub(super) struct Provider(Arc<Mutex<Account>>);

impl Provider {
    pub(super) fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries something out at a moment, which may be yet to come.
    pub(super) fn execute(&self, done: Done) -> String {
        let mut account = self.lock();
        account.services += 1;
        let service = match done.wish.kind {
            Kind::Server => format!("s{}", account.services),
            Kind::Renewal | Kind::Key => String::new(),
        };
        account.done.push(Done { service: service.clone(), ..done });
        service
    }

    /// What can be seen now of what concerns a wish.
    pub(super) fn see(&self, wish: &Wish, now_ms: i64) -> Sight {
        let account = self.lock();
        let seen_at = |lag: (i64, i64)| if now_ms < lag.0 { now_ms - lag.1 } else { now_ms };
        let [balance_lag, list_lag] = account.lags;
        let until = |at: i64| account.done.iter().filter(move |done| done.at_ms <= at);
        let wallet: i64 = until(seen_at(balance_lag)).map(|done| done.wish.price).sum();
        let mut moves = Marks::default();
        for (number, done) in account.done.iter().enumerate() {
            // The movements lag with the lists.
            if done.at_ms <= seen_at(list_lag) {
                moves.marks.push(number as u64 + 1);
                moves.amounts.push(done.wish.price);
            }
        }
        let listed = |kind: Kind| until(seen_at(list_lag)).filter(move |done| done.wish.kind == kind);
        let listing = match wish.kind {
            Kind::Key => None,
            Kind::Server => {
                let servers = listed(Kind::Server);
                let item = |done: &Done| Item {
                    id: done.service.clone(),
                    fits: done.wish.name == wish.name,
                    worth: None,
                };
                let old = Item { id: "old".to_owned(), fits: false, worth: None };
                Some(Listing { items: std::iter::once(old).chain(servers.map(item)).collect() })
            }
            Kind::Renewal => {
                let items = ["1", "2", "3"].map(|number| {
                    let months = listed(Kind::Renewal).filter(|done| done.wish.name == number).count() as i64;
                    Item {
                        id: number.to_owned(),
                        fits: number == wish.name,
                        worth: Some(1_800_000_000_000 + months * MONTH_MS),
                    }
                });
                Some(Listing { items: items.to_vec() })
            }
        };
        Sight { at_ms: now_ms, wallet_vnd: Some(WALLET - wallet), moves: Some(moves), listing, place: None }
    }
}
