//! A provider: locks orders that pay, runs them, claims, and defends its claims.

pub(crate) mod backlog;
pub(crate) mod losses;
pub(crate) mod sweep;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::aliases::{U40, U96};
use alloy_primitives::{B256, Bytes};
use assay_contracts::{Disputes, Market};
use assay_dispute::{Claim, SNAPSHOTS_MIN, Tracer, answer, reveal};
use assay_machine::{Engine, Machine, Program, slot};
use assay_market::{
    Account, CostModel, JobId, JobStatus, Needed, Offer, PriceTerms, Reason, Refusal,
};
use assay_merkle::PAGE_SIZE;
use assay_protocol::SignedOrder;
use assay_receipt::{Statement, run_statement};
use assay_types::{BlobRoot, Hash};
use tokio::sync::{Semaphore, watch};

use crate::base::progress::Progress;
use crate::board::Board;
use crate::chain::contracts::{Contracts, chain};
use crate::chain::games::{self, b256, segment, stage};
use crate::chain::reputation::provider_record;
use crate::chain::timeline::Story;
use crate::job::inputs::{output_image, start};
use crate::job::sealed::{Opener, terms_of};
use crate::log::recorder::Recorder;
use crate::provider::backlog::Backlog;
use crate::provider::losses::{BREAK_SECS, Losses};
use crate::provider::sweep::Sweep;
use crate::role::{Next, Role, Scheduler, blocking};
use crate::{Error, Result};

/// How often a provider removes the blobs of jobs that are over.
pub const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// How long a lock is meant, in seconds: one that lands later does nothing.
const LOCK_VALID_SECS: u64 = 60;

/// How long others are left to say that they missed a deadline, in seconds, before a provider says
/// it for the bounty.
const EXPIRE_GRACE_SECS: u64 = 2;

/// How soon a key is looked for again that has not come yet.
const KEY_PAUSE: Duration = Duration::from_millis(100);

/// How soon an output is published again that could not be, in seconds.
const PUBLISH_AGAIN_SECS: u64 = 10;

/// How soon an order is looked at again whose requester could still mend it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What the market says of a lock that no other order and no other time would mend
/// (contracts/src/interfaces).
const ORDER_FAULTS: [&str; 4] =
    ["OrderInvalid", "WindowOutOfRange", "SignatureInvalid", "ValueAboveCap"];

/// How long an offer is meant, in seconds.
const OFFER_SECS: u64 = 3_600;

/// How many finished runs are kept for the games about them; a run that was dropped is made again.
const RUNS_KEPT: usize = 64;

/// What the kept runs may take in memory together, in bytes.
const RUNS_SIZE_MAX: u64 = 1 << 32;

/// Steps that make one run as quick to make again as another: about a second's.
const REMADE_STEPS: u64 = 1 << 26;

/// Steps of the longest segment that a game asks about (spec/dispute.md).
const SEGMENT_STEPS: u64 = 1 << 30;

/// How often an answer's time must fit in the dispute's clock.
const ANSWERS_MIN: u64 = 2;

/// What a provider works for, and what it may lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderPlan {
    /// What a job costs it, margin included.
    pub cost: CostModel,
    /// How fast its engine is, in steps a second: it locks nothing that it could not finish in
    /// time.
    pub steps_per_sec: u64,
    /// Blocks upon a lock's before it is taken for final and worked for.
    pub confirmations: u64,
    /// The least that a demand for a chunk of output must pay, in the token's smallest unit; `None`
    /// for what the chain suggests.
    pub chunk_fee_min: Option<u128>,
    /// The most that may be at stake at once, with what was lost in the last day; in the token's
    /// smallest unit.
    pub loss_day_max: u128,
    /// So many losses within an hour stop it from locking for an hour.
    pub failures_max: u32,
    /// How many jobs it runs at once.
    pub runs_at_once: usize,
    /// What it leaves of a run's time for its transactions and the confirmations, in seconds.
    pub margin_secs: u64,
    /// Whether it passes over orders that anyone may take.
    pub only_named: bool,
    /// What stays free on its disk beside the largest files that a job may need, in bytes.
    pub disk_free_min: u64,
    /// How often it removes the blobs of jobs that are over from its own store.
    pub sweep_every: Duration,
    /// What it says of its machine in the statements of its runs.
    pub host_facts: Vec<HostFact>,
}

/// Something of a machine that a provider may choose to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostFact {
    /// The engine that runs programs.
    Engine,
    /// The processor's architecture.
    Arch,
    /// The operating system.
    Os,
    /// How many cores there are.
    Cores,
}

impl HostFact {
    /// Its name, and what it is here.
    fn of<E>(self) -> (String, String) {
        let (name, fact) = match self {
            HostFact::Engine => {
                ("engine", std::any::type_name::<E>().rsplit("::").next().unwrap_or_default())
            }
            HostFact::Arch => ("arch", std::env::consts::ARCH),
            HostFact::Os => ("os", std::env::consts::OS),
            HostFact::Cores => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                return ("cores".to_owned(), cores.to_string());
            }
        };
        (name.to_owned(), fact.to_owned())
    }
}

/// A provider at work. What it has locked and claimed is on the chain, what to run is on the board,
/// and it keeps nothing besides: a crash at any point is followed by an ordinary start.
pub struct Provider<E> {
    contracts: Contracts,
    board: Board,
    plan: ProviderPlan,
    opener: Opener,
    engine: fn(Machine) -> E,
    running: Semaphore,
    backlog: Backlog,
    /// What a claimant's clock holds in each game, in seconds.
    clock_secs: u64,
    /// Held from the last look at what is at risk until the lock is counted, so that of two locks
    /// each knows of the other.
    binding: tokio::sync::Mutex<()>,
    losses: tokio::sync::Mutex<Losses>,
    memory: Mutex<Memory<E>>,
    recorder: Option<Recorder>,
    progress: Progress,
}

