//! One purchase from its call to its end: what is looked at, decided, written down, sent and told, in that order.
//!
//! The machine says what is to be done, the ledger who was first; this does it, one step after the other. Absent here: a
//! provider and a clock, which come as a [`World`], so that a simulation can stand in for both.

use std::time::Duration;

use crate::fault::{Fault, Reason, Sent};
use crate::ledger::{Ledger, Trouble};
use crate::purchase::{
    Admission, Effect, Ending, Event, Failure, Limits, Record, Sight, Spent, State, Want, admit, calendar,
    exceeded, planted, step,
};

/// Attempts for a call, the first included, as long as it is proven that nothing was sent.
const ATTEMPTS: u32 = 3;
/// The wait between them.
const PAUSE: Duration = Duration::from_millis(300);
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
    if !job.validate_only && let Some(told) = known(ledger, world, job).await? {
        return Ok(told);
    }
    if !job.record.spends {
        return begin(ledger, world, job, None).await;
    }
    // One purchase at a time, so that what moves meanwhile has one explanation.
    let alone = !planted!(NoTurn) && !job.validate_only;
    let _here = if alone { Some(turn.lock().await) } else { None };
    let _anywhere = if alone { Some(ledger.store().turn().await.map_err(|t| unwritten(&t))?) } else { None };
    if alone {
        settled(ledger, world).await?;
    }
    let look = world.look().await?;
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

/// Waits until nothing is being sent for the account, also by a writer whose turn was lost: what is looked at while
/// something is under way explains nothing afterwards.
async fn settled<W: World>(ledger: &Ledger, world: &W) -> Result<(), Fault> {
    loop {
        let open = ledger.open_ones().await.map_err(|trouble| unwritten(&trouble))?;
        let sending = |record: &&Record| record.spends && record.state() == State::Sending;
        let Some(record) = open.iter().find(sending) else { return Ok(()) };
        wait_for(ledger, world, record).await?;
    }
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
                // Whatever fails now, something was sent under this key.
                wait_for(ledger, world, &record).await.map_err(|fault| fault.sent(Sent::Maybe))?;
            }
            Admission::Same(record) => return Ok(Some(Told::Operation { record, replayed: true })),
            Admission::KeyReused(record) => return Err(key_reused(&record)),
            Admission::Begin | Admission::Again(_) | Admission::TwinInDoubt(_) => return Ok(None),
        }
    }
}

async fn same_key(ledger: &Ledger, job: &Job) -> Result<Option<Record>, Fault> {
    let Some(key) = &job.record.key else { return Ok(None) };
    if planted!(KeyWithoutCaller) {
        let any = crate::ledger::Filter { key: Some(key.clone()), ..crate::ledger::Filter::default() };
        return Ok(ledger.list(&any).await.map_err(|trouble| unwritten(&trouble))?.into_iter().next());
    }
    // Whether anything was sent under this key before, nobody can say then.
    ledger.by_key(&job.record.caller, key).await.map_err(|trouble| unread(&trouble))
}

fn want(job: &Job) -> Want<'_> {
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
            found.push((Reason::PriceTooHigh, format!("it costs {price} VND, and no more than {most} was allowed")));
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
        if let Admission::TwinInDoubt(twin) = admit(&want(job), None, &open) {
            found.push((Reason::TwinInDoubt, twin_in_doubt(&twin).detail));
        }
    }
    Ok(found)
}

fn needs_approval(job: &Job, look: &Look) -> bool {
    job.approval_from_vnd.is_some_and(|from| look.price_vnd.is_none_or(|price| price >= from))
}

/// Sends what another caller has consented to, after a look of its own: the price and the budget may have changed.
pub(super) async fn consented<W: World>(
    ledger: &Ledger,
    turn: &tokio::sync::Mutex<()>,
    world: &W,
    record: Record,
    limits: &Limits,
) -> Told {
    let _here = turn.lock().await;
    // Both turns are held until it has ended.
    let _anywhere = match ledger.store().turn().await {
        Ok(turn) => turn,
        Err(trouble) => return Told::Refused(Box::new(unwritten(&trouble))),
    };
    let sent = async {
        settled(ledger, world).await?;
        let look = world.look().await?;
        if look.price_vnd != record.price_vnd {
            let detail = "its price is not any more what was consented to; it still waits, and can be given up";
            return Err(Fault::new(Reason::PriceTooHigh, detail));
        }
        let mut before = record.clone();
        before.before = Some(look.sight);
        ledger.store().writer().clone_into(&mut before.owner);
        let open = ledger.open_ones().await.map_err(|trouble| unwritten(&trouble))?;
        let spent = ledger.spent(&record.caller, world.now_ms()).await.map_err(|t| unwritten(&t))?;
        // What it holds itself is part of what is spent.
        let own = Spent {
            day_vnd: spent.day_vnd.saturating_sub(record.held_vnd),
            month_vnd: spent.month_vnd.saturating_sub(record.held_vnd),
        };
        if let Some(detail) = exceeded(limits, own, record.held_vnd).into_iter().next() {
            return Err(Fault::new(Reason::BudgetExceeded, detail));
        }
        let want = Want { fingerprint: &record.fingerprint, identity: &record.identity, spends: true };
        let others: Vec<Record> = open.into_iter().filter(|other| other.id != record.id).collect();
        if let Admission::TwinInDoubt(twin) = admit(&want, None, &others) {
            return Err(twin_in_doubt(&twin));
        }
        let next = step(&before, Event::Begin, world.now_ms()).map_err(|wrong| impossible(wrong.0))?;
        ledger.update(&record, &next.record).await.map_err(|trouble| unwritten(&trouble))?;
        Ok(next.record)
    };
    match sent.await {
        Ok(record) => send(ledger, world, record).await,
        Err(fault) => Told::Refused(Box::new(fault)),
    }
}

