//! A requester: posts an order once, follows the job to its end, and takes back what it is owed.

use std::path::PathBuf;
use std::time::Duration;

use alloy_primitives::aliases::{U40, U96};
use alloy_primitives::{Address, B256, U256, hex};
use assay_api::SignedOrder;
use assay_chain::contracts::Market;
use assay_machine::Program;
use assay_market::{JobStatus, PriceTerms, Quote, quote};
use assay_merkle::empty_slot;
use assay_types::{BlobRoot, Hash};
use serde::{Deserialize, Serialize};

use crate::board::Board;
use crate::contracts::{Contracts, amount, chain};
use crate::games::b256;
use crate::history::{JobEvent, history};
use crate::inputs::{blob_of, public_blob};
use crate::{Error, Result, files};

/// How often a chain that can't call is asked.
const POLL: Duration = Duration::from_millis(500);

/// How long the provider is left to settle, in seconds, before the requester does.
const SETTLE_GRACE_SECS: u64 = 2;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct JobTerms {
    /// The program's ELF.
    pub program: Vec<u8>,
    /// The input's bytes, public; `None` for an empty slot.
    pub input: Option<Vec<u8>>,
    /// The dataset's bytes, public; `None` for an empty slot.
    pub dataset: Option<Vec<u8>>,
    /// The most steps, 1 to 2^45.
    pub step_limit: u64,
    /// What it pays.
    pub price: PriceTerms,
    /// What the provider puts at stake, in the token's smallest unit.
    pub stake: u128,
    /// The only provider that may lock it.
    pub provider: Option<Address>,
    /// How long it can be locked, in seconds.
    pub lock_secs: u64,
    /// How long a run may take, in seconds.
    pub run_secs: u32,
    /// How long a claim may be challenged, in seconds; `None` for the shortest that the verifier admits.
    pub window_secs: Option<u32>,
}

/// An order that was signed, as it is remembered: written before it is posted, so that whoever asks for the same again after
/// a crash gets the same job, and never a second one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobRecord {
    /// The job.
    pub job_id: B256,
    /// What was signed.
    pub signed: SignedOrder,
    /// Whether its output was handed over: the next order of the same is a new one.
    pub is_done: bool,
}

/// A requester.
pub struct Requester {
    contracts: Contracts,
    board: Board,
    records: PathBuf,
}

impl Requester {
    /// A requester that remembers its orders in a folder.
    pub fn new(contracts: Contracts, board: Board, records: PathBuf) -> Self {
        Requester { contracts, board, records }
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
    pub async fn quote(&self, step_limit: u64, stake: u128) -> Result<Quote> {
        Ok(quote(step_limit, stake, &self.board.offers().await?, self.contracts.now()))
    }

    /// The contracts, as the requester's account sees them.
    pub fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// Orders a job: publishes what it reads, fills the purse, signs and posts. An order under the same key that was not
    /// finished is taken up again instead.
    ///
    /// # Errors
    ///
    /// [`Error::Program`], [`Error::Funds`], [`Error::Refused`], [`Error::Chain`], [`Error::Store`], [`Error::File`].
    pub async fn order(&self, key: Hash, terms: &JobTerms) -> Result<JobRecord> {
        let program = Program::from_elf(&terms.program);
        let program = program.map_err(|error| Error::Job(format!("the program: {error}")))?;
        let signer = self.contracts.signer();
        self.board.put_program(signer, &program, terms.program.clone()).await?;
        let input = self.publish(terms.input.as_deref()).await?;
        let dataset = self.publish(terms.dataset.as_deref()).await?;
        let record = match self.record(key)?.filter(|record| !record.is_done) {
            Some(record) => record,
            None => {
                let record = self.sign(&program, input, dataset, terms).await?;
                files::write_json(&self.file(key), &record)?;
                record
            }
        };
        let job = self.contracts.market.jobOf(record.job_id).call().await.map_err(chain)?;
        if job.status == JobStatus::None as u8 {
            self.fill_purse(record.signed.order.price.max.to()).await?;
        }
        self.board.put_order(record.job_id, &record.signed).await?;
        Ok(record)
    }

    /// Remembers that a job's output was handed over.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn finish(&self, key: Hash, record: &JobRecord) -> Result<()> {
        files::write_json(&self.file(key), &JobRecord { is_done: true, ..record.clone() })
    }

