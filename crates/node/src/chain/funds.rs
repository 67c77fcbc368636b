//! What accounts hold, and putting it where it is needed.

use alloy_primitives::{Address, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::TransactionRequest;
use assay_chain::{CHAIN_ID_END, CHAIN_ID_MIN};

use crate::chain::contracts::{Contracts, amount, chain};
use crate::{Error, Result};

/// What a demand for a chunk of output pays unless somebody says otherwise, in the token's smallest
/// unit: two thirds of what a provider counts for a whole job by default, whose lock, claim and
/// settlement take half as much gas again as an answer of 221,000.
pub const CHUNK_FEE_MIN: u128 = 15_000;

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

/// What of a stake is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unbonding {
    /// How much, in the token's smallest unit.
    pub amount: u128,
    /// From when on it can be withdrawn, in Unix seconds.
    pub ready_at: u64,
}

impl Contracts {
    /// What an account holds, wherever.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub async fn funds(&self, account: Address) -> Result<Funds> {
        let provider = self.client().provider();
        let failed = |error| Error::Chain(assay_chain::Error::from(error));
        Ok(Funds {
            tokens: self.tokens(account).await?,
            purse: self.purse(account).await?,
            stake_free: self.stake_free(account).await?,
            stake_reserved: self.stake_reserved(account).await?,
            ether_wei: provider.get_balance(account).await.map_err(failed)?,
            gas_price_wei: provider.get_gas_price().await.map_err(failed)?,
        })
    }

    /// What an account holds of the token itself, in its smallest unit.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn tokens(&self, account: Address) -> Result<u128> {
        self.token.balanceOf(account).call().await.map(units).map_err(chain)
    }

    /// What is in an account's purse, in the token's smallest unit.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn purse(&self, account: Address) -> Result<u128> {
        self.market.purseOf(account).call().await.map(units).map_err(chain)
    }

    /// What an account has at stake for nothing yet, in the token's smallest unit.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn stake_free(&self, account: Address) -> Result<u128> {
        Ok(self.stakes.freeOf(account).call().await.map_err(chain)?.to())
    }

    /// What an account has at stake for jobs, in the token's smallest unit.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn stake_reserved(&self, account: Address) -> Result<u128> {
        Ok(self.stakes.reservedOf(account).call().await.map_err(chain)?.to())
    }

    /// What of an account's stake is on its way out.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub async fn unbonding(&self, account: Address) -> Result<Unbonding> {
        let found = self.stakes.unbondingOf(account).call().await.map_err(chain)?;
        Ok(Unbonding { amount: found.amount.to(), ready_at: found.readyAt.to() })
    }

    /// Moves tokens from the account's purse to the account.
    ///
    /// # Errors
    ///
    /// As [`Contracts::send`].
    pub async fn withdraw_purse(&self, amount: u128) -> Result<()> {
        let call = self.market.withdraw(self.account(), U256::from(amount));
        self.send(call.into_transaction_request()).await.map(drop)
    }

    /// Takes free stake of the account's out of use: it can be withdrawn after the contract's
    /// delay, which begins anew for what is on its way already.
    ///
    /// # Errors
    ///
    /// [`Error::AmountLarge`]; as [`Contracts::send`].
    pub async fn unbond(&self, sum: u128) -> Result<()> {
        self.send(self.stakes.unbond(amount(sum)?).into_transaction_request()).await.map(drop)
    }

    /// Moves what has unbonded to the account.
    ///
    /// # Errors
    ///
    /// As [`Contracts::send`].
    pub async fn withdraw_stake(&self) -> Result<()> {
        let call = self.stakes.withdraw(self.account());
        self.send(call.into_transaction_request()).await.map(drop)
    }

    /// How many decimals the token is shown with.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn decimals(&self) -> Result<u8> {
        self.token.decimals().call().await.map_err(chain)
    }

    /// Moves tokens from the account to its purse, which the market must be allowed to.
    pub(crate) fn fill_purse(&self, amount: u128) -> TransactionRequest {
        self.market.deposit(self.account(), U256::from(amount)).into_transaction_request()
    }

    /// Makes test dollars for the account.
    pub(crate) fn mint(&self, amount: u128) -> TransactionRequest {
        self.token.mint(self.account(), U256::from(amount)).into_transaction_request()
    }

    /// What a demand for a chunk of output should pay at the least: nothing on an embedded chain,
    /// where gas is free.
    pub fn chunk_fee_least(&self) -> u128 {
        if self.is_embedded() { 0 } else { CHUNK_FEE_MIN }
    }

    /// Whether the chain is an embedded one, in whatever process: gas is free on it, and a
    /// transaction makes its own block.
    pub(crate) fn is_embedded(&self) -> bool {
        (CHAIN_ID_MIN..CHAIN_ID_END).contains(&self.deployment.chain_id)
    }

    /// Makes sure that the account has so much stake, free and reserved together, in the token's
    /// smallest unit: what lacks is moved from its tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Funds`] if it has not that much; as [`Contracts::send`].
    pub async fn stake(&self, least: u128) -> Result<()> {
        let account = self.account();
        let free = self.stake_free(account).await?;
        let reserved = self.stake_reserved(account).await?;
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
        let has = self.tokens(account).await?;
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

fn units(amount: U256) -> u128 {
    u128::try_from(amount).unwrap_or(u128::MAX)
}
