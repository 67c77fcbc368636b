//! What a provider has bound itself to run, and whether more fits: nothing is locked that could
//! miss its deadline.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::B256;

/// How many waiting orders are looked at again when a run has ended.
const WOKEN: usize = 8;

/// The work that is bound, and the orders that wait for it to be done.
pub(crate) struct Backlog {
    /// Steps a second of one run.
    steps_per_sec: u64,
    runs_at_once: u64,
    /// What getting transactions in takes beside the run, in seconds.
    margin_secs: AtomicU64,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    jobs: BTreeMap<B256, Bound>,
    /// Orders that would fit an idle provider, by when they began to wait, the first first.
    waiting: VecDeque<(B256, u64)>,
    /// There may be room for one that waits.
    has_room: bool,
}

/// A job that is locked, or about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound {
    steps: u64,
    stake: u128,
    clock: RunClock,
}

/// How long a job that is bound may still take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunClock {
    /// Its lock or its begin is on its way, so that the clock has not begun; void after `until`
    /// unless it is seen by then.
    Sent { run_secs: u64, until: u64 },
    /// It is sealed and locked, and the provider says itself when its clock begins.
    Held,
    /// It is to be claimed by then.
    Due(u64),
    /// Its run has begun, so that nothing that comes delays it.
    Running,
}

/// What is to be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// Its step limit.
    pub(crate) steps: u64,
    /// What is put at stake for it.
    pub(crate) stake: u128,
    /// How long it may take, in seconds.
    pub(crate) run_secs: u64,
}

impl Backlog {
    /// A provider that has bound nothing.
    pub(crate) fn new(steps_per_sec: u64, runs_at_once: usize, margin_secs: u64) -> Self {
        Backlog {
            steps_per_sec: steps_per_sec.max(1),
            runs_at_once: runs_at_once.max(1) as u64,
            margin_secs: margin_secs.into(),
            held: Mutex::default(),
        }
    }

    /// What is left for transactions and confirmations, in seconds.
    pub(crate) fn margin_secs(&self) -> u64 {
        self.margin_secs.load(Ordering::Relaxed)
    }

    /// The chain has become faster or slower. What is bound stays bound.
    pub(crate) fn set_margin_secs(&self, margin_secs: u64) {
        self.margin_secs.store(margin_secs, Ordering::Relaxed);
    }

    /// How long a job of so many steps takes an idle provider, in seconds.
    pub(crate) fn alone_secs(&self, steps: u64) -> u64 {
        self.needed_secs(0, steps)
    }

    /// Whether a job would end in time, as would all that is bound; else the seconds that it would
    /// need.
    pub(crate) fn fits(&self, id: B256, work: Work, now: u64) -> Result<(), u64> {
        let mut held = self.held();
        held.forget_past(now);
        self.fits_among(&held, id, work, now)
    }

    /// Binds a job whose lock or begin is about to be sent, and counts until `until` unless it is
    /// seen by then; if it fits.
    pub(crate) fn bind(&self, id: B256, work: Work, until: u64, now: u64) -> Result<(), u64> {
        let mut held = self.held();
        held.forget_past(now);
        self.fits_among(&held, id, work, now)?;
        let clock = RunClock::Sent { run_secs: work.run_secs, until };
        held.jobs.insert(id, Bound { steps: work.steps, stake: work.stake, clock });
        held.waiting.retain(|(waits, _)| *waits != id);
        Ok(())
    }

    /// The chain shows a job as this provider's: by when it is to be claimed, or `None` while its
    /// clock has not begun.
    pub(crate) fn seen(&self, id: B256, work: Work, deadline: Option<u64>) {
        let mut held = self.held();
        if held.jobs.get(&id).is_some_and(|job| job.clock == RunClock::Running) {
            return;
        }
        let clock = deadline.map_or(RunClock::Held, RunClock::Due);
        held.jobs.insert(id, Bound { steps: work.steps, stake: work.stake, clock });
    }

    /// A job's run begins.
    pub(crate) fn begins(&self, id: B256) {
        if let Some(job) = self.held().jobs.get_mut(&id) {
            job.clock = RunClock::Running;
        }
    }

