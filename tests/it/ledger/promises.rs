//! What both stores promise.

use std::collections::HashSet;
use std::sync::Arc;

use gizad::ledger::{Filter, Kept, Period, Store, Trouble};

use super::{postgres, sqlite, step, step_with};

/// Plays the same against both.
macro_rules! both {
    ($($play:ident)*) => {$(
        mod $play {
            #[tokio::test]
            async fn sqlite() {
                let (store, _folder) = super::sqlite().await;
                super::plays::$play(store).await;
            }

            #[tokio::test]
            async fn postgres() {
                let (store, _folder) = super::postgres().await;
                super::plays::$play(store).await;
            }
        }
    )*};
}

both! {
    what_is_appended_can_be_read_in_every_way
    whoever_comes_second_is_told
    of_many_that_want_one_place_one_gets_it
    lists_are_filtered_and_paged_newest_first
    money_is_summed_by_day_and_by_month
    notes_change_only_from_what_they_were
    a_writer_has_a_name_and_a_turn
    what_is_odd_is_kept_as_it_is
}

mod plays {
    use super::*;

    pub async fn what_is_appended_can_be_read_in_every_way(store: Arc<dyn Store>) {
        assert_eq!(store.head().await, Ok(None));
        assert_eq!(store.by_id("one").await, Ok(None));
        assert_eq!(store.entries(0, 10).await, Ok(vec![]));
        assert_eq!(store.history("one").await, Ok(vec![]));

        let (first, begun) = step_with(1, "one", |row| row.key = Some("key".into()));
        let (second, other) = step(2, "two");
        let (third, ended) = step_with(3, "one", |row| {
            row.key = Some("key".into());
            row.open = false;
            row.state = "SUCCEEDED".into();
            row.posted_vnd = 70_000;
        });
        store.append(&first, &begun).await.expect("appended");
        assert_eq!(
            store.by_id("one").await,
            Ok(Some(Kept { row: begun.clone(), seq: 1, body: first.body.clone() }))
        );
        store.append(&second, &other).await.expect("appended");
        store.append(&third, &ended).await.expect("appended");

        let kept = Kept { row: ended, seq: 3, body: third.body.clone() };
        assert_eq!(store.head().await, Ok(Some((3, third.mac))));
        assert_eq!(store.by_id("one").await, Ok(Some(kept.clone())));
        assert_eq!(store.by_key("caller", "key").await, Ok(Some(kept)));
        assert_eq!(store.by_key("another", "key").await, Ok(None));
        assert_eq!(store.by_key("caller", "another").await, Ok(None));
        assert_eq!(store.entries(0, 10).await, Ok(vec![first.clone(), second.clone(), third.clone()]));
        assert_eq!(store.entries(1, 1).await, Ok(vec![second]));
        assert_eq!(store.entries(3, 10).await, Ok(vec![]));
        assert_eq!(store.history("one").await, Ok(vec![first, third]));
    }

    pub async fn whoever_comes_second_is_told(store: Arc<dyn Store>) {
        let begin = |seq: i64, id: &str, key: Option<&str>, sending: bool| {
            step_with(seq, id, |row| {
                row.key = key.map(str::to_owned);
                row.sending = sending;
            })
        };
        let (entry, row) = begin(1, "one", Some("key"), true);
        store.append(&entry, &row).await.expect("appended");
        for (entry, row) in [
            begin(1, "two", None, false),        // the place
            begin(3, "two", None, false),        // a place that is not the next
            begin(2, "two", Some("key"), false), // the key
            begin(2, "two", None, true),         // the one place for sending
        ] {
            assert_eq!(store.append(&entry, &row).await, Err(Trouble::Taken), "{entry:?} {row:?}");
        }
        assert_eq!(store.head().await, Ok(Some((1, [1; 32]))), "nothing was written");
        assert_eq!(store.by_id("two").await, Ok(None), "nothing was written");
        assert_eq!(store.history("two").await, Ok(vec![]), "nothing was written");

        // A key is its caller's, and having none is no key.
        let (entry, row) = step_with(2, "two", |row| {
            row.caller = "another".into();
            row.key = Some("key".into());
        });
        store.append(&entry, &row).await.expect("another caller's key");
        for seq in 3..5 {
            let (entry, row) = begin(seq, &format!("keyless-{seq}"), None, false);
            store.append(&entry, &row).await.expect("no key");
        }
        // Whoever has sent makes room, and the same operation does not stand in its own way.
        let (entry, row) = begin(5, "one", Some("key"), true);
        store.append(&entry, &row).await.expect("still sending");
        let (entry, row) = begin(6, "one", Some("key"), false);
        store.append(&entry, &row).await.expect("sent");
        let (entry, row) = begin(7, "two-again", None, true);
        store.append(&entry, &row).await.expect("the place is free");
    }

