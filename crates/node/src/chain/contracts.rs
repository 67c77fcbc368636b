//! A role's hands on the contracts: calls that are signed, sent and waited for, and refusals by
//! name. What is asked of each contract is in the files beside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::aliases::U96;
use alloy_primitives::{Address, B256};
use alloy_provider::DynProvider;
use alloy_rpc_types_eth::{TransactionReceipt, TransactionRequest};
use alloy_signer_local::PrivateKeySigner;
use assay_assurance::{Assurances, Kind};
use assay_chain::{ChainClientConfig, Client, Endpoint};
use assay_contracts::{
    ContractError, Deployment, DisputeTerms, Disputes, Market, Stakes, TestDollar, job_id,
};
use assay_types::Clock as _;

use crate::base::env::Env;
use crate::chain::clock::ChainTime;
use crate::{Error, Result};

/// How long after its last deadline a job is taken for over, in seconds: a chain may take blocks
/// back for a while.
pub(crate) const OVER_AFTER_SECS: u64 = 600;

/// How long a receipt is waited for at the least.
const RECEIPT_MIN: Duration = Duration::from_secs(30);

/// The market's contracts as one account sees them.
#[derive(Clone)]
pub struct Contracts {
    env: Env,
    client: Client,
    signer: PrivateKeySigner,
    /// What can make a claim final.
    assurances: Arc<Assurances>,
    time: Arc<Mutex<ChainTime>>,
    /// Where they are.
    pub deployment: Deployment,
    /// Orders, escrow, locks, claims, settlement.
    pub market: Market::MarketInstance<DynProvider>,
    /// Free and reserved stake.
    pub stakes: Stakes::StakesInstance<DynProvider>,
    /// The fraud-proof window.
    pub disputes: Disputes::DisputesInstance<DynProvider>,
    /// The token, with the test dollar's minting where it is one.
    pub token: TestDollar::TestDollarInstance<DynProvider>,
}

impl Contracts {
    /// Connects to the chain of a deployment, and makes sure that the contracts are there.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub async fn connect(
        env: &Env,
        endpoint: Endpoint,
        signer: PrivateKeySigner,
        deployment: &Deployment,
        config: ChainClientConfig,
    ) -> Result<Self> {
        let config = ChainClientConfig { chain_id: Some(deployment.chain_id), ..config };
        let client = env.chain(endpoint, Some(signer.clone()), config).await?;
        assay_chain::check_deployment(deployment, &client).await?;
        let terms = dispute_terms(&client, deployment).await?;
        let assurances = Assurances::new(deployment.fraud_proofs, &terms);
        let contracts = Self::new(env.clone(), client, signer, deployment.clone(), assurances);
        contracts.head().await?;
        Ok(contracts)
    }

    fn new(
        env: Env,
        client: Client,
        signer: PrivateKeySigner,
        deployment: Deployment,
        assurances: Assurances,
    ) -> Self {
        let provider = client.provider().clone();
        Contracts {
            env,
            signer,
            assurances: Arc::new(assurances),
            time: Arc::default(),
            market: Market::new(deployment.market, provider.clone()),
            stakes: Stakes::new(deployment.stakes, provider.clone()),
            disputes: Disputes::new(deployment.disputes, provider.clone()),
            token: TestDollar::new(deployment.token, provider),
            client,
            deployment,
        }
    }

    /// What lies outside, as the account's role is handed it.
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// The account that signs.
    pub fn account(&self) -> Address {
        self.signer.address()
    }

    /// The key that signs.
    pub(crate) fn signer(&self) -> &PrivateKeySigner {
        &self.signer
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// An order's id: what its requester signs (spec/contracts.md#orders).
    pub fn job_id(&self, order: &Market::Order) -> B256 {
        job_id(&self.deployment, order)
    }

    /// The kind of assurance that a verifier's number stands for; `None` if this version does not
    /// know it.
    pub fn assurance(&self, verifier: u16) -> Option<&Kind> {
        self.assurances.kind(verifier)
    }

    /// The same where a job is bound to it already.
    ///
    /// # Errors
    ///
    /// [`Error::VerifierUnknown`].
    pub(crate) fn assurance_of(&self, order: &Market::Order) -> Result<&Kind> {
        let verifier = order.verifierId;
        self.assurance(verifier).ok_or(Error::VerifierUnknown { verifier })
    }

    /// The shortest window that a claim of so many steps under a verifier has, in seconds, by the
    /// order's time for a run.
    ///
    /// # Errors
    ///
    /// [`Error::VerifierUnknown`].
    pub fn window_secs_min(&self, verifier: u16, steps: u64, run_secs: u32) -> Result<u64> {
        let kind = self.assurance(verifier).ok_or(Error::VerifierUnknown { verifier })?;
        Ok(kind.assurance().window_secs_min(steps, run_secs))
    }

    /// Sends a call and waits until it is mined.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the contract's own error, [`Error::TooLate`], [`Error::Chain`].
    pub async fn send(&self, call: TransactionRequest) -> Result<TransactionReceipt> {
        self.client.execute(call).await.map_err(refusal)
    }

    /// The same for what is of no use after a time of the chain, in Unix seconds: the nearer that
    /// is, the sooner a higher bid replaces what blocks pass by.
    ///
    /// # Errors
    ///
    /// As [`Contracts::send`].
    pub(crate) async fn send_by(
        &self,
        call: TransactionRequest,
        deadline: u64,
    ) -> Result<TransactionReceipt> {
        let within = self.until(deadline).max(RECEIPT_MIN);
        self.client.execute_within(call, within).await.map_err(refusal)
    }

    /// The last block, read: its number and hash.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn head(&self) -> Result<(u64, B256)> {
        let header = self.client.last_header().await?;
        self.time().see(header.number, header.timestamp, self.env.unix_secs());
        Ok((header.number, header.hash))
    }

    /// The last block's number and its time, in Unix seconds.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub async fn last_block(&self) -> Result<(u64, u64)> {
        let header = self.client.last_header().await?;
        Ok((header.number, header.timestamp))
    }

    /// The time of the block upon which so many stand, in Unix seconds.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn time_before(&self, confirmations: u64) -> Result<u64> {
        let (number, time) = self.last_block().await?;
        if confirmations == 0 {
            return Ok(time);
        }
        let block = self.client.header(number.saturating_sub(confirmations).into()).await?;
        let missing = || assay_chain::Error::BadAnswer { what: "it lacks an old block".into() };
        Ok(block.ok_or_else(missing)?.timestamp)
    }

    /// The chain's time, in Unix seconds: the clock's, as far as blocks do not say otherwise.
    pub fn now(&self) -> u64 {
        self.time().now(self.env.unix_time()).as_secs()
    }

    /// Whether a time of the chain has passed for good, so that nothing mined now could be in time:
    /// by its last block where it makes blocks by itself, and whatever the clock says. What is
    /// given up for a deadline is given up by this.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn is_past(&self, time: u64) -> Result<bool> {
        self.head().await?;
        Ok(self.has_passed(time))
    }

    /// The same as of the block that was read last.
    pub(crate) fn has_passed(&self, time: u64) -> bool {
        let now = if self.is_embedded() { self.now() } else { self.time().last_secs() };
        now > time
    }

    /// How long it is until a time of the chain.
    pub(crate) fn until(&self, time: u64) -> Duration {
        Duration::from_secs(time).saturating_sub(self.time().now(self.env.unix_time()))
    }

    fn time(&self) -> MutexGuard<'_, ChainTime> {
        // Each change is whole, so a panic elsewhere spoils nothing.
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same where a refusal is no failure, since another may have been faster: `None` then.
    pub(crate) async fn attempt(
        &self,
        call: TransactionRequest,
    ) -> Result<Option<TransactionReceipt>> {
        or_nothing(self.send(call).await)
    }

    /// The same by a time of the chain, in Unix seconds, as [`Contracts::send_by`].
    pub(crate) async fn attempt_by(
        &self,
        call: TransactionRequest,
        deadline: u64,
    ) -> Result<Option<TransactionReceipt>> {
        or_nothing(self.send_by(call, deadline).await)
    }

    /// A block that a claim may name: its number and hash, not before the lock's
    /// (spec/contracts.md#claims). `None` if the chain has not come that far, or fewer than
    /// `confirmations` blocks stand upon the lock's.
    pub(crate) async fn block_since(
        &self,
        lock_block: u64,
        confirmations: u64,
    ) -> Result<Option<(u64, B256)>> {
        let (number, hash) = self.client.head().await?;
        if number < lock_block + confirmations {
            return Ok(None);
        }
        // An embedded chain makes no block without a transaction, and tries calls out in the next
        // block's place.
        if self.client.heads().is_some() {
            return Ok(Some((number, hash)));
        }
        if number <= lock_block {
            return Ok(None);
        }
        let parent = self.client.header((number - 1).into()).await?;
        Ok(parent.map(|header| (header.number, header.hash)))
    }
}

