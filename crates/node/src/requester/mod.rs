//! A requester: posts an order once, follows the job to its end, and takes back what it is owed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, B256, U256, hex};
use alloy_sol_types::SolEvent;
use assay_contracts::Market;
use assay_machine::Program;
use assay_market::{
    Account, Explanation, Facts, JobId, JobStatus, PriceTerms, Quote, Repricing, SealedSlot, Terms,
    explain, quote,
};
use assay_merkle::empty_slot;
use assay_policy::{Document, Grant, Policy, Publication, ReleaseRequest, Revocation, Rules, Word};
use assay_protocol::SignedOrder;
use assay_receipt::{
    Ordered, Receipt, Settled, Statement, TRUST_SCHEMA, Trust, TrustedLog, without_noise,
};
use assay_seal::open_output_by;
use assay_types::{BlobRoot, Hash};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};

use crate::base::files;
use crate::board::Board;
use crate::chain::contracts::{Contracts, amount, chain};
use crate::chain::events::{JobEvent, history};
use crate::chain::games::b256;
use crate::chain::timeline::{Story, block};
use crate::job::inputs::{blob_of, public_blob};
use crate::job::sealed::{Opener, seal_bytes, terms_of};
use crate::job::vault::Vault;
use crate::key_service::{KeyService, account};
use crate::log::recorder::{Recorder, market_id};
use crate::provider::price_terms;
use crate::role::{Next, Role, blocking};
use crate::{Error, Home, Result};

/// How often a chain that can't call is asked.
const POLL: Duration = Duration::from_millis(500);

/// How long the provider is left to settle, in seconds, before the requester does.
const SETTLE_GRACE_SECS: u64 = 2;

/// How many orders are on their way at once: what they write waits for the same syncs.
const ORDERS_AT_ONCE: usize = 64;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct JobTerms {
    /// The program's ELF.
    pub program: Vec<u8>,
    /// The input's bytes; `None` for an empty slot.
    pub input: Option<Vec<u8>>,
    /// The job whose result the input is, if it is to be said.
    pub input_of: Option<B256>,
    /// The dataset.
    pub dataset: DatasetTerms,
    /// How what the requester brings is sealed; `None` publishes it, and the output.
    pub sealing: Option<Sealing>,
    /// The least reputation of a provider, in basis points.
    pub reputation_min: Option<u16>,
    /// The most steps, 1 to 2^45.
    pub step_limit: u64,
    /// What it pays the provider.
    pub price: PriceTerms,
    /// Whose data it reads, and what that earns if the job is paid, in the token's smallest unit;
    /// `None` for nobody's, and for what a dataset's publication says.
    pub data_fee: Option<(Address, u128)>,
    /// What the provider puts at stake, in the token's smallest unit.
    pub stake: u128,
    /// The only provider that may lock it.
    pub provider: Option<Address>,
    /// How long it can be locked, in seconds.
    pub lock_secs: u64,
    /// How long a run may take, in seconds.
    pub run_secs: u32,
    /// How long a claim may be challenged, in seconds; `None` for the shortest that the verifier
    /// admits.
    pub window_secs: Option<u32>,
    /// How far the price may rise while nobody takes the order.
    pub repricing: Option<Repricing>,
}

/// Where a job's dataset is from.
#[derive(Clone, Debug)]
pub enum DatasetTerms {
    /// There is none: an empty slot.
    None,
    /// The requester brings it, and it is sealed or public as the input is.
    Own(Vec<u8>),
    /// Another owner publishes it under seal.
    Of(Box<DatasetUse>),
}

/// The use of a dataset that is published under seal.
#[derive(Clone, Debug)]
pub struct DatasetUse {
    /// What its owner publishes of it.
    pub publication: Publication,
    /// Its policy, which the order is held to before it is signed; `None` leaves that to the
    /// key service, whose refusal costs the lapse fee.
    pub policy: Option<Document<Policy>>,
    /// For what it is to be used.
    pub purpose: String,
}

