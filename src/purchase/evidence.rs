//! What was seen of the account before and after, and what that proves.
//!
//! A verdict takes two pieces of evidence that agree. One piece alone proves nothing: a list may lag, a balance may be
//! moved by others. What contradicts itself goes to a person.

use std::collections::HashSet;

use super::planted;
use super::record::{Listing, Marks, Record, Sight, State};

/// How a verdict is reached.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How long after the doubt began an absence can be stated, in milliseconds: longer than the provider may take to
    /// carry something out, and longer than its lists may lag.
    pub quiet_ms: i64,
    /// How many readings in a row must have found nothing then.
    pub readings: u32,
}

/// What one source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It was carried out.
    Yes,
    /// There is no sign of it.
    No,
    /// It was carried out more than once, or something else that looks the same was.
    Several,
    /// Nothing that could be used.
    Silent,
}

/// What was seen, source by source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The list of what the operation adds to or changes. None if there is no such list.
    pub listing: Option<Says>,
    /// The movements of the wallet.
    pub moves: Says,
    /// The balance.
    pub wallet: Says,
    /// The services that fit.
    pub services: Vec<String>,
    /// Whether another operation could explain the same evidence.
    pub crowded: bool,
}

/// What the evidence comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was carried out.
    Found {
        /// The services that came of it.
        services: Vec<String>,
        /// The evidence in words.
        says: Vec<String>,
    },
    /// It was not carried out.
    Absent {
        /// The evidence in words.
        says: Vec<String>,
    },
    /// A person has to decide.
    Person {
        /// The evidence in words.
        says: Vec<String>,
    },
    /// Not enough is known yet.
    Wait {
        /// Whether nothing has moved at all.
        clean: bool,
        /// The evidence in words.
        says: Vec<String>,
    },
}

/// Looks at an operation in doubt: what was seen now, beside the other operations of the account that are open or have
/// ended lately.
#[must_use]
pub fn weigh(record: &Record, now: &Sight, others: &[Record], rules: Rules) -> Verdict {
    let evidence = Evidence::of(record, now, others, rules);
    let says = evidence.in_words();
    let quiet = now.at_ms.saturating_sub(record.doubted_ms) >= rules.quiet_ms || planted!(AbsentTooEarly);
    let Evidence { listing, moves, wallet, services, crowded } = evidence;
    let money = u8::from(moves == Says::Yes) + u8::from(wallet == Says::Yes);
    let nothing = |source: Says| u8::from(source == Says::No);
    let clean = money == 0
        && !matches!(listing, Some(Says::Yes | Says::Several))
        && nothing(moves) + nothing(wallet) + listing.map_or(0, nothing) >= 2;
    let found = match listing {
        Some(Says::Yes) => money >= 1 && !crowded,
        // What cannot be looked up is known by its money alone, and only if nobody else's can be meant.
        None => money == 2 && !crowded,
        Some(Says::No | Says::Several | Says::Silent) => false,
    };
    let found = found || (planted!(OnePieceIsEnough) && (money >= 1 || listing == Some(Says::Yes)));
    if listing == Some(Says::Several) && money >= 1 {
        return Verdict::Person { says };
    }
    if found {
        return Verdict::Found { services, says };
    }
    if clean && quiet && record.clean.saturating_add(1) >= rules.readings {
        return Verdict::Absent { says };
    }
    if quiet && !clean && record.looked.saturating_add(1) >= rules.readings {
        return Verdict::Person { says };
    }
    Verdict::Wait { clean, says }
}

impl Evidence {
    /// What each source says.
    #[must_use]
    pub fn of(record: &Record, now: &Sight, others: &[Record], rules: Rules) -> Self {
        let before = record.before.clone().unwrap_or_default();
        let others: Vec<&Record> =
            others.iter().filter(|other| other.id != record.id && other.spends).collect();
        let (listing, services) = match (&before.listing, &now.listing) {
            (None, None) => (None, Vec::new()),
            (Some(before), Some(now)) => listed(before, now, &others),
            _ => (Some(Says::Silent), Vec::new()),
        };
        let base = base(&before, &others);
        let since: Vec<&&Record> = others.iter().filter(|other| has_paid_since(other, &base)).collect();
        // Of what was sent at nobody knows what time, or ended while this look was taken, the money may be on either side.
        let meanwhile = |other: &Record| now.place.is_some_and(|place| other.place > place);
        let clear = since.iter().all(|other| other.before.is_some() && !meanwhile(other));
        let moves = match (&base.moves, &now.moves) {
            (Some(base), Some(now)) if clear => moved(record.price_vnd, base, now, &since),
            _ => Says::Silent,
        };
        let wallet = match (base.wallet_vnd, now.wallet_vnd) {
            (Some(base), Some(now)) if clear => {
                let others: i64 = since.iter().map(|other| other.posted_vnd).sum();
                let gone = base.saturating_sub(now).saturating_sub(others);
                match record.price_vnd {
                    Some(0) => Says::Silent,
                    Some(price) if gone == price => Says::Yes,
                    None if gone > 0 => Says::Yes,
                    _ if gone == 0 => Says::No,
                    _ => Says::Silent,
                }
            }
            _ => Says::Silent,
        };
        let crowded = is_crowded(record, &before, &base, &others, rules);
        Self { listing, moves, wallet, services, crowded }
    }

