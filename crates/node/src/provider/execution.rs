//! From a lock to a claim: beginning, running, claiming, and publishing the output.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use assay_assurance::{Contest, Kind};
use assay_contracts::Market;
use assay_dispute::Claim;
use assay_protocol::SignedOrder;
use assay_receipt::{Statement, run_statement};
use assay_types::BlobRoot;

use crate::base::ids::b256;
use crate::chain::market::Job;
use crate::chain::timeline::Timeline;
use crate::job::inputs::start;
use crate::provider::admission::work_of;
use crate::provider::runs::locked as memory_of;
use crate::provider::{LOCK_VALID_SECS, Provider, backlog};
use crate::role::Next;
use crate::{Error, Result};

/// A claim waits for its output to be published for a quarter of the time that is left for it, and
/// of this much at the most.
const PUBLISH_MAX: Duration = Duration::from_secs(240);

/// How soon a key is looked for again that has not come yet.
const KEY_PAUSE: Duration = Duration::from_millis(100);

impl Provider {
    /// Opens a sealed job's inputs, checks them against their roots, and says so on the chain: from
    /// then on the run's time counts. A key that does not come, or opens something else, lets the
    /// lock lapse, at the same small fee for both sides.
    pub(super) async fn begin(&self, id: B256, signed: &SignedOrder, job: &Job) -> Result<Next> {
        let deadline = job.deadline;
        if self.contracts.is_past(deadline).await? {
            return self.expire(&signed.order).await;
        }
        let is_ready = self.memory().runs.contains_key(&id);
        if !is_ready {
            match start(&self.board, &self.opener, signed, &*self.executor).await {
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
        self.contracts.attempt_by(self.contracts.begin(&signed.order), deadline).await?;
        Ok(Next::After(Duration::ZERO))
    }

    /// Runs the job and claims what it came to.
    pub(super) async fn claim(&self, id: B256, signed: &SignedOrder, job: &Job) -> Result<Next> {
        let (order, lock_block) = (&signed.order, job.lock_block);
        if self.contracts.is_past(job.deadline).await? {
            // Its stake is lost, and a run for nothing would only hold up the others.
            self.backlog.release(id);
            return Ok(Next::Event);
        }
        let confirmations = self.plan.confirmations;
        let Some(block) = self.contracts.block_since(lock_block, confirmations).await? else {
            return Ok(Next::After(Duration::from_millis(200)));
        };
        let turn = self.running.acquire().await;
        let turn = turn.unwrap_or_else(|_| unreachable!("nobody closes it"));
        let kind = self.contracts.assurance_of(order)?.clone();
        self.backlog.begins(id);
        tracing::info!(%id, "a job runs");
        let progress = self.progress.clone();
        progress.tell(id, 0);
        let ran = self
            .with_run(id, signed, move |run| {
                let claim = run.claim(&mut |steps| progress.tell(id, steps));
                let evidence = match kind {
                    Kind::Window(window) => window.evidence(run),
                };
                (run.program().id_preimage(), claim, evidence, run.output_image())
            })
            .await;
        self.progress.end(id);
        // The next may run while this one is claimed.
        self.backlog.release(id);
        drop(turn);
        let (program, claim, evidence, output) = ran?;
        let left = self.contracts.until(job.deadline);
        self.publish(id, claim.output_root, output, left.min(PUBLISH_MAX) / 4).await;
        // The chain may have moved on while the job ran, and forgets old blocks.
        let block = self.contracts.block_since(lock_block, confirmations).await?.unwrap_or(block);
        let said = said(&program, &claim, block, evidence);
        self.contracts.send_by(self.contracts.claim(order, said), job.deadline).await?;
        tracing::info!(%id, "a job is claimed");
        Ok(Next::After(Duration::ZERO))
    }

    /// Publishes an output, or tries it again later, and waits for it so long. Neither a broker that
    /// is away or hangs nor a full disk must cost the stake: a claim needs no published output, and
    /// who does not find it demands a chunk.
    async fn publish(&self, id: B256, root: BlobRoot, output: Vec<u8>, patience: Duration) {
        let (board, memory) = (self.board.clone(), Arc::clone(&self.memory));
        memory_of(&memory).publishing.insert(id);
        let publishing = async move {
            let published = board.put_slot(root, output).await;
            let mut memory = memory_of(&memory);
            memory.publishing.remove(&id);
            match published {
                Ok(()) => drop(memory.unpublished.remove(&id)),
                Err(error) => {
                    tracing::warn!(%id, %error, "an output could not be published yet");
                    memory.unpublished.insert(id);
                }
            }
        };
        if !self.board.has_broker() {
            // A store of one's own is quick, and nothing is to hold it when the role has ended.
            return publishing.await;
        }
        let (done_in, done) = tokio::sync::oneshot::channel();
        self.contracts.env().spawn(async move {
            publishing.await;
            let _ = done_in.send(());
        });
        let _ = self.contracts.env().within(patience, done).await;
    }

    /// Publishes the output of a claim that could not be published before. Gives whether that is
    /// still to be done.
    pub(super) async fn publish_again(
        &self,
        id: B256,
        signed: &SignedOrder,
        root: BlobRoot,
    ) -> bool {
        if self.memory().publishing.contains(&id) {
            return true;
        }
        if !self.memory().unpublished.contains(&id) {
            return false;
        }
        match self.with_run(id, signed, |run| run.output_image()).await {
            // Games and demands do not wait for it.
            Ok(output) => self.publish(id, root, output, Duration::ZERO).await,
            Err(error) => tracing::warn!(%id, %error, "an output could not be made again yet"),
        }
        let memory = self.memory();
        memory.unpublished.contains(&id) || memory.publishing.contains(&id)
    }

    /// Says in the log what it has locked, run and claimed. Once a start: what is there already
    /// stays as it is.
    pub(super) async fn record(&self, id: B256, order: &Market::Order) -> Result<()> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        if self.memory().recorded.contains(&id) {
            return Ok(());
        }
        let timeline = Timeline::read(&self.contracts, id, order).await?;
        let (Some(locked), Some(claimed)) = (timeline.locked, timeline.claimed) else {
            return Ok(());
        };
        let lock = Statement::Locked(locked);
        let facts = self.plan.host_facts.iter().map(|fact| fact.here(&*self.executor)).collect();
        let run = run_statement(order, &claimed, lock.digest(), facts);
        let said = [lock, Statement::Ran(Box::new(run)), Statement::Claimed(claimed)];
        // Together, so that they are made durable together.
        futures_util::future::join_all(said.map(|said| recorder.try_say(said))).await;
        self.memory().recorded.insert(id);
        Ok(())
    }

    /// The same where a claim's defence must not wait for it.
    pub(super) async fn try_record(&self, id: B256, order: &Market::Order) {
        if let Err(error) = self.record(id, order).await {
            tracing::warn!(%id, %error, "a claim could not be logged");
        }
    }

    pub(super) async fn expire(&self, order: &Market::Order) -> Result<Next> {
        self.contracts.attempt(self.contracts.expire(order)).await?;
        Ok(Next::After(Duration::from_secs(1)))
    }
}

/// A claim as the contract takes it.
pub(super) fn said(
    program: &[u8; 52],
    claim: &Claim,
    (number, hash): (u64, B256),
    evidence: Vec<u8>,
) -> Market::Claim {
    Market::Claim {
        program: program.to_vec().into(),
        finalState: claim.final_state().to_vec().into(),
        traceRoot: b256(claim.trace_root),
        traceProof: claim.trace_proof.0.map(b256),
        outputRoot: b256(claim.output_root.0),
        outputProof: claim.output_proof.0.map(b256),
        blockNumber: number,
        blockHash: hash,
        evidence: evidence.into(),
    }
}
