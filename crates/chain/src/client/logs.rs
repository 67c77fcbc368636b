//! Asking for logs in ranges of blocks that a node is willing to answer.

use std::sync::atomic::{AtomicU64, Ordering};

use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};

use super::Client;
use crate::{Error, Result};

/// How many blocks a node is asked about at once, until it has refused that.
const RANGE_BLOCKS: u64 = 10_000;

/// How many blocks a node answers about at once, as far as it is known.
#[derive(Debug)]
pub(crate) struct LogRange(AtomicU64);

impl LogRange {
    /// Of a chain in this process, which has an index over all its blocks, or of any other.
    pub(crate) fn new(is_embedded: bool) -> Self {
        LogRange(AtomicU64::new(if is_embedded { u64::MAX } else { RANGE_BLOCKS }))
    }
}

impl Client {
    /// The logs that a filter finds, in the chain's order. Nodes bound the blocks, or the logs, of
    /// one question, each in its own words: a range that is refused is halved.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`], also where the node refuses a single block.
    pub async fn logs(&self, filter: &Filter) -> Result<Vec<Log>> {
        let FilterBlockOption::Range { from_block, to_block } = filter.block_option else {
            return Ok(self.provider.get_logs(filter).await?);
        };
        let end = match to_block {
            Some(to) if to.as_number().is_some() => to.as_number().unwrap_or_default(),
            _ => self.provider.get_block_number().await?,
        };
        let mut next = from_block.and_then(|from| from.as_number()).unwrap_or(0);
        let mut found = Vec::new();
        while next <= end {
            let range = self.log_range.0.load(Ordering::Relaxed).max(1);
            let last = end.min(next.saturating_add(range - 1));
            let asked = filter.clone().from_block(next).to_block(last);
            match self.provider.get_logs(&asked).await {
                Ok(logs) => {
                    found.extend(logs);
                    next = last + 1;
                }
                Err(error) if error.is_error_resp() && last > next => {
                    tracing::debug!(%error, blocks = last - next + 1, "a range of logs is halved");
                    self.log_range.0.fetch_min((last - next).div_ceil(2), Ordering::Relaxed);
                }
                Err(error) => return Err(Error::from(error)),
            }
        }
        Ok(found)
    }
}
