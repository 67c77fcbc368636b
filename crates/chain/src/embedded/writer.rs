//! The one thread that changes the chain.
//!
//! Transactions that arrive while a block is being made durable go into the next one together, so
//! under load one sync serves many. Nothing is acknowledged before the sync, and a crash at any
//! line leaves the last committed block: opening the chain again is the whole of recovery.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy_consensus::Transaction;
use alloy_consensus::TxEnvelope;
use alloy_consensus::transaction::Recovered;
use alloy_primitives::{Address, B256, Bytes, U256};
use redb::{Database, ReadableDatabase};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::block::{Block, Draft, Offer};
use super::evm::Overlay;
use super::tables::{KnownCode, SealedHeader, View};
use super::trie::StateTrie;
use super::{Config, Head, write};
use crate::{Rejection, Result};

/// What the writer is asked to do.
pub(crate) enum Job {
    /// Put a transaction into a block and answer once that block is durable.
    Submit(Box<Submission>),
    /// Make a block even if nothing waits.
    Mine(oneshot::Sender<Head>),
    /// Prove an account and some of its slots at the head.
    Prove { address: Address, slots: Vec<U256>, reply: oneshot::Sender<Proof> },
    /// Finish.
    Close,
}

pub(crate) struct Submission {
    pub(crate) transaction: Recovered<TxEnvelope>,
    pub(crate) reply: oneshot::Sender<Result<B256, Rejection>>,
    /// Frees the place in the queue when dropped.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A state proof at a head.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) head: Head,
    pub(crate) storage_root: B256,
    pub(crate) account: Vec<Bytes>,
    pub(crate) slots: Vec<Vec<Bytes>>,
}

/// What tests may do to time.
#[derive(Debug, Default)]
pub(crate) struct TimeControls {
    pub(crate) offset_secs: u64,
    pub(crate) next_timestamp: Option<u64>,
}

pub(crate) struct Writer {
    pub(crate) database: Arc<Database>,
    pub(crate) config: Arc<Config>,
    pub(crate) chain_id: u64,
    pub(crate) trie: StateTrie,
    pub(crate) time: Arc<Mutex<TimeControls>>,
    pub(crate) jobs: Receiver<Job>,
    pub(crate) heads: watch::Sender<Head>,
    pub(crate) queue: Queue,
    pub(crate) known_code: KnownCode,
}

/// What waits for a block.
#[derive(Default)]
pub(crate) struct Queue {
    ready: VecDeque<Submission>,
    /// Transactions whose sender's earlier nonces have not come yet.
    early: BTreeMap<(Address, u64), (Submission, Instant)>,
    mine: Vec<oneshot::Sender<Head>>,
    closing: bool,
}

impl Writer {
    /// Makes blocks until closed or until storage fails.
    pub(crate) fn run(mut self) {
        while self.gather() {
            if let Err(error) = self.make_block() {
                tracing::error!(%error, "the embedded chain stops: a block could not be stored");
                return;
            }
        }
    }

    /// Waits for work and takes all there is. False: time to finish.
    fn gather(&mut self) -> bool {
        if self.queue.ready.is_empty() && self.queue.mine.is_empty() {
            let Some(job) = self.next_job() else { return false };
            self.take(job);
        }
        while let Ok(job) = self.jobs.try_recv() {
            self.take(job);
        }
        !(self.queue.closing && self.queue.ready.is_empty())
    }

    fn next_job(&mut self) -> Option<Job> {
        loop {
            if self.queue.closing {
                return None;
            }
            let Some(deadline) = self.queue.refuse_overdue(self.config.nonce_gap_wait) else {
                return self.jobs.recv().ok();
            };
            match self.jobs.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Submit(submission) => self.queue.ready.push_back(*submission),
            Job::Mine(reply) => self.queue.mine.push(reply),
            Job::Prove { address, slots, reply } => {
                let proof = self.prove(address, &slots);
                let _ = reply.send(proof);
            }
            Job::Close => self.queue.closing = true,
        }
    }

    fn prove(&mut self, address: Address, slots: &[U256]) -> Proof {
        Proof {
            head: *self.heads.borrow(),
            storage_root: self.trie.storage_root(address),
            account: self.trie.account_proof(address),
            slots: slots.iter().map(|slot| self.trie.slot_proof(address, *slot)).collect(),
        }
    }

