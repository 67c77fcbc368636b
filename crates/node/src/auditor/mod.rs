//! An auditor: re-runs claims, challenges the false ones and plays to the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::{B256, hex, keccak256};
use alloy_rpc_types_eth::TransactionRequest;
use assay_contracts::{Disputes, Market};
use assay_dispute::{Challenge, Known, Pointing, Segment, Tracer, challenge};
use assay_machine::{Engine, Machine};
use assay_market::{Account, JobStatus};
use assay_protocol::SignedOrder;
use assay_receipt::{Judgement, Statement, Verdict};
use assay_types::Hash;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};

use crate::base::files;
use crate::board::Board;
use crate::chain::contracts::{Contracts, chain};
use crate::chain::games::{self, b256, segment, stage};
use crate::chain::timeline::{Story, disagreement};
use crate::job::inputs::start;
use crate::job::sealed::{Opener, terms_of};
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

/// What must be remembered of a commitment, written before it is made: without the salt it could
/// never be opened.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Commitment {
    salt: B256,
}

/// A claim that was found false.
struct False<E> {
    tracer: Tracer<E>,
    start: Hash,
    root: Hash,
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
        let secret = contracts.env().random()?.into();
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
        let story = Story::of(&self.contracts, id, order).await?;
        let Some(claimed) = story.claimed else { return Ok(()) };
        let verdict = if is_true { Judgement::Agrees } else { Judgement::Disagrees };
        let verdict = Verdict { verdict, ..disagreement(&claimed, recorder.account()) };
        recorder.try_say(Statement::Judged(verdict)).await;
        Ok(())
    }

    /// Says in the log what moves it has made. What is there already stays as it is.
    async fn record_moves(&self, id: B256, order: &Market::Order) -> Result<()> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let told = self.told().get(&id).copied().unwrap_or_default();
        let story = Story::of(&self.contracts, id, order).await?;
        let told = story.say_moves(recorder, told).await;
        self.told().insert(id, told);
        Ok(())
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<B256, usize>> {
        // What was said once may be said again, so a panic elsewhere spoils nothing.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next move in the own game, or opens it.
    async fn play(&self, id: B256, order: &Market::Order, job: &Market::Job) -> Result<Next> {
        let lock_block = job.lockBlock.to::<u64>();
        let Some(game_id) = self.own_game(id, lock_block).await? else {
            return self.commit(id).await;
        };
        let view = self.contracts.disputes.gameOf(game_id).call().await.map_err(chain)?;
        let deadline = u64::try_from(view.deadline).unwrap_or(u64::MAX);
        let (game, state) = (view.game, view.stateHash);
        // The first move is the one committed to, which was chosen before anything was revealed.
        let known = match game.stage {
            stage::AWAITING_OPENING => Known::new(),
            stage::AWAITING_POINT => self.known(id, lock_block).await?,
            stage::AWAITING_ANSWER | stage::AWAITING_REVEAL => {
                if self.contracts.now() > deadline {
                    games::expire(&self.contracts, game_id).await?;
                    return Ok(Next::After(Duration::from_secs(1)));
                }
                return Ok(Next::At(deadline + 1));
            }
            stage::WON => {
                let settle = self.contracts.market.settle(order.clone());
                self.contracts.attempt(settle.into_transaction_request()).await?;
                return Ok(Next::After(Duration::from_secs(1)));
            }
            // Lost to a clock, or another was faster: the claim's own end is yet to come.
            _ => return Ok(Next::Event),
        };
        let segment = segment(&game)?;
        let (start, root) = (Hash(game.start.0), Hash(view.root.0));
        let choose =
            move |own: &mut False<E>| challenge(&mut own.tracer, segment, start, root, &known);
        let next = self.with_found(id, choose).await?.ok_or_else(no_difference)?;
        let salt = self.commitment(id)?.map_or(B256::ZERO, |commitment| commitment.salt);
        // Too soon after the commitment, or ended by another's win: looked at again in either case.
        if self.contracts.attempt(self.call(game_id, state, salt, next)).await?.is_some() {
            self.record_moves(id, order).await?;
        }
        Ok(Next::After(Duration::from_millis(200)))
    }

    fn call(&self, id: u64, state: B256, salt: B256, next: Challenge) -> TransactionRequest {
        let disputes = &self.contracts.disputes;
        match next {
            Challenge::Point(at) => {
                disputes.point(id, state, salt, pointing(at)).into_transaction_request()
            }
            Challenge::Demand { depth, index, node, siblings } => {
                let siblings = siblings.into_iter().map(b256).collect();
                let call =
                    disputes.demand(id, state, salt, depth as u8, index, b256(node), siblings);
                call.into_transaction_request()
            }
            Challenge::Prove { pointing: at, witness } => {
                disputes.prove(id, state, pointing(at), witness.into()).into_transaction_request()
            }
        }
    }

    /// Commits to the first move, with the bond.
    async fn commit(&self, id: B256) -> Result<Next> {
        let choose = |own: &mut False<E>| {
            let (start, root) = (own.start, own.root);
            let first = challenge(&mut own.tracer, Segment::WHOLE, start, root, &Known::new());
            (start, root, first)
        };
        let (start, root, first) = self.with_found(id, choose).await?;
        let (depth, index) = match first {
            Some(Challenge::Point(at)) => (15, at.index),
            Some(Challenge::Demand { depth, index, .. }) => (depth as u8, index),
            Some(Challenge::Prove { .. }) | None => return Err(no_difference()),
        };
        let commitment = match self.commitment(id)? {
            Some(commitment) => commitment,
            None => {
                let commitment = Commitment { salt: self.contracts.env().random()?.into() };
                files::write_json(&self.file(id), &commitment)?;
                commitment
            }
        };
        let (disputes, account) = (&self.contracts.disputes, self.contracts.account());
        let hash = disputes.commitmentOf(id, account, depth, index, commitment.salt);
        let hash = hash.call().await.map_err(chain)?;
        let commit = disputes.commit(id, b256(start), b256(root), hash);
        if self.contracts.attempt(commit.into_transaction_request()).await?.is_some() {
            tracing::info!(%id, "a claim is challenged");
        }
        Ok(Next::After(Duration::from_millis(200)))
    }

    /// Takes back the bond of an ended game.
    async fn collect(&self, id: B256, lock_block: u64) -> Result<()> {
        if let Some(game_id) = self.own_game(id, lock_block).await? {
            let disputes = &self.contracts.disputes;
            let game = disputes.gameOf(game_id).call().await.map_err(chain)?.game;
            if !game.collected {
                let is_open = game.stage < stage::WON;
                if is_open {
                    // An earlier game has made this one pointless, or its turn has run out.
                    let dismiss = disputes.dismiss(game_id).into_transaction_request();
                    self.contracts.attempt(dismiss).await?;
                }
                let collect = disputes.collect(game_id).into_transaction_request();
                self.contracts.attempt(collect).await?;
            }
        }
        files::remove(&self.file(id))
    }

    async fn own_game(&self, id: B256, lock_block: u64) -> Result<Option<u64>> {
        let committed = self.contracts.disputes.Committed_filter().topic2(id);
        let committed = committed.topic3(self.contracts.account());
        let committed = committed.from_block(lock_block).query().await.map_err(chain)?;
        Ok(committed.first().map(|(event, _)| event.id))
    }

    /// What the games about a claim have revealed.
    async fn known(&self, id: B256, lock_block: u64) -> Result<Known> {
        let revealed = self.contracts.disputes.Revealed_filter().topic1(id);
        let revealed = revealed.from_block(lock_block).query().await.map_err(chain)?;
        let mut known = Known::new();
        for (event, _) in revealed {
            let children: Vec<Hash> = event.children.iter().map(|child| Hash(child.0)).collect();
            if let Ok(children) = children.try_into() {
                known.reveal(Hash(event.node.0), children);
            }
        }
        Ok(known)
    }

    /// Whether a claim is one of those that are re-run.
    fn is_chosen(&self, id: B256) -> bool {
        let draw = keccak256([self.secret.0, id.0].concat());
        u16::from_be_bytes([draw[0], draw[1]]) % 10_000 < self.plan.share_bps
    }

    /// Works with a claim that was found false.
    async fn with_found<T: Send + 'static>(
        &self,
        id: B256,
        work: impl FnOnce(&mut False<E>) -> T + Send + 'static,
    ) -> Result<T> {
        let lost = || Error::Job("the run of a false claim is lost and will be made again".into());
        let mut own = self.found().remove(&id).ok_or_else(lost)?;
        let (own, done) = blocking(move || {
            let done = work(&mut own);
            (own, done)
        })
        .await?;
        self.found().insert(id, own);
        Ok(done)
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<B256, False<E>>> {
        // What it holds can be found again by running, so a panic elsewhere spoils nothing.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commitment(&self, id: B256) -> Result<Option<Commitment>> {
        files::read_json(&self.file(id))
    }

    fn file(&self, id: B256) -> PathBuf {
        self.challenges.join(format!("{}.json", hex::encode(id)))
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

fn no_difference() -> Error {
    Error::Job("a false claim has no differing leaf".into())
}

fn pointing(pointing: Pointing) -> Disputes::Pointing {
    Disputes::Pointing {
        index: pointing.index,
        predecessor: b256(pointing.predecessor),
        leaf: b256(pointing.leaf),
        siblings: pointing.siblings.into_iter().map(b256).collect(),
    }
}
