//! What is counted while requests are answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use assay_protocol::ProblemKind;

/// Upper ends of the histogram's buckets, in microseconds: 1 ms to 10 s.
pub(crate) const BUCKETS_MICROS: [u64; 9] =
    [1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000];

/// Requests that were answered, by what they were.
#[derive(Default)]
pub(crate) struct Served(Mutex<Counts>);

#[derive(Default)]
pub(crate) struct Counts {
    /// By method, the route's shape, and status: a few hundred at most.
    pub(crate) answers: BTreeMap<(&'static str, &'static str, u16), u64>,
    pub(crate) durations: BTreeMap<&'static str, Histogram>,
}

/// How long answers took.
#[derive(Default)]
pub(crate) struct Histogram {
    pub(crate) buckets: [u64; BUCKETS_MICROS.len()],
    pub(crate) count: u64,
    pub(crate) micros: u64,
}

impl Served {
    /// Counts an answer. A stream's time is that until its first byte.
    pub(crate) fn count(
        &self,
        method: &'static str,
        route: &'static str,
        status: u16,
        elapsed: Duration,
    ) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let mut counts = self.counts();
        *counts.answers.entry((method, route, status)).or_default() += 1;
        let histogram = counts.durations.entry(route).or_default();
        histogram.count += 1;
        histogram.micros = histogram.micros.saturating_add(micros);
        for (bucket, end) in histogram.buckets.iter_mut().zip(BUCKETS_MICROS) {
            *bucket += u64::from(micros <= end);
        }
    }
    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often each problem was answered.
pub(crate) struct Refused([AtomicU64; ProblemKind::ALL.len()]);

impl Refused {
    pub(crate) fn new() -> Self {
        Refused(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    pub(crate) fn count(&self, kind: ProblemKind) {
        self.0[kind.place()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, kind: ProblemKind) -> u64 {
        self.0[kind.place()].load(Ordering::Relaxed)
    }
}
