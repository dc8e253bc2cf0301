//! One budget of time for a call, spent by everything below. At one end of the stack it is given and its answer kept
//! to time; at the other, nothing is sent that could not be answered in what is left of it.

use std::future::{poll_fn, ready};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};
use tower::{Service, ServiceExt as _};

use super::{Answering, Inner};
use crate::ambient;
use crate::call::{Call, Deadline, Departure, Reply};
use crate::contract::Effect;
use crate::fault::{Fault, Reason, Sent};

/// The settings of deadlines.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What a read has if its caller says nothing.
    pub read: Duration,
    /// What a write has that may be repeated.
    pub write: Duration,
    /// What a call has that must not run twice.
    pub spend: Duration,
    /// The most a caller gets.
    pub longest: Duration,
    /// What must be left for anything to be sent.
    pub least: Duration,
}

impl Options {
    fn usual(&self, effect: Effect) -> Duration {
        match effect {
            Effect::Public | Effect::Read | Effect::Secret => self.read,
            Effect::Converge => self.write,
            Effect::Once | Effect::Spend => self.spend,
        }
    }
}

/// What all calls share.
pub(super) struct Clock {
    options: RwLock<Options>,
    /// After this moment nothing is sent that must not be cut off.
    closing: OnceLock<Instant>,
    /// How long exchanges take: those that may be repeated, and those that must not.
    usual: [Mutex<Typical>; 2],
}

impl Clock {
    pub(super) fn new(options: Options) -> Self {
        Self { options: RwLock::new(options), closing: OnceLock::new(), usual: Default::default() }
    }

    fn options(&self) -> Options {
        *self.options.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, options: Options) {
        *self.options.write().unwrap_or_else(PoisonError::into_inner) = options;
    }

    /// From this moment on, nothing is sent any more that must not be cut off.
    pub(super) fn close_at(&self, moment: Instant) {
        let _once = self.closing.set(moment);
    }

    fn typical(&self, effect: Effect) -> &Mutex<Typical> {
        let [repeatable, alone] = &self.usual;
        if effect.is_repeatable() { repeatable } else { alone }
    }

    /// Whether there is time left to send this.
    fn check(&self, call: &Call) -> Result<(), Fault> {
        if !call.effect.is_repeatable() && self.closing.get().is_some_and(|at| *at <= ambient::instant()) {
            return Err(Fault::new(
                Reason::ShuttingDown,
                "gizad is stopping and would not see the end of this call",
            ));
        }
        let mut typical = self.typical(call.effect).lock().unwrap_or_else(PoisonError::into_inner);
        let least = self.options().least;
        let left = call.deadline.left();
        if left < least.max(typical.time) {
            if left >= least {
                typical.doubt();
            }
            let needed = if least < typical.time {
                format!("the provider usually takes up to {} ms", typical.time.as_millis())
            } else {
                format!("nothing is begun with less than {} ms (deadline.least)", least.as_millis())
            };
            let detail =
                format!("{} ms are left for this call, and {needed}; nothing was sent", left.as_millis());
            return Err(Fault::new(Reason::DeadlineExceeded, detail));
        }
        Ok(())
    }

    fn took(&self, effect: Effect, time: Duration) {
        self.typical(effect).lock().unwrap_or_else(PoisonError::into_inner).learn(time);
    }
}

/// A running estimate of the time within which nineteen of twenty exchanges end: it goes up by a tenth for each that took
/// longer and down by a nineteenth of that for each that did not.
#[derive(Default)]
struct Typical {
    time: Duration,
}

/// Where it begins to learn.
const FIRST: Duration = Duration::from_millis(1);
/// No call with more time than this is ever refused for what others took.
const MOST: Duration = Duration::from_secs(10);

impl Typical {
    fn learn(&mut self, took: Duration) {
        let time = self.time.max(FIRST);
        self.time = if took > time { time.mul_f64(1.1) } else { time.mul_f64(1.0 - 0.1 / 19.0) }.min(MOST);
    }

    /// A refusal is no measurement. So that it does not last for ever, each makes the estimate a little smaller.
    fn doubt(&mut self) {
        self.time = self.time.mul_f64(0.99);
    }
}

