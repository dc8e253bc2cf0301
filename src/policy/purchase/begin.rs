//! The moment from which on a purchase is known: it is decided, written down, and then sent. What it is decided from and
//! its record are one.

use super::refused::{impossible, key_reused, outrun, twin_in_doubt, unread, unwritten};
use super::run::{Job, Look, Told, World, anywhere, is_outrun, needs_approval, same_key, settled, want};
use super::send::{finish, send};
use crate::fault::{Fault, Reason};
use crate::ledger::{Ledger, Trouble};
use crate::purchase::{
    Admission, Event, Limits, Record, Sight, Spent, State, Want, admit, calendar, exceeded, planted, step,
};

/// Decides, writes down, and goes on to send: what the decision is made from and its record are one.
pub(super) async fn begin<W: World>(
    ledger: &Ledger,
    world: &W,
    job: &Job,
    look: Option<Look>,
) -> Result<Told, Fault> {
    let mut committed = false;
    loop {
        if !planted!(SentWithoutStore) {
            ledger.store().wake().await.map_err(|trouble| unwritten(&trouble))?;
        }
        let head = match ledger.head().await {
            Err(_) if planted!(SentWithoutStore) => {
                let next = step(&job.record, Event::Begin, world.now_ms());
                return Ok(send(ledger, world, next.map_err(|wrong| impossible(wrong.0))?.record).await);
            }
            head => head.map_err(|trouble| unwritten(&trouble))?,
        };
        let same = same_key(ledger, job).await?;
        let open = ledger.open_ones().await.map_err(|trouble| unwritten(&trouble))?;
        let mut record = match admit(&want(job), same.as_ref(), &open) {
            Admission::Begin => job.record.clone(),
            Admission::Again(record) => {
                world.is(&record.id);
                *record
            }
            Admission::Same(record) => return Ok(Told::Operation { record, replayed: true }),
            Admission::KeyReused(record) => return Err(key_reused(&record)),
            Admission::TwinInDoubt(twin) => return Err(twin_in_doubt(&twin, &job.record.caller)),
        };
        let now_ms = world.now_ms();
        if let Some(look) = &look {
            if is_outrun(ledger, &look.sight, &record.id, head.place()).await.map_err(|t| unwritten(&t))? {
                return Err(outrun());
            }
            (record.price_vnd, record.before) = (look.price_vnd, Some(look.sight.clone()));
            if let Some(price) = look.price_vnd.filter(|_| job.limits.is_any()) {
                let spent =
                    ledger.spent(&record.caller, now_ms).await.map_err(|trouble| unwritten(&trouble))?;
                if let Some(detail) = exceeded(&job.limits, spent, price).into_iter().next() {
                    return Err(Fault::new(Reason::BudgetExceeded, detail));
                }
            }
        }
        (record.day, record.month) = calendar(now_ms);
        ledger.store().writer().clone_into(&mut record.owner);
        let hold =
            look.as_ref().is_some_and(|look| needs_approval(job, look)) && record.decided_by.is_empty();
        let event = if hold { Event::Hold } else { Event::Begin };
        let next = step(&record, event, now_ms).map_err(|wrong| impossible(wrong.0))?;
        // From here on whoever waits is no longer told that nothing was sent.
        if !committed && !world.commit() {
            return Err(Fault::late(crate::contract::Effect::Spend, false));
        }
        committed = true;
        if planted!(SendBeforeWrite) {
            let ending = world.send().await;
            let _ignored = ledger.append_at(head, &next.record).await;
            return Ok(finish(ledger, world, next.record, ending).await);
        }
        match ledger.append_at(head, &next.record).await {
            Ok(()) => {}
            Err(Trouble::Taken) => continue,
            Err(_) if planted!(FailedWriteIgnored) => {}
            // Whatever was written, nothing was sent, and nothing will be.
            Err(trouble) => return Err(unwritten(&trouble)),
        }
        if hold {
            return Ok(Told::Operation { record: Box::new(next.record), replayed: false });
        }
        return Ok(send(ledger, world, next.record).await);
    }
}