/// Who may open what a job reads and writes.
#[derive(Clone, Debug, Default)]
pub struct Sealing {
    /// Who gets the keys besides the provider, to check the claim.
    pub auditors: BTreeSet<Address>,
    /// Who may read the result; the requester itself if it names nobody.
    pub beneficiary: Option<Address>,
    /// How long the provider is left from its lock until it has opened the inputs, in seconds.
    pub begin_secs: u32,
}

/// What each side pays for a lapse, in basis points of the lesser of the least price and the stake.
const LAPSE_FEE_BPS: u128 = 100;

/// An order that was signed, as it is remembered: written before it is posted, so that whoever asks
/// for the same again after a crash gets the same job, and never a second one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobRecord {
    /// What makes two orders the same: an unfinished one is taken up again.
    pub key: Hash,
    /// The job.
    pub job_id: B256,
    /// What was signed.
    pub signed: SignedOrder,
    /// The same order at the lower prices that nobody took, which stay good: they share its nonce,
    /// so one of them at most becomes a job.
    pub earlier: Vec<SignedOrder>,
    /// When the price was last raised, or first said, in Unix seconds.
    pub posted_at: u64,
    /// How far it may rise by itself.
    pub repricing: Option<Repricing>,
    /// Whether its output was handed over: the next order of the same is a new one.
    pub is_done: bool,
}

/// A requester.
pub struct Requester {
    contracts: Contracts,
    board: Board,
    records: PathBuf,
    /// What the orders that wait for a lock may take from the purse. One that was locked meanwhile
    /// may still be among them: then the purse holds more than it must, and the requester can
    /// withdraw it.
    promised: Mutex<BTreeMap<B256, u128>>,
    /// Held while the purse is filled: who comes next finds what was put there for both.
    filling: tokio::sync::Mutex<()>,
    /// The keys that orders are made under just now: of two with the same key, the second takes up
    /// the first.
    keys: Mutex<BTreeMap<Hash, Arc<tokio::sync::Mutex<()>>>>,
    /// Gives the keys of what this requester has sealed.
    key_service: KeyService,
    vault: Vault,
    opener: Opener,
    recorder: Option<Recorder>,
}

impl Requester {
    /// The same, giving keys only for locks with so many blocks upon theirs.
    #[must_use]
    pub fn confirming(self, blocks: u64) -> Self {
        Requester { key_service: self.key_service.confirming(blocks), ..self }
    }

    /// A requester that remembers its orders, and the keys of what it seals, under a home.
    pub fn new(contracts: Contracts, board: Board, home: &Home) -> Self {
        let vault = Vault::at(home.vault());
        Requester {
            key_service: KeyService::of_inputs(contracts.clone(), board.clone(), vault.clone()),
            opener: Opener::of(contracts.signer()),
            contracts,
            board,
            records: home.jobs(),
            promised: Mutex::default(),
            filling: Default::default(),
            keys: Mutex::default(),
            vault,
            recorder: None,
        }
    }

