//! How fast a chain makes blocks, and what that takes of a deadline.

use futures_util::future::try_join_all;

use crate::Result;
use crate::chain::contracts::Contracts;

/// How many of the last blocks are looked at.
const BLOCKS: u64 = 33;

/// How many blocks a transaction may take to be mined, at the most that is reckoned with: the next
/// one may be full or missed, and so may the one after it.
const MINED_BLOCKS: u64 = 3;

/// How fast a chain makes blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    /// What a block takes as a rule, in seconds; 0 where a transaction makes its own.
    pub(crate) block_secs: u64,
}

impl Pace {
    /// By the times of blocks in a row, in Unix seconds. Half of the gaps are no longer: a chain
    /// that rests between transactions must not look slow for it.
    fn of(times: &[u64]) -> Self {
        let mut gaps: Vec<_> =
            times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        gaps.sort_unstable();
        Pace { block_secs: gaps.get(gaps.len() / 2).copied().unwrap_or(0) }
    }

    /// What of a run's time the chain itself takes, in seconds: until so many blocks stand upon the
    /// lock's, and until the claim is mined.
    pub(crate) fn margin_secs(self, confirmations: u64) -> u64 {
        self.block_secs.saturating_mul(confirmations.saturating_add(MINED_BLOCKS))
    }
}

impl Contracts {
    /// How fast the chain makes blocks now.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain).
    pub(crate) async fn pace(&self) -> Result<Pace> {
        if self.is_embedded() {
            return Ok(Pace::default());
        }
        let (head, _) = self.head().await?;
        // The first block's time is whatever its maker wrote.
        let numbers = head.saturating_sub(BLOCKS - 1).max(1)..=head;
        let headers = numbers.map(|number| self.client().header(number.into()));
        let headers = try_join_all(headers).await?;
        let times: Vec<_> = headers.into_iter().flatten().map(|header| header.timestamp).collect();
        Ok(Pace::of(&times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_leaves_time_for_blocks_as_long_as_they_are() {
        let slow = Pace::of(&[0, 12, 24, 48, 60, 72]);
        assert_eq!(slow, Pace { block_secs: 12 }, "a missed block does not count");
        assert_eq!(slow.margin_secs(2), 60);
        let resting = Pace::of(&[0, 0, 1, 1, 4_000, 4_000, 4_001, 9_000]);
        assert!(resting.block_secs <= 1, "{resting:?}: it rests, and is not slow");
        assert_eq!(Pace::of(&[]).margin_secs(5), 0);
        assert_eq!(Pace { block_secs: 2 }.margin_secs(u64::MAX), u64::MAX);
    }
}
