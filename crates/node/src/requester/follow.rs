//! Following a job to its end, and doing what only its requester is in a hurry to do.

use std::time::Duration;

use alloy_primitives::B256;
use alloy_rpc_types_eth::TransactionRequest;
use assay_contracts::{JobEvent, Market};
use assay_market::JobStatus;
use assay_merkle::empty_slot;
use assay_protocol::SignedOrder;

use crate::base::files;
use crate::chain::events::events;
use crate::chain::market::Job;
use crate::chain::price::{price, price_terms};
use crate::job::keys::Giving;
use crate::requester::withheld::Chunks;
use crate::requester::{JobRecord, Requester};
use crate::{Error, Result};

/// What a demand prepays for a chunk, as a multiple of what its answer costs today
/// (spec/contracts.md): the rest comes back.
const CHUNK_FEE_HEADROOM: u128 = 2;

/// How often a chain that can't call is asked.
const POLL: Duration = Duration::from_millis(500);

/// How long a chain that can reorganise is left after a lock's deadline to make a block, in
/// seconds, before the order is cancelled.
const BLOCK_PATIENCE_SECS: u64 = 30;

/// How long the provider is left to settle, in seconds, before the requester does.
const SETTLE_GRACE_SECS: u64 = 2;

/// What was found of a job's output.
#[derive(Default)]
struct Output {
    /// All of it: it is kept.
    is_found: bool,
    /// What was shown on demand, up to a block.
    chunks: Chunks,
    next_block: u64,
}