    /// The same, saying in a log what it orders and how it ends, and to whom it gives keys.
    #[must_use]
    pub fn recording(self, recorder: Recorder) -> Self {
        let key_service = self.key_service.recording(recorder.clone());
        Requester { key_service, recorder: Some(recorder), ..self }
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

    /// Orders a job: publishes what it reads, fills the purse, signs and posts. An order under the
    /// same key that was not finished is taken up again instead.
    ///
    /// # Errors
    ///
    /// [`Error::Program`], [`Error::Funds`], [`Error::Refused`], [`Error::Chain`],
    /// [`Error::Store`], [`Error::File`]; [`Error::Policy`] if the key service of the dataset would give
    /// no key.
    pub async fn order(&self, key: Hash, terms: &JobTerms) -> Result<JobRecord> {
        let program = Program::from_elf(&terms.program);
        let program = program.map_err(|error| Error::Job(format!("the program: {error}")))?;
        if self.record(key)?.is_none() {
            self.check_policy(&program, terms).await?;
        }
        self.board.put_program(&program, terms.program.clone()).await?;
        let record = self.signed(key, &program, terms).await?;
        let job = self.contracts.market.jobOf(record.job_id).call().await.map_err(chain)?;
        if job.status == JobStatus::None as u8 {
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
        let turn = self.turn(key);
        let _turn = turn.lock().await;
        if let Some(record) = self.record(key)? {
            return Ok(record);
        }
        // Whatever the order names is there before anyone hears of it.
        let reads = self.publish(terms).await?;
        let record = self.sign(key, program, reads, terms).await?;
        let (file, written) = (self.file(key), record.clone());
        blocking(move || files::write_json(&file, &written)).await??;
        Ok(record)
    }

    /// Refuses what the key service of the dataset would refuse, as far as it shows: a key that never
    /// comes costs both sides the lapse fee.
    async fn check_policy(&self, program: &Program, terms: &JobTerms) -> Result<()> {
        let (DatasetTerms::Of(of), Some(sealing)) = (&terms.dataset, &terms.sealing) else {
            return Ok(());
        };
        let DatasetUse { publication, policy: Some(policy), purpose } = &**of else {
            return Ok(());
        };
        let (requester, dataset) = (account(self.contracts.account()), publication.dataset());
        let owner = Address::from(publication.owner.0);
        let published = Document::new(publication.clone());
        let published = published.map_err(|error| Error::Job(error.to_string()))?;
        let mut rules = Rules::new(published, policy.clone())?;
        let ours = |of: Account, name: &Word| of == dataset.owner && *name == dataset.name;
        for revocation in self.board.documents::<Revocation>(owner, "revocation").await? {
            if ours(revocation.body().owner, &revocation.body().name) {
                rules.revoke(&revocation)?;
            }
        }
        let mut grants = self.board.documents::<Grant>(owner, "grant").await?;
        grants.retain(|grant| ours(grant.body().owner, &grant.body().name));
        rules.grant_all(grants)?;
        let reasons = rules.foresee(&ReleaseRequest {
            // Of the job nothing is known yet, and no clause asks.
            job: JobId(Default::default()),
            requester,
            provider: account(terms.provider.unwrap_or_default()),
            beneficiary: sealing.beneficiary.map_or(requester, account),
            auditors: sealing.auditors.iter().map(|auditor| account(*auditor)).collect(),
            program: program.id(),
            dataset: publication.root,
            data_owner: Some(publication.owner),
            data_fee: publication.fee,
            input_sealed: true,
            output_sealed: true,
            step_limit: terms.step_limit,
            verifier: self.contracts.deployment.fraud_proofs,
            window_secs: terms.window_secs.unwrap_or_default(),
            stake: terms.stake,
            purpose: purpose.parse().ok(),
            measurement: None,
            now: self.contracts.now(),
        });
        if reasons.is_empty() { Ok(()) } else { Err(Error::Policy { dataset, reasons }) }
    }

    fn turn(&self, key: Hash) -> Arc<tokio::sync::Mutex<()>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(keys.entry(key).or_default())
    }

    async fn record_order(&self, record: &JobRecord) {
        let Some(recorder) = &self.recorder else { return };
        let ordered = Ordered::of(recorder.market(), record.job_id, &record.signed.order);
        recorder.try_say(Statement::Ordered(ordered)).await;
    }

    /// The receipt of a job that has ended: its order, its claim and its end as the chain proves
    /// them, and what the log has of it.
    ///
    /// # Errors
    ///
    /// [`Error::Job`] if it has not ended; [`Error::Chain`], [`Error::Store`].
    pub async fn receipt(&self, record: &JobRecord) -> Result<Receipt> {
        let (id, order) = (record.job_id, &record.signed.order);
        let story = Story::of(&self.contracts, id, order).await?;
        let not_ended = || Error::Job("the job has not ended yet, so it has no receipt".into());
        let (event, ending) = story.ending.clone().ok_or_else(not_ended)?;
        let client = self.contracts.client();
        let settlement = assay_chain::prove_event(client, &ending).await?;
        let claim = match &story.claim {
            Some(claim) => Some(assay_chain::prove_event(client, claim).await?),
            None => None,
        };
        let log = match &self.recorder {
            Some(recorder) => {
                self.record_order(record).await;
                let deployment = &self.contracts.deployment;
                let anchor = recorder.log().newest_anchor(client, deployment).await?;
                let proved = settlement.check().map_err(|error| Error::Job(error.to_string()))?;
                let said = Statement::Settled(Settled {
                    market: recorder.market(),
                    job: id,
                    after: story.before_settlement(),
                    observer: recorder.account(),
                    event: event.to_owned(),
                    paid: paid(&proved.log),
                    time: proved.timestamp,
                    claim_block: story.claim.as_ref().map(block),
                    block: block(&ending),
                    anchor_block: anchor.as_ref().map(|anchor| anchor.block),
                });
                recorder.say(&said).await?;
                Some(recorder.about(id, anchor).await?)
            }
            None => None,
        };
        let market = market_id(&self.contracts.deployment);
        let receipt = Receipt::new(market, id, record.signed.clone(), claim, settlement, log);
        Ok(without_noise(receipt))
    }

    /// What a reader would trust to believe this requester's receipts: this market, its log, and
    /// this account for what the chain shows.
    pub fn trust(&self) -> Trust {
        let log = self.recorder.as_ref().map(|recorder| TrustedLog {
            key: recorder.log().vkey().to_string(),
            witnesses: Vec::new(),
            quorum: 0,
            operator: recorder.log().operators(&self.contracts.deployment).first().copied(),
        });
        Trust {
            schema: TRUST_SCHEMA.to_owned(),
            market: Some(market_id(&self.contracts.deployment)),
            log,
            observers: [self.contracts.account()].into(),
            observer_quorum: 1,
            headers: Default::default(),
        }
    }

    /// Remembers that a job's output was handed over.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn finish(&self, record: &JobRecord) -> Result<()> {
        let done = JobRecord { is_done: true, ..record.clone() };
        // Under its own name, so that the next of the same key takes nobody's place.
        files::write_json(&self.file(Hash(record.job_id.0)), &done)?;
        files::remove(&self.file(record.key))
    }

