//! Following a job to its end, and doing what only its requester is in a hurry to do.

use std::time::Duration;

use alloy_primitives::B256;
use assay_contracts::Market;
use assay_market::JobStatus;
use assay_merkle::empty_slot;
use assay_protocol::SignedOrder;
use assay_types::{BlobRoot, Hash};

use crate::base::files;
use crate::chain::contracts::chain;
use crate::chain::events::{JobEvent, history};
use crate::chain::price::{price, price_terms};
use crate::job::keys::Giving;
use crate::requester::{JobRecord, Requester};
use crate::{Error, Result};

/// How often a chain that can't call is asked.
const POLL: Duration = Duration::from_millis(500);

/// How long the provider is left to settle, in seconds, before the requester does.
const SETTLE_GRACE_SECS: u64 = 2;

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
            if order.beginSecs != 0 && has_keys != lock && self.give_keys(id).await? {
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
                    let _ = tokio::time::timeout(POLL, heads.changed()).await;
                }
                None => tokio::time::sleep(POLL).await,
            }
        }
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
}
