//! Rate limits in bounded memory.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::limits::Rate;

/// Places of a table: half a megabyte. Two keys that share one share its rate, as one pair in
/// 65,536 does; who shares with whom is random in each process, so that nobody can aim.
const PLACES: usize = 1 << 16;

/// One rate for each key, by the generic cell rate algorithm (ITU-T I.371): of each key it knows
/// only when what it has used up will be earned again.
pub(crate) struct Rates {
    places: Box<[AtomicU64]>,
    keys: RandomState,
    started: Instant,
    /// Nanoseconds in which one request is earned.
    interval: u64,
    /// Nanoseconds by which a key may be ahead.
    ahead: u64,
}

impl Rates {
    pub(crate) fn new(rate: Rate) -> Self {
        let interval = 1_000_000_000 / u64::from(rate.per_sec.max(1));
        Rates {
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            keys: RandomState::new(),
            started: Instant::now(),
            interval,
            ahead: interval * u64::from(rate.burst.saturating_sub(1)),
        }
    }

    /// Uses one up, or tells when there will be one.
    pub(crate) fn take(&self, key: impl Hash) -> Result<(), Duration> {
        self.take_at(key, u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn take_at(&self, key: impl Hash, now: u64) -> Result<(), Duration> {
        let place = &self.places[self.keys.hash_one(key) as usize % PLACES];
        let taken = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |earned| {
            (earned <= now.saturating_add(self.ahead)).then(|| earned.max(now) + self.interval)
        });
        taken.map(drop).map_err(|earned| Duration::from_nanos(earned - now - self.ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_then_the_rate() {
        let rates = Rates::new(Rate { per_sec: 10, burst: 5 });
        let taken = |now| (0..100).take_while(|_| rates.take_at("a", now).is_ok()).count();
        assert_eq!(taken(0), 5, "the burst");
        assert_eq!(
            rates.take_at("a", 0),
            Err(Duration::from_millis(100)),
            "when the next is earned"
        );
        assert_eq!(taken(SECOND / 10), 1);
        assert_eq!(taken(SECOND / 2), 4);
        assert_eq!(taken(100 * SECOND), 5, "rest earns a burst and no more");
        assert!(rates.take_at("b", 0).is_ok(), "another key has its own");
    }
}
