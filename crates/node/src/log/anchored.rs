//! Reading what was anchored of a log on its chain (spec/log.md#anchors).

use alloy_primitives::{Address, B256};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEvent;
use assay_chain::{ChainClientConfig, Client, Endpoint};
use assay_contracts::{Anchors, Deployment, EventProof};
use assay_receipt::BlockRef;
use assay_tlog::Known;
use assay_types::{Hash, sha256};

use crate::Result;
use crate::base::env::Env;
use crate::chain::block::block;

/// A tree of a log that an account has anchored.
pub(crate) struct AnchoredTree {
    pub(crate) operator: Address,
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) block: BlockRef,
    pub(crate) event: EventProof,
}

/// The newest of what accounts have anchored for a log, of so many entries at the most, proved.
pub(crate) async fn newest(
    client: &Client,
    deployment: &Deployment,
    origin: &str,
    operators: &[Address],
    size_max: u64,
) -> Result<Option<AnchoredTree>> {
    let all = events(client, deployment, origin, operators).await?;
    let fitting = all.into_iter().filter(|(event, _)| event.size <= size_max);
    let Some((event, log)) = fitting.max_by_key(|(event, _)| event.size) else { return Ok(None) };
    let (operator, size, root) = (event.operator, event.size, Hash(event.root.0));
    let block = block(&log);
    let event = assay_chain::prove_event(client, &log).await?;
    Ok(Some(AnchoredTree { operator, size, root, block, event }))
}

/// All that accounts have anchored for a log on a chain, as fsck takes it.
///
/// # Errors
///
/// [`Error::Chain`](crate::Error::Chain).
pub async fn anchored_trees(
    env: &Env,
    rpc: &str,
    deployment: &Deployment,
    origin: &str,
    operators: &[Address],
) -> Result<Vec<Known>> {
    let config =
        ChainClientConfig { chain_id: Some(deployment.chain_id), ..ChainClientConfig::default() };
    let client = env.chain(Endpoint::Url(rpc.to_owned()), None, config).await?;
    assay_chain::check_deployment(deployment, &client).await?;
    let all = events(&client, deployment, origin, operators).await?;
    let known = all.into_iter().map(|(event, log)| {
        let block = log.block_number.unwrap_or_default();
        let source = format!("the anchor by {} in block {block}", event.operator);
        Known { source, size: event.size, root: Hash(event.root.0) }
    });
    Ok(known.collect())
}

async fn events(
    client: &Client,
    deployment: &Deployment,
    origin: &str,
    operators: &[Address],
) -> Result<Vec<(Anchors::CheckpointAnchored, Log)>> {
    // No operator is no wildcard.
    if operators.is_empty() {
        return Ok(Vec::new());
    }
    let operators: Vec<B256> = operators.iter().map(|account| account.into_word()).collect();
    let filter = Filter::new()
        .address(deployment.anchors)
        .event_signature(Anchors::CheckpointAnchored::SIGNATURE_HASH)
        .topic1(B256::from(sha256(origin.as_bytes()).0))
        .topic2(operators)
        .from_block(deployment.from_block);
    let logs = client.logs(&filter).await?;
    let decoded = logs.into_iter().filter_map(|log| {
        let event = Anchors::CheckpointAnchored::decode_log(&log.inner).ok()?.data;
        Some((event, log))
    });
    Ok(decoded.collect())
}