/// Gives a call its budget, and its caller an answer in time.
#[derive(Clone)]
pub(super) struct Answer<S> {
    clock: Arc<Clock>,
    inner: S,
}

impl<S> Answer<S> {
    pub(super) fn new(clock: Arc<Clock>, inner: S) -> Self {
        Self { clock, inner }
    }
}

impl<S: Inner> Service<Call> for Answer<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let options = self.clock.options();
        // Whoever waits for what comes of a call has that time for it, too.
        let usual = options.usual(call.effect).saturating_add(call.wait());
        let deadline = call.deadline.clone().bounded(usual, options.longest, options.least);
        let (effect, asked) = (call.effect, call.deadline.end());
        let mut answer = self.inner.call(Call { deadline: deadline.clone(), ..call });
        let waiting = Waiting(deadline.clone());
        Box::pin(async move {
            let _gives_up_when_dropped = waiting;
            let Some(end) = deadline.end() else { return answer.await };
            // What is there at once, as all that comes from memory, needs no timer.
            if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await {
                return answer.map(|reply| in_time(reply, asked));
            }
            match timeout_at(end, &mut answer).await {
                Ok(answer) => answer.map(|reply| in_time(reply, asked)),
                Err(_) => {
                    let fault = Fault::late(effect, !deadline.give_up());
                    // Whatever ends with the call ends before it is answered.
                    drop(answer);
                    Err(fault)
                }
            }
        })
    }
}

/// A stream has no end of its own: whoever wants one says when.
fn in_time(reply: Reply, end: Option<Instant>) -> Reply {
    let (Some(end), Some(news)) = (end, &reply.news) else { return reply };
    let news = news.map(|coming| {
        stream::unfold(Some(coming), move |coming| async move {
            let mut coming = coming?;
            match timeout_at(end, coming.next()).await {
                Ok(next) => Some((next?, Some(coming))),
                Err(_) => Some((Err(Fault::late(Effect::Read, false)), None)),
            }
        })
    });
    Reply { news: Some(news), ..reply }
}

/// Somebody who waits for a call. Once nobody does, what has not departed never will: a caller that hangs up has the
/// same promise as one whose time runs out.
struct Waiting(Deadline);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _sent = self.0.give_up();
    }
}

/// Refuses what has too little time before it costs anything.
#[derive(Clone)]
pub(super) struct Enough<S> {
    clock: Arc<Clock>,
    inner: S,
}

impl<S> Enough<S> {
    pub(super) fn new(clock: Arc<Clock>, inner: S) -> Self {
        Self { clock, inner }
    }
}

impl<S: Inner> Service<Call> for Enough<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match self.clock.check(&call) {
            Ok(()) => self.inner.call(call),
            Err(fault) => Box::pin(ready(Err(fault))),
        }
    }
}

/// Sends what has time enough, and notes that it has left.
#[derive(Clone)]
pub(super) struct Depart<S> {
    clock: Arc<Clock>,
    inner: S,
}

impl<S> Depart<S> {
    pub(super) fn new(clock: Arc<Clock>, inner: S) -> Self {
        Self { clock, inner }
    }
}

