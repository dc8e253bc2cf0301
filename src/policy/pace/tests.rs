//! The pace, with a provider that does what it is told and a clock that stands still.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::call::Deadline;
use crate::contract::Effect;
use crate::policy::play::{Provider, call, of_effect};

/// Ten a second at the full rate, of which half is used at first.
fn options() -> Options {
    let rate = Rate { every: Duration::from_millis(100), burst: NonZeroU32::new(4).expect("above zero") };
    let polls = vec!["VpsService.GetVpsStatus".to_owned()];
    Options { rate, queue: 64, longest_pause: Duration::from_secs(3600), polls, replicas: None }
}

/// A pace that has grown to all that it may be, and is well rested.
async fn at_full_rate() -> Handle {
    let handle = Handle::new(&options(), TaskTracker::new());
    handle.recall(1.0, Duration::ZERO);
    sleep(options().rate.window()).await;
    handle
}

fn pace(handle: &Handle, provider: &Provider) -> Pace<Provider> {
    Pace::new(handle.clone(), provider.clone())
}

fn with(time: Duration, call: Call) -> Call {
    Call { deadline: Deadline::new(ambient::instant(), Some(time)), ..call }
}

fn by(name: &str) -> Call {
    Call { caller: Caller::Named(name.into()), ..call("WalletService.GetWallet") }
}