/// What can be found again by reading and running, kept so that it need not be.
struct Memory<E> {
    runs: BTreeMap<B256, (Program, Tracer<E>)>,
    /// The kept runs, oldest first.
    order: VecDeque<B256>,
    declined: BTreeMap<B256, Reason>,
    /// Jobs whose lock, run and claim are in the log.
    recorded: BTreeSet<B256>,
    /// Jobs whose output could not be published.
    unpublished: BTreeSet<B256>,
    /// How many of its moves in games about a job's claim are in the log.
    moves_told: BTreeMap<B256, usize>,
}

impl<E: Engine + Clone> Memory<E> {
    fn runs_size(&self) -> u64 {
        self.runs.values().map(|(_, tracer)| tracer.size()).sum()
    }

    /// The kept run that is quickest to make again, the oldest of several; never the one that is
    /// named. Many short jobs must not make a provider forget a long one that it may have to
    /// defend.
    fn quickest(&self, besides: B256) -> Option<B256> {
        let others = self.order.iter().filter(|kept| **kept != besides);
        let steps = |id: &&B256| self.runs.get(*id).map_or(0, |run| run.1.step() / REMADE_STEPS);
        others.min_by_key(steps).copied()
    }
}

impl<E: Engine + Clone + Send + 'static> Provider<E> {
    /// A provider on an engine. Reads what it has lost lately, and says what it works for before
    /// anyone can ask.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`], [`Error::Store`], [`Error::Broker`].
    pub async fn new(
        contracts: Contracts,
        board: Board,
        plan: ProviderPlan,
        engine: fn(Machine) -> E,
    ) -> Result<Self> {
        let parameters = contracts.disputes.parameters().call().await.map_err(chain)?;
        let provider = Provider {
            clock_secs: u64::from(parameters.clockSecs),
            running: Semaphore::new(plan.runs_at_once.max(1)),
            backlog: Backlog::new(plan.steps_per_sec, plan.runs_at_once, plan.margin_secs),
            binding: Default::default(),
            losses: Default::default(),
            memory: Mutex::new(Memory {
                runs: BTreeMap::new(),
                order: VecDeque::new(),
                declined: BTreeMap::new(),
                recorded: BTreeSet::new(),
                unpublished: BTreeSet::new(),
                moves_told: BTreeMap::new(),
            }),
            opener: Opener::of(contracts.signer()),
            contracts,
            board,
            plan,
            engine,
            recorder: None,
            progress: Progress::default(),
        };
        provider.losses.lock().await.read_new(&provider.contracts).await?;
        provider.find_bound().await?;
        provider.publish_seal_keys().await?;
        provider.offer().await?;
        Ok(provider)
    }

    /// The same, saying in a log what it locks, runs and claims.
    #[must_use]
    pub fn recording(self, recorder: Recorder) -> Self {
        Provider { recorder: Some(recorder), ..self }
    }

    /// The same, telling how far its runs are.
    #[must_use]
    pub fn telling(self, progress: Progress) -> Self {
        Provider { progress, ..self }
    }

    /// Works until told to stop.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let (contracts, board) = (self.contracts.clone(), self.board.clone());
        let provider = Arc::new(self);
        let work = Scheduler::new(Arc::clone(&provider), board, contracts).run(stop.clone());
        let sweeping = provider.keep_sweeping(stop.clone());
        tokio::join!(work, provider.keep_offering(stop), sweeping);
    }

    /// Says what it works for again before that ends, until told to stop.
    async fn keep_offering(&self, mut stop: watch::Receiver<bool>) {
        let mut pause = OFFER_SECS / 2;
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.contracts.env().sleep(Duration::from_secs(pause)) => {}
            }
            let said = self.offer().await;
            if let Err(error) = &said {
                tracing::warn!(%error, "the offer could not be put");
            }
            pause = if said.is_ok() { OFFER_SECS / 2 } else { 5 };
        }
    }

    /// Removes the blobs of jobs that are over, until told to stop.
    async fn keep_sweeping(&self, mut stop: watch::Receiver<bool>) {
        let mut sweep = Sweep::default();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.contracts.env().sleep(self.plan.sweep_every) => {}
            }
            match self.sweep(&mut sweep).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "blobs of jobs that are over were removed"),
                Err(error) => tracing::warn!(%error, "blobs could not be removed"),
            }
        }
    }

    async fn sweep(&self, sweep: &mut Sweep) -> Result<usize> {
        // Once without stopping anything, so that the second time there is little left to ask.
        sweep.read(&self.contracts, &self.board).await?;
        let _turn = self.binding.lock().await;
        sweep.read(&self.contracts, &self.board).await?;
        sweep.remove(&self.board).await
    }

    async fn publish_seal_keys(&self) -> Result<()> {
        let (signer, now) = (self.contracts.signer(), self.contracts.now());
        self.board.put_seal_keys(signer, &self.opener.public(), now).await
    }

    async fn offer(&self) -> Result<()> {
        // Who takes named orders only has nothing to offer to the others.
        if self.plan.only_named {
            return Ok(());
        }
        let account = self.contracts.account();
        let free = self.contracts.stakes.freeOf(account).call().await.map_err(chain)?;
        let offer = Offer {
            provider: Account(account.into_array()),
            cost: self.plan.cost,
            stake_free: free.to(),
            until: self.contracts.now() + OFFER_SECS,
        };
        self.board.offer(self.contracts.signer(), &offer).await
    }

    /// What it has locked before and not claimed, so that nothing is locked beside it that does not
    /// fit.
    async fn find_bound(&self) -> Result<()> {
        let (account, now) = (self.contracts.account(), self.contracts.now());
        let locked = self.contracts.market.JobLocked_filter().topic3(account);
        let locked = locked.from_block(self.contracts.deployment.from_block);
        for (event, _) in locked.query().await.map_err(chain)? {
            let id = event.jobId;
            let Some(signed) = self.board.order(id)? else { continue };
            let order = &signed.order;
            // A sealed job's clock may begin as late as its lock ends.
            let more_secs = if order.beginSecs == 0 { 0 } else { u64::from(order.runSecs) };
            if event.deadline.to::<u64>() + more_secs < now {
                continue;
            }
            let job = self.contracts.market.jobOf(id).call().await.map_err(chain)?;
            if job.provider == account {
                self.note_bound(id, order, &job)?;
            }
        }
        Ok(())
    }

    /// Counts a job of its own as long as there is work to do for it.
    fn note_bound(&self, id: B256, order: &Market::Order, job: &Market::Job) -> Result<()> {
        match JobStatus::try_from(job.status)? {
            JobStatus::AwaitingBegin => self.backlog.seen(id, work_of(order), None),
            JobStatus::AwaitingClaim => {
                self.backlog.seen(id, work_of(order), Some(job.deadline.to()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Locks an order that pays, or says why not.
    async fn consider(&self, id: B256, signed: &SignedOrder, job: &Market::Job) -> Result<Next> {
        if self.plan.only_named && signed.order.provider.is_zero() {
            return Ok(Next::Done);
        }
        let is_late = job.status == JobStatus::AwaitingLate as u8;
        let judged = if is_late {
            self.judge_late(id, signed, job).await?
        } else {
            self.judge(id, signed).await?
        };
        let at = match judged {
            Ok(at) => at,
            Err(reason) => return self.decline(id, signed, reason).await,
        };
        let now = self.contracts.now();
        if at > now {
            self.backlog.passes(id);
            return Ok(Next::At(at));
        }
        let until = now + LOCK_VALID_SECS;
        if let Some(reason) = self.bind(id, &signed.order, until, now).await? {
            return self.decline(id, signed, reason).await;
        }
        let price = self.price_wanted(&signed.order, is_late);
        let (order, signature) = (signed.order.clone(), signed.signature.clone());
        let lock = self.contracts.market.lock(order, signature, U96::from(price), U40::from(until));
        // Another was faster, or the requester has cancelled or spent: all are ordinary, and
        // nothing was paid.
        match self.contracts.send(lock.into_transaction_request()).await {
            Ok(_) => {
                let is_sealed = signed.order.beginSecs != 0;
                let deadline = self.contracts.now() + u64::from(signed.order.runSecs);
                let deadline = (!is_sealed).then_some(deadline);
                self.backlog.seen(id, work_of(&signed.order), deadline);
                Ok(Next::After(Duration::ZERO))
            }
            Err(Error::Refused(reason)) => {
                self.backlog.release(id);
                tracing::debug!(%id, %reason, "a lock was refused");
                // Its own fault stays with the order. All else is another's move, which the next
                // look will show.
                if ORDER_FAULTS.iter().any(|fault| reason.starts_with(fault)) {
                    let reason = Reason::MarketRefuses { cause: reason.into() };
                    return self.decline(id, signed, reason).await;
                }
                let is_open = self.contracts.now() <= signed.order.lockDeadline.to::<u64>();
                let wait = Next::After(Duration::from_secs(1));
                Ok(if !is_late && is_open { wait } else { Next::Event })
            }
            // It may come to be mined yet, and counts for as long.
            Err(error) => Err(error),
        }
    }

    /// Counts a lock that is about to be sent, or says why it must not be. Only here is what is at
    /// risk looked at with every other lock in it; the lock itself is waited for outside.
    async fn bind(
        &self,
        id: B256,
        order: &Market::Order,
        until: u64,
        now: u64,
    ) -> Result<Option<Reason>> {
        let _turn = self.binding.lock().await;
        if let Some(reason) = self.too_risky(id, order.stake.to(), now).await? {
            return Ok(Some(reason));
        }
        let work = work_of(order);
        let bound = self.backlog.bind(id, work, until, now);
        Ok(bound.err().map(|needed_secs| deadline_near(work, needed_secs)))
    }

    /// When to lock an order, or why not at all. Whatever could make the provider lose is looked at
    /// before a lock.
    async fn judge(
        &self,
        id: B256,
        signed: &SignedOrder,
    ) -> Result<std::result::Result<u64, Reason>> {
        let order = &signed.order;
        let now = self.contracts.now();
        if let Some(reason) = self.never(signed, now) {
            return Ok(Err(reason));
        }
        let terms = price_terms(order);
        let needed = match self.plan.cost.needed(&terms, order.stepLimit) {
            Needed::Price(needed) => needed,
            Needed::Base { least } => {
                return Ok(Err(Reason::BaseLow { base: terms.base, needed: least }));
            }
            Needed::Rate { least } => {
                return Ok(Err(Reason::RateLow {
                    per_mebistep: terms.per_mebistep,
                    needed: least,
                }));
            }
        };
        let Some(at) = terms.lock_at(needed, now) else {
            return Ok(Err(Reason::PriceLow { needed, at_most: terms.max }));
        };
        if let Some(reason) = self.too_busy(id, order, now) {
            return Ok(Err(reason));
        }
        let requester = order.requester;
        let market = &self.contracts.market;
        if market.nonceUsed(requester, order.nonce).call().await.map_err(chain)? {
            return Ok(Err(Reason::NonceUsed {}));
        }
        let purse = market.purseOf(requester).call().await.map_err(chain)?;
        let purse = u128::try_from(purse).unwrap_or(u128::MAX);
        // Both are below 2^96.
        let needed = terms.price_at(at) + order.dataFee.to::<u128>();
        if purse < needed {
            return Ok(Err(Reason::PurseShort { purse, needed }));
        }
        Ok(self.last_grounds(id, signed, now).await?.map_or(Ok(at), Err))
    }

    /// The same for a job that another has missed, which pays its bounty whatever the steps.
    async fn judge_late(
        &self,
        id: B256,
        signed: &SignedOrder,
        job: &Market::Job,
    ) -> Result<std::result::Result<u64, Reason>> {
        let order = &signed.order;
        let now = self.contracts.now();
        if now > job.deadline.to::<u64>() {
            return Ok(Err(Reason::Expired { lock_deadline: job.deadline.to() }));
        }
        if let Some(reason) = self.never_runnable(signed) {
            return Ok(Err(reason));
        }
        let (needed, at_most) = (self.price_wanted(order, true), job.price.to());
        if at_most < needed {
            return Ok(Err(Reason::PriceLow { needed, at_most }));
        }
        if let Some(reason) = self.too_busy(id, order, now) {
            return Ok(Err(reason));
        }
        Ok(self.last_grounds(id, signed, now).await?.map_or(Ok(now), Err))
    }

    /// What is looked at when the price is right: the record that the order wants, the stake at
    /// risk, and last the files.
    async fn last_grounds(
        &self,
        id: B256,
        signed: &SignedOrder,
        now: u64,
    ) -> Result<Option<Reason>> {
        if let Some(reason) = self.reputation_low(signed).await? {
            return Ok(Some(reason));
        }
        match self.too_risky(id, signed.order.stake.to(), now).await? {
            Some(reason) => Ok(Some(reason)),
            None => self.fetch(id, signed).await,
        }
    }

    /// What an order says itself that rules it out.
    fn never(&self, signed: &SignedOrder, now: u64) -> Option<Reason> {
        let order = &signed.order;
        if !order.provider.is_zero() && order.provider != self.contracts.account() {
            let provider = Account(order.provider.into_array());
            return Some(Reason::OtherProvider { provider });
        }
        if now > order.lockDeadline.to::<u64>() {
            return Some(Reason::Expired { lock_deadline: order.lockDeadline.to() });
        }
        self.never_runnable(signed)
    }

    fn never_runnable(&self, signed: &SignedOrder) -> Option<Reason> {
        let order = &signed.order;
        let terms = match terms_of(signed) {
            Ok(terms) => terms,
            Err(error) => return Some(Reason::TermsInvalid { cause: error.to_string().into() }),
        };
        // Keys come after the lock, and a run without them starts at no `begin`.
        if terms.is_sealed() != (order.beginSecs != 0) {
            let cause = "sealed terms and beginSecs go together".into();
            return Some(Reason::TermsInvalid { cause });
        }
        // Under fraud proofs a claim that nobody else can check would stand whatever it says.
        if terms.is_sealed() && terms.auditors.is_empty() {
            return Some(Reason::AuditorMissing {});
        }
        if order.verifierId != self.contracts.deployment.fraud_proofs {
            return Some(Reason::VerifierUnknown { verifier: order.verifierId });
        }
        let needed_secs = self.backlog.alone_secs(order.stepLimit);
        let work = work_of(order);
        if needed_secs > work.run_secs {
            return Some(deadline_near(work, needed_secs));
        }
        self.clock_short(order.stepLimit).or_else(|| self.chunk_fee_low(order))
    }

    /// Whether a requester could have a provider answer demands at a loss: it may make 2^17 of
    /// them.
    fn chunk_fee_low(&self, order: &Market::Order) -> Option<Reason> {
        let needed = self.plan.chunk_fee_min;
        let needed = needed.unwrap_or_else(|| self.contracts.chunk_fee_least());
        let fee = order.chunkFee.to::<u128>();
        (fee < needed).then_some(Reason::ChunkFeeLow { fee, needed })
    }

    /// Whether answers in a game might take longer than the clock allows: to a segment from the
    /// snapshot before it, and the segment.
    fn clock_short(&self, step_limit: u64) -> Option<Reason> {
        let before = 2 * step_limit / (SNAPSHOTS_MIN as u64 + 1);
        let answer_secs = self.backlog.alone_secs(before + step_limit.min(SEGMENT_STEPS));
        let (needed_secs, clock_secs) = (answer_secs.saturating_mul(ANSWERS_MIN), self.clock_secs);
        (needed_secs > clock_secs).then_some(Reason::ClockShort { clock_secs, needed_secs })
    }

    /// Whether the run may not end in time beside what is locked already, or would delay that.
    fn too_busy(&self, id: B256, order: &Market::Order, now: u64) -> Option<Reason> {
        let work = work_of(order);
        let needed_secs = self.backlog.fits(id, work, now).err()?;
        Some(deadline_near(work, needed_secs))
    }

    /// What forbids putting this much at stake now.
    async fn too_risky(&self, id: B256, stake: u128, now: u64) -> Result<Option<Reason>> {
        let (account, stakes) = (self.contracts.account(), &self.contracts.stakes);
        // Before the chain is read: a lock that lands meanwhile is then counted twice, and never
        // not at all.
        let sent = self.backlog.stake_sent(id, now);
        let free = stakes.freeOf(account).call().await.map_err(chain)?.to::<u128>();
        let free = free.saturating_sub(sent);
        if free < stake {
            return Ok(Some(Reason::StakeHigh { stake, free }));
        }
        let reserved = stakes.reservedOf(account).call().await.map_err(chain)?.to::<u128>();
        let (lost, failures, last) = {
            let mut losses = self.losses.lock().await;
            losses.read_new(&self.contracts).await?;
            losses.lately(now)
        };
        if failures >= self.plan.failures_max {
            return Ok(Some(Reason::CircuitBreaker { failures, until: last + BREAK_SECS }));
        }
        let at_risk = reserved.saturating_add(sent).saturating_add(lost).saturating_add(stake);
        let cap = self.plan.loss_day_max;
        Ok((at_risk > cap).then_some(Reason::RiskCap { at_risk, cap }))
    }

    /// Whether the order asks for a better record than this provider has on the chain. The contract
    /// does not look: to keep to it is what a provider owes the requester (spec/reputation.md).
    async fn reputation_low(&self, signed: &SignedOrder) -> Result<Option<Reason>> {
        let Some(least) = terms_of(signed)?.reputation_min else { return Ok(None) };
        let record = provider_record(&self.contracts, self.contracts.account()).await?;
        let score = record.reputation.score;
        Ok((score < least).then_some(Reason::ReputationLow { score, least }))
    }

    /// Fetches what the job reads and checks it: what can't be run can't be claimed. What is sealed
    /// is checked at its `begin`; until then it must at least be there.
    async fn fetch(&self, id: B256, signed: &SignedOrder) -> Result<Option<Reason>> {
        if self.memory().runs.contains_key(&id) {
            return Ok(None);
        }
        if let Some(reason) = self.disk_small(&signed.order).await? {
            return Ok(Some(reason));
        }
        if terms_of(signed)?.is_sealed() {
            return self.fetch_sealed(signed).await;
        }
        match start(&self.board, &self.opener, signed, self.engine).await {
            Ok(run) => {
                self.keep(id, run);
                Ok(None)
            }
            Err(Error::Program { id, cause }) => {
                let cause = cause.into();
                Ok(Some(Reason::ProgramInvalid { program: id, cause }))
            }
            Err(Error::InputMissing { root }) => Ok(Some(Reason::InputMissing { root })),
            Err(Error::InputMismatch { root, found }) => {
                Ok(Some(Reason::InputMismatch { root, found }))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the job's files may not fit: what of its inputs is not here yet, and its output at
    /// its largest.
    async fn disk_small(&self, order: &Market::Order) -> Result<Option<Reason>> {
        let Some(free_size) = self.board.free_size().await? else { return Ok(None) };
        let needed_size = self.board.size_needed(order).await?;
        let needed_size = needed_size.saturating_add(self.plan.disk_free_min);
        Ok((free_size < needed_size).then_some(Reason::DiskSmall { needed_size, free_size }))
    }

    /// What can be known of a sealed job before its lock: that its program runs and its envelopes
    /// are there.
    async fn fetch_sealed(&self, signed: &SignedOrder) -> Result<Option<Reason>> {
        let order = &signed.order;
        for (number, sealed) in terms_of(signed)?.slots() {
            if !self.board.has_envelope(sealed.envelope).await? {
                let is_input = u32::from(number) == slot::INPUT;
                let root = if is_input { order.inputRoot } else { order.datasetRoot };
                return Ok(Some(Reason::InputMissing { root: BlobRoot(Hash(root.0)) }));
            }
        }
        match self.board.program(order).await {
            Err(Error::Program { id, cause }) => {
                Ok(Some(Reason::ProgramInvalid { program: id, cause: cause.into() }))
            }
            other => other.map(|_| None),
        }
    }

    fn price_wanted(&self, order: &Market::Order, is_late: bool) -> u128 {
        // A late job pays its bounty in full, as a fixed price does.
        let terms = price_terms(order);
        match self.plan.cost.needed(&terms, order.stepLimit) {
            Needed::Price(needed) if !is_late => needed,
            _ => self.plan.cost.pay_for(order.stepLimit),
        }
    }

    /// Says why an order is not locked, once for each reason, and when to look again.
    async fn decline(&self, id: B256, signed: &SignedOrder, reason: Reason) -> Result<Next> {
        let now = self.contracts.now();
        // What an idle provider could take waits for its turn, and is told so only if that takes
        // long.
        let is_busy = matches!(reason, Reason::DeadlineNear { run_secs, .. }
            if self.backlog.alone_secs(signed.order.stepLimit) <= run_secs);
        if !is_busy {
            self.backlog.passes(id);
        } else if self.backlog.waits(id, now) + LOOK_AGAIN.as_secs() > now {
            return Ok(Next::After(LOOK_AGAIN));
        }
        let next = match &reason {
            Reason::OtherProvider { .. }
            | Reason::TermsInvalid { .. }
            | Reason::AuditorMissing {}
            | Reason::MarketRefuses { .. }
            | Reason::VerifierUnknown { .. } => Next::Done,
            Reason::Expired { .. } | Reason::NonceUsed {} => Next::Event,
            Reason::CircuitBreaker { until, .. } => Next::At(*until + 1),
            _ => Next::After(LOOK_AGAIN),
        };
        let known =
            self.memory().declined.get(&id).is_some_and(|known| known.code() == reason.code());
        // That another was faster needs no telling: the chain shows it.
        if !known && !matches!(reason, Reason::NonceUsed {}) {
            tracing::info!(%id, %reason, "an order is declined");
            let (job, provider) = (JobId(id.0), Account(self.contracts.account().into_array()));
            let refusal =
                Refusal { job, provider, reason: reason.clone(), at: self.contracts.now() };
            self.board.refuse(self.contracts.signer(), &refusal).await?;
            self.memory().declined.insert(id, reason);
        }
        Ok(next)
    }

    /// Opens a sealed job's inputs, checks them against their roots, and says so on the chain: from
    /// then on the run's time counts. A key that does not come, or opens something else, lets the
    /// lock lapse, at the same small fee for both sides.
    async fn begin(&self, id: B256, signed: &SignedOrder, job: &Market::Job) -> Result<Next> {
        let deadline = job.deadline.to::<u64>();
        if self.contracts.now() > deadline {
            return self.expire(&signed.order).await;
        }
        let is_ready = self.memory().runs.contains_key(&id);
        if !is_ready {
            match start(&self.board, &self.opener, signed, self.engine).await {
                Ok(run) => self.keep(id, run),
                Err(Error::KeyMissing { .. }) => return Ok(Next::After(KEY_PAUSE)),
                Err(error @ (Error::Chain(_) | Error::Store(_) | Error::Broker(_))) => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(%id, %error, "a sealed job can't begin, and its lock will lapse");
                    return Ok(Next::At(deadline + 1));
                }
            }
        }
        // The chain counts its stake already.
        let work = backlog::Work { stake: 0, ..work_of(&signed.order) };
        let now = self.contracts.now();
        if self.backlog.bind(id, work, now + LOCK_VALID_SECS, now).is_err() {
            // The run's clock begins when there is room for it; if there is none in time, the lock
            // lapses.
            return Ok(Next::After(KEY_PAUSE));
        }
        let begin = self.contracts.market.begin(signed.order.clone());
        self.contracts.attempt(begin.into_transaction_request()).await?;
        Ok(Next::After(Duration::ZERO))
    }

    /// Runs the job and claims what it came to.
    async fn claim(&self, id: B256, signed: &SignedOrder, job: &Market::Job) -> Result<Next> {
        let (order, lock_block) = (&signed.order, job.lockBlock.to::<u64>());
        if self.contracts.now() > job.deadline.to::<u64>() {
            // Its stake is lost, and a run for nothing would only hold up the others.
            self.backlog.release(id);
            return Ok(Next::Event);
        }
        let confirmations = self.plan.confirmations;
        let Some(block) = self.contracts.block_since(lock_block, confirmations).await? else {
            return Ok(Next::After(Duration::from_millis(200)));
        };
        let turn = self.running.acquire().await.map_err(|error| Error::Job(error.to_string()))?;
        self.backlog.begins(id);
        tracing::info!(%id, "a job runs");
        let progress = self.progress.clone();
        progress.tell(id, 0);
        let ran = self
            .with_run(id, signed, move |program, tracer| {
                let claim = Claim::of_telling(tracer, |steps| progress.tell(id, steps));
                (program.id_preimage(), claim, output_image(tracer.end()))
            })
            .await;
        self.progress.end(id);
        // The next may run while this one is claimed.
        self.backlog.release(id);
        drop(turn);
        let (program, claim, output) = ran?;
        self.publish(id, claim.output_root, output).await;
        // The chain may have moved on while the job ran, and forgets old blocks.
        let block = self.contracts.block_since(lock_block, confirmations).await?.unwrap_or(block);
        let said = said(&program, &claim, block);
        let call = self.contracts.market.claim(order.clone(), said);
        self.contracts.send(call.into_transaction_request()).await?;
        tracing::info!(%id, "a job is claimed");
        Ok(Next::After(Duration::ZERO))
    }

    /// Publishes an output, or tries it again later. Neither a broker that is away nor a full disk
    /// must cost the stake: a claim needs no published output, and who does not find it demands a
    /// chunk.
    async fn publish(&self, id: B256, root: BlobRoot, output: Vec<u8>) {
        let published = self.board.put_slot(root, output).await;
        match published {
            Ok(()) => drop(self.memory().unpublished.remove(&id)),
            Err(error) => {
                tracing::warn!(%id, %error, "an output could not be published yet");
                self.memory().unpublished.insert(id);
            }
        }
    }

    /// Publishes the output of a claim that could not be published before. Gives whether that is
    /// still to be done.
    async fn publish_again(&self, id: B256, signed: &SignedOrder, root: B256) -> bool {
        if !self.memory().unpublished.contains(&id) {
            return false;
        }
        match self.with_run(id, signed, |_, tracer| output_image(tracer.end())).await {
            Ok(output) => self.publish(id, BlobRoot(Hash(root.0)), output).await,
            Err(error) => tracing::warn!(%id, %error, "an output could not be made again yet"),
        }
        self.memory().unpublished.contains(&id)
    }

    /// Says in the log what it has locked, run and claimed. Once a start: what is there already
    /// stays as it is.
    async fn record(&self, id: B256, order: &Market::Order) -> Result<()> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        if self.memory().recorded.contains(&id) {
            return Ok(());
        }
        let story = Story::of(&self.contracts, id, order).await?;
        let (Some(locked), Some(claimed)) = (story.locked, story.claimed) else { return Ok(()) };
        let lock = Statement::Locked(locked);
        let facts = self.plan.host_facts.iter().map(|fact| fact.of::<E>()).collect();
        let run = run_statement(order, &claimed, lock.digest(), facts);
        let said = [lock, Statement::Ran(Box::new(run)), Statement::Claimed(claimed)];
        // Together, so that they are made durable together.
        futures_util::future::join_all(said.map(|said| recorder.try_say(said))).await;
        self.memory().recorded.insert(id);
        Ok(())
    }

    /// The same where a claim's defence must not wait for it.
    async fn try_record(&self, id: B256, order: &Market::Order) {
        if let Err(error) = self.record(id, order).await {
            tracing::warn!(%id, %error, "a claim could not be logged");
        }
    }

    /// Says in the log what moves it has made in games about its claim.
    async fn record_moves(&self, id: B256, order: &Market::Order) -> Result<()> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let told = self.memory().moves_told.get(&id).copied().unwrap_or_default();
        let told = Story::of(&self.contracts, id, order).await?.say_moves(recorder, told).await;
        self.memory().moves_told.insert(id, told);
        Ok(())
    }

    /// Answers what the games about its claim ask, ends those whose challenger is late, and
    /// settles.
    async fn defend(&self, id: B256, signed: &SignedOrder, job: &Market::Job) -> Result<Next> {
        let order = &signed.order;
        self.try_record(id, order).await;
        let claim = self.contracts.disputes.claimOf(id).call().await.map_err(chain)?;
        let mut wake = job.deadline.to::<u64>() + 1;
        let mut is_open = false;
        if claim.openGames > 0 {
            for (game, view) in self.games(id, job.lockBlock.to()).await? {
                if let Some(deadline) = self.play(id, signed, game, view).await? {
                    (is_open, wake) = (true, wake.min(deadline + 1));
                }
            }
            if let Err(error) = self.record_moves(id, order).await {
                tracing::warn!(%id, %error, "moves could not be logged");
            }
        }
        if self.publish_again(id, signed, job.outputRoot).await {
            wake = wake.min(self.contracts.now() + PUBLISH_AGAIN_SECS);
        }
        if is_open || self.contracts.now() < wake {
            return Ok(Next::At(wake.max(self.contracts.now() + 1)));
        }
        let settle = self.contracts.market.settle(order.clone());
        self.contracts.attempt(settle.into_transaction_request()).await?;
        Ok(Next::After(Duration::from_secs(1)))
    }

    /// The games about a claim, in the order of the segments that they are about, so that one way
    /// through the run serves all.
    async fn games(&self, id: B256, lock_block: u64) -> Result<Vec<(u64, Disputes::gameOfReturn)>> {
        let mut games = Vec::new();
        for game in games::of_claim(&self.contracts, id, lock_block).await? {
            let view = self.contracts.disputes.gameOf(game).call().await.map_err(chain)?;
            games.push((segment(&view.game)?.start(), game, view));
        }
        games.sort_by_key(|(start, ..)| *start);
        Ok(games.into_iter().map(|(_, game, view)| (game, view)).collect())
    }

    /// Makes the move that a game waits for, if it is the claimant's. Gives the turn's end if it is
    /// the challenger's.
    async fn play(
        &self,
        id: B256,
        signed: &SignedOrder,
        game_id: u64,
        view: Disputes::gameOfReturn,
    ) -> Result<Option<u64>> {
        let (game, state) = (view.game, view.stateHash);
        let call = match game.stage {
            stage::AWAITING_ANSWER => self.answer(id, signed, game_id, &game, state).await?,
            stage::AWAITING_REVEAL => match self.reveal(id, signed, game_id, &game, state).await? {
                Some(call) => call,
                None => return Ok(None),
            },
            stage::AWAITING_OPENING | stage::AWAITING_POINT => {
                let deadline = u64::try_from(view.deadline).unwrap_or(u64::MAX);
                if self.contracts.now() > deadline {
                    games::expire(&self.contracts, game_id).await?;
                }
                return Ok(Some(deadline));
            }
            _ => return Ok(None),
        };
        self.contracts.attempt(call).await?;
        Ok(Some(self.contracts.now()))
    }

    async fn answer(
        &self,
        id: B256,
        signed: &SignedOrder,
        game_id: u64,
        game: &Disputes::Game,
        state: B256,
    ) -> Result<alloy_rpc_types_eth::TransactionRequest> {
        let segment = segment(game)?;
        let answer = self.with_run(id, signed, move |_, tracer| answer(tracer, segment)).await?;
        let proof = answer.last_leaf_proof.0.map(b256);
        let call = self.contracts.disputes.answer(game_id, state, b256(answer.root), proof);
        Ok(call.into_transaction_request())
    }

    async fn reveal(
        &self,
        id: B256,
        signed: &SignedOrder,
        game_id: u64,
        game: &Disputes::Game,
        state: B256,
    ) -> Result<Option<alloy_rpc_types_eth::TransactionRequest>> {
        let (segment, target) = (segment(game)?, Hash(game.target.0));
        let reveal =
            move |_: &Program, tracer: &mut Tracer<E>| reveal(&tracer.tree(segment), target);
        let children = self.with_run(id, signed, reveal).await?;
        let call = |children: [Hash; 32]| {
            let children = children.map(b256).to_vec();
            self.contracts.disputes.reveal(game_id, state, children).into_transaction_request()
        };
        Ok(children.map(call))
    }

    /// Answers the demands for chunks of the output, and defends meanwhile.
    async fn show(&self, id: B256, signed: &SignedOrder, job: &Market::Job) -> Result<Next> {
        let (order, market) = (&signed.order, &self.contracts.market);
        let demanded =
            market.ChunkRequested_filter().topic1(id).from_block(job.lockBlock.to::<u64>());
        let mut is_asked = false;
        for (event, _) in demanded.query().await.map_err(chain)? {
            let demand = market.demandOf(id, event.chunk).call().await.map_err(chain)?;
            if demand.open {
                is_asked = true;
                let (data, proof) = self.chunk(id, signed, event.chunk).await?;
                let call = market.answer(order.clone(), event.chunk, data, proof);
                self.contracts.attempt(call.into_transaction_request()).await?;
            }
        }
        // Who asks has not found it where it was published, so it is published again, once what is
        // asked is answered.
        if is_asked {
            self.memory().unpublished.insert(id);
        }
        self.defend(id, signed, job).await
    }

    /// A page of the output, with the 17 siblings above it.
    async fn chunk(
        &self,
        id: B256,
        signed: &SignedOrder,
        chunk: u32,
    ) -> Result<(Bytes, [B256; 17])> {
        let number = slot::base(slot::OUTPUT) / PAGE_SIZE + chunk;
        let page = move |_: &Program, tracer: &mut Tracer<E>| tracer.end_page(number);
        let (page, proof) = self.with_run(id, signed, page).await?;
        Ok((page.to_vec().into(), std::array::from_fn(|k| b256(proof.0[k]))))
    }

    /// What happens to a job that is another's: nobody but the provider is in a hurry to say that
    /// it was missed.
    async fn watch(&self, order: &Market::Order, job: &Market::Job) -> Result<Next> {
        let at = job.deadline.to::<u64>() + EXPIRE_GRACE_SECS;
        if job.late || order.beginSecs != 0 {
            return Ok(Next::Event);
        }
        if self.contracts.now() <= at {
            return Ok(Next::At(at + 1));
        }
        self.expire(order).await
    }

    async fn expire(&self, order: &Market::Order) -> Result<Next> {
        let expire = self.contracts.market.expire(order.clone());
        self.contracts.attempt(expire.into_transaction_request()).await?;
        Ok(Next::After(Duration::from_secs(1)))
    }

    /// Works with the job's run, the kept one or a fresh one, and keeps it.
    async fn with_run<T: Send + 'static>(
        &self,
        id: B256,
        signed: &SignedOrder,
        work: impl FnOnce(&Program, &mut Tracer<E>) -> T + Send + 'static,
    ) -> Result<T> {
        let kept = self.take(id);
        let (program, mut tracer) = match kept {
            Some(run) => run,
            None => start(&self.board, &self.opener, signed, self.engine).await?,
        };
        let (run, done) = blocking(move || {
            let done = work(&program, &mut tracer);
            ((program, tracer), done)
        })
        .await?;
        self.keep(id, run);
        Ok(done)
    }

    fn take(&self, id: B256) -> Option<(Program, Tracer<E>)> {
        let mut memory = self.memory();
        memory.order.retain(|kept| *kept != id);
        memory.runs.remove(&id)
    }

    fn keep(&self, id: B256, run: (Program, Tracer<E>)) {
        let mut memory = self.memory();
        memory.order.retain(|kept| *kept != id);
        memory.order.push_back(id);
        memory.runs.insert(id, run);
        while memory.runs.len() > RUNS_KEPT || memory.runs_size() > RUNS_SIZE_MAX {
            let Some(quickest) = memory.quickest(id) else { return };
            memory.order.retain(|kept| *kept != quickest);
            memory.runs.remove(&quickest);
        }
    }

    fn forget(&self, id: B256) {
        self.take(id);
        self.backlog.release(id);
        let mut memory = self.memory();
        memory.declined.remove(&id);
        memory.recorded.remove(&id);
        memory.unpublished.remove(&id);
        memory.moves_told.remove(&id);
    }

    fn memory(&self) -> MutexGuard<'_, Memory<E>> {
        // What it holds can be found again, so a panic elsewhere spoils nothing.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Engine + Clone + Send + 'static> Role for Provider<E> {
    const NAME: &'static str = "provider";

    async fn attend(&self, id: B256) -> Result<Next> {
        let Some(signed) = self.board.order(id)? else { return Ok(Next::Done) };
        let order = &signed.order;
        // Another market's, or not what its name says.
        if self.contracts.job_id(order) != id {
            return Ok(Next::Done);
        }
        let job = self.contracts.market.jobOf(id).call().await.map_err(chain)?;
        let is_mine = job.provider == self.contracts.account();
        if is_mine {
            self.note_bound(id, order, &job)?;
        }
        match JobStatus::try_from(job.status)? {
            // Who missed it once has shown that it should not try again.
            JobStatus::AwaitingLate if is_mine => {
                self.forget(id);
                Ok(Next::Event)
            }
            JobStatus::None | JobStatus::AwaitingLate => self.consider(id, &signed, &job).await,
            JobStatus::AwaitingBegin if is_mine => self.begin(id, &signed, &job).await,
            JobStatus::AwaitingClaim if is_mine => self.claim(id, &signed, &job).await,
            JobStatus::AwaitingClaim => {
                self.forget(id);
                self.watch(order, &job).await
            }
            JobStatus::AwaitingVerdict if is_mine => self.defend(id, &signed, &job).await,
            JobStatus::AwaitingAnswer if is_mine => self.show(id, &signed, &job).await,
            JobStatus::AwaitingBegin | JobStatus::AwaitingVerdict | JobStatus::AwaitingAnswer => {
                self.forget(id);
                Ok(Next::Event)
            }
            _ => {
                self.forget(id);
                Ok(Next::Done)
            }
        }
    }

    fn woken(&self) -> Vec<B256> {
        self.backlog.woken()
    }
}

/// What an order binds its provider to.
fn work_of(order: &Market::Order) -> backlog::Work {
    backlog::Work {
        steps: order.stepLimit,
        stake: order.stake.to(),
        run_secs: u64::from(order.runSecs),
    }
}

fn deadline_near(work: backlog::Work, needed_secs: u64) -> Reason {
    Reason::DeadlineNear { run_secs: work.run_secs, needed_secs }
}

/// A claim as the contract takes it.
fn said(program: &[u8; 52], claim: &Claim, (number, hash): (u64, B256)) -> Market::Claim {
    Market::Claim {
        program: program.to_vec().into(),
        finalState: claim.final_state().to_vec().into(),
        traceRoot: b256(claim.trace_root),
        traceProof: claim.trace_proof.0.map(b256),
        outputRoot: b256(claim.output_root.0),
        outputProof: claim.output_proof.0.map(b256),
        blockNumber: number,
        blockHash: hash,
        evidence: Bytes::new(),
    }
}

/// An order's price as forecasts take it.
pub(crate) fn price_terms(order: &Market::Order) -> PriceTerms {
    let price = &order.price;
    PriceTerms {
        min: price.min.to(),
        max: price.max.to(),
        base: price.base.to(),
        per_mebistep: price.mebistep.to(),
        ramp_start_at: price.rampStartAt.to(),
        ramp_secs: price.rampSecs,
    }
}
