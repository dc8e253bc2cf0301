//! A clock that only moves when everyone waits, and the tasks that wait for it: whatever happens, happens again with the
//! same seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A sequence of numbers that look random and come from a seed (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    pub(super) fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.throw() % bound.max(1)
    }

    /// True in so many of a thousand throws.
    pub(super) fn per_mille(&mut self, chance: u64) -> bool {
        self.below(1000) < chance
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    process: usize,
    ready: Arc<Flag>,
    waker: Waker,
    work: Work,
}

struct Inner {
    now_ms: i64,
    number: u64,
    timers: BinaryHeap<Reverse<(i64, u64)>>,
    wakers: std::collections::HashMap<u64, Waker>,
    new: Vec<(usize, Work)>,
    dice: Dice,
}

/// The clock, the dice and the tasks' timers.
#[derive(Clone)]
pub(super) struct Stage(Arc<Mutex<Inner>>);

impl Stage {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            // 2026-11-24, in the evening of Ho Chi Minh City, so that a day ends on the way.
            now_ms: 1_795_530_000_000,
            number: 0,
            timers: BinaryHeap::new(),
            wakers: std::collections::HashMap::new(),
            new: Vec::new(),
            dice: Dice::new(seed),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.lock().now_ms
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.lock().dice.below(bound)
    }

    pub(super) fn per_mille(&self, chance: u64) -> bool {
        self.lock().dice.per_mille(chance)
    }

    /// Lets time pass for a task.
    pub(super) fn sleep(&self, ms: i64) -> Sleep {
        Sleep { stage: self.clone(), until: self.now_ms() + ms.max(0), number: None }
    }

    /// A short time that nobody can foresee.
    pub(super) fn moment(&self, most_ms: u64) -> Sleep {
        let ms = self.below(most_ms) as i64 + 1;
        self.sleep(ms)
    }

    /// Begins a task of a process.
    pub(super) fn spawn(&self, process: usize, work: impl Future<Output = ()> + Send + 'static) {
        self.lock().new.push((process, Box::pin(work)));
    }
}

/// A task's wait.
pub(super) struct Sleep {
    stage: Stage,
    until: i64,
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let stage = self.stage.clone();
        let mut inner = stage.lock();
        if inner.now_ms >= self.until {
            return Poll::Ready(());
        }
        let number = match self.number {
            Some(number) => number,
            None => {
                inner.number += 1;
                let number = inner.number;
                inner.timers.push(Reverse((self.until, number)));
                self.number = Some(number);
                number
            }
        };
        inner.wakers.insert(number, cx.waker().clone());
        Poll::Pending
    }
}

/// Runs tasks, and kills those of a process.
pub(super) struct Tasks {
    stage: Stage,
    all: Vec<Option<Task>>,
}

impl Tasks {
    pub(super) fn new(stage: Stage) -> Self {
        Self { stage, all: Vec::new() }
    }

    /// Ends all tasks of a process where they stand.
    pub(super) fn kill(&mut self, process: usize) {
        self.all.retain(|task| task.as_ref().is_none_or(|task| task.process != process));
        self.stage.lock().new.retain(|(of, _)| *of != process);
    }

    /// Lets everyone go on who can, and then the time pass until the next one can. False if nobody waits any more, or
    /// only beyond a moment.
    pub(super) fn step(&mut self, until_ms: i64) -> bool {
        self.settle();
        let mut inner = self.stage.lock();
        let Some(Reverse((at, number))) = inner.timers.pop() else { return false };
        if at > until_ms {
            inner.timers.push(Reverse((at, number)));
            return false;
        }
        inner.now_ms = inner.now_ms.max(at);
        if let Some(waker) = inner.wakers.remove(&number) {
            waker.wake();
        }
        true
    }

    fn settle(&mut self) {
        loop {
            let new = std::mem::take(&mut self.stage.lock().new);
            for (process, work) in new {
                let ready = Arc::new(Flag(AtomicBool::new(true)));
                let waker = Waker::from(ready.clone());
                self.all.push(Some(Task { process, ready, waker, work }));
            }
            let mut moved = false;
            for place in &mut self.all {
                let Some(task) = place else { continue };
                if !task.ready.0.swap(false, Ordering::Relaxed) {
                    continue;
                }
                moved = true;
                let mut cx = Context::from_waker(&task.waker);
                if task.work.as_mut().poll(&mut cx).is_ready() {
                    *place = None;
                }
            }
            self.all.retain(Option::is_some);
            if !moved && self.stage.lock().new.is_empty() {
                return;
            }
        }
    }

    /// Whether a process has anything to do yet.
    pub(super) fn has(&self, process: usize) -> bool {
        self.all.iter().flatten().any(|task| task.process == process)
    }

    /// Puts the clock on.
    pub(super) fn jump(&self, ms: i64) {
        self.stage.lock().now_ms += ms;
    }
}