    /// A job needs no more work, or none of this provider's.
    pub(crate) fn release(&self, id: B256) {
        let mut held = self.held();
        held.has_room |= held.jobs.remove(&id).is_some();
        held.waiting.retain(|(waits, _)| *waits != id);
    }

    /// An order waits until there is room for it. Gives since when.
    pub(crate) fn waits(&self, id: B256, now: u64) -> u64 {
        let mut held = self.held();
        if let Some((_, since)) = held.waiting.iter().find(|(waits, _)| *waits == id) {
            return *since;
        }
        held.waiting.push_back((id, now));
        now
    }

    /// An order that waited was not bound after all, so the room is another's.
    pub(crate) fn passes(&self, id: B256) {
        let mut held = self.held();
        let before = held.waiting.len();
        held.waiting.retain(|(waits, _)| *waits != id);
        held.has_room |= held.waiting.len() < before;
    }

    /// The orders to look at again, if there may be room: those that have waited longest. They stay
    /// until they are bound or pass.
    pub(crate) fn woken(&self) -> Vec<B256> {
        let mut held = self.held();
        if !std::mem::take(&mut held.has_room) {
            return Vec::new();
        }
        held.waiting.iter().take(WOKEN).map(|(id, _)| *id).collect()
    }

    /// What the locks on their way put at stake, which the chain may not show yet; without one
    /// job's.
    pub(crate) fn stake_sent(&self, besides: B256, now: u64) -> u128 {
        let mut held = self.held();
        held.forget_past(now);
        let others = held.jobs.iter().filter(|(id, _)| **id != besides);
        let sent = others.filter(|(_, job)| matches!(job.clock, RunClock::Sent { .. }));
        sent.fold(0, |sum, (_, job)| sum.saturating_add(job.stake))
    }

    fn fits_among(&self, held: &Held, id: B256, work: Work, now: u64) -> Result<(), u64> {
        let others = held.jobs.iter().filter(|(other, _)| **other != id);
        let bound = others.clone().fold(0u64, |sum, (_, job)| sum.saturating_add(job.steps));
        let needed = self.needed_secs(bound, work.steps);
        if needed > work.run_secs {
            return Err(needed);
        }
        let all = bound.saturating_add(work.steps);
        // Whatever has not begun may come to run after this one, in whatever order they are ready.
        for (_, job) in others {
            let left_secs = match job.clock {
                RunClock::Sent { run_secs, .. } => run_secs,
                RunClock::Due(deadline) => deadline.saturating_sub(now),
                RunClock::Held | RunClock::Running => continue,
            };
            let short_secs = self.needed_secs(all - job.steps, job.steps).saturating_sub(left_secs);
            if short_secs > 0 && left_secs >= self.needed_secs(bound - job.steps, job.steps) {
                return Err(work.run_secs.saturating_add(short_secs));
            }
        }
        Ok(())
    }

