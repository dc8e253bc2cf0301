//! A call that is recorded: from its request to the job it is, and from what became of the job to its answer.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use prost_reflect::DynamicMessage;
use tokio::time::{sleep, timeout_at};

use super::Below;
use super::desk::Desk;
use super::part::Part;
use super::run::{Job, Look, Told, World, ended, run};
use super::running::Running;
use super::shown;
use super::sight::{self, Eyes};
use crate::ambient;
use crate::call::{Call, Deadline, Reply};
use crate::contract::{Effect, Term};
use crate::fault::{Fault, Reason, Sent};
use crate::ledger::Ledger;
use crate::purchase::{Ending, Failure, Record, Sight};

/// What is left of a caller's time for its answer while the purchase runs on.
const MARGIN: Duration = Duration::from_millis(100);

/// Places an order, and answers with what became of it.
pub(super) async fn place(desk: Arc<Desk>, call: Call) -> Result<Reply, Fault> {
    let ledger = desk.ledger()?.clone();
    let options = desk.options();
    let (most_vnd, validate_only) = (most(&call), flag(&call, Term::ValidateOnly));
    if options.require_key && call.effect == Effect::Spend && call.key.is_none() && !validate_only {
        let detail =
            "a purchase needs an Idempotency-Key (REST) or request_id (gRPC), so that it is never made twice";
        return Err(Fault::new(Reason::KeyRequired, detail));
    }
    let job = Job {
        record: record(&ledger, &call),
        most_vnd,
        validate_only,
        limits: options.limits(call.caller.as_str()),
        approval_from_vnd: options.approval_from_vnd,
    };
    let (running, is_joined) = begin(&desk, &ledger, &call, job, options.time)?;
    // Who waits here for a turn does not hear of what another replica has made of the same key meanwhile.
    if is_joined
        && !running.is_committed()
        && let Some(record) = ended(&ledger, &call.caller, call.key.as_ref(), &running.fingerprint).await
    {
        return shown::answer(&desk, &ledger, call.operation, &record, true);
    }
    wait(&desk, &ledger, &call, &running).await
}

/// Begins the job in a task of its own, or joins the one that is under way under the same key; says which.
fn begin(
    desk: &Arc<Desk>,
    ledger: &Ledger,
    call: &Call,
    job: Job,
    time: Duration,
) -> Result<(Arc<Running>, bool), Fault> {
    let place = call.key.as_ref().filter(|_| !job.validate_only);
    let place = place.map(|key| (call.caller.as_str().to_owned(), key.as_str().to_owned()));
    let mut all = desk.running();
    if let Some(running) = place.as_ref().and_then(|place| all.get(place)) {
        if running.fingerprint != job.record.fingerprint {
            let id = running.id();
            let detail = format!("this key belongs to another request, which is {id}");
            let operation = Some(id.into());
            return Err(Fault { operation, ..Fault::new(Reason::KeyReused, detail) });
        }
        running.join(&call.deadline);
        call.trace.joins(&running.trace);
        return Ok((running.clone(), true));
    }
    let part = Part::new(&call.trace, call.operation);
    let running = Running::new(job.record.id.clone(), job.record.fingerprint.clone(), part.trace());
    let running = Arc::new(running);
    running.join(&call.deadline);
    if let Some(place) = &place {
        all.insert(place.clone(), running.clone());
    }
    drop(all);
    let deadline = Deadline::new(ambient::instant(), Some(time));
    let provider = Provider {
        call: Call { deadline, trace: part.trace().clone(), ..call.clone() },
        below: desk.below(),
        eyes: desk.eyes(true),
        ledger: ledger.clone(),
        running: running.clone(),
        desk: desk.clone(),
        is_charged: true,
    };
    let at_work = (!job.validate_only).then(|| desk.takes_up(&running));
    let (desk, ledger, task) = (desk.clone(), ledger.clone(), running.clone());
    desk.tasks.clone().spawn(async move {
        let _at_work = at_work;
        let left = Left { desk: &desk, place, running: &task };
        let told = part.whole(run(&ledger, &desk.turn, &provider, &job)).await;
        desk.heard.before(&told).await;
        // Before anybody is told: whoever asks again then finds what is written down, and not a job that is over.
        drop(left);
        desk.announce();
        if !task.tell(told.clone()) {
            log_unheard(&told);
        }
    });
    Ok((running, false))
}

