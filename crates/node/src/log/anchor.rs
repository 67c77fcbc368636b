//! Anchoring a market's log on its chain, and reading what was anchored (spec/log.md#anchors).

use std::time::Duration;

use alloy_primitives::{Address, B256};
use alloy_provider::DynProvider;
use alloy_rpc_types_eth::{Filter, Log};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolEvent;
use assay_chain::{ChainClientConfig, Client, Endpoint};
use assay_contracts::Anchors;
use assay_contracts::{Deployment, EventProof};
use assay_receipt::BlockRef;
use assay_tlog::Known;
use assay_types::{Hash, sha256};
use tokio::sync::watch;

use crate::base::env::Env;
use crate::chain::block::block;
use crate::chain::contracts::{Contracts, chain};
use crate::log::recorder::PublicLog;
use crate::{Error, Result};

/// A tree of a log that an account has anchored.
pub(crate) struct AnchoredTree {
    pub(crate) operator: Address,
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) block: BlockRef,
    pub(crate) event: EventProof,
}

/// Anchors a log's checkpoints by an account. What was anchored is on the chain, so nothing is
/// remembered that a crash could lose.
pub struct Anchorer {
    contracts: Contracts,
    anchors: Anchors::AnchorsInstance<DynProvider>,
    log: PublicLog,
    origin: B256,
}

impl Anchorer {
    /// Says in the log, by its key and the account's, that the account anchors it, and registers
    /// the statement with the contract. What was done before stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`], [`Error::Store`], [`Error::LogElsewhere`]; [`Error::AnchorTaken`] if the
    /// account is registered for another statement.
    pub async fn new(contracts: Contracts, log: PublicLog) -> Result<Self> {
        let deployment = &contracts.deployment;
        let statement = log.say_operator(contracts.signer(), deployment).await?;
        let origin = B256::from(sha256(log.vkey().name().as_bytes()).0);
        let provider = contracts.client().provider().clone();
        let anchors = Anchors::new(deployment.anchors, provider);
        let anchorer = Anchorer { contracts, anchors, log, origin };
        let statement = B256::from(statement.0);
        if anchorer.registered().await?.is_zero() {
            let register = anchorer.anchors.register(anchorer.origin, statement);
            anchorer.contracts.attempt(register.into_transaction_request()).await?;
        }
        let registered = anchorer.registered().await?;
        if registered != statement {
            let account = anchorer.contracts.account();
            return Err(Error::AnchorTaken { account, registered });
        }
        Ok(anchorer)
    }

    /// The same for an account on a chain elsewhere.
    ///
    /// # Errors
    ///
    /// As [`Anchorer::new`].
    pub async fn connect(
        env: &Env,
        rpc: &str,
        signer: PrivateKeySigner,
        deployment: &Deployment,
        log: PublicLog,
    ) -> Result<Self> {
        let endpoint = Endpoint::Url(rpc.to_owned());
        let contracts =
            Contracts::connect(env, endpoint, signer, deployment, ChainClientConfig::default())
                .await?;
        Self::new(contracts, log).await
    }

    /// The account that anchors.
    pub fn account(&self) -> Address {
        self.contracts.account()
    }

    /// Anchors the newest checkpoint, if the log has grown. Gives its size if it did.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`]; [`Error::LogRolledBack`] and [`Error::LogForked`] for a log that does not
    /// go on from what was anchored: nothing is anchored over it.
    pub async fn anchor(&self) -> Result<Option<u64>> {
        let tree = self.log.newest()?;
        let latest = self.anchors.latestOf(self.origin, self.account());
        let latest = latest.call().await.map_err(chain)?;
        if latest.size > tree.size {
            let (seen, size) = (latest.size, tree.size);
            return Err(Error::LogRolledBack { how: "anchored", seen, size });
        }
        if latest.size == tree.size {
            let is_same = latest.size == 0 || latest.root.0 == tree.root.0;
            return if is_same { Ok(None) } else { Err(Error::LogForked) };
        }
        let call = self.anchors.anchor(self.origin, tree.size, B256::from(tree.root.0));
        let sent = self.contracts.attempt(call.into_transaction_request()).await?;
        Ok(sent.map(|_| tree.size))
    }

    /// Anchors at an interval, and once at the start, until told to stop. A chain that is away is
    /// asked again.
    pub async fn run(self, every: Duration, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                anchored = self.anchor() => match anchored {
                    Ok(Some(size)) => tracing::info!(size, "the log is anchored"),
                    Ok(None) => {}
                    Err(error) => tracing::error!(%error, "the log could not be anchored"),
                },
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.contracts.env().sleep(every) => {}
            }
        }
    }

    async fn registered(&self) -> Result<B256> {
        let statement = self.anchors.statementOf(self.origin, self.account());
        statement.call().await.map_err(chain)
    }
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
/// [`Error::Chain`].
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
