//! One purchase from its call to its end: what is looked at, decided, written down, sent and told, in that order.
//!
//! The machine says what is to be done, the ledger who was first; this does it, one step after the other. Absent here: a
//! provider and a clock, which come as a [`World`], so that a simulation can stand in for both.

use std::future::pending;
use std::time::Duration;

use super::begin::begin;
use super::refused::{key_reused, twin_in_doubt, unread, unwritten};
use crate::call::{Caller, Key};
use crate::fault::{Fault, Reason, Sent};
use crate::ledger::{Ledger, Trouble};
use crate::purchase::{
    Admission, Ending, Event, Limits, Record, Sight, State, Want, admit, exceeded, planted, step,
};

/// How often it is looked again what another writer is at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What lies outside: the provider, and the time.
pub(super) trait World: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
    /// Lets time pass.
    fn pause(&self, time: Duration) -> impl Future<Output = ()> + Send;
    /// Looks at the account, and at the price.
    fn look(&self) -> impl Future<Output = Result<Look, Fault>> + Send;
    /// Looks at the account alone.
    fn see(&self) -> impl Future<Output = Result<Sight, Fault>> + Send;
    /// Sends the request, once.
    fn send(&self) -> impl Future<Output = Ending> + Send;
    /// The moment from which on it may be sent. False if nobody waits for it any more, and then it never is.
    fn commit(&self) -> bool;
    /// Whether anybody still waits for it.
    fn is_awaited(&self) -> bool {
        true
    }
    /// Until nobody waits for it any more.
    fn abandoned(&self) -> impl Future<Output = ()> + Send {
        pending()
    }
    /// It is an operation that was known before: what comes of it belongs to that.
    fn is(&self, _operation: &str) {}
    /// What became of an operation cannot be written down: its writer lives, and nobody is at it any more.
    fn loses(&self, _operation: &str) {}
    /// It is an operation that somebody else is sending.
    fn is_sent_elsewhere(&self, _operation: &str) {}
}

/// What was seen before anything is sent.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) sight: Sight,
    /// What it costs, if that can be known.
    pub(super) price_vnd: Option<i64>,
    /// Where that stands, or why it cannot be known.
    pub(super) source: String,
}

impl Look {
    /// Taken when this was the end of the ledger.
    pub(super) fn behind(self, place: Option<i64>) -> Self {
        Self { sight: Sight { place, ..self.sight }, ..self }
    }
}

/// What is to be bought, and on what terms.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// What the record begins with: who, what, under which key. The identifier is taken if the record is new.
    pub(super) record: Record,
    /// The most it may cost.
    pub(super) most_vnd: Option<i64>,
    /// Whether it is only to be checked.
    pub(super) validate_only: bool,
    /// What the caller may spend.
    pub(super) limits: Limits,
    /// From which price on another caller has to consent.
    pub(super) approval_from_vnd: Option<i64>,
}

/// What becomes of it.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// It stands there. `replayed` if it was known before.
    Operation { record: Box<Record>, replayed: bool },
    /// It was only checked.
    Preview(Box<Preview>),
    /// It was not begun.
    Refused(Box<Fault>),
}

/// What it would come to.
#[derive(Clone, Debug)]
pub(super) struct Preview {
    pub(super) look: Look,
    pub(super) needs_approval: bool,
    pub(super) objections: Vec<(Reason, String)>,
}

/// Runs a job to its end.
pub(super) async fn run<W: World>(
    ledger: &Ledger,
    turn: &tokio::sync::Mutex<()>,
    world: &W,
    job: &Job,
) -> Told {
    match attempt(ledger, turn, world, job).await {
        Ok(told) => told,
        Err(fault) => Told::Refused(Box::new(fault)),
    }
}