/// What became of a job when all who waited for it have been answered before.
fn log_unheard(told: &Told) {
    let Told::Operation { record, .. } = told else { return };
    let (operation, state) = (record.id.as_str(), record.state().as_str());
    match record.failure.as_ref() {
        None => tracing::info!(operation, state, "it ended when nobody waited for it any more"),
        Some(failure) => {
            let outcome = failure.reason.as_str();
            tracing::warn!(operation, state, outcome, "it ended when nobody waited for it any more");
        }
    }
}

/// Takes the key's place away when the job is over, also if it panics.
struct Left<'a> {
    desk: &'a Desk,
    place: Option<(String, String)>,
    running: &'a Running,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            self.desk.running().remove(place);
        }
        // Whatever it was sending, nobody writes down what became of it any more.
        if std::thread::panicking() {
            self.desk.lose(self.running.id());
        }
    }
}

/// Waits as long as the caller's time allows. What has been written down then runs on.
async fn wait(desk: &Desk, ledger: &Ledger, call: &Call, running: &Running) -> Result<Reply, Fault> {
    let told = match call.deadline.end() {
        Some(end) => {
            let soon = end.checked_sub(MARGIN).unwrap_or(end);
            match timeout_at(soon, running.told()).await {
                Ok(told) => told,
                Err(_) if running.is_committed() => return under_way(desk, ledger, call, running).await,
                // Whoever counts the time says the rest.
                Err(_) => running.told().await,
            }
        }
        None => running.told().await,
    };
    let Some(told) = told else {
        let fault = Fault::new(Reason::OutcomeUnknown, "gizad failed while the request was being sent");
        return Err(Fault { operation: Some(running.id().into()), ..fault.sent(Sent::Maybe) });
    };
    match told {
        Told::Operation { record, replayed } => {
            shown::answer(desk, ledger, call.operation, &record, replayed)
        }
        Told::Preview(preview) => shown::preview(desk, call.operation, &preview),
        Told::Refused(fault) => Err(shown::unsent(*fault)),
    }
}

async fn under_way(desk: &Desk, ledger: &Ledger, call: &Call, running: &Running) -> Result<Reply, Fault> {
    let id = running.id();
    let record = ledger.by_id(&id).await.ok().flatten().unwrap_or_else(|| Record {
        id,
        operation: call.operation.name.clone(),
        caller: call.caller.as_str().to_owned(),
        state: crate::purchase::State::Sending.into(),
        created_ms: ambient::unix_millis(),
        changed_ms: ambient::unix_millis(),
        ..Record::default()
    });
    shown::answer(desk, ledger, call.operation, &record, false)
}

/// What the record of a call begins with.
fn record(ledger: &Ledger, call: &Call) -> Record {
    let now_ms = ambient::unix_millis();
    let id = name(now_ms);
    let request = ledger.seal(&id, &call.request.encode_to_vec());
    Record {
        caller: call.caller.as_str().to_owned(),
        key: call.key.as_ref().map(|key| key.as_str().to_owned()),
        fingerprint: ledger.print(&call.asked()).to_vec(),
        identity: ledger.print(&identity(call)).to_vec(),
        operation: call.operation.name.clone(),
        spends: call.effect == Effect::Spend,
        created_ms: now_ms,
        request,
        id,
        ..Record::default()
    }
}

/// A name that nothing else has; those of later operations come later in any order.
fn name(now_ms: i64) -> String {
    let rest: String = ambient::random().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("op_{now_ms:012x}{rest}")
}

/// What the evidence of it would be about: the list it shows in, and what tells it from others there.
fn identity(call: &Call) -> Vec<u8> {
    let Some(listing) = &call.operation.trace.listing else { return call.asked() };
    let told = listing.matches.iter().map(|(field, _)| sight::text(&call.request, field));
    let told: Vec<String> = std::iter::once(call.operation.name.clone()).chain(told).collect();
    told.join("\n").into_bytes()
}

fn most(call: &Call) -> Option<i64> {
    let field = call.operation.term(Term::Most)?;
    let given = call.request.has_field(&field.descriptor);
    given.then(|| call.request.get_field(&field.descriptor).as_i64()).flatten()
}

fn flag(call: &Call, term: Term) -> bool {
    call.operation
        .term(term)
        .is_some_and(|field| call.request.get_field(&field.descriptor).as_bool().unwrap_or_default())
}

