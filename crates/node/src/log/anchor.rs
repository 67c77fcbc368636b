//! Anchoring a market's log on its chain (spec/log.md#anchors).

use std::time::Duration;

use alloy_primitives::{Address, B256};
use alloy_provider::DynProvider;
use alloy_signer_local::PrivateKeySigner;
use assay_chain::{ChainClientConfig, Endpoint};
use assay_contracts::{Anchors, Deployment};
use assay_tlog::Checkpoint;
use assay_types::{Hash, sha256};
use tokio::sync::watch;

use crate::base::env::Env;
use crate::chain::contracts::{Contracts, chain};
use crate::log::recorder::PublicLog;
use crate::{Error, Result};

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
    /// [`Error::Chain`], [`Error::Store`], [`Error::LogElsewhere`]; [`Error::LogRolledBack`] and
    /// [`Error::LogForked`] for a log that does not go on from what the account has anchored;
    /// [`Error::AnchorTaken`] if the account is registered for another statement.
    pub async fn new(contracts: Contracts, log: PublicLog) -> Result<Self> {
        let origin = B256::from(sha256(log.vkey().name().as_bytes()).0);
        let provider = contracts.client().provider().clone();
        let anchors = Anchors::new(contracts.deployment.anchors, provider);
        let anchorer = Anchorer { contracts, anchors, log, origin };
        // Before anything is added: to a log that lost its end, that would be a fork.
        anchorer.latest().await?;
        let Anchorer { contracts, log, .. } = &anchorer;
        let statement = log.say_operator(contracts.signer(), &contracts.deployment).await?;
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
        let (tree, anchored) = self.latest().await?;
        if anchored == tree.size {
            return Ok(None);
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

    /// The newest tree, and how many entries the account has anchored, from which it goes on.
    async fn latest(&self) -> Result<(Checkpoint, u64)> {
        let latest = self.anchors.latestOf(self.origin, self.account());
        let latest = latest.call().await.map_err(chain)?;
        let known = (latest.size, Hash(latest.root.0));
        Ok((self.log.newest_after(known, "anchored").await?, latest.size))
    }

    async fn registered(&self) -> Result<B256> {
        let statement = self.anchors.statementOf(self.origin, self.account());
        statement.call().await.map_err(chain)
    }
}