impl<S: Inner> Service<Call> for Depart<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (clock, inner) = (self.clock.clone(), self.inner.clone());
        Box::pin(async move {
            clock.check(&call)?;
            let (deadline, effect) = (call.deadline.clone(), call.effect);
            let departure = deadline.depart();
            if departure == Departure::Refused {
                return Err(Fault::late(effect, false));
            }
            let begun = ambient::instant();
            let answer = inner.oneshot(call).await;
            let sent = !matches!(&answer, Err(fault) if fault.sent == Sent::Never);
            deadline.arrive(departure, sent);
            if sent {
                clock.took(effect, begun.elapsed());
            }
            answer.map(|reply| Reply { asked: begun, ..reply })
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test starts tasks that it ends")]

    use tokio::time::{advance, sleep};

    use super::*;
    use crate::policy::play::{Provider, of_effect};

    const OPTIONS: Options = Options {
        read: Duration::from_secs(30),
        write: Duration::from_secs(40),
        spend: Duration::from_secs(60),
        longest: Duration::from_secs(300),
        least: Duration::from_millis(50),
    };

    fn asking(effect: Effect, time: Option<Duration>) -> Call {
        Call { deadline: Deadline::new(ambient::instant(), time), ..of_effect(effect) }
    }

    fn stack(provider: &Provider) -> Answer<Depart<Provider>> {
        let clock = Arc::new(Clock::new(OPTIONS));
        Answer::new(clock.clone(), Depart::new(clock, provider.clone()))
    }

    #[tokio::test(start_paused = true)]
    async fn every_effect_has_a_time_of_its_own_and_a_caller_may_ask_for_another() {
        for (effect, asked, expected) in [
            (Effect::Public, None, 30),
            (Effect::Converge, None, 40),
            (Effect::Spend, None, 60),
            (Effect::Read, Some(5), 5),
            (Effect::Read, Some(1000), 300),
        ] {
            let begun = ambient::instant();
            let answer = stack(&Provider::hanging()).oneshot(asking(effect, asked.map(Duration::from_secs)));
            let fault = answer.await.expect_err("it hangs");
            let reason =
                if effect.is_repeatable() { Reason::DeadlineExceeded } else { Reason::OutcomeUnknown };
            assert_eq!((fault.reason, fault.sent), (reason, Sent::Maybe), "{effect}");
            assert_eq!(begun.elapsed(), Duration::from_secs(expected), "{effect}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn too_little_time_is_refused_before_anything_is_sent() {
        let provider = Provider::fine();
        let fault = stack(&provider).oneshot(asking(Effect::Spend, Some(Duration::from_millis(49)))).await;
        let fault = fault.expect_err("too little");
        assert_eq!((fault.reason, fault.sent), (Reason::DeadlineExceeded, Sent::Never));
        assert_eq!(provider.seen(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_provider_usually_takes_is_learned_and_doubted() {
        let provider = Provider::slow(Duration::from_secs(1));
        let mut stack = stack(&provider);
        let short = || asking(Effect::Read, Some(Duration::from_millis(500)));
        assert_eq!(stack.call(short()).await.expect_err("late").sent, Sent::Maybe, "not known yet");
        for _ in 0..80 {
            assert!(stack.call(asking(Effect::Read, None)).await.is_ok());
        }
        let seen = provider.seen();
        assert_eq!(stack.call(short()).await.expect_err("too little").sent, Sent::Never, "known");
        assert_eq!(provider.seen(), seen);
        let mut refused = 0;
        while provider.seen() == seen {
            let _fault = stack.call(short()).await;
            refused += 1;
        }
        assert!(refused < 100, "{refused}: a short call is tried again after a while");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_given_up_while_it_waited_is_never_sent() {
        let provider = Provider::fine();
        let clock = Arc::new(Clock::new(OPTIONS));
        let depart = Depart::new(clock.clone(), provider.clone());
        // Stands for a queue: it holds calls for two seconds, in a task that nobody can end.
        let queue = tower::service_fn(move |call: Call| {
            let depart = depart.clone();
            let task = tokio::spawn(async move {
                sleep(Duration::from_secs(2)).await;
                depart.oneshot(call).await
            });
            Box::pin(async move { task.await.expect("no panic") }) as Answering
        });
        let fault =
            Answer::new(clock, queue).oneshot(asking(Effect::Spend, Some(Duration::from_secs(1)))).await;
        let fault = fault.expect_err("late");
        assert_eq!((fault.reason, fault.sent), (Reason::DeadlineExceeded, Sent::Never));
        advance(Duration::from_secs(60)).await;
        tokio::task::yield_now().await;
        assert_eq!(provider.seen(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_lets_nothing_begin_that_it_would_cut_off() {
        let provider = Provider::fine();
        let clock = Arc::new(Clock::new(OPTIONS));
        let depart = Depart::new(clock.clone(), provider.clone());
        clock.close_at(ambient::instant() + Duration::from_secs(5));
        assert!(depart.clone().oneshot(asking(Effect::Spend, None)).await.is_ok());
        advance(Duration::from_secs(5)).await;
        let fault = depart.clone().oneshot(asking(Effect::Spend, None)).await.expect_err("too late");
        assert_eq!((fault.reason, fault.sent), (Reason::ShuttingDown, Sent::Never));
        assert!(depart.oneshot(asking(Effect::Read, None)).await.is_ok());
    }
}