    /// How long a job may take when everything else that is bound runs before it.
    fn needed_secs(&self, others: u64, steps: u64) -> u64 {
        // Work is taken up as soon as a place is free, so the last one begins when all places are
        // busy no longer.
        let waits = u128::from(others).div_ceil(u128::from(self.runs_at_once));
        let all = (waits + u128::from(steps)).div_ceil(u128::from(self.steps_per_sec));
        u64::try_from(all).unwrap_or(u64::MAX).saturating_add(self.margin_secs())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Each change is whole, so a panic elsewhere spoils nothing.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Drops what was sent and never seen, and what is too late.
    fn forget_past(&mut self, now: u64) {
        let before = self.jobs.len();
        self.jobs.retain(|_, job| match job.clock {
            RunClock::Sent { until, .. } => now <= until,
            RunClock::Due(deadline) => now <= deadline,
            RunClock::Held | RunClock::Running => true,
        });
        self.has_room |= self.jobs.len() < before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000;

    fn id(number: u8) -> B256 {
        B256::repeat_byte(number)
    }

    fn work(secs: u64, run_secs: u64) -> Work {
        Work { steps: secs * 1_000, stake: 7, run_secs }
    }

    fn backlog(runs_at_once: usize) -> Backlog {
        Backlog::new(1_000, runs_at_once, 1)
    }

    #[test]
    fn nothing_is_bound_that_could_miss_its_deadline() {
        let backlog = backlog(1);
        assert_eq!(backlog.bind(id(1), work(20, 60), NOW + 60, NOW), Ok(()));
        assert_eq!(backlog.bind(id(2), work(20, 60), NOW + 60, NOW), Ok(()));
        let third = backlog.bind(id(3), work(20, 60), NOW + 60, NOW);
        assert_eq!(third, Err(61), "60 s of work and a second are more than 60 s");
        // More time would not help: the others have none to spare.
        assert_eq!(backlog.bind(id(3), work(20, 600), NOW + 60, NOW), Err(601));
        assert_eq!(backlog.bind(id(3), work(10, 60), NOW + 60, NOW), Ok(()));
        // One that runs is delayed by nobody, and one that has ended takes no time.
        backlog.seen(id(1), work(20, 60), Some(NOW + 60));
        backlog.begins(id(1));
        assert_eq!(backlog.fits(id(4), work(5, 600), NOW), Ok(()));
        assert_eq!(backlog.fits(id(4), work(20, 600), NOW), Err(611));
        backlog.release(id(1));
        assert_eq!(backlog.fits(id(4), work(20, 600), NOW), Ok(()));
    }

    #[test]
    fn a_chain_that_has_become_slow_takes_its_time_of_every_deadline() {
        let backlog = backlog(1);
        assert_eq!(backlog.fits(id(1), work(20, 60), NOW), Ok(()));
        backlog.set_margin_secs(48);
        assert_eq!(backlog.fits(id(1), work(20, 60), NOW), Err(68));
        assert_eq!(backlog.fits(id(1), work(20, 68), NOW), Ok(()));
    }

    #[test]
    fn as_many_run_at_once_as_the_plan_says() {
        let backlog = backlog(2);
        for number in 0..4 {
            let bound = backlog.bind(id(number), work(20, 60), NOW + 60, NOW);
            assert_eq!(bound, Ok(()), "job {number} waits for 30 s at the most");
        }
        assert_eq!(backlog.bind(id(4), work(20, 60), NOW + 60, NOW), Err(61));
    }

    #[test]
    fn a_lock_that_never_came_is_forgotten_and_one_that_came_is_not() {
        let backlog = backlog(1);
        backlog.bind(id(1), work(20, 60), NOW + 60, NOW).unwrap();
        backlog.bind(id(2), work(20, 60), NOW + 60, NOW).unwrap();
        assert_eq!(backlog.stake_sent(id(2), NOW), 7, "what is on its way is at stake");
        backlog.seen(id(2), work(20, 60), Some(NOW + 90));
        assert_eq!(backlog.stake_sent(id(9), NOW), 7, "what the chain shows is counted there");
        assert_eq!(backlog.bind(id(3), work(20, 90), NOW + 130, NOW + 61), Err(102));
        assert_eq!(backlog.stake_sent(id(9), NOW + 61), 0);
        assert_eq!(backlog.fits(id(3), work(8, 60), NOW + 61), Ok(()), "the first never came");
        assert_eq!(backlog.fits(id(3), work(59, 60), NOW + 90), Err(80));
        assert_eq!(backlog.fits(id(3), work(59, 60), NOW + 91), Ok(()), "what is too late is lost");
    }

    #[test]
    fn who_waits_is_looked_at_in_turn_when_there_is_room() {
        let backlog = backlog(1);
        backlog.bind(id(1), work(20, 60), NOW + 60, NOW).unwrap();
        for number in 2..20 {
            assert_eq!(backlog.waits(id(number), NOW + u64::from(number)), NOW + u64::from(number));
        }
        assert_eq!(backlog.waits(id(2), NOW + 99), NOW + 2, "it keeps its place");
        assert!(backlog.woken().is_empty(), "there is no room yet");
        backlog.release(id(1));
        assert_eq!(backlog.woken(), (2..10).map(id).collect::<Vec<_>>());
        assert!(backlog.woken().is_empty(), "once for each room");
        backlog.passes(id(2));
        assert_eq!(backlog.woken(), (3..11).map(id).collect::<Vec<_>>(), "the next one's turn");
    }
}