impl Requester {
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
        mut on_event: impl FnMut(B256, &JobEvent),
    ) -> Result<JobStatus> {
        let mut heads = self.contracts.client().heads();
        let mut next_block = self.contracts.deployment.from_block;
        let mut output = Output::default();
        // Of which lock everyone has the keys: after a reorganisation another may have it.
        let mut has_keys = None;
        loop {
            if self.choose(record).await? {
                next_block = self.contracts.deployment.from_block;
            }
            let id = record.job_id;
            let job = self.contracts.job(id).await?;
            let status = job.status;
            // Read after the job, so that what it came to is among the events.
            let (head, _) = self.contracts.head().await?;
            let news = events(&self.contracts, id, next_block..=head).await?;
            news.iter().for_each(|event| on_event(id, event));
            next_block = head + 1;
            if status != JobStatus::None || self.contracts.now() > record.lock_deadline() {
                self.promised().remove(&id);
            }
            if status.is_final() {
                return Ok(status);
            }
            if status == JobStatus::None && self.is_over(record).await? {
                return Ok(status);
            }
            let now = self.contracts.now();
            if status == JobStatus::None && self.raise(record, now).await? {
                continue;
            }
            let lock = Some((job.provider, job.lock_block));
            let is_sealed = record.signed.order.beginSecs != 0;
            if is_sealed && has_keys != lock && self.give_keys(id).await? {
                has_keys = lock;
            }
            let call = self.due_call(record, &job, now, &mut output).await?;
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

    /// What only the requester is in a hurry to send, if anything is due.
    async fn due_call(
        &self,
        record: &JobRecord,
        job: &Job,
        now: u64,
        output: &mut Output,
    ) -> Result<Option<TransactionRequest>> {
        let (contracts, id, order) = (&self.contracts, record.job_id, &record.signed.order);
        Ok(match job.status {
            JobStatus::AwaitingBegin | JobStatus::AwaitingClaim | JobStatus::AwaitingLate
                if now > job.deadline =>
            {
                Some(contracts.expire(order))
            }
            JobStatus::AwaitingVerdict if now > job.deadline + SETTLE_GRACE_SECS => {
                Some(contracts.settle(order))
            }
            // An output is published before it is claimed. What is not, its provider shows piece by
            // piece on demand, or loses.
            JobStatus::AwaitingVerdict | JobStatus::AwaitingAnswer => {
                if !output.is_found {
                    self.find_output(id, job, output).await?;
                }
                match output.is_found && job.status == JobStatus::AwaitingVerdict {
                    true => None,
                    false => self.due_demand(record, job, now, output).await?,
                }
            }
            _ => None,
        })
    }

    /// Looks for the output of a claim where it is published, and in what was shown on demand.
    async fn find_output(&self, id: B256, job: &Job, output: &mut Output) -> Result<()> {
        let root = job.output;
        // A broker that is away shows no more than a provider that is silent.
        let published = match self.output_image(root).await {
            Err(Error::Broker(_)) => None,
            published => published?,
        };
        output.is_found = root == empty_slot() || published.is_some();
        if output.is_found {
            return Ok(());
        }
        let from = output.next_block.max(job.lock_block);
        let (head, _) = self.contracts.head().await?;
        for (number, content) in self.contracts.chunks_shown(id, from..=head).await? {
            output.chunks.put(number, &content);
        }
        output.next_block = head + 1;
        if let Some(image) = output.chunks.image(root) {
            self.keep_output(root, &image)?;
            output.is_found = true;
        }
        Ok(())
    }

    /// The next demand for what is missing of an output, or what a demand that was not answered in
    /// time asks for.
    async fn due_demand(
        &self,
        record: &JobRecord,
        job: &Job,
        now: u64,
        output: &Output,
    ) -> Result<Option<TransactionRequest>> {
        let (contracts, id, order) = (&self.contracts, record.job_id, &record.signed.order);
        let demanded = contracts.chunks_demanded(id, job.lock_block).await?;
        for chunk in &demanded {
            let demand = contracts.demand(id, *chunk).await?;
            if demand.is_open {
                let is_late = now > demand.answer_by;
                return Ok(is_late.then(|| contracts.claim_silence(order, *chunk)));
            }
        }
        if job.status != JobStatus::AwaitingVerdict || now > job.deadline {
            return Ok(None);
        }
        // All that is missing at once, for a claim does not wait for one round after another.
        let missing = output.chunks.missing().unwrap_or_default();
        let is_new = |chunk: &u32| !demanded.contains(chunk);
        let Some(first) = missing.clone().find(is_new) else { return Ok(None) };
        let end = (first..missing.end).find(|chunk| !is_new(chunk)).unwrap_or(missing.end);
        // Never more than the price again: a result may be large, and worth less than that. But the
        // first chunk always: nobody may withhold an output because it is cheap.
        let prepaid = contracts.chunk_fee(order).await?;
        let fee = prepaid.div_ceil(CHUNK_FEE_HEADROOM);
        let spent = fee.saturating_mul(demanded.len() as u128);
        let affordable = job.price.saturating_sub(spent).checked_div(fee).unwrap_or(u128::MAX);
        let count = affordable.max(u128::from(first == 0)).min(u128::from(end - first));
        if count == 0 {
            tracing::warn!(%id, spent, "the rest of a withheld output costs more than its job");
            return Ok(None);
        }
        // Twice, for the base fee may rise until it is mined.
        let fee_max = prepaid.saturating_mul(2);
        self.fill_purse_with(fee_max.saturating_mul(count)).await?;
        Ok(Some(contracts.demand_chunks(order, first..first + count as u32, fee_max)))
    }

    /// Whether nobody has locked an order and nobody ever will: no block can have its lock any
    /// more, or its nonce is used up. The chain's time decides, for who orders the same again would
    /// pay twice for a lock that came late.
    async fn is_over(&self, record: &JobRecord) -> Result<bool> {
        let (contracts, deadline) = (&self.contracts, record.lock_deadline());
        // An embedded chain's next block has the clock's time.
        let is_past = match contracts.client().heads() {
            Some(_) => contracts.is_past(deadline).await?,
            None => contracts.time_before(self.confirmations).await? > deadline,
        };
        if !is_past {
            let patience_secs = if self.confirmations > 0 { BLOCK_PATIENCE_SECS } else { 0 };
            let is_given_up = contracts.now() > deadline.saturating_add(patience_secs);
            if contracts.client().heads().is_some() || !is_given_up {
                return Ok(false);
            }
            // A chain that makes no blocks may make one with a lock in it at any time.
            contracts.attempt(contracts.cancel(record.signed.order.nonce)).await?;
        }
        // Read after the block, or the cancellation: a lock was before it or never will be.
        for (id, _) in record.all(contracts) {
            if contracts.job(id).await?.status != JobStatus::None {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives the keys of a sealed job that is locked. True once everyone has theirs.
    async fn give_keys(&self, id: B256) -> Result<bool> {
        match self.key_giver.attend(id).await {
            Ok(giving) => Ok(giving == Giving::Given),
            Err(Error::Broker(error)) => {
                tracing::warn!(%id, %error, "keys can't be given while the broker is away");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Of an order at several prices, takes the one that was locked. True if there is a new one to
    /// follow.
    async fn choose(&self, record: &mut JobRecord) -> Result<bool> {
        if record.earlier.is_empty() {
            return Ok(false);
        }
        for (id, signed) in record.all(&self.contracts) {
            if self.contracts.job(id).await?.status != JobStatus::None {
                (record.job_id, record.signed) = (id, signed);
                record.earlier.clear();
                record.repricing = None;
                let turn = self.turn(record.key).await?;
                if self.current(record, &turn)?.is_some() {
                    files::write_json(&self.file(record.key), record)?;
                }
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
        let turn = self.turn(record.key).await?;
        match self.current(record, &turn)? {
            // Another process follows the same order, and was faster: what it signed is ours too.
            Some(current) if current.job_id != record.job_id => {
                *record = current;
                return Ok(true);
            }
            Some(_) => {}
            None => return Ok(false),
        }
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
        drop(turn);
        // At one of its prices it is locked, not at both.
        self.promised().remove(&record.job_id);
        *record = raised;
        self.fill_purse(record).await?;
        self.board.put_order(job_id, &record.signed).await?;
        Ok(true)
    }
}
