//! A provider: locks orders that pay, runs them, claims, and defends its claims.

mod admission;
mod backlog;
mod defence;
mod execution;
mod fetching;
mod losses;
mod refusals;
mod runs;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_primitives::B256;
use assay_contracts::Market;
use assay_market::{Account, CostModel, JobStatus, Offer, RunTime};
use tokio::sync::{Semaphore, watch};

use crate::base::progress::Progress;
use crate::board::Board;
use crate::chain::contracts::Contracts;
use crate::chain::market::Job;
use crate::job::executor::Executor;
use crate::job::sealed::Opener;
use crate::log::recorder::Recorder;
use crate::provider::admission::work_of;
use crate::provider::backlog::Backlog;
use crate::provider::fetching::Fetched;
use crate::provider::losses::Losses;
use crate::provider::refusals::Refusals;
use crate::provider::runs::Memory;
use crate::role::sweep::keep_sweeping;
use crate::role::{Next, Role, Scheduler};
use crate::{Error, Result};

/// How long a lock is meant, in seconds: one that lands later does nothing.
const LOCK_VALID_SECS: u64 = 60;

/// What of a run's time is left for the chain unless it takes more, in seconds.
const MARGIN_SECS: u64 = 5;

/// How long a start waits for a broker.
const PATIENCE: Duration = Duration::from_secs(5);

/// What inputs may take of memory unless somebody says otherwise, in bytes: one that fills a slot.
pub const MEMORY_MAX: u64 = 4 << 30;

/// How often it is measured anew how fast the chain makes blocks.
const PACE_EVERY: Duration = Duration::from_secs(600);

/// How long others are left to say that they missed a deadline, in seconds, before a provider says
/// it for the bounty.
const EXPIRE_GRACE_SECS: u64 = 2;

