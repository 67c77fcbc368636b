//! What time it is on the chain, by its blocks and by a clock that may be wrong.

use std::collections::VecDeque;
use std::time::Duration;

/// How many of the newest blocks are remembered.
const BLOCKS: usize = 8;

/// The chain's time, as far as one account has seen blocks.
///
/// A block that was just made has the chain's time, so where every one of the last blocks was in
/// the past when it came, the clock is fast by as much. A chain that makes no block while nothing
/// happens tells nothing, and is taken to have the clock's time.
#[derive(Debug, Default)]
pub(crate) struct ChainTime {
    /// The last block's number and time.
    last: Option<(u64, u64)>,
    /// How far ahead of the clock that block was when it came, in seconds.
    ahead_secs: u64,
    /// How far in the past the newest blocks were when they came, in seconds.
    behind: VecDeque<u64>,
}

impl ChainTime {
    /// The last block was read, of a time in Unix seconds, when a clock said another.
    pub(crate) fn see(&mut self, number: u64, time: u64, clock: u64) {
        if self.last == Some((number, time)) {
            return;
        }
        // Of the first one nobody knows how long it has been there.
        if self.last.is_some_and(|(known, _)| number > known) {
            self.behind.push_back(clock.saturating_sub(time));
            self.behind.drain(..self.behind.len().saturating_sub(BLOCKS));
        }
        self.ahead_secs = time.saturating_sub(clock);
        self.last = Some((number, time));
    }

    /// How fast the clock is, in seconds.
    fn fast_secs(&self) -> u64 {
        self.behind.iter().copied().min().unwrap_or(0)
    }

    /// The last block's time, in Unix seconds; 0 if none was read.
    pub(crate) fn last_secs(&self) -> u64 {
        self.last.map_or(0, |(_, time)| time)
    }

    /// The chain's time since 1970-01-01 UTC, when a clock says another.
    pub(crate) fn now(&self, clock: Duration) -> Duration {
        let clock = clock + Duration::from_secs(self.ahead_secs);
        let clock = clock.saturating_sub(Duration::from_secs(self.fast_secs()));
        clock.max(Duration::from_secs(self.last_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(time: &ChainTime, clock: u64) -> u64 {
        time.now(Duration::from_secs(clock)).as_secs()
    }

    #[test]
    fn a_fast_clock_is_found_out_by_the_next_block() {
        let mut time = ChainTime::default();
        assert_eq!(now(&time, 5_000), 5_000);
        time.see(10, 1_000, 5_000);
        assert_eq!(now(&time, 5_001), 5_001, "a chain may have rested for long");
        time.see(11, 1_012, 5_014);
        assert_eq!(now(&time, 5_014), 1_012, "4,000 s fast, and the block took 2 s to come");
        assert_eq!(now(&time, 5_020), 1_018);
        time.see(11, 1_012, 5_100);
        assert_eq!(now(&time, 5_100), 1_098, "the same block again tells nothing");
        time.see(12, 1_024, 5_024);
        assert_eq!((time.fast_secs(), now(&time, 5_030)), (4_000, 1_030));
        // Set right again, it is right after as many blocks as are remembered, and never behind
        // one.
        for number in 13..40 {
            let at = 1_036 + 12 * (number - 13);
            time.see(number, at, at);
            assert_eq!(now(&time, at), at);
        }
        assert_eq!(now(&time, 2_000), 2_000);
    }

    #[test]
    fn a_slow_clock_is_not_behind_the_last_block() {
        let mut time = ChainTime::default();
        time.see(10, 9_000, 1_000);
        time.see(11, 9_012, 1_012);
        assert_eq!(now(&time, 1_013), 9_013);
        time.see(11, 9_012, 1_900);
        assert_eq!(now(&time, 1_900), 9_900, "it goes on while no block comes");
        time.see(12, 9_024, 9_030);
        assert_eq!(now(&time, 9_030), 9_030, "and a clock that was set right is right");
    }
}
