//! The tables in which replicas keep their shares: what each statement promises, on a real PostgreSQL.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use gizad::database::{Bounds, Server};
use gizad::shared::Shared;
use gizad::shared::division::ALL;
use gizad::shared::pace::{Heard, Saying, Store, Table};
use gizad::shared::renewal::{Account, Needs, View, Word, renewal};
use tokio::task::JoinSet;

use super::ledger::{server, unique};

const MOST: u32 = 4;

async fn table(account: &str, machine: &str) -> Arc<Table> {
    let bounds = Bounds { connections: 4, statement: Duration::from_secs(10) };
    let server = Arc::new(Server::new(&server(), &[], bounds).expect("a server"));
    let most = NonZeroU32::new(MOST).expect("above zero");
    Arc::new(Table::new(Shared::open(server, account, machine, most).await.expect("tables"), "127.0.0.1:1"))
}

async fn read(table: &Table) -> View {
    if table.read().await.expect("read").is_none() {
        table.begin(ALL).await.expect("begun");
    }
    table.read().await.expect("read").expect("begun")
}

/// What one says that waits for so much.
fn saying(table: &Table, view: &View, used: u64, waits: u64) -> Saying {
    let renewal = renewal(
        view,
        (table.name(), table.address()),
        view.now_ms,
        MOST,
        Needs { used, waits, lately: 0, now: 0 },
        &BTreeSet::new(),
    );
    Saying { view: view.clone(), came_ms: view.now_ms, renewal: renewal.expect("a place"), account: None }
}

#[tokio::test]
async fn what_is_said_is_read_and_what_is_old_is_not_done() {
    let account = unique();
    let (one, two) = (table(&account, "one").await, table(&account, "two").await);
    let empty = read(&one).await;
    assert_eq!((empty.rows.len(), empty.account.part, empty.account.cut_ms), (0, ALL, 0));
    one.begin(1).await.expect("no other");
    let first = saying(&one, &empty, 0, ALL);
    assert!(one.say(&first).await.expect("said"));
    assert!(!two.say(&saying(&two, &empty, 0, ALL)).await.expect("said"), "somebody came since");
    let view = read(&two).await;
    let row = view.row(one.name()).expect("there");
    assert_eq!((row.share, row.wants, row.address.as_str()), (ALL, ALL, "127.0.0.1:1"));
    assert_eq!((row.renewed_ms, row.until_ms), (empty.now_ms, empty.until_ms()));
    assert_eq!((view.account, view.revision), (empty.account, empty.revision + 1));
    assert!(!one.say(&first).await.expect("said"), "not twice");
    // Less, or the same, is said without regard to others; and once.
    let less = saying(&one, &view, ALL, 0);
    assert!(!less.is_guarded() || less.renewal.share > ALL / 4);
    let mut plain = saying(&one, &view, ALL / 8, 0);
    plain.renewal.share = ALL / 8;
    plain.renewal.guarded = false;
    assert!(one.say(&plain).await.expect("said"));
    assert!(!one.say(&plain).await.expect("said"), "its own row is another by now");
    let after = read(&one).await;
    assert_eq!(after.row(one.name()).expect("there").share, ALL / 8);
    assert_eq!(after.revision, view.revision, "it concerns nobody else");
    // What is said of the account is for all.
    let mut news = saying(&two, &after, 0, ALL);
    news.account = Some(Account { part: ALL / 2, cut_ms: 7, paused_until_ms: 8, ..after.account });
    assert!(two.say(&news).await.expect("said"));
    assert_eq!(read(&one).await.account, news.account.expect("news"));
}

#[tokio::test]
async fn a_place_is_taken_only_if_its_row_is_as_it_was_read() {
    let account = unique();
    let (one, two) = (table(&account, "one").await, table(&account, "two").await);
    let empty = read(&one).await;
    assert!(one.say(&saying(&one, &empty, 0, ALL / 8)).await.expect("said"));
    let view = read(&two).await;
    let renewed = view.row(one.name()).expect("there").renewed_ms;
    let taking = |view: &View, renewed_ms: i64| {
        let mut taking = saying(&two, view, 0, ALL);
        taking.renewal.removed = vec![(one.name().to_owned(), renewed_ms)];
        taking
    };
    assert!(!two.say(&taking(&view, renewed - 1)).await.expect("said"));
    let view = read(&two).await;
    assert_eq!(view.rows.len(), 1, "neither gone nor come");
    assert!(two.say(&taking(&view, renewed)).await.expect("said"));
    let view = read(&two).await;
    let names: Vec<_> = view.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, [two.name()]);
}

#[tokio::test]
async fn a_farewell_is_heard_and_nothing_comes_after_it() {
    let account = unique();
    let (one, two) = (table(&account, "one").await, table(&account, "two").await);
    let empty = read(&one).await;
    assert!(one.say(&saying(&one, &empty, 0, ALL)).await.expect("said"));
    let late = saying(&one, &read(&one).await, ALL, ALL);
    assert!(late.is_guarded());
    let (mut own, mut ears) = (one.ears(), two.ears());
    one.leave().await.expect("gone");
    assert_eq!(ears.hear().await, Heard::Word(Word::Free));
    assert!(!one.say(&late).await.expect("said"), "what was said before is not done after it");
    assert_eq!(read(&two).await.rows, []);
    // Who speaks does not hear itself.
    let mut asks = saying(&two, &read(&two).await, 0, ALL);
    asks.renewal.word = Some(Word::Wanted(17));
    assert!(two.say(&asks).await.expect("said"));
    assert_eq!(own.hear().await, Heard::Word(Word::Wanted(17)));
}

/// Four who ask for more and for less as fast as they can: whatever is read at any moment, no more than the whole is in use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_at_once_never_have_more_than_the_whole() {
    let account = unique();
    let mut tables = JoinSet::new();
    for number in 0..MOST {
        let account = account.clone();
        tables.spawn(async move {
            let table = table(&account, &format!("machine-{number}")).await;
            let (mut used, mut granted, mut lost) = (0, 0, 0);
            for turn in 0..150_u64 {
                let view = read(&table).await;
                let shares: Vec<u64> = view.rows.iter().map(|row| row.share).collect();
                assert!(shares.iter().sum::<u64>() <= ALL, "{shares:?}");
                // One after the other wants much, and all of them at times.
                let waits = if (turn / 10 + u64::from(number)).is_multiple_of(3) { ALL } else { 0 };
                let saying = saying(&table, &view, used, waits);
                used = saying.renewal.uses;
                if table.say(&saying).await.expect("said") {
                    used = saying.renewal.share;
                    granted += 1;
                } else {
                    lost += 1;
                }
            }
            table.leave().await.expect("gone");
            (granted, lost)
        });
    }
    let ends = tables.join_all().await;
    println!("granted and lost: {ends:?}");
    assert!(ends.iter().all(|(granted, _)| *granted > 0), "{ends:?}");
    assert!(ends.iter().any(|(_, lost)| *lost > 0), "they were in each other's way: {ends:?}");
}
