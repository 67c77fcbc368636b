//! A requester: posts an order once, follows the job to its end, and takes back what it is owed.

mod follow;
mod funds;
mod output;
mod publish;
mod receipt;
mod record;
mod terms;
mod withheld;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use alloy_primitives::B256;
use assay_machine::Program;
use assay_market::{Asked, Explanation, Facts, JobStatus, Quote, explain, quote};
use assay_types::Hash;
use futures_util::StreamExt as _;

use crate::base::blocking::blocking;
use crate::base::files;
use crate::base::ids::account;
use crate::board::Board;
use crate::chain::contracts::Contracts;
use crate::chain::price::price_terms;
use crate::job::keys::KeyGiver;
use crate::job::sealed::Opener;
use crate::job::vault::Vault;
use crate::log::recorder::Recorder;
use crate::{Error, Home, Result};

pub use record::JobRecord;
pub use terms::{DatasetTerms, DatasetUse, JobTerms, Sealing};

/// How many orders are on their way at once: what they write waits for the same syncs.
const ORDERS_AT_ONCE: usize = 64;

/// A requester.
pub struct Requester {
    contracts: Contracts,
    board: Board,
    records: PathBuf,
    outputs: PathBuf,
    /// What the orders that wait for a lock may take from the purse. One that was locked meanwhile
    /// may still be among them: then the purse holds more than it must, and the requester can
    /// withdraw it.
    promised: Mutex<BTreeMap<B256, u128>>,
    /// Held while the purse is filled: who comes next finds what was put there for both.
    filling: tokio::sync::Mutex<()>,
    /// The keys that orders are made under just now: of two with the same key, the second takes up
    /// the first.
    keys: Mutex<BTreeMap<Hash, Arc<tokio::sync::Mutex<()>>>>,
    /// How many blocks are to stand upon a job's end before it is said in the log.
    confirmations: u64,
    /// Gives the keys of what this requester has sealed.
    key_giver: KeyGiver<Infallible>,
    vault: Vault,
    opener: Opener,
    recorder: Option<Recorder>,
}

impl Requester {
    /// The same, giving keys only for locks, and receipts only of ends, with so many blocks upon
    /// theirs.
    #[must_use]
    pub fn confirming(self, blocks: u64) -> Self {
        Requester { key_giver: self.key_giver.confirming(blocks), confirmations: blocks, ..self }
    }

    /// A requester that remembers its orders, and the keys of what it seals, under a home.
    pub fn new(contracts: Contracts, board: Board, home: &Home) -> Self {
        let vault = Vault::at(home.vault());
        Requester {
            key_giver: KeyGiver::for_inputs(contracts.clone(), board.clone(), vault.clone()),
            opener: Opener::of(contracts.signer()),
            contracts,
            board,
            records: home.jobs(),
            outputs: home.outputs(),
            promised: Mutex::default(),
            filling: Default::default(),
            keys: Mutex::default(),
            confirmations: 0,
            vault,
            recorder: None,
        }
    }

    /// The same, saying in a log what it orders and how it ends, and to whom it gives keys.
    #[must_use]
    pub fn recording(self, recorder: Recorder) -> Self {
        let key_giver = self.key_giver.recording(recorder.clone());
        Requester { key_giver, recorder: Some(recorder), ..self }
    }

    /// Where its orders are.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// What a job would cost now, by what providers say that they work for.
    ///
    /// # Errors
    ///
    /// As [`Board::offers`].
    pub async fn quote(&self, asked: Asked) -> Result<Quote> {
        Ok(quote(asked, &self.board.offers().await?, self.contracts.now()))
    }

    /// The contracts, as the requester's account sees them.
    pub fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// Orders a job: publishes what it reads, fills the purse, signs and posts. An order under the
    /// same key that was not finished is taken up again instead.
    ///
    /// # Errors
    ///
    /// [`Error::Program`], [`Error::Funds`], [`Error::Refused`], [`Error::Chain`],
    /// [`Error::Store`], [`Error::File`]; [`Error::Policy`] if the key service of the dataset would
    /// give no key.
    pub async fn order(&self, key: Hash, terms: &JobTerms) -> Result<JobRecord> {
        let program = Program::from_elf(&terms.program);
        let program = program.map_err(Error::ProgramFile)?;
        if self.record(key)?.is_none() {
            self.check_policy(&program, terms).await?;
        }
        self.board.put_program(&program, terms.program.clone()).await?;
        let record = self.signed(key, &program, terms).await?;
        if self.contracts.job(record.job_id).await?.status == JobStatus::None {
            self.fill_purse(&record).await?;
        }
        self.board.put_order(record.job_id, &record.signed).await?;
        self.record_order(&record).await;
        Ok(record)
    }

    /// Orders many jobs, each as [`Requester::order`] does and with a result of its own, in their
    /// order. Many are on their way at once, so that one sync of a disk and one transfer to the
    /// purse serve several.
    pub async fn order_all(&self, jobs: &[(Hash, JobTerms)]) -> Vec<Result<JobRecord>> {
        let orders = jobs.iter().map(|(key, terms)| self.order(*key, terms));
        futures_util::stream::iter(orders).buffered(ORDERS_AT_ONCE).collect().await
    }

    /// The order that was signed under a key and is not finished, or a new one, written down.
    async fn signed(&self, key: Hash, program: &Program, terms: &JobTerms) -> Result<JobRecord> {
        let _turn = self.turn(key).await?;
        if let Some(record) = self.record(key)? {
            return Ok(record);
        }
        // Whatever the order names is there before anyone hears of it.
        let reads = self.publish(terms).await?;
        let record = self.sign(key, program, reads, terms).await?;
        let (file, written) = (self.file(key), record.clone());
        blocking(move || files::write_json(&file, &written)).await?;
        Ok(record)
    }

    /// What is known of an order and its job.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub async fn facts(&self, record: &JobRecord) -> Result<Facts> {
        let (order, contracts) = (&record.signed.order, &self.contracts);
        let job = contracts.job(record.job_id).await?;
        let nonce_used = contracts.is_nonce_used(order).await?;
        let purse = contracts.purse(order.requester).await?;
        Ok(Facts {
            terms: price_terms(order),
            step_limit: order.stepLimit,
            stake: order.stake.to(),
            data_fee: order.dataFee.to(),
            lock_deadline: order.lockDeadline.to(),
            purse,
            nonce_used,
            status: job.status,
            provider: job.provider.map(account),
            deadline: job.deadline,
        })
    }

    /// Why an order stands where it stands, by what the chain shows and providers say.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`], and as [`Board::refusals`].
    pub async fn why(&self, record: &JobRecord) -> Result<Explanation> {
        let facts = self.facts(record).await?;
        let refusals = self.board.refusals(record.job_id).await?;
        Ok(explain(&facts, &refusals, self.contracts.now()))
    }

    /// Takes an order back that nobody has locked, at any price: its nonce is used up.
    ///
    /// # Errors
    ///
    /// [`Error::OrderLocked`]; [`Error::Chain`].
    pub async fn cancel(&self, record: &JobRecord) -> Result<()> {
        self.contracts.send(self.contracts.cancel(record.signed.order.nonce)).await?;
        // A lock may have been faster; the nonce is used either way.
        for (id, _) in record.all(&self.contracts) {
            if self.contracts.job(id).await?.status != JobStatus::None {
                return Err(Error::OrderLocked);
            }
        }
        self.finish(record).await
    }
}
