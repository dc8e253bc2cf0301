//! What strikes a process, the store, and what lies between them.

use std::sync::Arc;

use super::play::{CALLERS, Process, Scene, begin};
use super::stage::Tasks;
use super::tally::Fault;

/// The most that a clock is wrong by, and so half of what two clocks can differ by.
pub(super) const SKEW_MS: i64 = 5000;
/// How long a process is away from the store at most.
const AWAY_MS: u64 = 600_000;
/// How long it takes at most until the server gives up whoever is away.
const GIVEN_UP_MS: u64 = 40_000;
/// How long the store takes at most to begin anew.
const DOWN_MS: u64 = 30_000;

/// What follows from what was done.
enum Then {
    /// A process that stands still ends.
    Ends(Arc<Process>),
    /// One that was away from the store comes back.
    Returns(Arc<Process>),
}

/// Everything that was done, and what follows when.
pub(super) struct Mischief {
    groups: usize,
    then: Vec<(i64, Then)>,
}

impl Mischief {
    /// Nothing yet; processes that begin anew are numbered from there on.
    pub(super) fn new(groups: usize) -> Self {
        Self { groups, then: Vec::new() }
    }

    /// Does what follows by now.
    pub(super) fn follow(&mut self, scene: &Arc<Scene>, tasks: &mut Tasks) {
        let now = scene.stage().now_ms();
        self.then.retain(|(at, then)| {
            let due = *at <= now;
            if due {
                end(then, tasks);
            }
            !due
        });
    }

    /// Something goes wrong.
    pub(super) fn strike(&mut self, scene: &Arc<Scene>, tasks: &mut Tasks) {
        let stage = scene.stage();
        let number = stage.below(scene.processes().len() as u64) as usize;
        let now = stage.now_ms();
        let process = scene.process(number);
        match stage.below(100) {
            0..40 => {
                scene.tally().note(Fault::Crash);
                self.restart(scene, tasks, number);
            }
            40..60 => {
                // Its session is lost. It goes on with what it was at, writes nothing any more, and is ended some time
                // later.
                hit(scene, &process);
                scene.tally().note(Fault::Pause);
                process.store.is_given_up();
                process.store.poison();
                self.begin_anew(scene, number);
                self.then.push((now + stage.below(AWAY_MS) as i64, Then::Ends(process)));
            }
            60..78 => {
                hit(scene, &process);
                scene.tally().note(Fault::Partition);
                process.store.cut();
                // The server gives it up early, late, or never.
                let (store, waits) = (process.store.clone(), stage.clone());
                let early = stage.per_mille(200);
                stage.spawn(CALLERS, async move {
                    waits.moment(if early { 1 } else { GIVEN_UP_MS }).await;
                    if store.is_cut() {
                        store.is_given_up();
                    }
                });
                let short = stage.per_mille(300);
                let away = stage.below(if short { GIVEN_UP_MS } else { AWAY_MS });
                self.then.push((now + away as i64, Then::Returns(process)));
            }
            78..92 => {
                scene.processes().iter().for_each(|process| hit(scene, process));
                scene.tally().note(Fault::StoreRestart);
                scene.shared().restarts(now + stage.below(DOWN_MS) as i64);
            }
            _ => {
                scene.tally().note(Fault::ClockSet);
                process.set_clock(skew(scene));
            }
        }
    }

    /// Nothing goes wrong any more. Whoever can go on does, and some begin anew.
    pub(super) fn stop(&mut self, scene: &Arc<Scene>, tasks: &mut Tasks) {
        self.then.drain(..).for_each(|(_, then)| end(&then, tasks));
        scene.tally().lock().calm = true;
        for number in 0..scene.processes().len() {
            if scene.process(number).store.is_poisoned() || scene.stage().per_mille(500) {
                self.restart(scene, tasks, number);
            }
        }
    }

    /// A process is killed, and begins anew.
    fn restart(&mut self, scene: &Arc<Scene>, tasks: &mut Tasks, number: usize) {
        let old = scene.process(number);
        hit(scene, &old);
        tasks.kill(old.group);
        if old.store.is_cut() {
            // The server does not hear of it, and finds out.
            let (store, stage) = (old.store.clone(), scene.stage().clone());
            scene.stage().spawn(CALLERS, async move {
                stage.moment(GIVEN_UP_MS).await;
                store.is_given_up();
            });
        } else {
            old.store.is_given_up();
        }
        self.begin_anew(scene, number);
    }

    fn begin_anew(&mut self, scene: &Arc<Scene>, number: usize) {
        self.groups += 1;
        let fresh = begin(scene, self.groups, Some(&scene.process(number)));
        scene.replace(number, fresh);
    }
}

fn end(then: &Then, tasks: &mut Tasks) {
    match then {
        Then::Ends(process) => tasks.kill(process.group),
        Then::Returns(process) => process.store.heal(),
    }
}

/// How wrong a clock is.
pub(super) fn skew(scene: &Scene) -> i64 {
    scene.stage().below(2 * SKEW_MS as u64 + 1) as i64 - SKEW_MS
}

/// Whatever a process is sending is hit by what strikes it.
fn hit(scene: &Scene, process: &Process) {
    let disk = scene.shared().lock();
    let owned = disk.rows.values().filter(|kept| kept.row.open && process.store.was(&kept.row.owner));
    scene.tally().lock().hit.extend(owned.map(|kept| kept.row.id.clone()));
}
