//! The market's contract, by typed methods: what it knows of a job, and calls to send.

use std::ops::Range;

use alloy_primitives::aliases::{U40, U96};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_eth::TransactionRequest;
use assay_contracts::Market;
use assay_market::JobStatus;
use assay_protocol::SignedOrder;
use assay_types::{BlobRoot, Hash};

use crate::Result;
use crate::chain::contracts::{Contracts, OVER_AFTER_SECS, chain};

/// Demands for chunks are kept by groups of so many neighbours.
const CHUNK_GROUP: u32 = 32;

/// What the market knows of a job. Amounts in the token's smallest unit, times in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) status: JobStatus,
    /// Whose lock it is, or was.
    pub(crate) provider: Option<Address>,
    /// When what the status awaits is late.
    pub(crate) deadline: u64,
    /// What is in escrow, or of a late job the bounty.
    pub(crate) price: u128,
    /// What the provider put at stake.
    pub(crate) stake: u128,
    /// The block of its lock.
    pub(crate) lock_block: u64,
    /// Whether another had missed it before.
    pub(crate) is_late: bool,
    /// The output's root, once it is claimed.
    pub(crate) output: BlobRoot,
    /// After how many steps the run ended, once it is claimed.
    pub(crate) steps: u64,
}

/// A demand for a chunk of a job's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Whether anybody has ever demanded it.
    pub(crate) was_made: bool,
    /// Whether it still waits.
    pub(crate) is_open: bool,
    /// The last second for the answer, in Unix seconds.
    pub(crate) answer_by: u64,
}

impl Job {
    /// Whether a provider holds its lock now.
    pub(crate) fn is_locked(&self) -> bool {
        matches!(
            self.status,
            JobStatus::AwaitingBegin
                | JobStatus::AwaitingClaim
                | JobStatus::AwaitingVerdict
                | JobStatus::AwaitingAnswer
        )
    }

    /// Whether the lock is, or was, an account's.
    pub(crate) fn is_of(&self, account: Address) -> bool {
        self.provider == Some(account)
    }
}

impl Contracts {
    /// Whether nothing can become of an order any more that nobody has locked: its time has passed
    /// so long ago that no chain takes that back.
    pub(crate) fn is_void(&self, order: &Market::Order, job: &Job) -> bool {
        let ended = order.lockDeadline.to::<u64>().saturating_add(OVER_AFTER_SECS);
        job.status == JobStatus::None && self.has_passed(ended)
    }

    /// What the market knows of a job.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain), [`Error::Status`](crate::Error::Status).
    pub(crate) async fn job(&self, id: B256) -> Result<Job> {
        let job = self.market.jobOf(id).call().await.map_err(chain)?;
        Ok(Job {
            status: JobStatus::try_from(job.status)?,
            provider: (!job.provider.is_zero()).then_some(job.provider),
            deadline: job.deadline.to(),
            price: job.price.to(),
            stake: job.stake.to(),
            lock_block: job.lockBlock.to(),
            is_late: job.late,
            output: BlobRoot(Hash(job.outputRoot.0)),
            steps: job.steps.to(),
        })
    }

    /// What has become of the demands for a chunk of a job's output.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain).
    pub(crate) async fn demand(&self, id: B256, chunk: u32) -> Result<Demand> {
        let group = self.market.demandOf(id, chunk).call().await.map_err(chain)?;
        let is_set = |mask: u32| mask >> (chunk % CHUNK_GROUP) & 1 == 1;
        Ok(Demand {
            was_made: is_set(group.demanded),
            is_open: is_set(group.missing),
            answer_by: group.answerBy.to(),
        })
    }

    /// What a demand for a chunk of a job's output prepays now.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain).
    pub(crate) async fn chunk_fee(&self, order: &Market::Order) -> Result<u128> {
        let fee = self.market.chunkFeeAt(order.clone()).call().await.map_err(chain)?;
        Ok(u128::try_from(fee).unwrap_or(u128::MAX))
    }

    /// Whether an order's nonce is used up: it was locked at some price, or cancelled.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain).
    pub(crate) async fn is_nonce_used(&self, order: &Market::Order) -> Result<bool> {
        self.market.nonceUsed(order.requester, order.nonce).call().await.map_err(chain)
    }

    /// Locks an order for at least this price; mined later than `until`, it reverts.
    pub(crate) fn lock(&self, signed: &SignedOrder, price: u128, until: u64) -> TransactionRequest {
        let (order, signature) = (signed.order.clone(), signed.signature.clone());
        let call = self.market.lock(order, signature, U96::from(price), U40::from(until));
        call.into_transaction_request()
    }

    /// Uses up an order's nonce, so that nobody can lock it any more.
    pub(crate) fn cancel(&self, nonce: U256) -> TransactionRequest {
        let (word, bit) = (nonce >> 8usize, nonce.byte(0));
        self.market.cancel(word, U256::from(1) << usize::from(bit)).into_transaction_request()
    }

    /// Says that the sealed inputs are opened and have their roots.
    pub(crate) fn begin(&self, order: &Market::Order) -> TransactionRequest {
        self.market.begin(order.clone()).into_transaction_request()
    }

    /// Says what a job came to.
    pub(crate) fn claim(&self, order: &Market::Order, claim: Market::Claim) -> TransactionRequest {
        self.market.claim(order.clone(), claim).into_transaction_request()
    }

    /// Says that a deadline was missed.
    pub(crate) fn expire(&self, order: &Market::Order) -> TransactionRequest {
        self.market.expire(order.clone()).into_transaction_request()
    }

    /// Ends a job whose verdict is there.
    pub(crate) fn settle(&self, order: &Market::Order) -> TransactionRequest {
        self.market.settle(order.clone()).into_transaction_request()
    }

    /// Demands chunks of a claim's output, for so much each at the most.
    pub(crate) fn demand_chunks(
        &self,
        order: &Market::Order,
        chunks: Range<u32>,
        fee_max: u128,
    ) -> TransactionRequest {
        let (fee_max, count) = (U96::saturating_from(fee_max), chunks.len() as u32);
        let call = self.market.demand(order.clone(), chunks.start, count, fee_max);
        call.into_transaction_request()
    }

    /// Shows a chunk that was demanded, with the 17 siblings above its page.
    pub(crate) fn answer_chunk(
        &self,
        order: &Market::Order,
        chunk: u32,
        (page, siblings): (Bytes, [B256; 17]),
    ) -> TransactionRequest {
        self.market.answer(order.clone(), chunk, page, siblings).into_transaction_request()
    }

    /// Says that a chunk was not shown in time.
    pub(crate) fn claim_silence(&self, order: &Market::Order, chunk: u32) -> TransactionRequest {
        self.market.claimSilence(order.clone(), chunk).into_transaction_request()
    }
}
