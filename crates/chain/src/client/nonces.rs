//! Which nonce to use next, when many tasks send from one account.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long our own count is trusted over a node that says less: it may lag behind.
pub(crate) const TRUST: Duration = Duration::from_secs(15);

/// The nonces of one account, as far as this process knows.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    next: u64,
    /// Handed out, then not used: these come first, or everything after them would wait.
    free: BTreeSet<u64>,
    in_flight: BTreeSet<u64>,
    trusted_until: Option<Instant>,
}

/// A nonce that was handed out. If it is dropped unsettled, nobody knows what became of it.
#[derive(Debug)]
pub(crate) struct Taken {
    nonces: Arc<Mutex<Nonces>>,
    nonce: u64,
    settled: bool,
}

impl Nonces {
    /// True if the chain must be asked before the next nonce is taken.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        self.in_flight.is_empty() && self.trusted_until.is_none_or(|until| until <= now)
    }

    /// Takes in the account's transaction count, pending ones included.
    pub(crate) fn learn(&mut self, count: u64, now: Instant) {
        if self.is_stale(now) {
            // Nothing of ours is under way, so the chain knows best, even if it went back.
            self.next = count;
            self.free.clear();
        } else {
            self.next = self.next.max(count);
            self.free.retain(|nonce| *nonce >= count);
        }
    }

    /// The chain waits for nonce `count`: whatever from there on is not under way is free.
    pub(crate) fn find_gaps(&mut self, count: u64) {
        self.next = self.next.max(count);
        self.free = (count..self.next).filter(|nonce| !self.in_flight.contains(nonce)).collect();
    }

    fn take(&mut self) -> u64 {
        let nonce = self.free.pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        self.in_flight.insert(nonce);
        nonce
    }
}

impl Taken {
    /// The nonce to sign with.
    pub(crate) fn take(nonces: &Arc<Mutex<Nonces>>) -> Self {
        let nonce = lock(nonces).take();
        Self { nonces: nonces.clone(), nonce, settled: false }
    }

    pub(crate) fn nonce(&self) -> u64 {
        self.nonce
    }

    /// The transaction was accepted, or another of this account has the nonce.
    pub(crate) fn used(self) {
        self.settle(|nonces, _| nonces.trusted_until = Some(Instant::now() + TRUST));
    }

    /// The transaction was refused: another may have the nonce.
    pub(crate) fn give_back(self) {
        self.settle(|nonces, nonce| {
            nonces.free.insert(nonce);
        });
    }

    fn settle(mut self, then: impl FnOnce(&mut Nonces, u64)) {
        self.settled = true;
        let mut nonces = lock(&self.nonces);
        nonces.in_flight.remove(&self.nonce);
        then(&mut nonces, self.nonce);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.settled {
            let mut nonces = lock(&self.nonces);
            nonces.in_flight.remove(&self.nonce);
            nonces.trusted_until = None;
        }
    }
}

pub(crate) fn lock(nonces: &Mutex<Nonces>) -> MutexGuard<'_, Nonces> {
    nonces.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starting_at(count: u64) -> Arc<Mutex<Nonces>> {
        let nonces = Arc::<Mutex<Nonces>>::default();
        lock(&nonces).learn(count, Instant::now());
        nonces
    }

    #[test]
    fn a_refused_nonce_is_used_again_before_new_ones() {
        let nonces = starting_at(7);
        let (first, second) = (Taken::take(&nonces), Taken::take(&nonces));
        assert_eq!((first.nonce(), second.nonce()), (7, 8));
        first.give_back();
        let (third, fourth) = (Taken::take(&nonces), Taken::take(&nonces));
        assert_eq!((third.nonce(), fourth.nonce()), (7, 9), "a gap would hold up nonce 8");
    }

    #[test]
    fn a_lagging_node_does_not_take_the_count_back_but_a_reorganisation_does() {
        let nonces = starting_at(3);
        Taken::take(&nonces).used();
        lock(&nonces).learn(3, Instant::now());
        let second = Taken::take(&nonces);
        assert_eq!(second.nonce(), 4, "the node had not seen nonce 3 yet");
        second.used();
        let later = Instant::now() + TRUST;
        assert!(lock(&nonces).is_stale(later));
        lock(&nonces).learn(2, later);
        assert_eq!(Taken::take(&nonces).nonce(), 2, "the chain went back, so must the count");
    }

    #[test]
    fn a_cancelled_send_leaves_a_gap_that_is_found() {
        let nonces = starting_at(0);
        let (lost, under_way) = (Taken::take(&nonces), Taken::take(&nonces));
        drop(lost);
        lock(&nonces).find_gaps(0);
        assert_eq!(Taken::take(&nonces).nonce(), 0, "nonce 1 waits for it");
        assert_eq!(Taken::take(&nonces).nonce(), 2);
        under_way.used();
    }
}
