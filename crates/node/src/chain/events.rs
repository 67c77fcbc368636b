//! What has happened to jobs, as the chain tells it.

use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256};
use alloy_rpc_types_eth::{Filter, Log};
use assay_contracts::events::topics;
use assay_contracts::{JobEvent, LoggedEvent};
use assay_protocol::SignedOrder;

use crate::Result;
use crate::chain::contracts::Contracts;

/// What has happened to a job in these blocks, in order, as people are told it.
///
/// # Errors
///
/// [`Error::Chain`](crate::Error::Chain).
pub async fn events(
    contracts: &Contracts,
    id: B256,
    blocks: RangeInclusive<u64>,
) -> Result<Vec<JobEvent>> {
    if blocks.is_empty() {
        return Ok(Vec::new());
    }
    let deployment = &contracts.deployment;
    let market = Filter::new().address(deployment.market).topic1(id);
    let disputes = Filter::new().address(deployment.disputes).topic2(id);
    let mut found = Vec::new();
    for filter in [market, disputes] {
        let filter = filter.from_block(*blocks.start()).to_block(*blocks.end());
        found.extend(logged(contracts, filter).await?);
    }
    found.sort_by_key(|(_, log)| (log.block_number, log.log_index));
    Ok(found.into_iter().map(|(found, _)| found.event).filter(JobEvent::is_news).collect())
}

/// The events of jobs that a filter finds, in order, each with its log.
///
/// # Errors
///
/// [`Error::Chain`](crate::Error::Chain).
pub(crate) async fn logged(
    contracts: &Contracts,
    filter: Filter,
) -> Result<Vec<(LoggedEvent, Log)>> {
    let logs = contracts.client().logs(&filter).await?.into_iter();
    let decoded = |log: Log| Some((LoggedEvent::decode(&log.inner)?, log));
    Ok(logs.filter_map(decoded).collect())
}

/// A contract's events of one kind, from a block on.
pub(crate) fn about(contract: Address, topic: B256, from_block: u64) -> Filter {
    Filter::new().address(contract).event_signature(topic).from_block(from_block)
}

impl Contracts {
    /// What this account has ever locked, in order: each job, and until when it must be claimed.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain).
    pub(crate) async fn own_locks(&self) -> Result<Vec<(B256, u64)>> {
        let deployment = &self.deployment;
        let filter = about(deployment.market, topics::LOCKED, deployment.from_block);
        let found = logged(self, filter.topic3(self.account())).await?;
        let locks = found.iter().filter_map(|(found, _)| match found.event {
            JobEvent::Locked { deadline, .. } => Some((found.job?, deadline)),
            _ => None,
        });
        Ok(locks.collect())
    }

    /// The jobs that were ever locked, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain).
    pub(crate) async fn locks(&self) -> Result<Vec<B256>> {
        let deployment = &self.deployment;
        let filter = about(deployment.market, topics::LOCKED, deployment.from_block);
        Ok(logged(self, filter).await?.into_iter().filter_map(|(found, _)| found.job).collect())
    }

    /// The order of a job, as its lock in a block tells it; without the requester's signature,
    /// which the contract has checked, and without terms beyond it. `None` if there are such terms.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain).
    pub(crate) async fn order_locked(
        &self,
        id: B256,
        lock_block: u64,
    ) -> Result<Option<SignedOrder>> {
        let filter = about(self.deployment.market, topics::LOCKED, lock_block).topic1(id);
        let order =
            logged(self, filter).await?.into_iter().find_map(|(found, _)| match found.event {
                JobEvent::Locked { order, .. } => Some(*order),
                _ => None,
            });
        let order = order.filter(|order| self.job_id(order) == id && order.termsHash.is_zero());
        Ok(order.map(|order| SignedOrder { order, terms: None, signature: Default::default() }))
    }

    /// The chunks of a job's output that were ever demanded, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain).
    pub(crate) async fn chunks_demanded(&self, id: B256, lock_block: u64) -> Result<Vec<u32>> {
        let filter = about(self.deployment.market, topics::CHUNK_REQUESTED, lock_block).topic1(id);
        let found = logged(self, filter).await?;
        let chunks = found.iter().filter_map(|(found, _)| match found.event {
            JobEvent::ChunkRequested { first, count, .. } => Some(first..first + count),
            _ => None,
        });
        Ok(chunks.flatten().collect())
    }

    /// When a log's block was made, in Unix seconds; `None` if the chain no longer has it. Not
    /// every node tells it with the log.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain).
    pub(crate) async fn time_of(&self, log: &Log) -> Result<Option<u64>> {
        if log.block_timestamp.is_some() {
            return Ok(log.block_timestamp);
        }
        let number = log.block_number.unwrap_or_default();
        let header = self.client().header(number.into()).await?;
        Ok(header.map(|header| header.timestamp))
    }
}
