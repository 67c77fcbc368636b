//! The receipt of a job, and by whom it is to be believed.

use std::time::Duration;

use alloy_primitives::B256;
use assay_contracts::{JobEvent, Market};
use assay_receipt::{
    Ordered, Receipt, Settled, Statement, TRUST_SCHEMA, Trust, TrustedLog, without_noise,
};

use crate::base::ids::market_id;
use crate::chain::block::block;
use crate::chain::timeline::Timeline;
use crate::log::recorder::Recorder;
use crate::requester::{JobRecord, Requester};
use crate::{Error, Result};

/// How long it is waited for blocks upon a job's end, and how often it is looked for them.
const FINAL_PATIENCE: Duration = Duration::from_secs(300);
const FINAL_PAUSE: Duration = Duration::from_millis(500);

impl Requester {
    /// The receipt of a job that has ended: its order, its claim and its end as the chain proves
    /// them, and what the log has of it.
    ///
    /// # Errors
    ///
    /// [`Error::NotEnded`], [`Error::NotFinal`]; [`Error::Chain`], [`Error::Store`].
    pub async fn receipt(&self, record: &JobRecord) -> Result<Receipt> {
        let (id, order) = (record.job_id, &record.signed.order);
        let timeline = self.final_timeline(id, order).await?;
        let (event, ending) = timeline.ending.clone().ok_or(Error::NotEnded)?;
        let client = self.contracts.client();
        let settlement = assay_chain::prove_event(client, &ending).await?;
        let claim = match &timeline.claim {
            Some(claim) => Some(assay_chain::prove_event(client, claim).await?),
            None => None,
        };
        let log = match &self.recorder {
            Some(recorder) => {
                self.record_order(record).await;
                let deployment = &self.contracts.deployment;
                let anchor = match recorder.log() {
                    Some(log) => log.newest_anchor(client, deployment).await?,
                    None => None,
                };
                let proved = settlement.check().map_err(Error::Evidence)?;
                let said = Statement::Settled(Settled {
                    market: recorder.market(),
                    job: id,
                    after: timeline.before_settlement(),
                    observer: recorder.account(),
                    event: event.name().to_owned(),
                    paid: paid(&event),
                    time: proved.timestamp,
                    claim_block: timeline.claim.as_ref().map(block),
                    block: block(&ending),
                    anchor_block: anchor.as_ref().map(|anchor| anchor.block),
                });
                recorder.say(&said).await?;
                recorder.about(id, anchor).await?
            }
            None => None,
        };
        let market = market_id(&self.contracts.deployment);
        let receipt = Receipt::new(market, id, record.signed.clone(), claim, settlement, log);
        Ok(without_noise(receipt))
    }

    /// What has become of a job that has ended, once so many blocks stand upon its end as the chain
    /// may take back: what is said in the log stays there.
    async fn final_timeline(&self, id: B256, order: &Market::Order) -> Result<Timeline> {
        let (contracts, needed) = (&self.contracts, self.confirmations);
        let until = contracts.env().uptime() + FINAL_PATIENCE;
        loop {
            let timeline = Timeline::read(contracts, id, order).await?;
            let (_, ending) = timeline.ending.as_ref().ok_or(Error::NotEnded)?;
            let (head, _) = contracts.head().await?;
            let depth = head.saturating_sub(ending.block_number.unwrap_or(head));
            if depth >= needed {
                return Ok(timeline);
            }
            if contracts.env().uptime() > until {
                return Err(Error::NotFinal { depth, needed });
            }
            contracts.env().sleep(FINAL_PAUSE).await;
        }
    }

    /// What a reader would trust to believe this requester's receipts: this market, its log, and
    /// this account for what the chain shows.
    pub fn trust(&self) -> Trust {
        let log = self.recorder.as_ref().and_then(Recorder::log).map(|log| TrustedLog {
            key: log.vkey().to_string(),
            witnesses: Vec::new(),
            quorum: 0,
            operator: log.operators(&self.contracts.deployment).first().copied(),
        });
        Trust {
            schema: TRUST_SCHEMA.to_owned(),
            market: Some(market_id(&self.contracts.deployment)),
            log,
            observers: [self.contracts.account()].into(),
            observer_quorum: 1,
            headers: Default::default(),
            verifiers: [self.contracts.deployment.fraud_proofs].into(),
        }
    }

    pub(super) async fn record_order(&self, record: &JobRecord) {
        let Some(recorder) = &self.recorder else { return };
        let ordered = Ordered::of(recorder.market(), record.job_id, &record.signed.order);
        recorder.try_say(Statement::Ordered(ordered)).await;
    }
}

/// What an event says that the provider was paid, in decimal.
fn paid(event: &JobEvent) -> Option<String> {
    match event {
        JobEvent::Paid { paid, .. } => Some(paid.to_string()),
        _ => None,
    }
}
