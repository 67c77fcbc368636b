//! A role's hands on the contracts: calls that are signed, sent and waited for, and refusals by
//! name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::aliases::U96;
use alloy_primitives::{Address, B256, U256};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_types_eth::{TransactionReceipt, TransactionRequest};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolInterface;
use assay_chain::{CHAIN_ID_END, CHAIN_ID_MIN, ChainClientConfig, Client, Endpoint, connect};
use assay_contracts::Deployment;
use assay_contracts::{Anchors, Disputes, Market, Stakes, TestDollar, Verifiers, job_id};

use crate::{Error, Result};

/// What a demand for a chunk of output pays unless somebody says otherwise, in the token's smallest
/// unit: two thirds of what a provider counts for a whole job by default, whose lock, claim and
/// settlement take half as much gas again as an answer of 221,000.
pub const CHUNK_FEE_MIN: u128 = 15_000;

/// The market's contracts as one account sees them.
#[derive(Clone)]
pub struct Contracts {
    client: Client,
    signer: PrivateKeySigner,
    /// How far the chain's last block was ahead of the clock.
    ahead_secs: Arc<AtomicU64>,
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

/// What an account holds; tokens in their smallest unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funds {
    /// In the account.
    pub tokens: u128,
    /// In its purse, for orders.
    pub purse: u128,
    /// At stake for nothing yet.
    pub stake_free: u128,
    /// At stake for jobs.
    pub stake_reserved: u128,
    /// Of the chain's own coin, which pays for gas.
    pub ether_wei: U256,
    /// What a unit of gas costs now; 0 where it is free.
    pub gas_price_wei: u128,
}