    pub async fn of_many_that_want_one_place_one_gets_it(store: Arc<dyn Store>) {
        for seq in 1..=5 {
            let tries: Vec<_> = (0..8)
                .map(|at| {
                    let store = Arc::clone(&store);
                    tokio::spawn(async move {
                        let (entry, row) = step(seq, &format!("{seq}-{at}"));
                        store.append(&entry, &row).await
                    })
                })
                .collect();
            let mut won = 0;
            for attempt in tries {
                match attempt.await.expect("not panicked") {
                    Ok(()) => won += 1,
                    Err(trouble) => assert_eq!(trouble, Trouble::Taken),
                }
            }
            assert_eq!(won, 1);
        }
        assert_eq!(store.entries(0, 100).await.expect("read").len(), 5);
        assert_eq!(store.list(&Filter::default()).await.expect("read").len(), 5);
    }

    pub async fn lists_are_filtered_and_paged_newest_first(store: Arc<dyn Store>) {
        // Two come in at each moment; the identifiers sort byte by byte, large letters first.
        let ids = ["a", "B", "c", "D", "e", "F"];
        for (at, id) in ids.iter().enumerate() {
            let at = i64::try_from(at).unwrap();
            let (entry, row) = step_with(at + 1, id, |row| {
                row.created_ms = 100 + at / 2;
                row.changed_ms = 200 + at;
                row.caller = if at < 4 { "many" } else { "few" }.into();
                row.key = Some(format!("key-{at}"));
                row.state = ["RESERVED", "SUCCEEDED", "IN_DOUBT"][usize::try_from(at % 3).unwrap()].into();
                row.open = at % 3 != 1;
            });
            store.append(&entry, &row).await.expect("appended");
        }
        let listed = async |filter: Filter| -> Vec<String> {
            store.list(&filter).await.expect("listed").into_iter().map(|kept| kept.row.id).collect()
        };
        let all = Filter::default();
        assert_eq!(listed(all.clone()).await, ["e", "F", "c", "D", "a", "B"]);
        assert_eq!(listed(Filter { caller: Some("many".into()), ..all.clone() }).await, ["c", "D", "a", "B"]);
        assert_eq!(listed(Filter { key: Some("key-2".into()), ..all.clone() }).await, ["c"]);
        let states = vec!["RESERVED".to_owned(), "IN_DOUBT".to_owned()];
        assert_eq!(
            listed(Filter { states, caller: Some("many".into()), ..all.clone() }).await,
            ["c", "D", "a"]
        );
        assert_eq!(listed(Filter { states: vec!["NONE".into()], ..all.clone() }).await, [""; 0]);
        assert_eq!(listed(Filter { open: Some(true), ..all.clone() }).await, ["F", "c", "D", "a"]);
        assert_eq!(listed(Filter { open: Some(false), ..all.clone() }).await, ["e", "B"]);
        assert_eq!(
            listed(Filter { from_ms: Some(101), until_ms: Some(102), ..all.clone() }).await,
            ["c", "D"]
        );
        assert_eq!(listed(Filter { changed_from_ms: Some(204), ..all.clone() }).await, ["e", "F"]);

        let mut seen = Vec::new();
        let mut page = Filter { most: 4, ..all.clone() };
        loop {
            let found = store.list(&page).await.expect("listed");
            assert!(found.len() <= 4);
            let Some(last) = found.last() else { break };
            page.after = Some((last.row.created_ms, last.row.id.clone()));
            seen.extend(found.into_iter().map(|kept| kept.row.id));
        }
        assert_eq!(seen, ["e", "F", "c", "D", "a", "B"]);
        let rest =
            Filter { after: Some((101, "c".into())), open: Some(true), caller: Some("many".into()), ..all };
        assert_eq!(listed(Filter { most: 1, ..rest }).await, ["D"]);
    }

