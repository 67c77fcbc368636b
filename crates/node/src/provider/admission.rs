//! Whether an order may be locked: what rules it out, what speaks against it now, and the lock.

use std::time::Duration;

use alloy_primitives::B256;
use assay_contracts::Market;
use assay_machine::slot;
use assay_market::{Account, JobId, JobStatus, Needed, Reason, Refusal};
use assay_protocol::SignedOrder;
use assay_types::{BlobRoot, Hash};

use crate::board::terms_of;
use crate::chain::market::Job;
use crate::chain::price::price_terms;
use crate::chain::reputation::provider_record;
use crate::job::inputs::start;
use crate::provider::losses::BREAK_SECS;
use crate::provider::{LOCK_VALID_SECS, Provider, backlog};
use crate::role::Next;
use crate::{Error, Result};

/// How soon an order is looked at again whose requester could still mend it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl Provider {
    /// Locks an order that pays, or says why not.
    pub(super) async fn consider(&self, id: B256, signed: &SignedOrder, job: &Job) -> Result<Next> {
        if self.plan.only_named && signed.order.provider.is_zero() {
            return Ok(Next::Done);
        }
        let is_late = job.status == JobStatus::AwaitingLate;
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
        // Another was faster, or the requester has cancelled or spent: all are ordinary, and
        // nothing was paid.
        match self.contracts.send(self.contracts.lock(signed, price, until)).await {
            Ok(_) => {
                let is_sealed = signed.order.beginSecs != 0;
                let deadline = self.contracts.now() + u64::from(signed.order.runSecs);
                let deadline = (!is_sealed).then_some(deadline);
                self.backlog.seen(id, work_of(&signed.order), deadline);
                Ok(Next::After(Duration::ZERO))
            }
            Err(error @ (Error::Refused(_) | Error::TooLate { .. })) => {
                self.backlog.release(id);
                tracing::debug!(%id, %error, "a lock was refused");
                // Its own fault stays with the order. All else is another's move, which the next
                // look will show.
                if let Error::Refused(cause) = error
                    && cause.is_of_order()
                {
                    let reason = Reason::MarketRefuses { cause: cause.to_string().into() };
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
    pub(super) async fn bind(
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
        if self.contracts.is_nonce_used(order).await? {
            return Ok(Err(Reason::NonceUsed {}));
        }
        let purse = self.contracts.purse(order.requester).await?;
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
        job: &Job,
    ) -> Result<std::result::Result<u64, Reason>> {
        let order = &signed.order;
        let now = self.contracts.now();
        if now > job.deadline {
            return Ok(Err(Reason::Expired { lock_deadline: job.deadline }));
        }
        if let Some(reason) = self.never_runnable(signed) {
            return Ok(Err(reason));
        }
        let (needed, at_most) = (self.price_wanted(order, true), job.price);
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
    pub(super) fn never(&self, signed: &SignedOrder, now: u64) -> Option<Reason> {
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
        let verifier = order.verifierId;
        let Some(kind) = self.contracts.assurance(verifier) else {
            return Some(Reason::VerifierUnknown { verifier });
        };
        if let Err(reason) = kind.assurance().accepts(&terms) {
            return Some(reason);
        }
        let needed_secs = self.backlog.alone_secs(order.stepLimit);
        let work = work_of(order);
        if needed_secs > work.run_secs {
            return Some(deadline_near(work, needed_secs));
        }
        let run_secs = |steps| self.backlog.alone_secs(steps);
        let defended = kind.assurance().can_defend(order.stepLimit, &run_secs);
        defended.err().or_else(|| self.chunk_fee_low(order))
    }

    /// Whether a requester could have a provider answer demands at a loss: it may make 2^17 of
    /// them.
    fn chunk_fee_low(&self, order: &Market::Order) -> Option<Reason> {
        let needed = self.plan.chunk_fee_min;
        let needed = needed.unwrap_or_else(|| self.contracts.chunk_fee_least());
        let fee = order.chunkFee.to::<u128>();
        (fee < needed).then_some(Reason::ChunkFeeLow { fee, needed })
    }

    /// Whether the run may not end in time beside what is locked already, or would delay that.
    fn too_busy(&self, id: B256, order: &Market::Order, now: u64) -> Option<Reason> {
        let work = work_of(order);
        let needed_secs = self.backlog.fits(id, work, now).err()?;
        Some(deadline_near(work, needed_secs))
    }

    /// What forbids putting this much at stake now.
    async fn too_risky(&self, id: B256, stake: u128, now: u64) -> Result<Option<Reason>> {
        let account = self.contracts.account();
        // Before the chain is read: a lock that lands meanwhile is then counted twice, and never
        // not at all.
        let sent = self.backlog.stake_sent(id, now);
        let free = self.contracts.stake_free(account).await?.saturating_sub(sent);
        if free < stake {
            return Ok(Some(Reason::StakeHigh { stake, free }));
        }
        let reserved = self.contracts.stake_reserved(account).await?;
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
        match start(&self.board, &self.opener, signed, &*self.executor).await {
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
    /// are there. They are kept here from now on: who has locked pays if they vanish elsewhere.
    async fn fetch_sealed(&self, signed: &SignedOrder) -> Result<Option<Reason>> {
        let order = &signed.order;
        for (number, sealed) in terms_of(signed)?.slots() {
            if self.board.envelope(sealed.envelope).await?.is_none() {
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
}

/// What an order binds its provider to.
pub(super) fn work_of(order: &Market::Order) -> backlog::Work {
    backlog::Work {
        steps: order.stepLimit,
        stake: order.stake.to(),
        run_secs: u64::from(order.runSecs),
    }
}

fn deadline_near(work: backlog::Work, needed_secs: u64) -> Reason {
    Reason::DeadlineNear { run_secs: work.run_secs, needed_secs }
}
