//! What strikes a process, the store, and what lies between them.

use std::sync::Arc;

use super::play::{CALLERS, Process, Scene, begin};
use super::stage::Tasks;
use super::tally::Fault;

/// The most that a clock is wrong by, and so half of what two clocks can differ by.
pub(super) const SKEW_MS: i64 = 5000;
/// How long a process is away from the store, or stands still, at most.
pub(super) const AWAY_MS: u64 = 600_000;
/// How long it takes at most until the server gives up whoever is away.
pub(super) const GIVEN_UP_MS: u64 = 40_000;
/// How long the store takes at most to begin anew.
const DOWN_MS: u64 = 30_000;

/// What strikes.
pub(super) struct Mischief {
    groups: usize,
    /// Processes that stand still, each until it is ended.
    still: Vec<(i64, Arc<Process>)>,
}

impl Mischief {
    /// Nothing yet; processes that begin anew are numbered from there on.
    pub(super) fn new(groups: usize) -> Self {
        Self { groups, still: Vec::new() }
    }

    /// Ends what has stood still long enough.
    pub(super) fn follow(&mut self, scene: &Arc<Scene>, tasks: &mut Tasks) {
        let now = scene.stage().now_ms();
        self.still.retain(|(until, process)| {
            let ends = *until <= now;
            if ends {
                tasks.kill(process.group);
            }
            !ends
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
                self.still.push((now + stage.below(AWAY_MS) as i64, process));
            }
            60..78 => {
                hit(scene, &process);
                scene.tally().note(Fault::Partition);
                process.store.goes_away();
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
        self.still.drain(..).for_each(|(_, process)| tasks.kill(process.group));
        scene.tally().lock().calm = true;
        let replicas = scene.processes().len();
        for number in 0..replicas {
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