/// What was sent, unless it was refused.
fn or_nothing(sent: Result<TransactionReceipt>) -> Result<Option<TransactionReceipt>> {
    match sent {
        Ok(receipt) => Ok(Some(receipt)),
        Err(error @ (Error::Refused(_) | Error::TooLate { .. })) => {
            tracing::debug!(%error, "a call changed nothing");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// How a market's disputes are paced and priced.
///
/// # Errors
///
/// [`Error::Chain`].
async fn dispute_terms(client: &Client, deployment: &Deployment) -> Result<DisputeTerms> {
    let disputes = Disputes::new(deployment.disputes, client.provider().clone());
    let said = disputes.parameters().call().await.map_err(chain)?;
    Ok(DisputeTerms {
        bond: said.bond.to(),
        stake_bps: said.stakeBps,
        cost_base: said.costBase.to(),
        cost_answer: said.costAnswer.to(),
        cost_reveal: said.costReveal.to(),
        steps_per_sec: said.stepsPerSec,
        retrace_steps_per_sec: said.retraceStepsPerSec,
        run_bps: said.runBps,
        fetch_secs: said.fetchSecs,
        censorship_secs: said.censorshipSecs,
        opening_secs: said.openingSecs,
        clock_secs: said.clockSecs,
        move_floor_secs: said.moveFloorSecs,
        spacing_secs: said.spacingSecs,
    })
}

/// An amount as the contracts keep it.
pub(crate) fn amount(amount: u128) -> Result<U96> {
    U96::checked_from_limbs_slice(&[amount as u64, (amount >> 64) as u64])
        .ok_or(Error::AmountLarge { amount })
}

/// A call's failure.
pub(crate) fn chain(error: alloy_contract::Error) -> Error {
    match error {
        alloy_contract::Error::TransportError(error) => refusal(error.into()),
        other => Error::Chain(other.into()),
    }
}

/// Names the contract's own error where there is one.
fn refusal(error: assay_chain::Error) -> Error {
    // What was tried out before it was sent and fails all the same came after another's move.
    if let assay_chain::Error::Reverted(transaction) = error {
        return Error::TooLate { transaction };
    }
    let assay_chain::Error::Transport(transport) = &error else { return Error::Chain(error) };
    let data = transport.as_error_resp().and_then(|payload| payload.as_revert_data());
    match data.and_then(|data| ContractError::decode(&data)) {
        Some(refused) => Error::Refused(Box::new(refused)),
        None => Error::Chain(error),
    }
}