/// Asserts that in every window no more passed than the burst and the rate times the window.
fn assert_bounded(times: &[Instant], rate: Rate) {
    for (first, from) in times.iter().enumerate() {
        for (last, to) in times.iter().enumerate().skip(first) {
            let most = f64::from(rate.burst.get()) + (*to - *from).as_secs_f64() / rate.every.as_secs_f64();
            let got = (last - first + 1) as f64;
            assert!(got <= most + 1e-6, "{got} within {:?}, at most {most}", *to - *from);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_let_through_at_the_rate_and_uses_it_up() {
    let (handle, provider) = (at_full_rate().await, Provider::fine());
    let begun = ambient::instant();
    let mut calls = JoinSet::new();
    for _ in 0..20 * 60 {
        // Forty a second, of which a quarter may pass.
        for _ in 0..2 {
            calls.spawn(
                pace(&handle, &provider)
                    .oneshot(with(Duration::from_secs(5), call("WalletService.GetWallet"))),
            );
        }
        sleep(Duration::from_millis(50)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let passed = provider.seen() as f64;
    while calls.join_next().await.is_some() {}
    assert_bounded(&provider.times(), options().rate);
    assert!(passed >= 0.99 * seconds * 10.0, "{passed} of {} were used", seconds * 10.0);
}

/// With 50 ms that must be left for anything to begin, nobody waits for a turn that comes later than that.
#[tokio::test(start_paused = true)]
async fn no_turn_is_spent_on_whom_it_would_be_of_no_use() {
    let (handle, provider) = (at_full_rate().await, Provider::fine());
    for _ in 0..4 {
        assert!(pace(&handle, &provider).oneshot(by("a")).await.is_ok());
    }
    let least = Duration::from_millis(50);
    let ask = |millis| {
        let call = with(Duration::from_millis(millis), by("a"));
        let bounded = call.deadline.clone().bounded(Duration::from_secs(60), Duration::from_secs(60), least);
        let begun = ambient::instant();
        let answer = pace(&handle, &provider).oneshot(Call { deadline: bounded, ..call });
        async move { (answer.await.map_err(|fault| fault.reason).err(), begun.elapsed()) }
    };
    // The next turn is in 100 ms.
    let (late, in_time) = tokio::join!(ask(140), ask(160));
    assert_eq!(late, (Some(Reason::PaceExceeded), Duration::ZERO));
    assert_eq!(in_time, (None, Duration::from_millis(100)));
    assert_eq!(provider.seen(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_purchase_never_waits_behind_reads_nor_a_read_behind_polls() {
    let (handle, provider) = (at_full_rate().await, Provider::fine());
    let mut calls = JoinSet::new();
    for operation in ["VpsService.GetVpsStatus", "WalletService.GetWallet"] {
        for _ in 0..10 {
            calls.spawn(pace(&handle, &provider).oneshot(call(operation)));
        }
    }
    sleep(Duration::from_millis(1)).await;
    let begun = ambient::instant();
    let purchase = of_effect(Effect::Spend);
    assert!(pace(&handle, &provider).oneshot(purchase.clone()).await.is_ok());
    assert!(begun.elapsed() <= Duration::from_millis(100), "{:?}: the very next turn", begun.elapsed());
    while calls.join_next().await.is_some() {}
    let order = provider.operations();
    let last = |name: &str| order.iter().rposition(|operation| operation == name).expect("seen");
    let polls = order.iter().skip(last("WalletService.GetWallet")).filter(|name| name.contains("Status"));
    assert_eq!(order.len(), 21);
    // Four polls went through at once, before anybody else was there.
    assert_eq!(polls.count(), 6);
}

/// One caller offers a hundred times what each of the others does.
#[tokio::test(start_paused = true)]
async fn a_greedy_caller_costs_the_others_nothing() {
    let mut shares = Vec::new();
    for greedy in [1, 100] {
        let (handle, provider) = (at_full_rate().await, Provider::fine());
        let mut calls = JoinSet::new();
        let mut served: BTreeMap<&str, usize> = BTreeMap::new();
        let begun = ambient::instant();
        while begun.elapsed() < Duration::from_secs(120) {
            for (name, times) in [("a", 1), ("b", 1), ("greedy", greedy)] {
                for _ in 0..times {
                    let call = with(Duration::from_secs(10), by(name));
                    let answer = pace(&handle, &provider).oneshot(call);
                    calls.spawn(async move { (name, answer.await.is_ok()) });
                }
            }
            // Each of the modest ones offers four a second, a little more than its third of the ten.
            sleep(Duration::from_millis(250)).await;
            while let Some(Ok((name, ok))) = calls.try_join_next() {
                *served.entry(name).or_default() += usize::from(ok);
            }
        }
        shares.push((served["a"] + served["b"]) as f64);
    }
    assert!(shares[1] >= 0.95 * shares[0], "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_have_a_turn_in_time_is_refused_at_once_and_told_which_limit_it_was() {
    let (handle, provider) = (at_full_rate().await, Provider::fine());
    let mut calls = JoinSet::new();
    for _ in 0..24 {
        calls.spawn(pace(&handle, &provider).oneshot(call("WalletService.GetWallet")));
    }
    sleep(Duration::from_millis(1)).await;
    // Twenty wait: the next turn is two seconds away.
    let begun = ambient::instant();
    let hasty = with(Duration::from_secs(1), call("WalletService.GetWallet"));
    let fault = pace(&handle, &provider).oneshot(hasty).await.expect_err("no turn");
    assert_eq!((fault.reason, begun.elapsed()), (Reason::PaceExceeded, Duration::ZERO));
    assert_eq!(fault.limit.expect("which").name, "account");
    let wait = fault.retry_after.expect("when");
    assert!((Duration::from_millis(1900)..=Duration::from_millis(2200)).contains(&wait), "{wait:?}");
    for _ in 0..64 {
        calls.spawn(pace(&handle, &provider).oneshot(call("WalletService.GetWallet")));
    }
    sleep(Duration::from_millis(1)).await;
    let fault = pace(&handle, &provider).oneshot(call("WalletService.GetWallet")).await;
    assert_eq!(fault.expect_err("no place").reason, Reason::PaceExceeded);
    assert_eq!(handle.shown().waiting, [0, 64, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_provider_asks_to_slow_down() {
    let (handle, provider) = (at_full_rate().await, Provider::fine());
    let asks = |retry_after| Fault {
        retry_after,
        ..Fault::new(Reason::UpstreamRateLimited, "").sent(Sent::Answered)
    };
    provider.fail(asks(Some(Duration::from_secs(30))));
    assert!(pace(&handle, &provider).oneshot(call("WalletService.GetWallet")).await.is_err());
    let shown = handle.shown();
    assert_eq!((shown.part, shown.paused_for), (0.5, Some(Duration::from_secs(30))));
    // The whole account is left alone, purchases too.
    let hasty = with(Duration::from_secs(10), of_effect(Effect::Spend));
    let fault = pace(&handle, &provider).oneshot(hasty).await.expect_err("a pause");
    assert_eq!((fault.reason, fault.sent), (Reason::PaceExceeded, Sent::Never));
    assert_eq!(fault.limit.expect("which").name, "upstream");
    assert_eq!(fault.retry_after, Some(Duration::from_secs(30)));
    // Who can wait, waits.
    provider.recover();
    let begun = ambient::instant();
    assert!(pace(&handle, &provider).oneshot(call("WalletService.GetWallet")).await.is_ok());
    assert_eq!(begun.elapsed().as_secs(), 30);
    // No pause is longer than an hour; a block page without a time halves it.
    provider.fail(asks(Some(Duration::from_secs(86_400))));
    let _fault = pace(&handle, &provider).oneshot(call("WalletService.GetWallet")).await;
    assert_eq!(handle.shown().paused_for, Some(Duration::from_secs(3600)));
    advance(Duration::from_secs(3600)).await;
    let before = handle.shown().part;
    provider.fail(Fault::new(Reason::UpstreamBlocked, "").sent(Sent::Never));
    let _fault = pace(&handle, &provider).oneshot(call("WalletService.GetWallet")).await;
    assert_eq!((handle.shown().part, handle.shown().paused_for), (before / 2.0, None));
    // And it grows again.
    advance(Duration::from_secs(3600)).await;
    assert_eq!(handle.shown().part, 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_purchase_in_doubt_tells_the_pace_what_it_was_told() {
    let (handle, provider) = (at_full_rate().await, Provider::fine());
    provider.fail(Fault {
        beneath: Some(Reason::UpstreamRateLimited),
        retry_after: Some(Duration::from_secs(7)),
        ..Fault::new(Reason::OutcomeUnknown, "").sent(Sent::Maybe)
    });
    let fault = pace(&handle, &provider).oneshot(of_effect(Effect::Spend)).await.expect_err("in doubt");
    assert_eq!(fault.try_again(), None, "nobody is told to try again");
    assert_eq!(handle.shown().paused_for, Some(Duration::from_secs(7)));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_no_time_for_a_pause_is_told_at_once_and_nobody_waits_for_the_dead() {
    let (handle, provider) = (at_full_rate().await, Provider::fine());
    let mut calls = JoinSet::new();
    for _ in 0..24 {
        let call = with(Duration::from_secs(60), of_effect(Effect::Spend));
        calls.spawn(pace(&handle, &provider).oneshot(call));
    }
    let given_up = with(Duration::from_secs(60), of_effect(Effect::Spend));
    calls.spawn(pace(&handle, &provider).oneshot(given_up.clone()));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(handle.shown().waiting, [21, 0, 0]);
    assert!(given_up.deadline.give_up());
    assert_eq!(handle.shown().waiting, [20, 0, 0]);
    let begun = ambient::instant();
    handle.account.slow_down(begun, Some(Duration::from_secs(600)));
    let mut refused = 0;
    while let Some(answer) = calls.join_next().await {
        let Err(fault) = answer.expect("no panic") else { continue };
        let limit = fault.limit.expect("which limit").name;
        refused += usize::from((fault.reason, limit) == (Reason::PaceExceeded, "upstream"));
    }
    assert_eq!((provider.seen(), refused, begun.elapsed()), (4, 21, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_its_time_and_then_takes_no_turn() {
    let (handle, provider) = (at_full_rate().await, Provider::fine());
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        calls.spawn(pace(&handle, &provider).oneshot(with(Duration::from_secs(1), by("a"))));
    }
    sleep(Duration::from_millis(1)).await;
    // Six wait, for up to 600 ms; then the rate is a twentieth.
    let rate = Rate { every: Duration::from_secs(2), ..options().rate };
    handle.change(&Options { rate, ..options() });
    let mut late = 0;
    while let Some(answer) = calls.join_next().await {
        late += usize::from(answer.expect("no panic").is_err_and(|f| f.reason == Reason::DeadlineExceeded));
    }
    assert_eq!((late, provider.seen()), (6, 4));
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_is_known_after_a_restart_which_is_no_rest() {
    let handle = Handle::new(&options(), TaskTracker::new());
    assert_eq!(handle.shown().part, 0.5, "gently at first");
    let begun = ambient::instant();
    handle.recall(0.125, Duration::from_secs(9));
    assert_eq!(handle.learned(), (0.125, Some(begun + Duration::from_secs(9))));
    let provider = Provider::fine();
    for turn in 0..4 {
        assert!(pace(&handle, &provider).oneshot(call("WalletService.GetWallet")).await.is_ok());
        let expected = Duration::from_secs(9) + Duration::from_millis(800) * (turn + 1);
        assert_eq!(begun.elapsed(), expected, "no burst at the end of a pause");
    }
    let begun = ambient::instant();
    let rate = Rate { every: Duration::from_millis(10), burst: NonZeroU32::new(50).expect("above zero") };
    handle.change(&Options { rate, ..options() });
    assert!(pace(&handle, &provider).oneshot(call("WalletService.GetWallet")).await.is_ok());
    assert_eq!(begun.elapsed(), Duration::from_millis(80), "an eighth of the new rate, and nothing at once");
    let restarted = Handle::new(&options(), TaskTracker::new());
    restarted.recall(1.0, Duration::ZERO);
    let begun = ambient::instant();
    assert!(pace(&restarted, &provider).oneshot(call("WalletService.GetWallet")).await.is_ok());
    assert_eq!(begun.elapsed(), Duration::from_millis(100));
}

/// A replica that talks with nobody yet lets calls wait for its place, sends none of them, and tells nobody to come back in a month.
#[tokio::test(start_paused = true)]
async fn who_has_no_place_sends_nothing() {
    let replicas = NonZeroU32::new(4);
    let handle = Handle::new(&Options { replicas, ..options() }, TaskTracker::new());
    let provider = Provider::fine();
    let short = with(Duration::from_secs(1), call("WalletService.GetWallet"));
    let fault = pace(&handle, &provider).oneshot(short).await.expect_err("no share");
    assert_eq!((fault.reason, fault.sent), (Reason::DeadlineExceeded, Sent::Never));
    handle.account.lock().replica.as_mut().expect("one of four").may_hope_for(0);
    let hasty = with(Duration::from_secs(60), call("WalletService.GetWallet"));
    let fault = pace(&handle, &provider).oneshot(hasty).await.expect_err("no place");
    assert_eq!((fault.reason, fault.retry_after), (Reason::PaceExceeded, Some(Duration::from_secs(3))));
    assert_eq!((provider.seen(), handle.shown().per_second), (0, 0.0));
    assert_eq!(handle.shown().account_per_second, 5.0);
}

/// Long times, random loads, complaints and new limits: no window ever lets more through than the highest limits do.
mod simulated {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Calls(u8, u8),
        Quiet(u16),
        Complaint(Option<u8>),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (1u8..60, 0u8..4).prop_map(|(times, caller)| Step::Calls(times, caller)),
            6 => (1u16..30_000).prop_map(Step::Quiet),
            1 => prop::option::of(1u8..60).prop_map(Step::Complaint),
        ];
        prop::collection::vec(step, 1..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_window_lets_more_through(steps in steps()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.expect("a runtime").block_on(async {
                let (handle, provider) = (at_full_rate().await, Provider::fine());
                let mut calls = JoinSet::new();
                for step in steps {
                    match step {
                        Step::Calls(times, caller) => for _ in 0..times {
                            let call = with(Duration::from_secs(20), by(&caller.to_string()));
                            calls.spawn(pace(&handle, &provider).oneshot(call));
                        },
                        Step::Quiet(millis) => sleep(Duration::from_millis(u64::from(millis))).await,
                        Step::Complaint(pause) => {
                            handle.account.slow_down(ambient::instant(), pause.map(|s| Duration::from_secs(s.into())));
                        }
                    }
                }
                while calls.join_next().await.is_some() {}
                assert_bounded(&provider.times(), options().rate);
            });
        }
    }
}