async fn attempt<W: World>(
    ledger: &Ledger,
    turn: &tokio::sync::Mutex<()>,
    world: &W,
    job: &Job,
) -> Result<Told, Fault> {
    // A key that is known needs no look at the account.
    if !job.validate_only
        && let Some(told) = known(ledger, world, job).await?
    {
        return Ok(told);
    }
    if !job.record.spends {
        return begin(ledger, world, job, None).await;
    }
    // One purchase at a time, so that what moves meanwhile has one explanation.
    let alone = !planted!(NoTurn) && !job.validate_only;
    let _here = if alone { Some(within(world, turn.lock()).await?) } else { None };
    awaited(world)?;
    let _anywhere =
        if alone { within(world, anywhere(ledger)).await?.map_err(|t| unwritten(&t))? } else { None };
    awaited(world)?;
    let place = if alone { Some(within(world, settled(ledger, world)).await??) } else { None };
    // Whoever had the turn before may have bought under the same key: then its answer counts, and not what speaks against
    // buying it once more.
    if alone && let Some(told) = known(ledger, world, job).await? {
        return Ok(told);
    }
    let look = world.look().await?.behind(place);
    let objections = objections(ledger, world, job, &look).await?;
    let needs_approval = needs_approval(job, &look);
    if job.validate_only {
        return Ok(Told::Preview(Box::new(Preview { look, needs_approval, objections })));
    }
    if let Some((reason, _)) = objections.first() {
        let all: Vec<&str> = objections.iter().map(|(_, detail)| detail.as_str()).collect();
        return Err(Fault::new(*reason, all.join("; ")));
    }
    begin(ledger, world, job, Some(look)).await
}

/// Waits for something as long as somebody waits for what comes of it: nothing was sent yet.
async fn within<W: World, T>(world: &W, what: impl Future<Output = T>) -> Result<T, Fault> {
    tokio::select! {
        biased;
        done = what => Ok(done),
        () = world.abandoned() => Err(Fault::late(crate::contract::Effect::Spend, false)),
    }
}

/// What nobody waits for any more takes no turn, and no look, from what somebody waits for.
fn awaited<W: World>(world: &W) -> Result<(), Fault> {
    if world.is_awaited() { Ok(()) } else { Err(Fault::late(crate::contract::Effect::Spend, false)) }
}

/// The record of a caller's key for the same request, if it has ended.
pub(super) async fn ended(
    ledger: &Ledger,
    caller: &Caller,
    key: Option<&Key>,
    fingerprint: &[u8],
) -> Option<Record> {
    let record = ledger.by_key(caller.as_str(), key?.as_str()).await.ok()??;
    (record.state().is_last() && record.fingerprint == fingerprint).then_some(record)
}

/// The turn over all replicas.
pub(super) async fn anywhere(ledger: &Ledger) -> Result<Option<Box<dyn Send>>, Trouble> {
    if planted!(TurnOnlyLocal) {
        return Ok(None);
    }
    ledger.store().turn().await.map(Some)
}

/// Waits until nothing is being sent for the account, also by a writer whose turn was lost: what is looked at while
/// something is under way explains nothing afterwards. Says up to which place of the ledger that is so.
pub(super) async fn settled<W: World>(ledger: &Ledger, world: &W) -> Result<i64, Fault> {
    loop {
        let place = ledger.head().await.map_err(|trouble| unwritten(&trouble))?.place();
        let open = ledger.open_ones().await.map_err(|trouble| unwritten(&trouble))?;
        let sending = |record: &&Record| record.spends && record.state() == State::Sending;
        let Some(record) = open.iter().find(sending) else { return Ok(place) };
        wait_for(ledger, world, record).await?;
    }
}

/// Whether another purchase was begun since a look. It cannot have been as long as the turn was held; but a session that
/// holds it may be lost without anybody here having noticed.
pub(super) async fn is_outrun(ledger: &Ledger, look: &Sight, own: &str, head: i64) -> Result<bool, Trouble> {
    let Some(place) = look.place.filter(|place| *place != head) else { return Ok(false) };
    if planted!(TurnOnlyLocal) || planted!(LostTurnUnnoticed) {
        return Ok(false);
    }
    // Of what an earlier version sent it is not known where that began.
    let begun = |other: &Record| other.begun > place || (other.begun == 0 && other.attempt > 0);
    let since = ledger.behind(place).await?;
    Ok(since.iter().any(|other| other.id != own && other.spends && begun(other)))
}

/// Waits a little for a writer that is sending; one that is gone leaves a doubt.
async fn wait_for<W: World>(ledger: &Ledger, world: &W, record: &Record) -> Result<(), Fault> {
    if ledger.store().is_alive(&record.owner).await.map_err(|trouble| unwritten(&trouble))? {
        world.pause(LOOK_AGAIN).await;
        return Ok(());
    }
    crashed(ledger, record, world.now_ms()).await.map_err(|trouble| unwritten(&trouble))
}