    fn in_words(&self) -> Vec<String> {
        let word = |says: Says| match says {
            Says::Yes => "carried out",
            Says::No => "no sign of it",
            Says::Several => "more than one fits",
            Says::Silent => "not readable, or moved by something else",
        };
        let mut says = vec![
            format!("list: {}", self.listing.map_or("there is none for this", word)),
            format!("transactions: {}", word(self.moves)),
            format!("wallet: {}", word(self.wallet)),
        ];
        if self.crowded {
            says.push("another operation of the account could explain the same".to_owned());
        }
        says
    }
}

/// The look from which on the money is counted: the one before the operation, or an earlier one, so that whatever has cost
/// something since was sent after it, and no money of others is on the wrong side of it.
fn base(before: &Sight, others: &[&Record]) -> Sight {
    let mut base = before.clone();
    let sent_earlier = |other: &Record, base: &Sight| {
        let earlier = other.before.as_ref().filter(|look| is_earlier(look, base));
        earlier.filter(|_| has_paid_since(other, base)).cloned()
    };
    // Each look is earlier than the one before it, unless clocks contradict places: then this ends all the same.
    for _ in others {
        let Some(earlier) = others.iter().find_map(|other| sent_earlier(other, &base)) else { break };
        base = earlier;
    }
    base
}

/// Whether an operation has cost something and was written to have since a look.
fn has_paid_since(other: &Record, look: &Sight) -> bool {
    other.posted_vnd > 0 && is_written_since(other, look)
}

/// Whether the latest entry of an operation was written after a look was begun. The ledger's own order says so, because the
/// clocks of two replicas differ by more than what lies between two purchases; a clock only says it of what an earlier
/// version wrote.
fn is_written_since(other: &Record, look: &Sight) -> bool {
    match look.place.filter(|_| other.place > 0 && !planted!(ClocksCompared)) {
        Some(place) => other.place > place,
        None => other.changed_ms >= look.at_ms,
    }
}

/// Whether a look was taken before another.
fn is_earlier(look: &Sight, other: &Sight) -> bool {
    match look.place.zip(other.place).filter(|_| !planted!(ClocksCompared)) {
        Some((look, other)) => look < other,
        None => look.at_ms < other.at_ms,
    }
}

/// Whether another operation could explain what was seen: one that is in doubt itself, or one that ended so shortly
/// before that its traces may only show now.
fn is_crowded(record: &Record, before: &Sight, base: &Sight, others: &[&Record], rules: Rules) -> bool {
    if planted!(NobodyElse) {
        return false;
    }
    let items = before.listing.iter().flat_map(|listing| &listing.items);
    let grows = items.into_iter().any(|item| item.fits && item.worth.is_some());
    others.iter().any(|other| {
        let alike = other.identity == record.identity;
        let doubtful = other.state().is_doubtful();
        let carried_out = matches!(other.state(), State::Succeeded | State::Found);
        let lately = carried_out && other.changed_ms.saturating_add(rules.quiet_ms) >= before.at_ms;
        // What was sent later is counted, and so explains itself.
        let uncounted = carried_out
            && !is_written_since(other, base)
            && other.changed_ms.saturating_add(rules.quiet_ms) >= base.at_ms;
        // With a list, only what would look the same in it counts; and a new service that is another's by name is no
        // riddle. What grows, though, grows for everyone.
        let in_list = alike && (doubtful || (lately && (grows || other.services.is_empty())));
        let in_wallet = before.listing.is_none() && (doubtful || uncounted);
        in_list || in_wallet
    })
}