    /// One block from what waits, stored, then acknowledged. No block if nothing was valid.
    fn make_block(&mut self) -> Result<()> {
        let view = View::open(self.database.begin_read()?, self.known_code.clone())?;
        let parent = view.head()?;
        let timestamp = self.next_timestamp(&parent);
        let overlay = Overlay::new(&view);
        let mut draft = Draft::new(overlay, self.chain_id, &parent, timestamp, &self.config)?;
        let included = self.queue.fill(&mut draft)?;
        if draft.is_empty() && self.queue.mine.is_empty() {
            return Ok(());
        }
        let block = draft.seal(&mut self.trie);
        drop(view);
        write::block(&self.database, &block)?;
        self.acknowledge(&block, included);
        Ok(())
    }

    fn acknowledge(&mut self, block: &Block, included: Vec<(Waiter, B256)>) {
        let head = Head { number: block.header.header.number, hash: block.header.hash };
        self.time.lock().unwrap_or_else(PoisonError::into_inner).next_timestamp = None;
        self.heads.send_replace(head);
        for (submission, hash) in included {
            let _ = submission.reply.send(Ok(hash));
        }
        for reply in self.queue.mine.drain(..) {
            let _ = reply.send(head);
        }
    }

    fn next_timestamp(&self, parent: &SealedHeader) -> u64 {
        let time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.config.clock.unix_secs().saturating_add(time.offset_secs);
        time.next_timestamp.unwrap_or(now).max(parent.header.timestamp)
    }
}

/// The part of a submission that outlives its transaction.
pub(crate) struct Waiter {
    reply: oneshot::Sender<Result<B256, Rejection>>,
    _permit: OwnedSemaphorePermit,
}

impl Queue {
    /// Offers what is ready to the draft. Refusals are answered here; inclusions later.
    fn fill(&mut self, draft: &mut Draft<'_>) -> Result<Vec<(Waiter, B256)>> {
        let mut included = Vec::new();
        while let Some(Submission { transaction, reply, permit }) = self.ready.pop_front() {
            let (sender, nonce) = (transaction.signer(), transaction.nonce());
            let hash = *transaction.tx_hash();
            match draft.offer(transaction)? {
                Offer::Included => {
                    included.push((Waiter { reply, _permit: permit }, hash));
                    self.release(sender, nonce + 1);
                }
                Offer::Early(transaction) => self.hold(Submission { transaction, reply, permit }),
                Offer::Full(transaction) => {
                    self.ready.push_front(Submission { transaction, reply, permit });
                    break;
                }
                Offer::Refused(rejection) => {
                    let _ = reply.send(Err(rejection));
                }
            }
        }
        Ok(included)
    }

    fn hold(&mut self, submission: Submission) {
        let key = (submission.transaction.signer(), submission.transaction.nonce());
        let Some((held, _)) = self.early.get(&key) else {
            self.early.insert(key, (submission, Instant::now()));
            return;
        };
        let same = held.transaction.tx_hash() == submission.transaction.tx_hash();
        let refusal = if same { Rejection::AlreadyKnown } else { Rejection::Underpriced };
        let _ = submission.reply.send(Err(refusal));
    }

    fn release(&mut self, sender: Address, nonce: u64) {
        if let Some((submission, _)) = self.early.remove(&(sender, nonce)) {
            self.ready.push_front(submission);
        }
    }

    /// Refuses what waited too long; answers when the next one will have.
    fn refuse_overdue(&mut self, wait: Duration) -> Option<Instant> {
        let now = Instant::now();
        let overdue: Vec<_> = self
            .early
            .iter()
            .filter(|(_, (_, since))| *since + wait <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in overdue {
            if let Some((submission, _)) = self.early.remove(&key) {
                let expected = self.next_nonce_hint(key);
                let refusal = Rejection::NonceTooHigh { expected, found: key.1 };
                let _ = submission.reply.send(Err(refusal));
            }
        }
        self.early.values().map(|(_, since)| *since + wait).min()
    }

    /// The lowest nonce that is known to be missing; exact for the first gap of a sender.
    fn next_nonce_hint(&self, (sender, nonce): (Address, u64)) -> u64 {
        let mut below = self.early.range((sender, 0)..(sender, nonce));
        below.next_back().map_or(nonce.saturating_sub(1), |((_, held), _)| held + 1)
    }
}
