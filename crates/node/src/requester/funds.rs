//! Keeping the requester's purse filled for what it has ordered.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use alloy_primitives::{B256, U256};
use assay_contracts::Market;

use crate::Result;
use crate::chain::contracts::chain;
use crate::requester::{JobRecord, Requester};

impl Requester {
    /// Moves from the account to its purse what an order's price and data fee lack beside those of
    /// the orders that wait already.
    pub(super) async fn fill_purse(&self, record: &JobRecord) -> Result<()> {
        let (contracts, account) = (&self.contracts, self.contracts.account());
        self.promised().insert(record.job_id, escrow_most(&record.signed.order));
        let _turn = self.filling.lock().await;
        let needed = self.promised().values().fold(0u128, |sum, price| sum.saturating_add(*price));
        let purse = contracts.market.purseOf(account).call().await.map_err(chain)?;
        let Some(lacks) = U256::from(needed).checked_sub(purse).filter(|lacks| !lacks.is_zero())
        else {
            return Ok(());
        };
        if let Err(error) = contracts.require(u128::try_from(lacks).unwrap_or(u128::MAX)).await {
            self.promised().remove(&record.job_id);
            return Err(error);
        }
        contracts.allow(contracts.deployment.market).await?;
        let deposit = contracts.market.deposit(account, lacks);
        contracts.send(deposit.into_transaction_request()).await?;
        Ok(())
    }

    /// Moves from the account to its purse what the purse lacks for something that is due now.
    pub(super) async fn fill_purse_with(&self, needed: u128) -> Result<()> {
        let (contracts, account) = (&self.contracts, self.contracts.account());
        let _turn = self.filling.lock().await;
        let purse = contracts.market.purseOf(account).call().await.map_err(chain)?;
        let has = contracts.token.balanceOf(account).call().await.map_err(chain)?;
        // The orders that wait for a lock keep theirs, as far as the account goes.
        let needed = self.promised().values().fold(needed, |sum, price| sum.saturating_add(*price));
        let lacks = U256::from(needed).saturating_sub(purse).min(has);
        if !lacks.is_zero() {
            contracts.allow(contracts.deployment.market).await?;
            let deposit = contracts.market.deposit(account, lacks);
            contracts.attempt(deposit.into_transaction_request()).await?;
        }
        Ok(())
    }

    pub(super) fn promised(&self) -> MutexGuard<'_, BTreeMap<B256, u128>> {
        // Too much in it costs nothing, so a panic elsewhere spoils nothing.
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The most that a first lock takes from the requester's purse.
fn escrow_most(order: &Market::Order) -> u128 {
    // Both are below 2^96.
    order.price.max.to::<u128>() + order.dataFee.to::<u128>()
}
