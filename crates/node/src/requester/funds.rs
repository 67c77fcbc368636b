//! Keeping the requester's purse filled for what it has ordered.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use alloy_primitives::B256;
use assay_contracts::Market;

use crate::Result;
use crate::requester::{JobRecord, Requester};

impl Requester {
    /// Moves from the account to its purse what an order's price and data fee lack beside those of
    /// the orders that wait already.
    pub(super) async fn fill_purse(&self, record: &JobRecord) -> Result<()> {
        let contracts = &self.contracts;
        self.promised().insert(record.job_id, escrow_most(&record.signed.order));
        let _turn = self.filling.lock().await;
        let needed = self.promised().values().fold(0u128, |sum, price| sum.saturating_add(*price));
        let lacks = needed.saturating_sub(contracts.purse(contracts.account()).await?);
        if lacks == 0 {
            return Ok(());
        }
        if let Err(error) = contracts.require(lacks).await {
            self.promised().remove(&record.job_id);
            return Err(error);
        }
        contracts.allow(contracts.deployment.market).await?;
        contracts.send(contracts.fill_purse(lacks)).await?;
        Ok(())
    }

    /// Moves from the account to its purse what the purse lacks for something that is due now.
    pub(super) async fn fill_purse_with(&self, needed: u128) -> Result<()> {
        let (contracts, account) = (&self.contracts, self.contracts.account());
        let _turn = self.filling.lock().await;
        let (purse, has) = (contracts.purse(account).await?, contracts.tokens(account).await?);
        // The orders that wait for a lock keep theirs, as far as the account goes.
        let needed = self.promised().values().fold(needed, |sum, price| sum.saturating_add(*price));
        let lacks = needed.saturating_sub(purse).min(has);
        if lacks > 0 {
            contracts.allow(contracts.deployment.market).await?;
            contracts.attempt(contracts.fill_purse(lacks)).await?;
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