fn listed(before: &Listing, now: &Listing, others: &[&Record]) -> (Option<Says>, Vec<String>) {
    let ids = |listing: &Listing| listing.items.iter().map(|item| item.id.clone()).collect::<HashSet<_>>();
    let known = ids(before);
    // A list that has lost something is not the whole list.
    if !known.is_subset(&ids(now)) {
        return (Some(Says::Silent), Vec::new());
    }
    let grown = |item: &super::record::Item| {
        let was = before.items.iter().find(|was| was.id == item.id);
        item.fits && was.is_some_and(|was| matches!((was.worth, item.worth), (Some(a), Some(b)) if b > a))
    };
    let claimed = |id: &String| others.iter().any(|other| other.services.contains(id));
    let new = |item: &super::record::Item| item.fits && !known.contains(&item.id) && !claimed(&item.id);
    let fits: Vec<String> =
        now.items.iter().filter(|item| new(item) || grown(item)).map(|item| item.id.clone()).collect();
    // What is to grow must be there, with something to measure it by.
    let measured = |item: &&super::record::Item| item.fits && known.contains(&item.id);
    let immeasurable = now.items.iter().filter(measured).any(|item| item.worth.is_none());
    let says = match fits.len() {
        0 if immeasurable => Says::Silent,
        0 => Says::No,
        1 => Says::Yes,
        _ => Says::Several,
    };
    (Some(says), fits)
}

