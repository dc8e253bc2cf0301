//! Waits for what a call leads to, spares what is so already, and answers what streams.
//!
//! What has been seen is one look for everybody who wants to know (see [`crate::watch`]); a stream, a wait and a look each
//! count once against their caller's quota. Absent here: a word of the provider, and any waiting for what nobody asked for.

mod told;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use prost_reflect::DynamicMessage;
use tower::{Service, ServiceExt as _};

use super::{Answer, Answering, Inner};
use crate::ambient;
use crate::call::{Call, Caller, Deadline, News, Reply, Wishes, With};
use crate::contract::{Contract, Goal, Operation, Term, same};
use crate::fault::{Fault, Reason, Sent};
use crate::watch::{Begun, Hub, Key, Outcome, Seen, Watching, What, news, wait};

/// How long the look may take that comes before a command, and what part of its time.
const LOOK: Duration = Duration::from_secs(10);
const PART: u32 = 3;
/// What is left of a call's time for the answer itself.
const MARGIN: Duration = Duration::from_millis(100);
/// The rule of an answer that was found by looking.
const SEEN: &str = "seen";

/// How a caller is charged.
pub(super) type Charge = Arc<dyn Fn(&Caller) -> Result<(), Fault> + Send + Sync>;

/// Waits and watches.
#[derive(Clone)]
pub(super) struct Waiting<S> {
    contract: &'static Contract,
    hub: Hub,
    charge: Charge,
    inner: S,
}

impl<S: Inner> Waiting<S> {
    pub(super) fn new(contract: &'static Contract, hub: Hub, charge: Charge, inner: S) -> Self {
        let below = inner.clone();
        hub.asks_by(Arc::new(move |call| below.clone().call(call)));
        Self { contract, hub, charge, inner }
    }

