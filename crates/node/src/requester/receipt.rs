//! The receipt of a job, and by whom it is to be believed.

use assay_contracts::JobEvent;
use assay_receipt::{
    Ordered, Receipt, Settled, Statement, TRUST_SCHEMA, Trust, TrustedLog, without_noise,
};

use crate::base::ids::market_id;
use crate::chain::block::block;
use crate::chain::timeline::Timeline;
use crate::requester::{JobRecord, Requester};
use crate::{Error, Result};

impl Requester {
    /// The receipt of a job that has ended: its order, its claim and its end as the chain proves
    /// them, and what the log has of it.
    ///
    /// # Errors
    ///
    /// [`Error::NotEnded`]; [`Error::Chain`], [`Error::Store`].
    pub async fn receipt(&self, record: &JobRecord) -> Result<Receipt> {
        let (id, order) = (record.job_id, &record.signed.order);
        let timeline = Timeline::read(&self.contracts, id, order).await?;
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
                let anchor = recorder.log().newest_anchor(client, deployment).await?;
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
                Some(recorder.about(id, anchor).await?)
            }
            None => None,
        };
        let market = market_id(&self.contracts.deployment);
        let receipt = Receipt::new(market, id, record.signed.clone(), claim, settlement, log);
        Ok(without_noise(receipt))
    }

    /// What a reader would trust to believe this requester's receipts: this market, its log, and
    /// this account for what the chain shows.
    pub fn trust(&self) -> Trust {
        let log = self.recorder.as_ref().map(|recorder| TrustedLog {
            key: recorder.log().vkey().to_string(),
            witnesses: Vec::new(),
            quorum: 0,
            operator: recorder.log().operators(&self.contracts.deployment).first().copied(),
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
