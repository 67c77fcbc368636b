//! An auditor: re-runs claims, challenges the false ones and plays to the end.

mod game;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::{B256, keccak256};
use assay_assurance::window::Window;
use assay_assurance::{Contest, Kind};
use assay_contracts::Market;
use assay_market::JobStatus;
use assay_protocol::SignedOrder;
use assay_receipt::{Judgement, Statement, Verdict};
use tokio::sync::{Semaphore, watch};

use crate::Result;
use crate::auditor::game::False;
use crate::base::blocking::blocking;
use crate::base::ids::account;
use crate::board::Board;
use crate::board::terms_of;
use crate::chain::contracts::Contracts;
use crate::chain::market::Job;
use crate::chain::timeline::{Timeline, disagreement};
use crate::job::executor::Executor;
use crate::job::inputs::start;
use crate::job::sealed::Opener;
use crate::log::recorder::Recorder;
use crate::role::sweep::{SWEEP_EVERY, keep_sweeping};
use crate::role::{Next, Role, Scheduler};

/// How soon it is asked again for a bounty that is kept until other games have ended.
const KEPT_PAUSE: Duration = Duration::from_secs(30);

/// How soon a claim is looked at again that could still be taken back.
const CONFIRM_PAUSE: Duration = Duration::from_millis(500);

/// How long a start waits for a broker, and how soon it is asked again.
const PATIENCE: Duration = Duration::from_secs(5);

/// How an auditor works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditorPlan {
    /// The share of claims that it re-runs, in basis points: 10,000 for all. Which ones follows
    /// from a secret, so that no provider can know.
    pub share_bps: u16,
    /// How many claims it re-runs at once.
    pub runs_at_once: usize,
}

/// An auditor of every claim whose inputs it can get.
pub struct Auditor {
    contracts: Contracts,
    board: Board,
    plan: AuditorPlan,
    opener: Opener,
    executor: Arc<dyn Executor>,
    challenges: PathBuf,
    /// Chooses the claims.
    secret: B256,
    running: Semaphore,
    found: Mutex<BTreeMap<B256, False>>,
    recorder: Option<Recorder>,
    /// How many blocks are to stand upon a claim's before it is run again.
    confirmations: u64,
    /// How many of its moves about a claim it has said.
    moves_said: Mutex<BTreeMap<B256, usize>>,
}

impl Auditor {
    /// An auditor on an engine, that remembers its commitments in a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Randomness`]; [`Error::Chain`] if it can't let the game take its bonds;
    /// [`Error::Store`].
    pub async fn new(
        contracts: Contracts,
        board: Board,
        plan: AuditorPlan,
        challenges: PathBuf,
        executor: impl Executor,
    ) -> Result<Self> {
        contracts.allow(contracts.deployment.disputes).await?;
        let running = Semaphore::new(plan.runs_at_once.max(1));
        let secret = contracts.env().random()?.into();
        let (found, moves_said) = (Mutex::default(), Mutex::default());
        let opener = Opener::of(contracts.signer());
        let auditor = Auditor {
            contracts,
            board,
            plan,
            opener,
            executor: Arc::new(executor),
            challenges,
            secret,
            running,
            found,
            recorder: None,
            confirmations: 0,
            moves_said,
        };
        // What can't be said now is said while it works.
        match auditor.contracts.env().within(PATIENCE, auditor.publish_seal_keys()).await {
            Some(Err(error)) if !error.is_broker_away() => Err(error),
            _ => Ok(auditor),
        }
    }

    async fn publish_seal_keys(&self) -> Result<()> {
        let (signer, now) = (self.contracts.signer(), self.contracts.now());
        self.board.put_seal_keys(signer, &self.opener.public(), now).await
    }