    pub async fn money_is_summed_by_day_and_by_month(store: Arc<dyn Store>) {
        let spends = [
            ("a", "x", 1, 10, 100, 0),
            ("b", "x", 2, 10, 0, 20),
            ("c", "x", 3, 11, 5, 5),
            ("d", "y", 1, 10, 7, 0),
        ];
        for (seq, (id, caller, day, month, held, posted)) in (1..).zip(spends) {
            let (entry, row) = step_with(seq, id, |row| {
                row.caller = caller.into();
                (row.day, row.month) = (day, month);
                (row.held_vnd, row.posted_vnd) = (held, posted);
            });
            store.append(&entry, &row).await.expect("appended");
        }
        assert_eq!(store.spent("x", Period::Day(1)).await, Ok(100));
        assert_eq!(store.spent("x", Period::Day(2)).await, Ok(20));
        assert_eq!(store.spent("x", Period::Month(10)).await, Ok(120));
        assert_eq!(store.spent("x", Period::Month(11)).await, Ok(10));
        assert_eq!(store.spent("y", Period::Month(10)).await, Ok(7));
        assert_eq!(store.spent("x", Period::Month(12)).await, Ok(0));
        assert_eq!(store.spent("nobody", Period::Day(1)).await, Ok(0));

        // Only how an operation stands counts, not how it stood.
        let (entry, row) = step_with(5, "a", |row| {
            row.caller = "x".into();
            (row.day, row.month) = (1, 10);
            row.posted_vnd = 90;
        });
        store.append(&entry, &row).await.expect("appended");
        assert_eq!(store.spent("x", Period::Day(1)).await, Ok(90));

        // A sum that cannot be told is not told wrongly.
        for (seq, id) in [(6, "huge-1"), (7, "huge-2")] {
            let (entry, row) = step_with(seq, id, |row| {
                row.caller = "z".into();
                row.held_vnd = i64::MAX;
            });
            store.append(&entry, &row).await.expect("appended");
        }
        assert!(matches!(store.spent("z", Period::Day(20_000)).await, Err(Trouble::Failed(_))));
        assert_eq!(store.spent("x", Period::Day(1)).await, Ok(90), "and the next is");
    }

    pub async fn notes_change_only_from_what_they_were(store: Arc<dyn Store>) {
        assert_eq!(store.note("name").await, Ok(None));
        assert_eq!(store.set_note("name", b"one", Some(b"zero")).await, Err(Trouble::Taken));
        assert_eq!(store.set_note("name", b"one", None).await, Ok(()));
        assert_eq!(store.set_note("name", b"two", None).await, Err(Trouble::Taken));
        assert_eq!(store.set_note("name", b"two", Some(b"zero")).await, Err(Trouble::Taken));
        assert_eq!(store.note("name").await, Ok(Some(b"one".to_vec())));
        assert_eq!(store.set_note("name", b"", Some(b"one")).await, Ok(()));
        assert_eq!(store.note("name").await, Ok(Some(vec![])));
        assert_eq!(store.note("another").await, Ok(None));
        assert!(matches!(store.set_note("head", b"", None).await, Err(Trouble::Unfit(_))));
        let (entry, row) = step(1, "one");
        store.append(&entry, &row).await.expect("a refused note poisons nothing");
    }

    pub async fn a_writer_has_a_name_and_a_turn(store: Arc<dyn Store>) {
        let name = store.writer().to_owned();
        assert!(name.len() >= 32, "{name}");
        assert_eq!(store.is_alive(&name).await, Ok(true));
        assert_eq!(store.is_alive("one that never was").await, Ok(false));
        drop(store.turn().await.expect("a turn"));
        drop(store.turn().await.expect("and another"));
        assert_eq!(store.writer(), name);
    }

    pub async fn what_is_odd_is_kept_as_it_is(store: Arc<dyn Store>) {
        let id = "đồng '; -- \" $1 ?1 \u{1f4b8}";
        let (mut entry, row) = step_with(1, id, |row| {
            row.key = Some(String::new());
            row.caller = String::new();
            row.held_vnd = -5;
            row.created_ms = i64::MIN;
        });
        entry.body = (0..=255).collect::<Vec<u8>>().repeat(4096);
        store.append(&entry, &row).await.expect("appended");
        let kept = store.by_key("", "").await.expect("read").expect("there");
        assert_eq!(kept, Kept { row, seq: 1, body: entry.body.clone() });
        assert_eq!(store.history(id).await, Ok(vec![entry]));
    }
}

#[tokio::test]
async fn names_never_come_again() {
    let mut names = HashSet::new();
    for _ in 0..3 {
        for (store, _folder) in [sqlite().await, postgres().await] {
            assert!(names.insert(store.writer().to_owned()));
        }
    }
}