/// The provider, and the time, for one job.
pub(super) struct Provider {
    call: Call,
    below: Below,
    eyes: Eyes,
    ledger: Ledger,
    running: Arc<Running>,
    desk: Arc<Desk>,
    /// Whether its looks are counted against its caller. What somebody has consented to was counted when it was asked for.
    is_charged: bool,
}

impl Provider {
    /// For an operation that nobody waits for.
    pub(super) fn unasked(desk: &Arc<Desk>, ledger: &Ledger, call: Call, running: Arc<Running>) -> Self {
        let (below, eyes) = (desk.below(), desk.eyes(true));
        Self { call, below, eyes, ledger: ledger.clone(), running, desk: desk.clone(), is_charged: false }
    }
}

impl World for Provider {
    fn now_ms(&self) -> i64 {
        ambient::unix_millis()
    }

    async fn pause(&self, time: Duration) {
        sleep(time).await;
    }

    async fn look(&self) -> Result<Look, Fault> {
        let (operation, request) = (self.call.operation, &self.call.request);
        if self.is_charged {
            self.desk.charge(&self.call.caller)?;
        }
        let (sight, price) =
            tokio::join!(self.eyes.see(operation, request), self.eyes.price(operation, request));
        let (price_vnd, source) = price?;
        Ok(Look { sight: sight?, price_vnd, source })
    }

    async fn see(&self) -> Result<Sight, Fault> {
        self.eyes.see(self.call.operation, &self.call.request).await
    }

    async fn send(&self) -> Ending {
        // Every attempt has a time of its own, so that one that was given up says nothing of the next.
        let deadline = Deadline::new(ambient::instant(), Some(self.call.deadline.left()));
        match (self.below)(Call { deadline, ..self.call.clone() }).await {
            Ok(reply) => Ending::Succeeded {
                result: self.ledger.seal(&self.running.id(), &reply.content.message().encode_to_vec()),
                rule: reply.rule.to_owned(),
                // What is put into the wallet is no cost.
                cost_vnd: if self.call.effect == Effect::Spend {
                    amount(reply.content.message())
                } else {
                    None
                },
                services: services(reply.content.message()),
            },
            Err(fault) => ending(&fault),
        }
    }

    fn commit(&self) -> bool {
        self.running.commit()
    }

    fn is_awaited(&self) -> bool {
        self.running.is_awaited()
    }

    async fn abandoned(&self) {
        self.running.abandoned().await;
    }

    fn is(&self, operation: &str) {
        self.running.is(operation);
    }

    fn loses(&self, operation: &str) {
        self.desk.lose(operation.to_owned());
    }

    fn is_sent_elsewhere(&self, operation: &str) {
        self.running.is(operation);
        // Whoever waits longer than its time allows is told where it stands, and not that nothing was sent.
        let _somebody_waits = self.running.commit();
    }
}

fn ending(fault: &Fault) -> Ending {
    let answer = fault.answer.as_ref();
    let failure = Failure {
        reason: fault.reason.as_str().to_owned(),
        detail: fault.detail.clone(),
        rule: answer.map_or(String::new(), |answer| answer.rule.to_owned()),
        status: answer.and_then(|answer| answer.status).map(u32::from),
        message: answer
            .and_then(|answer| answer.message.as_ref())
            .map_or(String::new(), |message| message.as_str().to_owned()),
    };
    match (fault.sent, fault.reason) {
        (_, Reason::OutcomeUnknown) | (Sent::Maybe, _) => Ending::Doubted(failure),
        (Sent::Never, _) => Ending::Unsent(failure),
        (Sent::Answered, _) => Ending::Refused(failure),
    }
}

/// What the provider says that it has taken.
fn amount(answer: &DynamicMessage) -> Option<i64> {
    let given = answer.has_field_by_name("amount_vnd");
    given.then(|| answer.get_field_by_name("amount_vnd")?.as_i64()).flatten().filter(|amount| *amount >= 0)
}

/// The services that the provider says came of it.
fn services(answer: &DynamicMessage) -> Vec<String> {
    let Some(list) = answer.get_field_by_name("service_ids") else { return Vec::new() };
    let ids = list.as_list().unwrap_or_default().iter();
    ids.filter_map(prost_reflect::Value::as_i64).map(|id| id.to_string()).collect()
}