    /// Sees to it that things can be sealed for it, until that is done.
    async fn keep_publishing(&self, mut stop: watch::Receiver<bool>) {
        let publishing = async {
            while let Err(error) = self.publish_seal_keys().await {
                tracing::warn!(%error, "keys to seal to could not be published");
                self.contracts.env().sleep(PATIENCE).await;
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = publishing => {}
        }
    }

    /// The same, saying in a log what it finds.
    #[must_use]
    pub fn recording(self, recorder: Recorder) -> Self {
        Auditor { recorder: Some(recorder), ..self }
    }

    /// The same, running only claims again with so many blocks upon theirs: what it says of one
    /// stays in the log, also if the chain takes the claim back.
    #[must_use]
    pub fn confirming(self, blocks: u64) -> Self {
        Auditor { confirmations: blocks, ..self }
    }

    /// Whether a claim lies deep enough to be run again.
    async fn is_deep(&self, id: B256, order: &Market::Order) -> Result<bool> {
        if self.confirmations == 0 {
            return Ok(true);
        }
        let (head, _) = self.contracts.head().await?;
        let claimed = Timeline::read(&self.contracts, id, order).await?.claimed;
        let block = claimed.map(|claimed| claimed.block.number);
        Ok(block.is_some_and(|block| head >= block.saturating_add(self.confirmations)))
    }

    /// Works until told to stop.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let (contracts, board) = (self.contracts.clone(), self.board.clone());
        let auditor = Arc::new(self);
        let work = Scheduler::new(Arc::clone(&auditor), board.clone(), contracts.clone());
        let publishing = auditor.keep_publishing(stop.clone());
        // It binds nothing that a sweep could miss.
        let binding = Default::default();
        let sweeping = keep_sweeping(&contracts, &board, SWEEP_EVERY, &binding, stop.clone());
        tokio::join!(work.run(stop), sweeping, publishing);
    }

    /// Re-runs a claim; its own run of it if it is false.
    async fn audit(
        &self,
        window: Window,
        id: B256,
        signed: &SignedOrder,
        job: &Job,
    ) -> Result<Option<False>> {
        let claim = self.contracts.opened_claim(id, job).await?;
        let turn = self.running.acquire().await;
        let turn = turn.unwrap_or_else(|_| unreachable!("nobody closes it"));
        let mut run = start(&self.board, &self.opener, signed, &*self.executor).await?;
        let found = blocking(move || {
            let is_true = window.is_true(&claim, &mut *run);
            (!is_true).then_some(False { run, claim })
        });
        let found = found.await;
        // The next may run while this verdict is logged.
        drop(turn);
        self.record(id, &signed.order, found.is_none()).await?;
        Ok(found)
    }

    /// Re-runs a claim if it is chosen, and challenges it if it is false.
    async fn contest(
        &self,
        window: Window,
        id: B256,
        signed: &SignedOrder,
        job: &Job,
    ) -> Result<Next> {
        let is_found = self.found().contains_key(&id);
        if !is_found {
            if !self.is_deep(id, &signed.order).await? {
                return Ok(Next::After(CONFIRM_PAUSE));
            }
            let has_begun = self.commitment(id)?.is_some();
            let audited = match has_begun || self.is_chosen(id) {
                true => self.audit(window, id, signed, job).await?,
                false => None,
            };
            // A late claim of the same job would be another's, and is another claim.
            let Some(own) = audited else { return Ok(Next::Done) };
            self.found().insert(id, own);
        }
        self.play(window, id, &signed.order, job).await
    }

