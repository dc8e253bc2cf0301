//! From the first byte to the end: sent, again only if it is proven that nothing was, and written down before it is told.

use std::time::Duration;

use super::run::{Told, World};
use crate::fault::Reason;
use crate::ledger::{Ledger, Trouble};
use crate::purchase::{Effect, Ending, Event, Failure, Record, State, planted, step};

/// Attempts for a call, the first included, as long as it is proven that nothing was sent.
const ATTEMPTS: u32 = 3;
/// The wait between them.
const PAUSE: Duration = Duration::from_millis(300);
/// How often an outcome is tried to be written down where that may be possible later, and the longest wait between: a
/// database that begins anew is back by then, and what the provider has answered is worth more than any evidence.
const WRITES: u32 = 8;
const LONGEST: Duration = Duration::from_secs(5);

/// Sends what was written down, again if it is proven that nothing was sent, and tells what became of it.
pub(super) async fn send<W: World>(ledger: &Ledger, world: &W, record: Record) -> Told {
    let mut record = record;
    loop {
        let ending = world.send().await;
        let again =
            matches!(&ending, Ending::Unsent(failure) if passes(failure)) && record.attempt < ATTEMPTS;
        let told = finish(ledger, world, record, ending).await;
        let Told::Operation { record: stands, replayed: false } = &told else { return told };
        if !again || stands.state() != State::NotSent {
            return told;
        }
        world.pause(PAUSE * stands.attempt).await;
        let Ok(next) = step(stands, Event::Begin, world.now_ms()) else { return told };
        if again_now(ledger, &next.record).await.is_err() {
            return told;
        }
        record = next.record;
    }
}

/// Writes down that it is sent again, if nothing was written since it was not sent: what others have begun or set aside
/// meanwhile, after this one's turn was lost, was not asked about.
async fn again_now(ledger: &Ledger, record: &Record) -> Result<(), Trouble> {
    let head = ledger.head().await?;
    let stands = ledger.by_id(&record.id).await?;
    if stands.is_none_or(|stands| stands.place != head.place()) {
        return Err(Trouble::Taken);
    }
    ledger.append_at(head, record).await
}

/// Writes down how the exchange ended.
pub(super) async fn finish<W: World>(ledger: &Ledger, world: &W, sent: Record, ending: Ending) -> Told {
    let mut stands = sent.clone();
    let mut event = Event::Ended(ending);
    loop {
        let Ok(next) = step(&stands, event, world.now_ms()) else {
            return Told::Operation { record: Box::new(sent), replayed: false };
        };
        if planted!(TellBeforeWrite) && next.effects.first() == Some(&Effect::Tell) {
            return Told::Operation { record: Box::new(next.record), replayed: false };
        }
        if next.effects.contains(&Effect::Confirm) {
            event = Event::Moved(has_moved(world, &next.record).await);
            stands = next.record;
            continue;
        }
        let record = match write(ledger, world, &sent, &next.record).await {
            Ok(()) => next.record,
            Err(trouble) => outrun(ledger, world, &next.record, &trouble).await,
        };
        return Told::Operation { record: Box::new(record), replayed: false };
    }
}

/// Writes down what was told, and tries again where the way to the ledger may only be away for a while. If it was written
/// and nobody heard of it, the record is found to be what it should become, or what another has made of it.
async fn write<W: World>(ledger: &Ledger, world: &W, sent: &Record, ended: &Record) -> Result<(), Trouble> {
    let mut tried = 1;
    loop {
        match ledger.update(sent, ended).await {
            Err(Trouble::Failed(_)) if ledger.store().mends() && tried < WRITES => {
                world.pause(LONGEST.min(PAUSE * tried)).await;
                tried += 1;
            }
            done => return done,
        }
    }
}

/// Whether anything has moved although the provider says that it refused. What cannot be seen may have.
async fn has_moved<W: World>(world: &W, record: &Record) -> bool {
    let Ok(now) = world.see().await else { return true };
    let Some(before) = &record.before else { return true };
    let same_wallet = before.wallet_vnd.is_some() && before.wallet_vnd == now.wallet_vnd;
    let same_moves = before.moves.is_none() || before.moves == now.moves;
    let same_listing = before.listing.is_none() || before.listing == now.listing;
    !(same_wallet && same_moves && same_listing)
}

/// The end could not be written down: somebody has declared this writer dead, or the ledger is broken.
async fn outrun<W: World>(ledger: &Ledger, world: &W, ended: &Record, trouble: &Trouble) -> Record {
    if planted!(DecisionOverwritten) && *trouble == Trouble::Taken {
        let head = ledger.head().await;
        if let Ok(head) = head
            && ledger.append_at(head, ended).await.is_ok()
        {
            return ended.clone();
        }
    }
    if let (Trouble::Taken, Ok(Some(stands))) = (trouble, ledger.by_id(&ended.id).await) {
        // Whoever waited long enough for the answer knows better than the evidence.
        let found = Event::Resolved {
            by: "gizad".to_owned(),
            found: true,
            note: "the provider's answer came after the writer was taken for dead".to_owned(),
        };
        if ended.state() == State::Succeeded
            && let Ok(next) = step(&stands, found, world.now_ms())
        {
            let next = Record { result: ended.result.clone(), rule: ended.rule.clone(), ..next.record };
            if ledger.update(&stands, &next).await.is_ok() {
                return next;
            }
        }
        return stands;
    }
    // What is not on the disk is not told as if it were: after a restart this is in doubt, and without one as soon as the
    // ledger can be written to.
    world.loses(&ended.id);
    match ended.state() {
        State::NotSent | State::Refused => ended.clone(),
        _ => {
            let failure = Failure {
                reason: Reason::OutcomeUnknown.as_str().to_owned(),
                detail: "the request was sent, and its outcome could not be written down".to_owned(),
                ..Failure::default()
            };
            Record { state: State::InDoubt.into(), failure: Some(failure), ..ended.clone() }
        }
    }
}

/// Whether another attempt may find a connection.
fn passes(failure: &Failure) -> bool {
    failure.reason == Reason::UpstreamUnreachable.as_str()
}