    fn operation(&self, name: &str) -> Result<&'static Operation, Fault> {
        let found = self.contract.operation(name);
        found.ok_or_else(|| Fault::new(Reason::Internal, format!("there is no operation {name}")))
    }

    /// Answers with a stream.
    async fn stream(self, call: Call) -> Answer {
        let Some(watch) = &call.operation.watch else { return self.inner.oneshot(call).await };
        let slot = self.hub.slot(&call.caller)?;
        (self.charge)(&call.caller)?;
        if call.operation.local {
            let reply = self.inner.oneshot(call).await?;
            let news = reply.news.as_ref().map(|news| news.map(|coming| With(coming, slot)));
            return Ok(Reply { news, ..reply });
        }
        let of = self.operation(&watch.of)?;
        let mut watching = self.hub.watch(of, same(of, &call.request));
        let seen = self.first(&mut watching).await?;
        let had = call.operation.term(Term::After).map(|field| call.request.get_field(&field.descriptor));
        let had = had.as_ref().and_then(|had| had.as_str()).filter(|had| !had.is_empty());
        let empty = DynamicMessage::new(call.operation.output.descriptor.clone());
        let is_over = match seen.last.as_ref().map(|sight| &sight.what) {
            Some(What::There(content, name)) => had == Some(&**name) && watch.is_last(content.message()),
            _ => false,
        };
        let coming = if is_over {
            News::over()
        } else {
            News::new(news(watching, self.hub.closing(), watch, had.map(Arc::from), slot))
        };
        Ok(Reply { news: Some(coming), ..Reply::new(empty, SEEN, false) })
    }

    /// What was seen, if there is such a thing: that there is none counts when it was seen twice, as everything does.
    async fn first(&self, watching: &mut Watching) -> Result<Seen, Fault> {
        let mut closing = self.hub.closing();
        let gone = |seen: &Seen| match (&seen.last, &seen.before) {
            (Some(last), Some(before)) => match (&last.what, &before.what) {
                (What::Gone(fault), What::Gone(_)) => Some(fault.clone()),
                _ => None,
            },
            _ => None,
        };
        let is_there = |seen: &Seen| seen.last.as_ref().is_some_and(|sight| sight.what.content().is_some());
        let told = watching.seen.wait_for(|seen| {
            is_there(seen) || gone(seen).is_some() || (seen.last.is_none() && seen.trouble.is_some())
        });
        let seen = tokio::select! {
            told = told => told.map(|seen| seen.clone()).unwrap_or_default(),
            _ = closing.wait_for(|closing| *closing) => Seen::default(),
        };
        let stopping = || Fault::new(Reason::ShuttingDown, "gizad is stopping");
        match (gone(&seen), is_there(&seen)) {
            (Some(fault), _) => Err(fault),
            (None, true) => Ok(seen),
            (None, false) => Err(seen.trouble.unwrap_or_else(stopping)),
        }
    }

    /// What is to be seen of what a call leads to.
    fn subjects<'a>(&self, call: &'a Call) -> Result<Vec<(Key, &'a Goal)>, Fault> {
        let known = call.operation.goals.iter().filter(|goal| goal.id.is_none());
        let subjects = known.map(|goal| {
            let of = self.operation(&goal.of)?;
            Ok(goal.request(of, &call.request, None).map(|request| (Key::new(of, &request), goal)))
        });
        subjects.filter_map(Result::transpose).collect()
    }

    /// Carries out what leads somewhere, and waits for that if its caller does.
    async fn command(self, call: Call) -> Answer {
        let (subjects, options) = (self.subjects(&call)?, self.hub.options());
        let mut changed = None;
        if let (true, [(key, goal)]) = (call.operation.unless_reached && options.look_first, &*subjects)
            && !self.hub.is_doubtful(key, goal.reached)
            && let Some(seen) = self.look(&call, goal).await
        {
            let state = goal.state(seen.content.message());
            if state == goal.reached {
                return Ok(told::spared(&call, goal, &seen));
            }
            // What is not known is not different.
            changed = (state != 0).then_some(true);
        }
        let begins = |(key, goal): &(Key, &Goal)| self.hub.begins(key, goal.reached, goal.anew);
        let begun: Vec<Begun> = subjects.iter().map(begins).collect();
        let (operation, request, deadline) = (call.operation, call.request.clone(), call.deadline.clone());
        let time = call.wait();
        let answer = self.inner.clone().oneshot(call).await;
        // What was refused, or never sent, leads nowhere; and what was done before it still may.
        let is_undone = answer.as_ref().is_err_and(|fault| fault.sent != Sent::Maybe);
        begun.iter().for_each(|begun| self.hub.ends(begun, is_undone));
        let reply = answer?;
        let mut message = reply.content.message().clone();
        let _set = changed.map(|changed| told::changed(&mut message, changed));
        // What was only checked leads nowhere.
        let is_checked = operation.result.is_some() && reply.standing.is_none();
        if time.is_zero() || is_checked {
            return Ok(if changed.is_some() { reply.saying(message) } else { reply });
        }
        let waited = if reply.standing.as_ref().is_some_and(|standing| !standing.done) {
            told::unfinished(&operation.goals)
        } else {
            let waited = self.wait(operation, (&request, &message), &deadline, time).await;
            let of = reply.standing.as_ref().map(|standing| standing.operation.clone());
            waited.map_err(|fault| Fault { operation: of, ..fault })?
        };
        told::waited(&mut message, &waited);
        Ok(reply.saying(message))
    }

    /// Looks, before a command, in its caller's name. Nothing if that cannot be seen: the command says why, or does not mind.
    async fn look(&self, call: &Call, goal: &Goal) -> Option<Reply> {
        let of = self.operation(&goal.of).ok()?;
        let request = goal.request(of, &call.request, None)?;
        let time = LOOK.min(call.deadline.left() / PART);
        let look = Call {
            operation: of,
            effect: of.effect,
            request,
            key: None,
            urgent: true,
            deadline: Deadline::new(ambient::instant(), Some(time)),
            wishes: Wishes { no_cache: true, ..Wishes::default() },
            ..call.clone()
        };
        tokio::time::timeout(time, self.inner.clone().oneshot(look)).await.ok()?.ok()
    }

    /// Waits for one goal after the other.
    async fn wait(
        &self,
        operation: &'static Operation,
        (request, answer): (&DynamicMessage, &DynamicMessage),
        deadline: &Deadline,
        time: Duration,
    ) -> Result<told::Waited, Fault> {
        let since = ambient::instant();
        let until = end(deadline, since, time);
        let mut waited = told::unfinished(&operation.goals);
        for goal in &operation.goals {
            let of = self.operation(&goal.of)?;
            let Some(request) = goal.request(of, request, Some(answer)) else {
                return Ok(told::unnamed(goal));
            };
            let key = Key::new(of, &request);
            let mut watching = self.hub.watch(of, request);
            watching.stir();
            let quick = self.hub.options().quick;
            let outcome =
                wait(goal, &mut watching, (since, until), quick, self.hub.closing(), deadline).await?;
            let reached = outcome.reached;
            waited = told::Waited::new(goal, &outcome, waited.otherwise());
            if !reached {
                break;
            }
            self.hub.settles(&key, goal.reached, since);
        }
        Ok(waited)
    }

    /// Asks for something again and again until it is as it is wanted, or the time is up.
    async fn read(self, call: Call) -> Answer {
        let Some(goal) = call.operation.goals.first() else { return self.inner.oneshot(call).await };
        (self.charge)(&call.caller)?;
        let of = self.operation(&goal.of)?;
        let since = ambient::instant();
        let until = end(&call.deadline, since, call.wait());
        let mut watching = self.hub.watch(of, same(of, &call.request));
        watching.stir();
        let (quick, closing) = (self.hub.options().quick, self.hub.closing());
        let outcome = wait(goal, &mut watching, (since, until), quick, closing, &call.deadline).await;
        let outcome = outcome.map_err(|fault| unasked(fault, &watching))?;
        let Outcome { seen: Some(sight), .. } = &outcome else {
            let late = || Fault::late(call.effect, false);
            return Err(outcome.trouble.unwrap_or_else(late));
        };
        let content = match &sight.what {
            What::There(content, _) => content,
            What::Gone(fault) => return Err(fault.clone()),
        };
        let mut message = content.message().clone();
        told::waited(&mut message, &told::Waited::new(goal, &outcome, false));
        Ok(Reply { asked: sight.asked, ..Reply::new(message, SEEN, false) })
    }
}

/// Of what was only asked for it is said in the provider's words that there is none.
fn unasked(fault: Fault, watching: &Watching) -> Fault {
    match watching.seen.borrow().last.as_ref().map(|sight| &sight.what) {
        Some(What::Gone(gone)) => gone.clone(),
        _ => Fault { detail: fault.detail.replace("it was carried out, but ", ""), ..fault },
    }
}

/// Until when a call waits.
fn end(deadline: &Deadline, since: tokio::time::Instant, time: Duration) -> tokio::time::Instant {
    let most = deadline.end().and_then(|end| end.checked_sub(MARGIN));
    let asked = since + time;
    most.map_or(asked, |most| asked.min(most))
}

impl<S: Inner> Service<Call> for Waiting<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        if call.operation.watch.is_some() {
            return Box::pin(self.clone().stream(call));
        }
        match (call.operation.goals.is_empty(), call.effect.is_read()) {
            (false, false) => Box::pin(self.clone().command(call)),
            (false, true) if !call.wait().is_zero() => Box::pin(self.clone().read(call)),
            (true, _) | (false, true) => self.inner.call(call),
        }
    }
}
