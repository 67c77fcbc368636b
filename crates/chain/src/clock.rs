//! The clocks there are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use assay_types::Clock;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_secs(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
    }
}

/// A clock that moves only when told to, for tests and simulations.
#[derive(Debug, Default)]
pub struct ManualClock {
    unix_secs: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `unix_secs`.
    pub fn at(unix_secs: u64) -> Self {
        Self { unix_secs: AtomicU64::new(unix_secs) }
    }

    /// Moves the clock to `unix_secs`, which may lie in the past.
    pub fn set(&self, unix_secs: u64) {
        self.unix_secs.store(unix_secs, Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, secs: u64) {
        self.unix_secs.fetch_add(secs, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn unix_secs(&self) -> u64 {
        self.unix_secs.load(Ordering::SeqCst)
    }
}
