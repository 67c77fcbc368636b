//! Whether an order may be locked: what rules it out, what speaks against it now, and the lock.

use std::time::Duration;

use alloy_primitives::B256;
use assay_contracts::Market;
use assay_market::{Account, JobId, JobStatus, Needed, Reason, Refusal};
use assay_protocol::SignedOrder;

use crate::board::terms_of;
use crate::chain::market::Job;
use crate::chain::price::price_terms;
use crate::chain::reputation::provider_record;
use crate::provider::losses::BREAK_SECS;
use crate::provider::{LOCK_VALID_SECS, Provider, backlog};
use crate::role::{Next, Role as _};
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
            Judgement::LockAt(at) => at,
            Judgement::Decline(reason) => return self.decline(id, signed, reason).await,
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
        self.memory().own.insert(id);
        // Another was faster, or the requester has cancelled or spent: all are ordinary, and
        // nothing was paid.
        match self.contracts.send_by(self.contracts.lock(signed, price, until), until).await {
            Ok(_) => {
                self.fetched.remove(id);
                let is_sealed = signed.order.beginSecs != 0;
                let deadline = self.contracts.now() + u64::from(signed.order.runSecs);
                let deadline = (!is_sealed).then_some(deadline);
                self.backlog.seen(id, work_of(&signed.order), deadline);
                Ok(Next::After(Duration::ZERO))
            }
            Err(error @ (Error::Refused(_) | Error::TooLate { .. })) => {
                self.backlog.release(id);
                self.memory().own.remove(&id);
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
    async fn judge(&self, id: B256, signed: &SignedOrder) -> Result<Judgement> {
        let order = &signed.order;
        let now = self.contracts.now();
        if let Some(reason) = self.never(signed, now) {
            return Ok(reason.into());
        }
        let terms = price_terms(order);
        let priced = self.lock_at(order, now);
        // What nobody has money for costs nobody more than this look.
        let purse = self.contracts.purse(order.requester).await?;
        let price = terms.price_at(priced.as_ref().map_or(now, |at| *at));
        // Both are below 2^96.
        let needed = price + order.dataFee.to::<u128>();
        if purse < needed {
            return Ok(Reason::PurseShort { purse, needed }.into());
        }
        let at = match priced {
            Ok(at) => at,
            Err(reason) => return Ok(reason.into()),
        };
        if let Some(reason) = self.too_busy(id, order, now) {
            return Ok(reason.into());
        }
        if self.contracts.is_nonce_used(order).await? {
            return Ok(Reason::NonceUsed {}.into());
        }
        let reason = self.last_grounds(id, signed, now).await?;
        Ok(reason.map_or(Judgement::LockAt(at), Judgement::Decline))
    }

    /// When an order's price is what the job costs, if it ever is.
    fn lock_at(&self, order: &Market::Order, now: u64) -> std::result::Result<u64, Reason> {
        let terms = price_terms(order);
        let needed = match self.plan.cost.needed(&terms, order.stepLimit) {
            Needed::Price(needed) => needed,
            Needed::Base { least } => {
                return Err(Reason::BaseLow { base: terms.base, needed: least });
            }
            Needed::Rate { least } => {
                return Err(Reason::RateLow { per_mebistep: terms.per_mebistep, needed: least });
            }
        };
        terms.lock_at(needed, now).ok_or(Reason::PriceLow { needed, at_most: terms.max })
    }

    /// The same for a job that another has missed, which pays its bounty whatever the steps.
    async fn judge_late(&self, id: B256, signed: &SignedOrder, job: &Job) -> Result<Judgement> {
        let order = &signed.order;
        let now = self.contracts.now();
        if now > job.deadline {
            return Ok(Reason::Expired { lock_deadline: job.deadline }.into());
        }
        if let Some(reason) = self.never_runnable(signed) {
            return Ok(reason.into());
        }
        let (needed, at_most) = (self.price_wanted(order, true), job.price);
        if at_most < needed {
            return Ok(Reason::PriceLow { needed, at_most }.into());
        }
        if let Some(reason) = self.too_busy(id, order, now) {
            return Ok(reason.into());
        }
        let reason = self.last_grounds(id, signed, now).await?;
        Ok(reason.map_or(Judgement::LockAt(now), Judgement::Decline))
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
        // A lock that lapses for lack of blocks costs a fee.
        let (begin_secs, margin_secs) = (u64::from(order.beginSecs), self.backlog.margin_secs());
        if begin_secs != 0 && begin_secs < margin_secs {
            return Some(Reason::DeadlineNear { run_secs: begin_secs, needed_secs: margin_secs });
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
        let code = reason.code();
        let (times, is_new) = self.memory().decline(id, code);
        let next = match &reason {
            Reason::OtherProvider { .. }
            | Reason::TermsInvalid { .. }
            | Reason::AuditorMissing {}
            | Reason::MarketRefuses { .. }
            | Reason::VerifierUnknown { .. } => Next::Done,
            // A lock of its own may come back with a block that was taken back.
            Reason::Expired { lock_deadline } if self.contracts.has_passed(*lock_deadline) => {
                if self.is_own(id) {
                    Next::Event
                } else {
                    Next::Done
                }
            }
            Reason::Expired { .. } | Reason::NonceUsed {} => Next::Event,
            Reason::CircuitBreaker { until, .. } => Next::At(*until + 1),
            _ => Next::After(look_again(times)),
        };
        // That another was faster needs no telling: the chain shows it.
        if is_new && !matches!(reason, Reason::NonceUsed {}) {
            tracing::info!(%id, %reason, "an order is declined");
            let (job, provider) = (JobId(id.0), Account(self.contracts.account().into_array()));
            let is_needed = !is_plain(&reason);
            let refusal = Refusal { job, provider, reason, at: self.contracts.now() };
            if self.refusals.put(refusal, is_needed) {
                self.memory().said(id, code);
            }
        }
        if next == Next::Done {
            self.memory().forget_declined(id);
            self.fetched.remove(id);
        }
        Ok(next)
    }
}

/// Whether an order may be locked.
enum Judgement {
    /// From this time of the chain on, in Unix seconds.
    LockAt(u64),
    Decline(Reason),
}

impl From<Reason> for Judgement {
    fn from(reason: Reason) -> Self {
        Judgement::Decline(reason)
    }
}

/// Whether a requester could tell a reason by itself, and whoever floods a board could make
/// providers repeat it.
fn is_plain(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::PurseShort { .. }
            | Reason::OtherProvider { .. }
            | Reason::TermsInvalid { .. }
            | Reason::VerifierUnknown { .. }
            | Reason::Expired { .. }
    )
}

/// How soon an order is looked at again that was declined so often in a row: what is not mended
/// within half a minute is seldom mended, and many such must not be what a provider does.
fn look_again(times: u32) -> Duration {
    LOOK_AGAIN.saturating_mul(1 << (times / 6).min(4))
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