/// Sends what another caller has consented to, after a look of its own: the price and the budget may have changed.
pub(super) async fn consented<W: World>(
    ledger: &Ledger,
    turn: &tokio::sync::Mutex<()>,
    world: &W,
    id: &str,
    limits: &Limits,
) -> Told {
    // As long as it is not known where it stands, somebody else's consent may have had it sent.
    let unknown = |trouble: &Trouble| Told::Refused(Box::new(unread(trouble)));
    let _here = turn.lock().await;
    // Both turns are held until it has ended.
    let _anywhere = match anywhere(ledger).await {
        Ok(turn) => turn,
        Err(trouble) => return unknown(&trouble),
    };
    let record = match ledger.by_id(id).await {
        Ok(Some(record)) if record.state() == State::AwaitingApproval => record,
        Ok(Some(record)) => return Told::Operation { record: Box::new(record), replayed: true },
        Ok(None) => return unknown(&Trouble::Failed("the record is gone".to_owned())),
        Err(trouble) => return unknown(&trouble),
    };
    match consented_now(ledger, world, &record, limits).await {
        Ok(record) => send(ledger, world, record).await,
        // Whoever had the turn when it was lost here may have had it sent, or given up.
        Err(fault) => match ledger.by_id(id).await {
            Ok(Some(record)) if record.state() != State::AwaitingApproval => {
                Told::Operation { record: Box::new(record), replayed: true }
            }
            Ok(_) => Told::Refused(Box::new(fault)),
            Err(trouble) => unknown(&trouble),
        },
    }
}

async fn consented_now<W: World>(
    ledger: &Ledger,
    world: &W,
    record: &Record,
    limits: &Limits,
) -> Result<Record, Fault> {
    let place = settled(ledger, world).await?;
    let look = world.look().await?.behind(Some(place));
    if look.price_vnd != record.price_vnd {
        let detail = "its price is not any more what was consented to; it still waits, and can be given up";
        return Err(Fault::new(Reason::PriceTooHigh, detail));
    }
    loop {
        // Also when somebody gives it up meanwhile, or another purchase was begun: then nothing is sent.
        let head = ledger.head().await.map_err(|trouble| unwritten(&trouble))?;
        let stands = ledger.by_id(&record.id).await.map_err(|trouble| unwritten(&trouble))?;
        if stands.is_none_or(|stands| stands.place != record.place) {
            return Err(unwritten(&Trouble::Taken));
        }
        if is_outrun(ledger, &look.sight, &record.id, head.place()).await.map_err(|t| unwritten(&t))? {
            return Err(outrun());
        }
        let next = allowed(ledger, world, record, &look.sight, limits).await?;
        match ledger.append_at(head, &next).await {
            Ok(()) => return Ok(next),
            Err(Trouble::Taken) => {}
            Err(trouble) => return Err(unwritten(&trouble)),
        }
    }
}

/// What it becomes when it is sent now, if neither its caller's budget nor another operation stands against it.
async fn allowed<W: World>(
    ledger: &Ledger,
    world: &W,
    record: &Record,
    sight: &Sight,
    limits: &Limits,
) -> Result<Record, Fault> {
    let mut before = Record { before: Some(sight.clone()), ..record.clone() };
    ledger.store().wake().await.map_err(|trouble| unwritten(&trouble))?;
    ledger.store().writer().clone_into(&mut before.owner);
    let open = ledger.open_ones().await.map_err(|trouble| unwritten(&trouble))?;
    let now_ms = world.now_ms();
    let spent = ledger.spent(&record.caller, now_ms).await.map_err(|trouble| unwritten(&trouble))?;
    // It is spent when it is sent, and what it holds itself is part of what is spent, if it was held today.
    (before.day, before.month) = calendar(now_ms);
    let held = |same: bool| if same { record.held_vnd } else { 0 };
    let own = Spent {
        day_vnd: spent.day_vnd.saturating_sub(held(before.day == record.day)),
        month_vnd: spent.month_vnd.saturating_sub(held(before.month == record.month)),
    };
    if let Some(detail) = exceeded(limits, own, record.held_vnd).into_iter().next() {
        return Err(Fault::new(Reason::BudgetExceeded, detail));
    }
    let want = Want { fingerprint: &record.fingerprint, identity: &record.identity, spends: true };
    let others: Vec<Record> = open.into_iter().filter(|other| other.id != record.id).collect();
    if let Admission::TwinInDoubt(twin) = admit(&want, None, &others) {
        return Err(twin_in_doubt(&twin, &record.caller));
    }
    let next = step(&before, Event::Begin, world.now_ms()).map_err(|wrong| impossible(wrong.0))?;
    Ok(next.record)
}