impl Contracts {
    /// Connects to the chain of a deployment, and makes sure that the contracts are there.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub async fn connect(
        endpoint: Endpoint,
        signer: PrivateKeySigner,
        deployment: &Deployment,
        config: ChainClientConfig,
    ) -> Result<Self> {
        let config = ChainClientConfig { chain_id: Some(deployment.chain_id), ..config };
        let client = connect(endpoint, Some(signer.clone()), config).await?;
        assay_chain::check_deployment(deployment, &client).await?;
        let contracts = Self::new(client, signer, deployment.clone());
        contracts.head().await?;
        Ok(contracts)
    }

    fn new(client: Client, signer: PrivateKeySigner, deployment: Deployment) -> Self {
        let provider = client.provider().clone();
        Contracts {
            signer,
            ahead_secs: Arc::default(),
            market: Market::new(deployment.market, provider.clone()),
            stakes: Stakes::new(deployment.stakes, provider.clone()),
            disputes: Disputes::new(deployment.disputes, provider.clone()),
            token: TestDollar::new(deployment.token, provider),
            client,
            deployment,
        }
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

    /// The shortest window that the fraud-proof verifier lets an order of so many steps have, in
    /// seconds.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub async fn window_min(&self, step_limit: u64) -> Result<u64> {
        self.disputes.windowMin(step_limit).call().await.map_err(chain)
    }

    /// What a demand for a chunk of output should pay at the least: nothing on an embedded chain,
    /// where gas is free.
    pub fn chunk_fee_least(&self) -> u128 {
        let is_embedded = (CHAIN_ID_MIN..CHAIN_ID_END).contains(&self.deployment.chain_id);
        if is_embedded { 0 } else { CHUNK_FEE_MIN }
    }

    /// Sends a call and waits until it is mined.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the contract's own error, [`Error::Chain`].
    pub async fn send(&self, call: TransactionRequest) -> Result<TransactionReceipt> {
        self.client.execute(call).await.map_err(refusal)
    }

    /// The last block, read: its number and hash.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn head(&self) -> Result<(u64, B256)> {
        let block = self.client.provider().get_block(alloy_rpc_types_eth::BlockId::latest());
        let block = block.await.map_err(assay_chain::Error::from)?;
        let missing = || assay_chain::Error::BadAnswer { what: "it has no last block".into() };
        let header = block.ok_or_else(missing)?.header;
        self.ahead_secs.store(header.timestamp.saturating_sub(clock_secs()), Ordering::Relaxed);
        Ok((header.number, header.hash))
    }

    /// The last block's number and its time, in Unix seconds.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub async fn last_block(&self) -> Result<(u64, u64)> {
        let block = self.client.provider().get_block(alloy_rpc_types_eth::BlockId::latest()).await;
        let missing = || assay_chain::Error::BadAnswer { what: "it has no last block".into() };
        let header = block.map_err(assay_chain::Error::from)?.ok_or_else(missing)?.header;
        Ok((header.number, header.timestamp))
    }

    /// What an account holds, wherever.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub async fn funds(&self, account: Address) -> Result<Funds> {
        let units = |amount: U256| u128::try_from(amount).unwrap_or(u128::MAX);
        let provider = self.client.provider();
        let failed = |error| Error::Chain(assay_chain::Error::from(error));
        Ok(Funds {
            tokens: units(self.token.balanceOf(account).call().await.map_err(chain)?),
            purse: units(self.market.purseOf(account).call().await.map_err(chain)?),
            stake_free: self.stakes.freeOf(account).call().await.map_err(chain)?.to(),
            stake_reserved: self.stakes.reservedOf(account).call().await.map_err(chain)?.to(),
            ether_wei: provider.get_balance(account).await.map_err(failed)?,
            gas_price_wei: provider.get_gas_price().await.map_err(failed)?,
        })
    }

    /// The chain's time, in Unix seconds: the clock's, or where its last block was ahead of the
    /// clock, ahead by as much.
    pub fn now(&self) -> u64 {
        clock_secs() + self.ahead_secs.load(Ordering::Relaxed)
    }

    /// How long it is until a time of the chain.
    pub(crate) fn until(&self, time: u64) -> Duration {
        let at = UNIX_EPOCH + Duration::from_secs(time);
        let left = at.duration_since(SystemTime::now()).unwrap_or_default();
        left.saturating_sub(Duration::from_secs(self.ahead_secs.load(Ordering::Relaxed)))
    }

    /// The same where a refusal is no failure, since another may have been faster: `None` then.
    pub(crate) async fn attempt(
        &self,
        call: TransactionRequest,
    ) -> Result<Option<TransactionReceipt>> {
        match self.send(call).await {
            Ok(receipt) => Ok(Some(receipt)),
            Err(Error::Refused(reason)) => {
                tracing::debug!(%reason, "a contract refused");
                Ok(None)
            }
            Err(error) => Err(error),
        }
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
        let parent = self.client.provider().get_block_by_number((number - 1).into());
        let parent = parent.await.map_err(assay_chain::Error::from)?;
        Ok(parent.map(|block| (block.header.number, block.header.hash)))
    }

    /// Makes sure that the account has so much stake, free and reserved together, in the token's
    /// smallest unit: what lacks is moved from its tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Funds`] if it has not that much; as [`Contracts::send`].
    pub async fn stake(&self, least: u128) -> Result<()> {
        let account = self.account();
        let free = self.stakes.freeOf(account).call().await.map_err(chain)?.to::<u128>();
        let reserved = self.stakes.reservedOf(account).call().await.map_err(chain)?.to::<u128>();
        let needed = least.saturating_sub(free.saturating_add(reserved));
        if needed == 0 {
            return Ok(());
        }
        self.require(needed).await?;
        self.allow(self.deployment.stakes).await?;
        let deposit = self.stakes.deposit(account, amount(needed)?);
        self.send(deposit.into_transaction_request()).await?;
        Ok(())
    }

    /// Makes sure that the account holds so many tokens.
    pub(crate) async fn require(&self, needed: u128) -> Result<()> {
        let account = self.account();
        let has = self.token.balanceOf(account).call().await.map_err(chain)?;
        let has = u128::try_from(has).unwrap_or(u128::MAX);
        if has < needed { Err(Error::Funds { account, has, needed }) } else { Ok(()) }
    }

    /// Lets a contract take the account's tokens, if it may not yet.
    ///
    /// # Errors
    ///
    /// As [`Contracts::send`].
    pub async fn allow(&self, spender: Address) -> Result<()> {
        let allowed = self.token.allowance(self.account(), spender).call().await.map_err(chain)?;
        if allowed < U256::from(u128::MAX) {
            let call = self.token.approve(spender, U256::MAX);
            self.send(call.into_transaction_request()).await?;
        }
        Ok(())
    }
}

/// An amount as the contracts keep it.
pub(crate) fn amount(amount: u128) -> Result<U96> {
    U96::checked_from_limbs_slice(&[amount as u64, (amount >> 64) as u64])
        .ok_or_else(|| Error::Job(format!("an amount of {amount} is above 2^96 - 1")))
}

/// The clock's time, in Unix seconds.
pub fn clock_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
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
    if let assay_chain::Error::Reverted(hash) = error {
        return Error::Refused(format!("transaction {hash} came too late and changed nothing"));
    }
    let assay_chain::Error::Transport(transport) = &error else { return Error::Chain(error) };
    let data = transport.as_error_resp().and_then(|payload| payload.as_revert_data());
    let Some(data) = data else { return Error::Chain(error) };
    let named = Market::MarketErrors::abi_decode(&data)
        .map(|error| format!("{error:?}"))
        .or_else(|_| Disputes::DisputesErrors::abi_decode(&data).map(|error| format!("{error:?}")))
        .or_else(|_| Stakes::StakesErrors::abi_decode(&data).map(|error| format!("{error:?}")))
        .or_else(|_| {
            Verifiers::VerifiersErrors::abi_decode(&data).map(|error| format!("{error:?}"))
        })
        .or_else(|_| Anchors::AnchorsErrors::abi_decode(&data).map(|error| format!("{error:?}")));
    named.map_or(Error::Chain(error), Error::Refused)
}
