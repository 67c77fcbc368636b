//! Saying why orders are declined, beside the work: a broker that is slow, or a flood of orders that
//! nobody takes, must keep no claim waiting.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::B256;
use assay_market::Refusal;
use tokio::sync::{Notify, watch};

use crate::provider::Provider;

/// How many refusals wait to be said at the most. What finds no place is said later, if it is
/// still so.
const WAITING_MAX: usize = 1_024;

/// How many may wait for one to be taken in that tells its requester what the chain shows as well.
const WAITING_FEW: usize = WAITING_MAX / 4;

/// The pause after one that could not be said.
const PAUSE: Duration = Duration::from_secs(5);

/// Refusals that are still to be said.
#[derive(Default)]
pub(super) struct Refusals {
    waiting: Mutex<VecDeque<Refusal>>,
    more: Notify,
}

impl Refusals {
    /// Takes one in, if there is place. `is_needed` where nothing else tells the requester.
    pub(super) fn put(&self, refusal: Refusal, is_needed: bool) -> bool {
        let mut waiting = self.waiting();
        if waiting.len() >= if is_needed { WAITING_MAX } else { WAITING_FEW } {
            return false;
        }
        waiting.push_back(refusal);
        self.more.notify_one();
        true
    }

    /// The one that has waited longest.
    async fn next(&self) -> Refusal {
        loop {
            let next = self.waiting().pop_front();
            match next {
                Some(refusal) => return refusal,
                None => self.more.notified().await,
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Refusal>> {
        // Each change is whole, so a panic elsewhere spoils nothing.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider {
    /// Says the refusals that wait, until told to stop. What can't be said is said anew when its
    /// order is looked at again.
    pub(super) async fn keep_refusing(&self, mut stop: watch::Receiver<bool>) {
        loop {
            let next = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                next = self.refusals.next() => next,
            };
            let said = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                said = self.board.refuse(self.contracts.signer(), &next) => said,
            };
            if let Err(error) = said {
                tracing::warn!(%error, "a refusal could not be said");
                self.memory().forget_declined(B256::new(next.job.0));
                self.contracts.env().sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use assay_market::{Account, JobId, Reason};

    use super::*;

    #[tokio::test]
    async fn a_flood_of_refusals_has_a_bound_and_leaves_place_for_those_that_help() {
        let refusal = |number: u8| Refusal {
            job: JobId([number; 32]),
            provider: Account([7; 20]),
            reason: Reason::NonceUsed {},
            at: 1,
        };
        let refusals = Refusals::default();
        assert_eq!((0..5_000).filter(|_| refusals.put(refusal(1), false)).count(), WAITING_FEW);
        let left = (0..5_000).filter(|_| refusals.put(refusal(2), true)).count();
        assert_eq!(left, WAITING_MAX - WAITING_FEW);
        assert_eq!(refusals.next().await, refusal(1), "in order");
        assert!(refusals.put(refusal(3), true));
    }
}