/// Decides, writes down, and goes on to send: what the decision is made from and its record are one.
async fn begin<W: World>(ledger: &Ledger, world: &W, job: &Job, look: Option<Look>) -> Result<Told, Fault> {
    let mut committed = false;
    loop {
        let head = ledger.head().await.map_err(|trouble| unwritten(&trouble))?;
        let same = same_key(ledger, job).await?;
        let open = ledger.open_ones().await.map_err(|trouble| unwritten(&trouble))?;
        let mut record = match admit(&want(job), same.as_ref(), &open) {
            Admission::Begin => job.record.clone(),
            Admission::Again(record) => *record,
            Admission::Same(record) => return Ok(Told::Operation { record, replayed: true }),
            Admission::KeyReused(record) => return Err(key_reused(&record)),
            Admission::TwinInDoubt(twin) => return Err(twin_in_doubt(&twin)),
        };
        let now_ms = world.now_ms();
        if let Some(look) = &look {
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
        let hold = look.as_ref().is_some_and(|look| needs_approval(job, look)) && record.decided_by.is_empty();
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

/// Sends what was written down, again if it is proven that nothing was sent, and tells what became of it.
async fn send<W: World>(ledger: &Ledger, world: &W, record: Record) -> Told {
    let mut record = record;
    loop {
        let ending = world.send().await;
        let again = matches!(&ending, Ending::Unsent(failure) if passes(failure)) && record.attempt < ATTEMPTS;
        let told = finish(ledger, world, record, ending).await;
        let Told::Operation { record: stands, replayed: false } = &told else { return told };
        if !again || stands.state() != State::NotSent {
            return told;
        }
        world.pause(PAUSE * stands.attempt).await;
        let Ok(next) = step(stands, Event::Begin, world.now_ms()) else { return told };
        if ledger.update(stands, &next.record).await.is_err() {
            return told;
        }
        record = next.record;
    }
}

/// Writes down how the exchange ended.
async fn finish<W: World>(ledger: &Ledger, world: &W, sent: Record, ending: Ending) -> Told {
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
        return match ledger.update(&sent, &next.record).await {
            Ok(()) => Told::Operation { record: Box::new(next.record), replayed: false },
            Err(trouble) => Told::Operation {
                record: Box::new(outrun(ledger, world, &next.record, &trouble).await),
                replayed: false,
            },
        };
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
    // What is not on the disk is not told as if it were: after a restart this is in doubt.
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

/// Declares a writer dead: what it was sending is in doubt from now on.
pub(super) async fn crashed(ledger: &Ledger, record: &Record, now_ms: i64) -> Result<(), Trouble> {
    let Ok(next) = step(record, Event::Crashed, now_ms) else { return Ok(()) };
    match ledger.update(record, &next.record).await {
        // Somebody else has, or it was alive after all.
        Err(Trouble::Taken) | Ok(()) => Ok(()),
        Err(trouble) => Err(trouble),
    }
}

/// Whether another attempt may find a connection.
fn passes(failure: &Failure) -> bool {
    failure.reason == Reason::UpstreamUnreachable.as_str()
}

/// The ledger cannot say what is known of a key.
fn unread(trouble: &Trouble) -> Fault {
    let detail = "the record of purchases cannot be read: this call sent nothing, but one before it under the same key may \
                  have; call again with the same key";
    let fault = Fault::new(Reason::LedgerUnavailable, detail).sent(Sent::Maybe);
    fault.with_private(trouble.to_string())
}

pub(super) fn unwritten(trouble: &Trouble) -> Fault {
    let detail = match trouble {
        Trouble::Full(_) => "there is no room to write the purchase down, so it was not sent",
        Trouble::Taken | Trouble::Unfit(_) | Trouble::Failed(_) => {
            "the record of purchases cannot be written, so nothing was sent"
        }
    };
    Fault::new(Reason::LedgerUnavailable, detail).with_private(trouble.to_string())
}

fn impossible(state: State) -> Fault {
    Fault::new(Reason::Internal, format!("an operation cannot be begun in {}", state.as_str()))
}

fn key_reused(record: &Record) -> Fault {
    let detail = format!("this key belongs to another request, which is {}", record.id);
    Fault { operation: Some(record.id.as_str().into()), ..Fault::new(Reason::KeyReused, detail) }
}

fn twin_in_doubt(twin: &Record) -> Fault {
    let detail = format!(
        "{} asks for the same and may have been carried out; find out what became of it before asking again",
        twin.id
    );
    Fault { operation: Some(twin.id.as_str().into()), ..Fault::new(Reason::TwinInDoubt, detail) }
}
