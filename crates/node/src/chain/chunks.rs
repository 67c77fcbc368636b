//! Chunks of outputs that were shown on demand.

use std::ops::RangeInclusive;

use alloy_primitives::{B256, Bytes};
use alloy_sol_types::SolEvent;
use assay_contracts::{JobEvent, Market};

use crate::Result;
use crate::chain::contracts::Contracts;
use crate::chain::events::{about, logged};

impl Contracts {
    /// The chunks of a job's output that were shown in these blocks: number and content, which the
    /// contract has checked.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain).
    pub(crate) async fn chunks_shown(
        &self,
        id: B256,
        blocks: RangeInclusive<u64>,
    ) -> Result<Vec<(u32, Bytes)>> {
        if blocks.is_empty() {
            return Ok(Vec::new());
        }
        let topic = Market::ChunkAnswered::SIGNATURE_HASH;
        let filter = about(self.deployment.market, topic, *blocks.start());
        let mut shown = Vec::new();
        for (found, _) in logged(self, filter.topic1(id).to_block(*blocks.end())).await? {
            let JobEvent::ChunkAnswered { chunk, data } = found.event else { continue };
            shown.push((chunk, data));
        }
        Ok(shown)
    }
}