    /// Follows a job to its end, telling each thing that happens to it once; and does what only the requester is in a hurry
    /// to do. A job that nobody locked in time ends with [`JobStatus::None`].
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub async fn follow(
        &self,
        record: &JobRecord,
        mut told: impl FnMut(&JobEvent),
    ) -> Result<JobStatus> {
        let (id, order) = (record.job_id, &record.signed.order);
        let mut heads = self.contracts.client().heads();
        let mut next_block = self.contracts.deployment.from_block;
        loop {
            let job = self.contracts.market.jobOf(id).call().await.map_err(chain)?;
            let status = JobStatus::try_from(job.status)?;
            // Read after the job, so that what it came to is among the events.
            let (head, _) = self.contracts.head().await?;
            history(&self.contracts, id, next_block..=head).await?.iter().for_each(&mut told);
            next_block = head + 1;
            if status.is_final() {
                return Ok(status);
            }
            let now = self.contracts.now();
            if status == JobStatus::None && now > order.lockDeadline.to::<u64>() {
                return Ok(status);
            }
            let deadline = job.deadline.to::<u64>();
            let market = &self.contracts.market;
            let call = match status {
                JobStatus::AwaitingBegin | JobStatus::AwaitingClaim | JobStatus::AwaitingLate
                    if now > deadline =>
                {
                    Some(market.expire(order.clone()).into_transaction_request())
                }
                JobStatus::AwaitingVerdict if now > deadline + SETTLE_GRACE_SECS => {
                    Some(market.settle(order.clone()).into_transaction_request())
                }
                _ => None,
            };
            if let Some(call) = call
                && self.contracts.attempt(call).await?.is_some()
            {
                continue;
            }
            match &mut heads {
                Some(heads) => {
                    let _ = tokio::time::timeout(POLL, heads.changed()).await;
                }
                None => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// The output of a claimed job, if it is published and has the claim's root.
    ///
    /// # Errors
    ///
    /// [`Error::InputMissing`] if nobody has published it; [`Error::Job`] if it is no blob.
    pub async fn output(&self, id: B256) -> Result<Vec<u8>> {
        let job = self.contracts.market.jobOf(id).call().await.map_err(chain)?;
        let root = BlobRoot(Hash(job.outputRoot.0));
        if root == empty_slot() {
            return Ok(Vec::new());
        }
        let image = self.board.slot(root).await?.ok_or(Error::InputMissing { root })?;
        blob_of(root, &image)
    }

    async fn publish(&self, bytes: Option<&[u8]>) -> Result<BlobRoot> {
        let Some(bytes) = bytes else { return Ok(empty_slot()) };
        let (root, image) = public_blob(bytes)?;
        self.board.put_slot(self.contracts.signer(), root, image).await?;
        Ok(root)
    }

    async fn sign(
        &self,
        program: &Program,
        input: BlobRoot,
        dataset: BlobRoot,
        terms: &JobTerms,
    ) -> Result<JobRecord> {
        let requester = self.contracts.account();
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(Error::Randomness)?;
        let shortest = self.contracts.window_min(terms.step_limit).await?;
        let window_secs = match terms.window_secs {
            Some(secs) => secs,
            None => u32::try_from(shortest).map_err(|error| Error::Job(error.to_string()))?,
        };
        let order = Market::Order {
            requester,
            provider: terms.provider.unwrap_or_default(),
            beneficiary: requester,
            programId: b256(program.id().0),
            inputRoot: b256(input.0),
            datasetRoot: b256(dataset.0),
            termsHash: B256::ZERO,
            nonce: U256::from_be_bytes(nonce),
            stepLimit: terms.step_limit,
            verifierId: self.contracts.deployment.fraud_proofs,
            lockDeadline: U40::from(self.contracts.now() + terms.lock_secs),
            beginSecs: 0,
            runSecs: terms.run_secs,
            windowSecs: window_secs,
            stake: amount(terms.stake)?,
            lapseFee: U96::ZERO,
            chunkFee: U96::ZERO,
            compensationBps: 4_000,
            bountyBps: 3_000,
            price: Market::Price {
                min: amount(terms.price.min)?,
                max: amount(terms.price.max)?,
                base: amount(terms.price.base)?,
                mebistep: amount(terms.price.mebistep)?,
                rampStartAt: U40::from(terms.price.ramp_start_at),
                rampSecs: terms.price.ramp_secs,
            },
        };
        let job_id = self.contracts.job_id(&order);
        let signed = SignedOrder::sign(order, &self.contracts.deployment, self.contracts.signer())?;
        Ok(JobRecord { job_id, signed, is_done: false })
    }

    /// Moves from the account to its purse what a price lacks.
    async fn fill_purse(&self, price: u128) -> Result<()> {
        let (contracts, account) = (&self.contracts, self.contracts.account());
        let purse = contracts.market.purseOf(account).call().await.map_err(chain)?;
        let Some(lacks) = U256::from(price).checked_sub(purse).filter(|lacks| !lacks.is_zero())
        else {
            return Ok(());
        };
        contracts.require(u128::try_from(lacks).unwrap_or(u128::MAX)).await?;
        contracts.allow(contracts.deployment.market).await?;
        let deposit = contracts.market.deposit(account, lacks);
        contracts.send(deposit.into_transaction_request()).await?;
        Ok(())
    }

    fn record(&self, key: Hash) -> Result<Option<JobRecord>> {
        files::read_json(&self.file(key))
    }

    fn file(&self, key: Hash) -> PathBuf {
        self.records.join(format!("{}.json", hex::encode(key.0)))
    }
}
