//! How far the runs of this process are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_primitives::B256;

/// How many steps the jobs that run in this process have taken. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<BTreeMap<B256, u64>>>);

impl Progress {
    /// The steps of a job that runs now; `None` if it does not run here.
    pub fn steps(&self, job: B256) -> Option<u64> {
        self.runs().get(&job).copied()
    }

    pub(crate) fn tell(&self, job: B256, steps: u64) {
        self.runs().insert(job, steps);
    }

    pub(crate) fn end(&self, job: B256) {
        self.runs().remove(&job);
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<B256, u64>> {
        // It is only shown, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
