//! Proving an event from what a chain tells.

use alloy_eips::BlockId;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::keccak256;
use alloy_provider::Provider;
use assay_contracts::{EventProof, prove_receipt};

use crate::{Client, Error, Result};

/// Proves an event that a chain has told of, from all receipts of its block.
///
/// # Errors
///
/// [`Error::BadAnswer`] if the chain's answers do not fit together; [`Error::Transport`].
pub async fn prove_event(client: &Client, log: &alloy_rpc_types_eth::Log) -> Result<EventProof> {
    let bad = |what: &str| Error::BadAnswer { what: what.into() };
    let (Some(hash), Some(index), Some(log_index)) =
        (log.block_hash, log.transaction_index, log.log_index)
    else {
        return Err(bad("an event is in no block"));
    };
    let provider = client.provider();
    let block = provider.get_block_by_hash(hash).await?;
    let block = block.ok_or_else(|| bad("an event's block is not there"))?;
    let found = provider.get_block_receipts(BlockId::hash(hash)).await?;
    let found = found.ok_or_else(|| bad("a block's receipts are not there"))?;
    let place = usize::try_from(index).ok().and_then(|index| found.get(index));
    let place = place.ok_or_else(|| bad("a block has too few receipts"))?;
    let mut logs = place.inner.logs().iter();
    let among = logs.position(|one| one.log_index == Some(log_index));
    let among = among.ok_or_else(|| bad("an event is not in its receipt"))?;
    let receipts: Vec<Vec<u8>> = found
        .into_iter()
        .map(|receipt| receipt.inner.map_logs(|log| log.inner).encoded_2718())
        .collect();
    let (root, nodes) = prove_receipt(&receipts, index);
    let header = alloy_rlp::encode(&block.header.inner);
    if root != block.header.inner.receipts_root || keccak256(&header) != hash {
        return Err(bad("a block's receipts do not have its header's root"));
    }
    Ok(EventProof {
        header: header.into(),
        transaction_index: index,
        nodes,
        log: u32::try_from(among).unwrap_or(u32::MAX),
    })
}