/// Debits of the price that were not there before and that nobody else has made.
fn moved(price: Option<i64>, before: &Marks, now: &Marks, others: &[&&Record]) -> Says {
    let known: HashSet<u64> = before.marks.iter().copied().collect();
    if !known.iter().all(|mark| now.marks.contains(mark)) {
        return Says::Silent;
    }
    let new = now.marks.iter().zip(&now.amounts).filter(|(mark, _)| !known.contains(*mark));
    let fits = |amount: i64| price.is_none_or(|price| price == amount);
    let debits = new.filter(|(_, amount)| fits(**amount)).count();
    let explained = others.iter().filter(|other| fits(other.posted_vnd)).count();
    match debits.saturating_sub(explained) {
        0 => Says::No,
        1 => Says::Yes,
        _ => Says::Several,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purchase::Item;

    const RULES: Rules = Rules { quiet_ms: 1000, readings: 3 };

    fn sight(at_ms: i64, wallet: i64, marks: &[u64], items: &[&str]) -> Sight {
        let item = |id: &&str| Item { id: (*id).into(), fits: id.starts_with('w'), worth: None };
        Sight {
            place: None,
            at_ms,
            wallet_vnd: Some(wallet),
            moves: Some(Marks { marks: marks.to_vec(), amounts: vec![100; marks.len()] }),
            listing: Some(Listing { items: items.iter().map(item).collect() }),
        }
    }

    fn record() -> Record {
        Record {
            id: "op".into(),
            spends: true,
            state: State::InDoubt.into(),
            price_vnd: Some(100),
            held_vnd: 100,
            before: Some(sight(0, 1000, &[1], &["a"])),
            doubted_ms: 10,
            ..Record::default()
        }
    }

    fn verdict(record: &Record, now: &Sight) -> Verdict {
        weigh(record, now, &[], RULES)
    }

    #[test]
    fn two_pieces_that_agree_are_a_proof_and_one_is_none() {
        let found = |now: &Sight| matches!(verdict(&record(), now), Verdict::Found { .. });
        assert!(found(&sight(20, 900, &[1, 2], &["a", "w"])));
        assert!(found(&sight(20, 900, &[1], &["a", "w"])), "the movements lag");
        assert!(found(&sight(20, 1000, &[1, 2], &["a", "w"])), "the balance lags");
        assert!(!found(&sight(20, 1000, &[1], &["a", "w"])), "the list alone");
        assert!(!found(&sight(20, 900, &[1, 2], &["a"])), "money alone, where there is a list");
        assert!(!found(&sight(20, 900, &[1, 2], &["a", "b"])), "another service");
        assert!(!found(&sight(20, 800, &[1], &["a", "w"])), "another amount");
    }

    #[test]
    fn absence_takes_several_readings_and_a_quiet_time() {
        let now = |at_ms| sight(at_ms, 1000, &[1], &["a"]);
        let clean = |clean| Record { clean, ..record() };
        assert!(matches!(verdict(&clean(9), &now(500)), Verdict::Wait { clean: true, .. }), "too early");
        assert!(matches!(verdict(&clean(1), &now(2000)), Verdict::Wait { clean: true, .. }), "too few");
        assert!(matches!(verdict(&clean(2), &now(2000)), Verdict::Absent { .. }));
        let empty = Sight { listing: Some(Listing::default()), ..now(2000) };
        let half = Sight { wallet_vnd: None, ..empty };
        assert!(!matches!(verdict(&clean(9), &half), Verdict::Absent { .. }), "a list that lost what it had");
    }

    #[test]
    fn what_contradicts_itself_goes_to_a_person() {
        let looked = Record { looked: 5, ..record() };
        let person = |now: &Sight| matches!(verdict(&looked, now), Verdict::Person { .. });
        assert!(person(&sight(2000, 900, &[1, 2], &["a"])), "money went and nothing came");
        assert!(person(&sight(2000, 1000, &[1], &["a", "w"])), "something came and no money went");
        assert!(person(&sight(20, 900, &[1, 2], &["a", "w", "w2"])), "two fit");
        assert!(!person(&sight(20, 900, &[1, 2], &["a"])), "but not before it had time to show");
    }

    #[test]
    fn what_another_could_explain_is_not_claimed() {
        let now = sight(20, 900, &[1, 2], &["a", "w"]);
        let rival = |state: State| Record { id: "other".into(), state: state.into(), ..record() };
        let found =
            |others: &[Record]| matches!(weigh(&record(), &now, others, RULES), Verdict::Found { .. });
        assert!(found(&[rival(State::Absent)]));
        assert!(!found(&[rival(State::InDoubt)]), "another of the same kind in doubt");
        assert!(found(&[Record { identity: vec![1], ..rival(State::InDoubt) }]), "one that looks different");
        let claims = Record { services: vec!["w".into()], ..rival(State::Succeeded) };
        assert!(!found(&[claims]), "the service is another's");
        let sent_at = |at_ms| Some(Sight { at_ms, ..Sight::default() });
        let posted = |state, at_ms| Record {
            posted_vnd: 100,
            changed_ms: 5,
            identity: vec![1],
            before: sent_at(at_ms),
            ..rival(state)
        };
        assert!(!found(&[posted(State::Succeeded, 1)]), "the money is another's");
        assert!(
            !found(&[posted(State::Found, -1)]),
            "or may be another's, from a look of which nothing is known"
        );
        let nothing = sight(2000, 1000, &[1], &["a"]);
        let clean = Record { clean: 9, ..record() };
        let absent =
            |others: &[Record]| matches!(weigh(&clean, &nothing, others, RULES), Verdict::Absent { .. });
        assert!(absent(&[]) && !absent(&[posted(State::Found, -1)]), "one may hide the other");
    }

    /// The clock of whoever bought before was ten seconds ahead: what it says came later, the ledger knows to have come earlier.
    #[test]
    fn what_came_first_is_told_by_the_ledger_and_not_by_clocks() {
        let placed = |place, sight: Sight| Sight { place: Some(place), listing: None, ..sight };
        let before = placed(5, sight(0, 1000, &[1], &[]));
        let record = Record { before: Some(before), place: 7, ..record() };
        let other = |looked, place| Record {
            id: "other".into(),
            identity: vec![1],
            state: State::Succeeded.into(),
            posted_vnd: 100,
            changed_ms: 10_000,
            place,
            before: Some(placed(looked, sight(9_000, 1000, &[1], &[]))),
            ..record.clone()
        };
        let now = placed(9, sight(20_000, 900, &[1, 2], &[]));
        let wallet = |other: Record| Evidence::of(&record, &now, &[other], RULES).wallet;
        assert_eq!(wallet(other(2, 4)), Says::Yes, "the other was there already");
        assert_eq!(wallet(other(6, 8)), Says::No, "the other came later, and its money is all there is");
        assert_eq!(wallet(other(6, 10)), Says::Silent, "the other ended while it was looked at");
    }

    #[test]
    fn what_is_in_no_list_needs_all_the_money_and_nobody_else() {
        let unlisted = |sight: Sight| Sight { listing: None, ..sight };
        let record = Record { before: record().before.map(unlisted), ..record() };
        let now = unlisted(sight(20, 900, &[1, 2], &[]));
        assert!(matches!(weigh(&record, &now, &[], RULES), Verdict::Found { .. }));
        let half = unlisted(sight(20, 900, &[1], &[]));
        assert!(matches!(weigh(&record, &half, &[], RULES), Verdict::Wait { clean: false, .. }));
        let other = Record { id: "other".into(), identity: vec![1], ..record.clone() };
        assert!(matches!(weigh(&record, &now, &[other], RULES), Verdict::Wait { clean: false, .. }));
    }

    #[test]
    fn a_renewal_is_known_by_what_has_grown() {
        let with = |at_ms, wallet, worth| Sight {
            listing: Some(Listing { items: vec![Item { id: "7".into(), fits: true, worth: Some(worth) }] }),
            ..sight(at_ms, wallet, &[1], &[])
        };
        let record = Record { before: Some(with(0, 1000, 5)), ..record() };
        assert!(matches!(verdict(&record, &with(20, 900, 6)), Verdict::Found { .. }));
        assert!(matches!(verdict(&record, &with(20, 1000, 5)), Verdict::Wait { clean: true, .. }));
        let lately = Record {
            id: "other".into(),
            state: State::Found.into(),
            services: vec!["7".into()],
            before: Some(with(-9, 1000, 5)),
            changed_ms: -1,
            posted_vnd: 100,
            ..record.clone()
        };
        let found = matches!(weigh(&record, &with(20, 900, 6), &[lately], RULES), Verdict::Found { .. });
        assert!(!found, "it may be the renewal before that only shows now");
    }
}
