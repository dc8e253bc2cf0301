//! What chance seldom brings about.

use std::time::Duration;

use super::play::Stage;
use super::store::{Fate, Weather};
use super::{Play, Played, rate};

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(100);
/// More than there is for all.
const MUCH: f64 = 300.0;

/// All of them.
pub(super) fn all() -> Vec<Play> {
    vec![
        ("replicas come and go", |seed| Box::pin(come_and_go(seed))),
        ("answers are lost for long", |seed| Box::pin(deaf(seed))),
        ("a renewal comes late", |seed| Box::pin(late(seed))),
        ("a place is taken", |seed| Box::pin(place(seed))),
        ("somebody rests", |seed| Box::pin(rest(seed))),
        ("days pass", |seed| Box::pin(days(seed))),
    ]
}

/// A hundred calls a second, and eight at once.
fn stage(seed: u64, most: u32, loads: &[f64]) -> Stage {
    let mut stage = Stage::new(seed, rate(100, 8), most);
    for load in loads {
        stage.join(*load);
    }
    stage
}

fn played(stage: &Stage) -> Played {
    (stage.passed(), stage.wrong())
}

/// Each that comes begins with nothing, however many come.
async fn come_and_go(seed: u64) -> Played {
    // One that leaves about as much as a newcomer can use.
    let mut stage = Stage::new(seed, rate(100, 40), 4);
    stage.join(48.0);
    stage.pass(SECOND * 5).await;
    stage.join(MUCH);
    for _ in 0..100 {
        stage.pass(STEP).await;
        stage.end(1, true).await;
        stage.join(MUCH);
    }
    played(&stage)
}

/// One says that it uses little, and does not hear that the others know.
async fn deaf(seed: u64) -> Played {
    let stage = stage(seed, 4, &[0.0, MUCH]);
    stage.pass(SECOND * 3).await;
    stage.running[0].fate.send_replace(Fate::Deaf);
    stage.pass(SECOND * 6).await;
    stage.running[0].load.send_replace(MUCH);
    stage.pass(SECOND * 8).await;
    played(&stage)
}

/// One that has most stands still until the others are about to count it as silent, and renews its lease at that very moment.
async fn late(seed: u64) -> Played {
    let stage = stage(seed, 4, &[MUCH, 0.0]);
    stage.pass(SECOND * 3).await;
    stage.running[0].fate.send_replace(Fate::Still);
    stage.running[1].load.send_replace(MUCH);
    let until_ms = || {
        let state = stage.database.state.lock().expect("sound");
        state.rows.get("replica-1").map_or(0, |row| row.until_ms)
    };
    stage.pass(SECOND).await;
    let until_ms = until_ms();
    let before = 5 + 5 * i64::try_from(seed % 8).expect("small");
    while stage.database.now_ms() < until_ms - before {
        stage.pass(Duration::from_millis(1)).await;
    }
    stage.weather.send_replace(Weather { slow: Duration::from_millis(150), ..Weather::FINE });
    stage.running[0].fate.send_replace(Fate::Open);
    stage.running[0].account.news.notify_one();
    for _ in 0..100 {
        stage.running[1].account.news.notify_one();
        stage.pass(Duration::from_millis(5)).await;
    }
    stage.pass(SECOND * 3).await;
    played(&stage)
}

/// One is cut off, another dies, and a third comes at once: it cannot be in the place of the first.
async fn place(seed: u64) -> Played {
    let mut stage = stage(seed, 3, &[0.0, 0.0, MUCH]);
    stage.pass(SECOND * 3).await;
    stage.running[0].fate.send_replace(Fate::Cut);
    stage.pass(SECOND * 10).await;
    stage.running[0].load.send_replace(MUCH);
    stage.end(1, false).await;
    stage.join(MUCH);
    stage.pass(SECOND * 8).await;
    played(&stage)
}

/// One has rested and gives its share away: what it has saved does not stay.
async fn rest(seed: u64) -> Played {
    let stage = stage(seed, 2, &[0.0, 0.0]);
    for turn in 0..20 {
        let (one, other) = (&stage.running[turn % 2], &stage.running[(turn + 1) % 2]);
        one.load.send_replace(MUCH);
        stage.pass(SECOND).await;
        one.load.send_replace(0.0);
        one.account.dismiss();
        stage.pass(STEP * 2).await;
        // Enough to be given the share, and not all of it is used.
        other.load.send_replace(40.0);
        stage.pass(SECOND).await;
        for running in &stage.running {
            running.load.send_replace(MUCH);
        }
        stage.pass(STEP * 2).await;
        for running in &stage.running {
            running.load.send_replace(0.0);
            running.account.dismiss();
        }
        stage.pass(SECOND).await;
    }
    played(&stage)
}

/// One is cut off for days, and has its part all the while.
async fn days(seed: u64) -> Played {
    let stage = stage(seed, 4, &[0.0, 0.0]);
    stage.pass(SECOND * 3).await;
    stage.running[0].fate.send_replace(Fate::Cut);
    if seed > 0 {
        return played(&stage);
    }
    tokio::time::sleep(SECOND * 86_400 * 3).await;
    for running in &stage.running {
        running.load.send_replace(MUCH);
    }
    stage.pass(SECOND * 10).await;
    played(&stage)
}
