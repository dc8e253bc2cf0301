//! What a connection is told, tick by tick.

use super::*;

const PATIENCE: Patience = Patience { head: 4, idle: 20, write: 10, linger: 5 };

fn pulse() -> (Arc<AtomicU32>, Pulse) {
    let clock = Arc::new(AtomicU32::new(u32::MAX - 2));
    (clock.clone(), Pulse::new(clock))
}

/// What it is told, tick by tick, until it is told to end.
fn until_end(clock: &AtomicU32, pulse: &Pulse) -> Vec<u32> {
    let mut told = Vec::new();
    for tick in 0..100 {
        pulse.look(&PATIENCE);
        let order = pulse.order();
        if order >= Order::Finish && told.is_empty() {
            told.push(tick);
        }
        if order == Order::End {
            told.push(tick);
            return told;
        }
        clock.fetch_add(1, Relaxed);
    }
    told
}

#[test]
fn whoever_says_nothing_ends_after_the_time_of_a_head() {
    let (clock, pulse) = pulse();
    assert_eq!(until_end(&clock, &pulse), [4, 4]);
}

#[test]
fn a_head_byte_by_byte_gets_no_more_time() {
    let (clock, pulse) = pulse();
    for _ in 0..3 {
        pulse.read(1);
        clock.fetch_add(1, Relaxed);
    }
    assert_eq!(until_end(&clock, &pulse), [1, 1]);
    let (clock, kept) = self::pulse();
    kept.read(100);
    kept.begins();
    kept.serves();
    kept.ends();
    clock.fetch_add(10, Relaxed);
    kept.read(1);
    assert_eq!(until_end(&clock, &kept), [4, 4], "on a connection that was served before, too");
}

#[test]
fn an_idle_one_is_asked_to_finish_first() {
    let (clock, pulse) = pulse();
    pulse.speaks_http2();
    pulse.read(17);
    assert_eq!(until_end(&clock, &pulse), [20, 26], "a ping is no head");
}

#[test]
fn a_call_has_the_time_that_it_needs() {
    let (clock, pulse) = pulse();
    pulse.read(100);
    pulse.begins();
    assert_eq!(until_end(&clock, &pulse), [] as [u32; 0]);
    assert_eq!(pulse.turn(), None, "and is given up for nobody");
    for stage in [Stage::Arriving, Stage::Leaving] {
        pulse.enters(stage);
        assert!(pulse.turn().is_some(), "{stage:?} waits for the other side");
        pulse.leaves(stage);
    }
}

#[test]
fn an_answer_that_is_not_taken_ends_it() {
    let (clock, blocked) = pulse();
    blocked.begins();
    blocked.flows(false);
    assert_eq!(until_end(&clock, &blocked), [10, 10]);
    let (clock, offered) = pulse();
    offered.begins();
    offered.enters(Stage::Leaving);
    offered.offers();
    clock.fetch_add(9, Relaxed);
    offered.offers();
    offered.taken();
    assert_eq!(until_end(&clock, &offered), [10, 10], "from the last that was taken");
}

#[test]
fn whoever_was_told_to_finish_and_waits_on_is_ended_and_work_goes_on() {
    let (clock, stuck) = pulse();
    stuck.begins();
    stuck.enters(Stage::Leaving);
    stuck.tell(Order::Finish);
    assert_eq!(until_end(&clock, &stuck), [0, 5], "a stream without end");
    let (clock, working) = pulse();
    working.begins();
    working.begins();
    working.enters(Stage::Leaving);
    working.offers();
    assert_eq!(until_end(&clock, &working), [10], "the other call goes on");
    working.ends();
    assert_eq!(until_end(&clock, &working).len(), 2);
}

#[test]
fn noise_is_forgiven_by_time_and_by_calls() {
    let (clock, pulse) = pulse();
    pulse.speaks_http2();
    pulse.read(MAX_EXCESS as usize);
    assert_eq!(pulse.order(), Order::Stay);
    pulse.look(&PATIENCE);
    pulse.read(FORGIVEN as usize);
    pulse.begins();
    pulse.read(HEAD as usize);
    assert_eq!(pulse.order(), Order::Stay);
    pulse.read(1);
    assert_eq!(pulse.order(), Order::End);
    let (_, quiet) = self::pulse();
    quiet.begins();
    quiet.excuse(1 << 40);
    quiet.read(MAX_EXCESS as usize + 1);
    assert_eq!(quiet.order(), Order::End, "nothing is excused in advance");
    drop(clock);
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_is_worth() {
    let clock = Arc::new(AtomicU32::new(7));
    let [silent, idle, untaken, later, busy] = std::array::from_fn(|_| Pulse::new(clock.clone()));
    idle.begins();
    idle.serves();
    idle.ends();
    untaken.begins();
    untaken.enters(Stage::Leaving);
    untaken.offers();
    clock.fetch_add(1, Relaxed);
    later.begins();
    later.serves();
    later.ends();
    clock.fetch_add(NEW, Relaxed);
    tokio::time::advance(BUSY).await;
    busy.begins();
    busy.serves();
    busy.ends();
    let fresh = Pulse::new(clock);
    let turns = [&untaken, &silent, &idle, &later].map(Pulse::turn);
    assert!(turns.is_sorted() && turns.iter().all(Option::is_some), "{turns:?}");
    let worth = |pulse: &Pulse| pulse.turn().map(|turn| turn.worth);
    assert_eq!((worth(&fresh), worth(&busy)), (Some(Worth::Newcomer), Some(Worth::Busy)));
    tokio::time::advance(BUSY).await;
    assert_eq!((worth(&fresh), worth(&busy)), (Some(Worth::Unknown), Some(Worth::Idle)));
}
