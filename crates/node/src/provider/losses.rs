//! What an account has lost of its stake lately, as the chain tells it.

use alloy_primitives::B256;
use assay_contracts::JobEvent;
use assay_contracts::events::topics;

use crate::Result;
use crate::chain::contracts::Contracts;
use crate::chain::events::{about, logged};

/// How far back losses count.
const DAY_SECS: u64 = 86_400;

/// How long a provider that failed too often locks nothing.
pub(crate) const BREAK_SECS: u64 = 3_600;

/// How many blocks are read again each time: as far as a chain may take blocks back.
const REORG_BLOCKS: u64 = 64;

/// The stakes of an account that were slashed within a day. A missed deadline counts as soon as it
/// is said, whatever becomes of the job; a restart changes nothing.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    losses: Vec<Loss>,
    /// The last block that was read.
    read: Option<(u64, B256)>,
}

/// A stake that was slashed.
#[derive(Clone, Copy, Debug)]
struct Loss {
    block: u64,
    /// The block's time, in Unix seconds.
    at: u64,
    stake: u128,
}

impl Losses {
    /// Reads what the chain has had since the last time.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain).
    pub(crate) async fn read_new(&mut self, contracts: &Contracts) -> Result<()> {
        let head = contracts.head().await?;
        if self.read == Some(head) {
            return Ok(());
        }
        let from = self.read.map_or(0, |(number, _)| (number + 1).saturating_sub(REORG_BLOCKS));
        let from = from.max(contracts.deployment.from_block);
        let filter = about(contracts.deployment.market, topics::SLASHED, from).to_block(head.0);
        let slashed = logged(contracts, filter.topic2(contracts.account())).await?;
        let mut found = Vec::new();
        for (slash, log) in slashed.iter().rev() {
            let JobEvent::Slashed { compensation, bounty, cover, .. } = slash.event else {
                continue;
            };
            let Some(block) = log.block_number else { continue };
            let at = contracts.time_of(log).await?.unwrap_or(0);
            if at + DAY_SECS < contracts.now() {
                break;
            }
            found.push(Loss { block, at, stake: compensation + bounty + cover });
        }
        self.losses.retain(|loss| loss.block < from && loss.at + DAY_SECS > contracts.now());
        self.losses.append(&mut found);
        self.read = Some(head);
        Ok(())
    }

    /// The stake lost within a day, how many losses there were within an hour, and when the last
    /// one was.
    pub(crate) fn lately(&self, now: u64) -> (u128, u32, u64) {
        let of_day = self.losses.iter().filter(|loss| loss.at + DAY_SECS > now);
        let lost = of_day.fold(0u128, |sum, loss| sum.saturating_add(loss.stake));
        let recent = self.losses.iter().filter(|loss| loss.at + BREAK_SECS > now);
        let last = recent.clone().map(|loss| loss.at).max().unwrap_or(0);
        (lost, u32::try_from(recent.count()).unwrap_or(u32::MAX), last)
    }
}