/// How long an offer is meant, in seconds.
const OFFER_SECS: u64 = 3_600;

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
    /// What it leaves of a run's time for its transactions and the confirmations, in seconds;
    /// `None` for what the chain takes, and five at the least.
    pub margin_secs: Option<u64>,
    /// Whether it passes over orders that anyone may take.
    pub only_named: bool,
    /// What stays free on its disk beside the largest files that a job may need, in bytes.
    pub disk_free_min: u64,
    /// What the inputs of all jobs that run at once may take of memory, in bytes: each may take an
    /// equal part, at some 20 KiB for each page of 4 KiB that an input fills.
    pub memory_max: u64,
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
    fn here(self, executor: &dyn Executor) -> (String, String) {
        let (name, fact) = match self {
            HostFact::Engine => ("engine", executor.engine()),
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
pub struct Provider {
    contracts: Contracts,
    board: Board,
    plan: ProviderPlan,
    opener: Opener,
    executor: Arc<dyn Executor>,
    running: Semaphore,
    backlog: Backlog,
    /// Held from the last look at what is at risk until the lock is counted, so that of two locks
    /// each knows of the other.
    binding: tokio::sync::Mutex<()>,
    losses: tokio::sync::Mutex<Losses>,
    memory: Arc<Mutex<Memory>>,
    /// Whether it has said what it works for, as far as its start.
    is_announced: bool,
    refusals: Refusals,
    fetched: Fetched,
    recorder: Option<Recorder>,
    progress: Progress,
}

impl Provider {
    /// A provider on an engine. Reads what it has lost lately, and says what it works for before
    /// anyone can ask, unless the broker is away: then it says so while it works.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`], [`Error::Store`]; [`Error::MarginShort`] if the plan
    /// leaves the chain less time than it takes.
    pub async fn new(
        contracts: Contracts,
        board: Board,
        plan: ProviderPlan,
        executor: impl Executor,
    ) -> Result<Self> {
        let margin_secs = margin_secs(&contracts, &plan).await?;
        let env = contracts.env().clone();
        let mut provider = Provider {
            running: Semaphore::new(plan.runs_at_once.max(1)),
            backlog: Backlog::new(plan.steps_per_sec, plan.runs_at_once, margin_secs),
            binding: Default::default(),
            losses: Default::default(),
            memory: Arc::new(Mutex::new(Memory::new())),
            is_announced: false,
            refusals: Refusals::default(),
            fetched: Fetched::new(),
            opener: Opener::of(contracts.signer()),
            contracts,
            board,
            plan,
            executor: Arc::new(executor),
            recorder: None,
            progress: Progress::default(),
        };
        provider.losses.lock().await.read_new(&provider.contracts).await?;
        provider.find_bound().await?;
        provider.is_announced = match env.within(PATIENCE, provider.announce()).await {
            Some(Err(error)) if !error.is_broker_away() => return Err(error),
            Some(Ok(())) => true,
            _ => false,
        };
        Ok(provider)
    }

    /// The same, saying in a log what it locks, runs and claims.
    #[must_use]
    pub fn recording(self, recorder: Recorder) -> Self {
        Provider { recorder: Some(recorder), ..self }
    }

    /// The same, telling how far its runs are.
    #[must_use]
    pub fn with_progress(self, progress: Progress) -> Self {
        Provider { progress, ..self }
    }

    /// Works until told to stop.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let (contracts, board) = (self.contracts.clone(), self.board.clone());
        let provider = Arc::new(self);
        let work = Scheduler::new(Arc::clone(&provider), board.clone(), contracts.clone());
        let work = work.run(stop.clone());
        let (every, binding) = (provider.plan.sweep_every, &provider.binding);
        let sweeping = keep_sweeping(&contracts, &board, every, binding, stop.clone());
        let measuring = provider.keep_pace(stop.clone());
        let refusing = provider.keep_refusing(stop.clone());
        tokio::join!(work, provider.keep_offering(stop), sweeping, measuring, refusing);
    }

    /// Leaves a chain that has become slow the time that it takes, until told to stop.
    async fn keep_pace(&self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.contracts.env().sleep(PACE_EVERY) => {}
            }
            let margin_secs = match margin_secs(&self.contracts, &self.plan).await {
                Err(Error::MarginShort { needed_secs, .. }) => needed_secs,
                Ok(margin_secs) => margin_secs,
                Err(error) => {
                    tracing::warn!(%error, "the chain's pace could not be measured");
                    continue;
                }
            };
            if margin_secs != self.backlog.margin_secs() {
                tracing::info!(margin_secs, "what is left for the chain has changed");
                self.backlog.set_margin_secs(margin_secs);
            }
        }
    }

    /// Says what it works for again before that ends, until told to stop.
    async fn keep_offering(&self, mut stop: watch::Receiver<bool>) {
        let mut is_said = self.is_announced;
        loop {
            let pause = if is_said { OFFER_SECS / 2 } else { 5 };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.contracts.env().sleep(Duration::from_secs(pause)) => {}
            }
            let said = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                said = self.announce() => said,
            };
            if let Err(error) = &said {
                tracing::warn!(%error, "the offer could not be put");
            }
            is_said = said.is_ok();
        }
    }

    /// Says to which keys things are sealed for it, and what it works for.
    async fn announce(&self) -> Result<()> {
        let (signer, now) = (self.contracts.signer(), self.contracts.now());
        self.board.put_seal_keys(signer, &self.opener.public(), now).await?;
        self.offer().await
    }

    async fn offer(&self) -> Result<()> {
        // Who takes named orders only has nothing to offer to the others.
        if self.plan.only_named {
            return Ok(());
        }
        let account = self.contracts.account();
        let offer = Offer {
            provider: Account(account.into_array()),
            cost: self.plan.cost,
            stake_free: self.contracts.stake_free(account).await?,
            until: self.contracts.now() + OFFER_SECS,
            run_time: Some(RunTime {
                steps_per_sec: self.plan.steps_per_sec,
                margin_secs: self.plan.margin_secs,
            }),
        };
        self.board.offer(self.contracts.signer(), &offer).await
    }

    /// What it has locked before and not claimed, so that nothing is locked beside it that does not
    /// fit.
    async fn find_bound(&self) -> Result<()> {
        let (account, now) = (self.contracts.account(), self.contracts.now());
        for (id, deadline) in self.contracts.own_locks().await? {
            let Some(signed) = self.board.order(id)? else { continue };
            // Until it is looked at, it may be one that waits for its verdict.
            self.memory().own.insert(id);
            let order = &signed.order;
            // A sealed job's clock may begin as late as its lock ends.
            let more_secs = if order.beginSecs == 0 { 0 } else { u64::from(order.runSecs) };
            if deadline + more_secs < now {
                continue;
            }
            let job = self.contracts.job(id).await?;
            if job.is_of(account) {
                self.note_bound(id, order, &job);
            }
        }
        Ok(())
    }

    /// Counts a job of its own as long as there is work to do for it.
    fn note_bound(&self, id: B256, order: &Market::Order, job: &Job) {
        match job.status {
            JobStatus::AwaitingBegin => self.backlog.seen(id, work_of(order), None),
            JobStatus::AwaitingClaim => {
                self.backlog.seen(id, work_of(order), Some(job.deadline));
            }
            _ => {}
        }
    }

    /// What happens to a job that is another's: nobody but the provider is in a hurry to say that
    /// it was missed.
    async fn watch(&self, order: &Market::Order, job: &Job) -> Result<Next> {
        let at = job.deadline + EXPIRE_GRACE_SECS;
        if job.is_late || order.beginSecs != 0 {
            return Ok(Next::Event);
        }
        if self.contracts.now() <= at {
            return Ok(Next::At(at + 1));
        }
        self.expire(order).await
    }
}

/// What of a run's time is left for the chain, in seconds.
async fn margin_secs(contracts: &Contracts, plan: &ProviderPlan) -> Result<u64> {
    let (pace, confirmations) = (contracts.pace().await?, plan.confirmations);
    let needed_secs = pace.margin_secs(confirmations);
    let margin_secs = plan.margin_secs.unwrap_or(MARGIN_SECS.max(needed_secs));
    if margin_secs < needed_secs {
        let block_secs = pace.block_secs;
        return Err(Error::MarginShort { margin_secs, needed_secs, block_secs, confirmations });
    }
    Ok(margin_secs)
}

impl Role for Provider {
    const NAME: &'static str = "provider";

    async fn attend(&self, id: B256) -> Result<Next> {
        let Some(signed) = self.board.order(id)? else { return Ok(Next::Done) };
        let order = &signed.order;
        // Another market's, or not what its name says.
        if self.contracts.job_id(order) != id {
            return Ok(Next::Done);
        }
        let job = self.contracts.job(id).await?;
        let is_mine = job.is_of(self.contracts.account());
        if is_mine {
            self.memory().own.insert(id);
            self.note_bound(id, order, &job);
        }
        match job.status {
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

    fn is_own(&self, id: B256) -> bool {
        self.memory().own.contains(&id)
    }

    fn woken(&self) -> Vec<B256> {
        self.backlog.woken()
    }
}