    /// Says in the log what it has found.
    async fn record(&self, id: B256, order: &Market::Order, is_true: bool) -> Result<()> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let timeline = Timeline::read(&self.contracts, id, order).await?;
        let Some(claimed) = timeline.claimed else { return Ok(()) };
        let verdict = if is_true { Judgement::Agrees } else { Judgement::Disagrees };
        let verdict = Verdict { verdict, ..disagreement(&claimed, recorder.account()) };
        recorder.try_say(Statement::Judged(verdict)).await;
        Ok(())
    }

    /// Says in the log what moves it has made. What is there already stays as it is.
    async fn record_moves(&self, id: B256, order: &Market::Order) -> Result<()> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let said = self.moves_said().get(&id).copied().unwrap_or_default();
        let timeline = Timeline::read(&self.contracts, id, order).await?;
        let said = recorder.say_moves(&timeline, said).await;
        self.moves_said().insert(id, said);
        Ok(())
    }

    fn moves_said(&self) -> MutexGuard<'_, BTreeMap<B256, usize>> {
        // What was said once may be said again, so a panic elsewhere spoils nothing.
        self.moves_said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job's order: as the board has it, or as its lock told it to everyone.
    async fn order(&self, id: B256, job: &Job) -> Result<Option<SignedOrder>> {
        match self.board.order(id)? {
            Some(signed) => Ok(Some(signed)),
            None => self.contracts.order_locked(id, job.lock_block).await,
        }
    }

    /// Whether a game of its own about a claim has not ended.
    async fn is_playing(&self, id: B256, job: &Job) -> Result<bool> {
        if self.commitment(id)?.is_none() {
            return Ok(false);
        }
        let games = self.contracts.own_games(id, job.lock_block).await?;
        Ok(games.iter().any(|game| !game.stage.is_final()))
    }

    /// What is left to do for a job that is over: the bounty that was kept for a game, the bonds
    /// and the costs.
    async fn finish(&self, id: B256, job: &Job) -> Result<Next> {
        self.found().remove(&id);
        if self.commitment(id)?.is_some() {
            if let Some(signed) = self.order(id, job).await? {
                self.record_moves(id, &signed.order).await?;
                let is_kept = job.status == JobStatus::Silent && job.price != 0;
                let settle = self.contracts.settle(&signed.order);
                if is_kept && self.contracts.attempt(settle).await?.is_none() {
                    // Another's game is still open, and costs come with the verdict.
                    return Ok(Next::After(KEPT_PAUSE));
                }
            }
            self.collect(id, job.lock_block).await?;
        }
        self.moves_said().remove(&id);
        Ok(Next::Done)
    }

    /// Whether a claim is one of those that are re-run.
    fn is_chosen(&self, id: B256) -> bool {
        let draw = keccak256([self.secret.0, id.0].concat());
        u16::from_be_bytes([draw[0], draw[1]]) % 10_000 < self.plan.share_bps
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<B256, False>> {
        // What it holds can be found again by running, so a panic elsewhere spoils nothing.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Role for Auditor {
    const NAME: &'static str = "auditor";
    const SEES_LOCKS: bool = true;

    fn is_own(&self, id: B256) -> bool {
        // A game that was begun before a start is in a file. One that can't be read is told of when
        // it is attended to.
        self.found().contains_key(&id) || !matches!(self.commitment(id), Ok(None))
    }

    async fn attend(&self, id: B256) -> Result<Next> {
        let job = self.contracts.job(id).await?;
        // A provider that fell silent while it was challenged: the game goes on, for the bounty.
        let is_played = job.status == JobStatus::Silent && self.is_playing(id, &job).await?;
        if job.status.is_final() && !is_played {
            return self.finish(id, &job).await;
        }
        let is_open = matches!(job.status, JobStatus::AwaitingVerdict | JobStatus::AwaitingAnswer);
        let Some(signed) = self.order(id, &job).await? else { return Ok(Next::Done) };
        if !is_open && !is_played {
            let is_void = self.contracts.is_void(&signed.order, &job);
            return Ok(if is_void { Next::Done } else { Next::Event });
        }
        let Some(kind) = self.contracts.assurance(signed.order.verifierId) else {
            return Ok(Next::Done);
        };
        // What is sealed, only those can check who are given the keys.
        let own = account(self.contracts.account());
        if !kind.assurance().can_check(own, &terms_of(&signed)?) {
            return Ok(Next::Done);
        }
        match kind {
            Kind::Window(window) => self.contest(*window, id, &signed, &job).await,
        }
    }
}
