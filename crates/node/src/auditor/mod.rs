//! An auditor: re-runs claims, challenges the false ones and plays to the end.

mod game;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_primitives::{B256, keccak256};
use assay_contracts::Market;
use assay_dispute::Segment;
use assay_machine::{Engine, Machine};
use assay_market::{Account, JobStatus};
use assay_protocol::SignedOrder;
use assay_receipt::{Judgement, Statement, Verdict};
use assay_types::Hash;
use tokio::sync::{Semaphore, watch};

use crate::auditor::game::False;
use crate::board::Board;
use crate::board::terms_of;
use crate::chain::contracts::{Contracts, chain};
use crate::chain::timeline::{Timeline, disagreement};
use crate::job::inputs::start;
use crate::job::sealed::Opener;
use crate::log::recorder::Recorder;
use crate::role::{Next, Role, Scheduler, blocking};
use crate::{Error, Result};

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
pub struct Auditor<E> {
    contracts: Contracts,
    board: Board,
    plan: AuditorPlan,
    opener: Opener,
    engine: fn(Machine) -> E,
    challenges: PathBuf,
    /// Chooses the claims.
    secret: B256,
    running: Semaphore,
    found: Mutex<BTreeMap<B256, False<E>>>,
    recorder: Option<Recorder>,
    /// How many of its moves about a claim it has said.
    told: Mutex<BTreeMap<B256, usize>>,
}

impl<E: Engine + Clone + Send + 'static> Auditor<E> {
    /// An auditor on an engine, that remembers its commitments in a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Randomness`]; [`Error::Chain`] if it can't let the game take its bonds.
    pub async fn new(
        contracts: Contracts,
        board: Board,
        plan: AuditorPlan,
        challenges: PathBuf,
        engine: fn(Machine) -> E,
    ) -> Result<Self> {
        contracts.allow(contracts.deployment.disputes).await?;
        let running = Semaphore::new(plan.runs_at_once.max(1));
        let secret = random()?;
        let (found, told) = (Mutex::default(), Mutex::default());
        let opener = Opener::of(contracts.signer());
        board.put_seal_keys(contracts.signer(), &opener.public(), contracts.now()).await?;
        Ok(Auditor {
            contracts,
            board,
            plan,
            opener,
            engine,
            challenges,
            secret,
            running,
            found,
            recorder: None,
            told,
        })
    }

    /// The same, saying in a log what it finds.
    #[must_use]
    pub fn recording(self, recorder: Recorder) -> Self {
        Auditor { recorder: Some(recorder), ..self }
    }

    /// Works until told to stop.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let contracts = self.contracts.clone();
        let board = self.board.clone();
        Scheduler::new(Arc::new(self), board, contracts).run(stop).await;
    }

    /// Re-runs a claim; its own run of it if it is false.
    async fn audit(
        &self,
        id: B256,
        signed: &SignedOrder,
        lock_block: u64,
    ) -> Result<Option<False<E>>> {
        let opened = self.contracts.disputes.ClaimOpened_filter().topic1(id);
        let opened = opened.from_block(lock_block).query().await.map_err(chain)?;
        let (claim, _) = opened.first().ok_or_else(|| Error::Job("a claim has no event".into()))?;
        let (start_hash, root) = (Hash(claim.initialState.0), Hash(claim.traceRoot.0));
        let turn = self.running.acquire().await.map_err(|error| Error::Job(error.to_string()))?;
        let (_, tracer) = start(&self.board, &self.opener, signed, self.engine).await?;
        let found = blocking(move || {
            let mut tracer = tracer;
            let is_true = tracer.tree(Segment::WHOLE).root() == root;
            (!is_true).then_some(False { tracer, start: start_hash, root })
        });
        let found = found.await?;
        // The next may run while this verdict is logged.
        drop(turn);
        self.record(id, &signed.order, found.is_none()).await?;
        Ok(found)
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
        let told = self.told().get(&id).copied().unwrap_or_default();
        let timeline = Timeline::read(&self.contracts, id, order).await?;
        let told = recorder.say_moves(&timeline, told).await;
        self.told().insert(id, told);
        Ok(())
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<B256, usize>> {
        // What was said once may be said again, so a panic elsewhere spoils nothing.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a claim is one of those that are re-run.
    fn is_chosen(&self, id: B256) -> bool {
        let draw = keccak256([self.secret.0, id.0].concat());
        u16::from_be_bytes([draw[0], draw[1]]) % 10_000 < self.plan.share_bps
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<B256, False<E>>> {
        // What it holds can be found again by running, so a panic elsewhere spoils nothing.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Engine + Clone + Send + 'static> Role for Auditor<E> {
    const NAME: &'static str = "auditor";

    async fn attend(&self, id: B256) -> Result<Next> {
        let job = self.contracts.market.jobOf(id).call().await.map_err(chain)?;
        let status = JobStatus::try_from(job.status)?;
        if status.is_final() {
            self.found().remove(&id);
            if self.commitment(id)?.is_some() {
                if let Some(signed) = self.board.order(id)? {
                    self.record_moves(id, &signed.order).await?;
                }
                self.collect(id, job.lockBlock.to()).await?;
            }
            self.told().remove(&id);
            return Ok(Next::Done);
        }
        if !matches!(status, JobStatus::AwaitingVerdict | JobStatus::AwaitingAnswer) {
            return Ok(Next::Event);
        }
        let Some(signed) = self.board.order(id)? else { return Ok(Next::Done) };
        let order = &signed.order;
        if order.verifierId != self.contracts.deployment.fraud_proofs {
            return Ok(Next::Done);
        }
        // What is sealed, only those can check who are given the keys.
        let terms = terms_of(&signed)?;
        let named = Account(self.contracts.account().into_array());
        if terms.is_sealed() && !terms.auditors.contains(&named) {
            return Ok(Next::Done);
        }
        let has_begun = self.commitment(id)?.is_some();
        let lock_block = job.lockBlock.to::<u64>();
        let is_found = self.found().contains_key(&id);
        if !is_found {
            let audited = match has_begun || self.is_chosen(id) {
                true => self.audit(id, &signed, lock_block).await?,
                false => None,
            };
            // A late claim of the same job would be another's, and is another claim.
            let Some(own) = audited else { return Ok(Next::Done) };
            self.found().insert(id, own);
        }
        self.play(id, order, &job).await
    }
}

fn random() -> Result<B256> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Error::Randomness)?;
    Ok(bytes.into())
}
