//! What a provider keeps of its runs and orders, all of which it could find again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::B256;
use assay_protocol::SignedOrder;

use crate::Result;
use crate::base::blocking::blocking;
use crate::job::executor::JobRun;
use crate::job::inputs::start;
use crate::provider::Provider;

/// How many finished runs are kept for the games about them; a run that was dropped is made again.
const RUNS_KEPT: usize = 64;

/// What the kept runs may take in memory together, in bytes.
const RUNS_SIZE_MAX: u64 = 1 << 32;

/// Steps that make one run as quick to make again as another: about a second's.
const REMADE_STEPS: u64 = 1 << 26;

/// What can be found again by reading and running, kept so that it need not be.
pub(super) struct Memory {
    pub(super) runs: BTreeMap<B256, Box<dyn JobRun>>,
    /// The kept runs, oldest first.
    order: VecDeque<B256>,
    /// What it has locked, or is about to.
    pub(super) own: BTreeSet<B256>,
    declined: BTreeMap<B256, Declined>,
    /// Jobs whose lock, run and claim are in the log.
    pub(super) recorded: BTreeSet<B256>,
    /// Jobs whose output could not be published.
    pub(super) unpublished: BTreeSet<B256>,
    /// Jobs whose output is being published.
    pub(super) publishing: BTreeSet<B256>,
    /// How many of its moves in games about a job's claim are in the log.
    pub(super) moves_said: BTreeMap<B256, usize>,
}

/// What is known of an order that is declined.
#[derive(Default)]
struct Declined {
    times: u32,
    /// The code of the reason that was said last.
    said: Option<&'static str>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Memory {
            runs: BTreeMap::new(),
            order: VecDeque::new(),
            own: BTreeSet::new(),
            declined: BTreeMap::new(),
            recorded: BTreeSet::new(),
            unpublished: BTreeSet::new(),
            publishing: BTreeSet::new(),
            moves_said: BTreeMap::new(),
        }
    }

    /// An order is declined. Gives how often in a row it was, and whether this reason is a new one.
    pub(super) fn decline(&mut self, id: B256, code: &'static str) -> (u32, bool) {
        let declined = self.declined.entry(id).or_default();
        declined.times = declined.times.saturating_add(1);
        (declined.times, declined.said != Some(code))
    }

    /// A reason is on its way to the requester.
    pub(super) fn said(&mut self, id: B256, code: &'static str) {
        self.declined.entry(id).or_default().said = Some(code);
    }

    /// What was on its way did not come through.
    pub(super) fn forget_declined(&mut self, id: B256) {
        self.declined.remove(&id);
    }

    fn runs_size(&self) -> u64 {
        self.runs.values().map(|run| run.size()).sum()
    }

    /// The kept run that is quickest to make again, the oldest of several; never the one that is
    /// named. Many short jobs must not make a provider forget a long one that it may have to
    /// defend.
    fn quickest(&self, besides: B256) -> Option<B256> {
        let others = self.order.iter().filter(|kept| **kept != besides);
        let steps = |id: &&B256| self.runs.get(*id).map_or(0, |run| run.step() / REMADE_STEPS);
        others.min_by_key(steps).copied()
    }
}

pub(super) fn locked(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    // What it holds can be found again, so a panic elsewhere spoils nothing.
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Provider {
    /// Works with the job's run, the kept one or a fresh one, and keeps it.
    pub(super) async fn with_run<T: Send + 'static>(
        &self,
        id: B256,
        signed: &SignedOrder,
        work: impl FnOnce(&mut dyn JobRun) -> T + Send + 'static,
    ) -> Result<T> {
        let mut run = match self.take(id) {
            Some(run) => run,
            None => start(&self.board, &self.opener, signed, &*self.executor).await?,
        };
        let (run, done) = blocking(move || {
            let done = work(&mut *run);
            (run, done)
        })
        .await;
        self.keep(id, run);
        Ok(done)
    }

    pub(super) fn take(&self, id: B256) -> Option<Box<dyn JobRun>> {
        let mut memory = self.memory();
        memory.order.retain(|kept| *kept != id);
        memory.runs.remove(&id)
    }

    pub(super) fn keep(&self, id: B256, run: Box<dyn JobRun>) {
        let mut memory = self.memory();
        memory.order.retain(|kept| *kept != id);
        memory.order.push_back(id);
        memory.runs.insert(id, run);
        while memory.runs.len() > RUNS_KEPT || memory.runs_size() > RUNS_SIZE_MAX {
            let Some(quickest) = memory.quickest(id) else { return };
            memory.order.retain(|kept| *kept != quickest);
            memory.runs.remove(&quickest);
        }
    }

    pub(super) fn forget(&self, id: B256) {
        self.take(id);
        self.backlog.release(id);
        self.fetched.remove(id);
        let mut memory = self.memory();
        memory.own.remove(&id);
        memory.declined.remove(&id);
        memory.recorded.remove(&id);
        memory.unpublished.remove(&id);
        memory.moves_said.remove(&id);
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        locked(&self.memory)
    }
}
