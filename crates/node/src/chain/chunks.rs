//! Chunks of outputs that were shown on demand.

use std::ops::RangeInclusive;

use alloy_primitives::{B256, Bytes};
use alloy_provider::Provider;
use alloy_sol_types::{SolCall, SolEvent};
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
        for (found, log) in logged(self, filter.topic1(id).to_block(*blocks.end())).await? {
            let JobEvent::ChunkAnswered { chunk, .. } = found.event else { continue };
            let Some(hash) = log.transaction_hash else { continue };
            let sent = self.client().provider().get_transaction_by_hash(hash).await;
            let Some(sent) = sent.map_err(assay_chain::Error::from)? else { continue };
            let input = sent.into_request().input.into_input().unwrap_or_default();
            // What another contract has answered stands in no call of ours.
            let Ok(call) = Market::answerCall::abi_decode(&input) else { continue };
            shown.push((chunk, call.data));
        }
        Ok(shown)
    }
}