/// What is known of the key, waiting for whoever is at it.
async fn known<W: World>(ledger: &Ledger, world: &W, job: &Job) -> Result<Option<Told>, Fault> {
    loop {
        let Some(record) = same_key(ledger, job).await? else { return Ok(None) };
        match admit(&want(job), Some(&record), &[]) {
            Admission::Same(record) if record.state() == State::Sending => {
                world.is_sent_elsewhere(&record.id);
                // Whatever fails now, something was sent under this key.
                wait_for(ledger, world, &record).await.map_err(|fault| fault.sent(Sent::Maybe))?;
            }
            Admission::Same(record) => return Ok(Some(Told::Operation { record, replayed: true })),
            Admission::KeyReused(record) => return Err(key_reused(&record)),
            Admission::Begin | Admission::Again(_) | Admission::TwinInDoubt(_) => return Ok(None),
        }
    }
}

pub(super) async fn same_key(ledger: &Ledger, job: &Job) -> Result<Option<Record>, Fault> {
    let Some(key) = &job.record.key else { return Ok(None) };
    if planted!(KeyWithoutCaller) {
        let any = crate::ledger::Filter { key: Some(key.clone()), ..crate::ledger::Filter::default() };
        return Ok(ledger.list(&any).await.map_err(|trouble| unwritten(&trouble))?.into_iter().next());
    }
    // Whether anything was sent under this key before, nobody can say then.
    ledger.by_key(&job.record.caller, key).await.map_err(|trouble| unread(&trouble))
}

pub(super) fn want(job: &Job) -> Want<'_> {
    let Record { fingerprint, identity, spends, .. } = &job.record;
    Want { fingerprint, identity, spends: *spends }
}

/// Everything that stands against it.
async fn objections<W: World>(
    ledger: &Ledger,
    world: &W,
    job: &Job,
    look: &Look,
) -> Result<Vec<(Reason, String)>, Fault> {
    let mut found = Vec::new();
    match (look.price_vnd, job.most_vnd) {
        (Some(price), Some(most)) if price > most => {
            found.push((
                Reason::PriceTooHigh,
                format!("it costs {price} VND, and no more than {most} was allowed"),
            ));
        }
        (None, Some(_)) => {
            let detail = format!("a most was given, and the price cannot be known: {}", look.source);
            found.push((Reason::PriceUnknown, detail));
        }
        _ => {}
    }
    if look.price_vnd.is_none() && job.limits.is_any() {
        let detail = format!("this caller has a budget, and the price cannot be known: {}", look.source);
        found.push((Reason::PriceUnknown, detail));
    }
    if let (Some(price), Some(balance)) = (look.price_vnd, look.sight.wallet_vnd)
        && price > balance
    {
        let detail = format!("it costs {price} VND, and there are {balance} in the wallet");
        found.push((Reason::InsufficientBalance, detail));
    }
    if let Some(price) = look.price_vnd.filter(|_| job.limits.is_any()) {
        let spent = ledger.spent(&job.record.caller, world.now_ms()).await.map_err(|t| unwritten(&t))?;
        let over = exceeded(&job.limits, spent, price);
        found.extend(over.into_iter().map(|detail| (Reason::BudgetExceeded, detail)));
    }
    if job.validate_only {
        let open = ledger.open_ones().await.map_err(|t| unwritten(&t))?;
        let same = same_key(ledger, job).await?;
        match admit(&want(job), same.as_ref(), &open) {
            Admission::TwinInDoubt(twin) => {
                found.push((Reason::TwinInDoubt, twin_in_doubt(&twin, &job.record.caller).detail))
            }
            Admission::KeyReused(other) => found.push((Reason::KeyReused, key_reused(&other).detail)),
            Admission::Begin | Admission::Again(_) | Admission::Same(_) => {}
        }
    }
    Ok(found)
}

pub(super) fn needs_approval(job: &Job, look: &Look) -> bool {
    job.approval_from_vnd.is_some_and(|from| look.price_vnd.is_none_or(|price| price >= from))
}

/// Declares a writer dead: what it was sending is in doubt from now on.
pub(super) async fn crashed(ledger: &Ledger, record: &Record, now_ms: i64) -> Result<(), Trouble> {
    let Ok(next) = step(record, Event::Crashed, now_ms) else { return Ok(()) };
    match ledger.update(record, &next.record).await {
        // Somebody else has, or it was alive after all.
        Err(Trouble::Taken) | Ok(()) => Ok(()),
        Err(trouble) => Err(trouble),
    }
}