    /// All orders that were signed here.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Damaged`].
    pub fn records(&self) -> Result<Vec<JobRecord>> {
        files::read_all_json(&self.records)
    }

    /// What is known of an order and its job.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub async fn facts(&self, record: &JobRecord) -> Result<Facts> {
        let (order, market) = (&record.signed.order, &self.contracts.market);
        let job = market.jobOf(record.job_id).call().await.map_err(chain)?;
        let nonce_used = market.nonceUsed(order.requester, order.nonce).call().await;
        let purse = market.purseOf(order.requester).call().await.map_err(chain)?;
        Ok(Facts {
            terms: price_terms(order),
            step_limit: order.stepLimit,
            stake: order.stake.to(),
            data_fee: order.dataFee.to(),
            lock_deadline: order.lockDeadline.to(),
            purse: u128::try_from(purse).unwrap_or(u128::MAX),
            nonce_used: nonce_used.map_err(chain)?,
            status: JobStatus::try_from(job.status)?,
            provider: (!job.provider.is_zero()).then(|| Account(job.provider.into_array())),
            deadline: job.deadline.to(),
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
    /// [`Error::Job`] if it was locked; [`Error::Chain`].
    pub async fn cancel(&self, record: &JobRecord) -> Result<()> {
        let nonce = record.signed.order.nonce;
        let (word, bit) = (nonce >> 8usize, nonce.byte(0));
        let call = self.contracts.market.cancel(word, U256::from(1) << usize::from(bit));
        self.contracts.send(call.into_transaction_request()).await?;
        // A lock may have been faster; the nonce is used either way.
        for (id, _) in record.all(&self.contracts) {
            let job = self.contracts.market.jobOf(id).call().await.map_err(chain)?;
            if job.status != JobStatus::None as u8 {
                return Err(Error::Job("the order is locked and runs its course".into()));
            }
        }
        self.finish(record)
    }

    /// Follows a job to its end, telling each thing that happens to it once; and does what only the
    /// requester is in a hurry to do. A job that nobody locked in time ends with
    /// [`JobStatus::None`].
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub async fn follow(
        &self,
        record: &mut JobRecord,
        mut told: impl FnMut(B256, &JobEvent),
    ) -> Result<JobStatus> {
        let mut heads = self.contracts.client().heads();
        let mut next_block = self.contracts.deployment.from_block;
        let mut has_output = false;
        // Of which lock everyone has the keys: after a reorganisation another may have it.
        let mut has_keys = None;
        loop {
            if self.choose(record).await? {
                next_block = self.contracts.deployment.from_block;
            }
            let id = record.job_id;
            let job = self.contracts.market.jobOf(id).call().await.map_err(chain)?;
            let status = JobStatus::try_from(job.status)?;
            // Read after the job, so that what it came to is among the events.
            let (head, _) = self.contracts.head().await?;
            let events = history(&self.contracts, id, next_block..=head).await?;
            events.iter().for_each(|event| told(id, event));
            next_block = head + 1;
            if status != JobStatus::None || self.contracts.now() > record.lock_deadline() {
                self.promised().remove(&id);
            }
            if status.is_final() {
                return Ok(status);
            }
            let now = self.contracts.now();
            if status == JobStatus::None && now > record.lock_deadline() {
                return Ok(status);
            }
            if status == JobStatus::None && self.raise(record, now).await? {
                continue;
            }
            let (deadline, order) = (job.deadline.to::<u64>(), &record.signed.order);
            let lock = Some((job.provider, job.lockBlock));
            if order.beginSecs != 0 && has_keys != lock && self.give_keys(id, status).await? {
                has_keys = lock;
            }
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
                // An output is published before it is claimed. Whoever shows no piece of it on
                // demand loses.
                JobStatus::AwaitingVerdict if now <= deadline && !has_output => {
                    let root = BlobRoot(Hash(job.outputRoot.0));
                    // A broker that is away shows no more than a provider that is silent.
                    let found = match self.board.slot(root).await {
                        Err(Error::Broker(_)) => false,
                        found => found?.is_some(),
                    };
                    has_output = root == empty_slot() || found;
                    let known = market.demandOf(id, 0).call().await.map_err(chain)?;
                    let is_due = !has_output && known.demander.is_zero();
                    if is_due {
                        self.fill_purse_with(order.chunkFee.to()).await?;
                    }
                    is_due.then(|| market.demand(order.clone(), 0).into_transaction_request())
                }
                JobStatus::AwaitingAnswer => {
                    let demand = market.demandOf(id, 0).call().await.map_err(chain)?;
                    let is_late = demand.open && now > demand.answerBy.to::<u64>();
                    is_late.then(|| market.silence(order.clone(), 0).into_transaction_request())
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
                    let _ = self.contracts.env().within(POLL, heads.changed()).await;
                }
                None => self.contracts.env().sleep(POLL).await,
            }
        }
    }

    /// Gives the keys of a sealed job that is locked. True once everyone has theirs.
    async fn give_keys(&self, id: B256, status: JobStatus) -> Result<bool> {
        let is_locked = matches!(
            status,
            JobStatus::AwaitingBegin | JobStatus::AwaitingClaim | JobStatus::AwaitingVerdict
        );
        match self.key_service.attend(id).await {
            Ok(next) => Ok(is_locked && next == Next::Event),
            Err(Error::Broker(error)) => {
                tracing::warn!(%id, %error, "keys can't be given while the broker is away");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Publishes the keys to which this account wants things sealed: what a beneficiary does before
    /// it is named.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Broker`].
    pub async fn publish_seal_keys(&self) -> Result<()> {
        let (signer, now) = (self.contracts.signer(), self.contracts.now());
        self.board.put_seal_keys(signer, &self.opener.public(), now).await
    }

    /// The output of a claimed job, if it is published and has the claim's root; opened if it is
    /// sealed and this account may read it.
    ///
    /// # Errors
    ///
    /// [`Error::InputMissing`] if nobody has published it; [`Error::KeyMissing`] if it is sealed to
    /// others; [`Error::Job`] if it is no blob.
    pub async fn output(&self, id: B256) -> Result<Vec<u8>> {
        let sealed = self.published_output(id).await?;
        let Some(signed) = self.board.find_order(id).await? else {
            return Err(Error::Job("the board does not have the order".into()));
        };
        let Some(input) = terms_of(&signed)?.input else { return Ok(sealed) };
        // A program that refuses its input leaves an empty output, which there is nothing to seal
        // in.
        if sealed.is_empty() {
            return Ok(sealed);
        }
        let requester = signed.order.requester;
        let key = match self.vault.find(input.envelope)? {
            Some(secret) => Some(secret.output_key()),
            None => self.opener.output_key(&self.board, id, requester).await?,
        };
        let root = BlobRoot(Hash(signed.order.inputRoot.0));
        let key = key.ok_or(Error::KeyMissing { root, owner: account(requester) })?;
        let opened = blocking(move || open_output_by(&key, &sealed)).await?;
        let opened =
            opened.map_err(|error| Error::Job(format!("the output does not open: {error}")))?;
        Ok(opened.to_vec())
    }

    async fn published_output(&self, id: B256) -> Result<Vec<u8>> {
        let job = self.contracts.market.jobOf(id).call().await.map_err(chain)?;
        let root = BlobRoot(Hash(job.outputRoot.0));
        if root == empty_slot() {
            return Ok(Vec::new());
        }
        let image = self.board.slot(root).await?.ok_or(Error::InputMissing { root })?;
        blob_of(root, &image)
    }

    /// Of an order at several prices, takes the one that was locked. True if there is a new one to
    /// follow.
    async fn choose(&self, record: &mut JobRecord) -> Result<bool> {
        if record.earlier.is_empty() {
            return Ok(false);
        }
        for (id, signed) in record.all(&self.contracts) {
            let job = self.contracts.market.jobOf(id).call().await.map_err(chain)?;
            if job.status != JobStatus::None as u8 {
                (record.job_id, record.signed) = (id, signed);
                record.earlier.clear();
                record.repricing = None;
                files::write_json(&self.file(record.key), record)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Signs the order again at a higher price, if one is due. True if so.
    async fn raise(&self, record: &mut JobRecord, now: u64) -> Result<bool> {
        let Some(rule) = record.repricing else { return Ok(false) };
        let terms = price_terms(&record.signed.order);
        let times = u8::try_from(record.earlier.len()).unwrap_or(u8::MAX);
        if rule.next(&terms, record.posted_at, times, now, None).is_none() {
            return Ok(false);
        }
        let refusals = match self.board.refusals(record.job_id).await {
            Err(Error::Broker(_)) => return Ok(false),
            refusals => refusals?,
        };
        let hint = refusals.iter().filter_map(|refusal| refusal.reason.price_needed()).min();
        let Some(next) = rule.next(&terms, record.posted_at, times, now, hint) else {
            return Ok(false);
        };
        let order = Market::Order { price: price(&next)?, ..record.signed.order.clone() };
        let job_id = self.contracts.job_id(&order);
        let (deployment, signer) = (&self.contracts.deployment, self.contracts.signer());
        let agreed = record.signed.terms.clone();
        let signed = SignedOrder::sign_with(order, agreed, deployment, signer)?;
        let raised = JobRecord {
            earlier: [record.earlier.clone(), vec![record.signed.clone()]].concat(),
            job_id,
            signed,
            posted_at: now,
            ..record.clone()
        };
        // Written before it is posted, as the first was.
        files::write_json(&self.file(record.key), &raised)?;
        // At one of its prices it is locked, not at both.
        self.promised().remove(&record.job_id);
        *record = raised;
        self.fill_purse(record).await?;
        self.board.put_order(job_id, &record.signed).await?;
        Ok(true)
    }

    /// Publishes what a job reads: sealed, or in the clear if the terms say so.
    async fn publish(&self, terms: &JobTerms) -> Result<Reads> {
        let own = match &terms.dataset {
            DatasetTerms::Own(bytes) => Some(&bytes[..]),
            DatasetTerms::None | DatasetTerms::Of(_) => None,
        };
        let mut reads = match &terms.sealing {
            None => Reads {
                input: self.publish_clear(terms.input.as_deref()).await?,
                dataset: self.publish_clear(own).await?,
                agreed: Terms::open(),
            },
            Some(sealing) => {
                if let Some(beneficiary) = sealing.beneficiary {
                    self.require_keys(beneficiary).await?;
                }
                // An empty input is sealed too: the output's key follows from its salt.
                let input = self.publish_sealed(terms.input.as_deref().unwrap_or_default()).await?;
                let dataset = match own {
                    Some(bytes) => Some(self.publish_sealed(bytes).await?),
                    None => None,
                };
                let auditors = sealing.auditors.iter().map(|auditor| account(*auditor)).collect();
                Reads {
                    input: input.0,
                    dataset: dataset.as_ref().map_or_else(empty_slot, |(root, _)| *root),
                    agreed: Terms {
                        input: Some(input.1),
                        dataset: dataset.map(|(_, sealed)| sealed),
                        auditors,
                        ..Terms::open()
                    },
                }
            }
        };
        if let DatasetTerms::Of(of) = &terms.dataset {
            if terms.sealing.is_none() {
                let what = "a job over somebody's sealed data is sealed itself: its output would tell of it";
                return Err(Error::Job(what.into()));
            }
            reads.dataset = of.publication.root;
            reads.agreed.dataset = Some(SealedSlot {
                envelope: of.publication.envelope_digest,
                bytes: of.publication.envelope_size,
                owner: of.publication.owner,
                policy: Some(of.publication.policy),
                purpose: Some(of.purpose.clone()),
            });
        }
        reads.agreed.input_of = terms.input_of.map(|job| Hash(job.0));
        reads.agreed.reputation_min = terms.reputation_min;
        Ok(reads)
    }

    /// A result that is sealed to nobody's keys could be read by nobody.
    async fn require_keys(&self, beneficiary: Address) -> Result<()> {
        if beneficiary == self.contracts.account()
            || self.board.seal_keys(beneficiary).await?.is_some()
        {
            return Ok(());
        }
        Err(Error::Job(format!(
            "{beneficiary} has published no keys to seal its result to; `assay job receive` does, by that account"
        )))
    }

    async fn publish_clear(&self, bytes: Option<&[u8]>) -> Result<BlobRoot> {
        let Some(bytes) = bytes else { return Ok(empty_slot()) };
        let (root, image) = public_blob(bytes)?;
        self.board.put_slot(root, image).await?;
        Ok(root)
    }

    async fn publish_sealed(&self, bytes: &[u8]) -> Result<(BlobRoot, SealedSlot)> {
        let (secret, envelope) = seal_bytes(self.contracts.env(), bytes.to_vec()).await?;
        // A key that was lost would leave an envelope that nobody can open; an envelope that was
        // lost leaves an idle key.
        self.vault.put(&secret)?;
        let sealed = SealedSlot {
            envelope: secret.envelope,
            bytes: secret.bytes,
            owner: account(self.contracts.account()),
            policy: None,
            purpose: None,
        };
        self.board.put_envelope(secret.envelope, envelope).await?;
        Ok((secret.root, sealed))
    }

    async fn sign(
        &self,
        key: Hash,
        program: &Program,
        reads: Reads,
        terms: &JobTerms,
    ) -> Result<JobRecord> {
        let requester = self.contracts.account();
        let sealing = terms.sealing.as_ref();
        let nonce = self.contracts.env().random::<32>()?;
        let shortest = self.contracts.window_min(terms.step_limit).await?;
        let window_secs = match terms.window_secs {
            Some(secs) => secs,
            None => u32::try_from(shortest).map_err(|error| Error::Job(error.to_string()))?,
        };
        let (data_owner, data_fee) = match &terms.dataset {
            DatasetTerms::Of(of) => (of.publication.owner.0.into(), of.publication.fee),
            DatasetTerms::Own(_) | DatasetTerms::None => terms.data_fee.unwrap_or_default(),
        };
        if data_owner.is_zero() && data_fee != 0 {
            return Err(Error::Job("a data fee needs a data owner's account".into()));
        }
        let order = Market::Order {
            requester,
            provider: terms.provider.unwrap_or_default(),
            beneficiary: sealing.and_then(|sealing| sealing.beneficiary).unwrap_or(requester),
            programId: b256(program.id().0),
            inputRoot: b256(reads.input.0),
            datasetRoot: b256(reads.dataset.0),
            termsHash: if reads.agreed.is_open() {
                B256::ZERO
            } else {
                b256(reads.agreed.digest())
            },
            nonce: U256::from_be_bytes(nonce),
            stepLimit: terms.step_limit,
            verifierId: self.contracts.deployment.fraud_proofs,
            lockDeadline: U40::from(self.contracts.now() + terms.lock_secs),
            beginSecs: sealing.map_or(0, |sealing| sealing.begin_secs),
            runSecs: terms.run_secs,
            windowSecs: window_secs,
            stake: amount(terms.stake)?,
            lapseFee: amount(sealing.map_or(0, |_| lapse_fee(terms)))?,
            chunkFee: amount(self.contracts.chunk_fee_least())?,
            dataOwner: data_owner,
            dataFee: amount(data_fee)?,
            compensationBps: 4_000,
            bountyBps: 3_000,
            price: price(&terms.price)?,
        };
        let job_id = self.contracts.job_id(&order);
        let agreed = (!reads.agreed.is_open()).then(|| reads.agreed.to_text().parse()).transpose();
        let agreed = agreed
            .map_err(|error: assay_protocol::JsonObjectError| Error::Job(error.to_string()))?;
        let (deployment, signer) = (&self.contracts.deployment, self.contracts.signer());
        let signed = SignedOrder::sign_with(order, agreed, deployment, signer)?;
        Ok(JobRecord {
            key,
            job_id,
            signed,
            earlier: Vec::new(),
            posted_at: self.contracts.now(),
            repricing: terms.repricing,
            is_done: false,
        })
    }

    /// Moves from the account to its purse what the purse lacks for something that is due now.
    async fn fill_purse_with(&self, needed: u128) -> Result<()> {
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

    /// Moves from the account to its purse what an order's price and data fee lack beside those of
    /// the orders that wait already.
    async fn fill_purse(&self, record: &JobRecord) -> Result<()> {
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

    fn promised(&self) -> MutexGuard<'_, BTreeMap<B256, u128>> {
        // Too much in it costs nothing, so a panic elsewhere spoils nothing.
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, key: Hash) -> Result<Option<JobRecord>> {
        files::read_json(&self.file(key))
    }

    fn file(&self, key: Hash) -> PathBuf {
        self.records.join(format!("{}.json", hex::encode(key.0)))
    }
}

/// What a job reads, published.
struct Reads {
    input: BlobRoot,
    dataset: BlobRoot,
    agreed: Terms,
}

/// Small, and the same for both sides (spec/contracts.md#orders).
fn lapse_fee(terms: &JobTerms) -> u128 {
    terms.price.min.min(terms.stake) * LAPSE_FEE_BPS / 10_000
}

impl JobRecord {
    fn lock_deadline(&self) -> u64 {
        self.signed.order.lockDeadline.to()
    }

    /// The order at all its prices, with their job ids.
    fn all(&self, contracts: &Contracts) -> Vec<(B256, SignedOrder)> {
        let orders = self.earlier.iter().chain([&self.signed]);
        orders.map(|signed| (contracts.job_id(&signed.order), signed.clone())).collect()
    }
}

/// The most that a first lock takes from the requester's purse.
fn escrow_most(order: &Market::Order) -> u128 {
    // Both are below 2^96.
    order.price.max.to::<u128>() + order.dataFee.to::<u128>()
}

/// An order's price, from the terms that describe it.
fn price(terms: &PriceTerms) -> Result<Market::Price> {
    Ok(Market::Price {
        min: amount(terms.min)?,
        max: amount(terms.max)?,
        base: amount(terms.base)?,
        mebistep: amount(terms.per_mebistep)?,
        rampStartAt: U40::from(terms.ramp_start_at),
        rampSecs: terms.ramp_secs,
    })
}

/// What a settlement's event says was paid, in decimal.
fn paid(log: &alloy_primitives::Log) -> Option<String> {
    Some(Market::JobPaid::decode_log(log).ok()?.paid.to_string())
}
