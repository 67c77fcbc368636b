//! A job's story, as the chain tells it to everyone alike: what statements and receipts are made of.

use alloy_primitives::B256;
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEventInterface;
use assay_chain::contracts::Market;
use assay_provenance::{BlockRef, Claimed, Locked, Ordered, Said};

use crate::Result;
use crate::contracts::{Contracts, chain};
use crate::record::market_id;

/// What has become of a job, up to the last block.
pub(crate) struct Story {
    pub(crate) ordered: Ordered,
    /// The last lock: of two, the late one, which the claim is of.
    pub(crate) locked: Option<Locked>,
    pub(crate) claimed: Option<Claimed>,
    /// The claim's event.
    pub(crate) claim: Option<Log>,
    /// The last event that ended the job, with its name.
    pub(crate) ending: Option<(&'static str, Log)>,
}

impl Story {
    /// Reads the events of a job, from its last lock on.
    pub(crate) async fn of(contracts: &Contracts, id: B256, order: &Market::Order) -> Result<Self> {
        let deployment = &contracts.deployment;
        let filter = Filter::new().address(deployment.market).topic1(id);
        let job = contracts.market.jobOf(id).call().await.map_err(chain)?;
        let filter = filter.from_block(deployment.from_block.max(job.lockBlock.to()));
        let logs = contracts.client().provider().get_logs(&filter).await;
        let market = market_id(deployment);
        let ordered = Ordered::of(market, id, order);
        let mut story = Story { ordered, locked: None, claimed: None, claim: None, ending: None };
        for log in logs.map_err(assay_chain::Error::from)? {
            story.take(log);
        }
        Ok(story)
    }

    fn take(&mut self, log: Log) {
        use Market::MarketEvents as Event;
        let job = self.ordered.job;
        let block = block(&log);
        let Ok(event) = Market::MarketEvents::decode_log(&log.inner) else { return };
        match event.data {
            Event::JobLocked(event) => {
                self.locked = Some(Locked {
                    job,
                    after: vec![Said::Ordered(self.ordered.clone()).digest()],
                    provider: event.provider,
                    price: event.price.to_string(),
                    deadline: event.deadline.to(),
                    late: event.late,
                    block,
                });
            }
            Event::JobClaimed(event) => {
                let lock = self.locked.clone().map(|locked| Said::Locked(locked).digest());
                self.claimed = Some(Claimed {
                    job,
                    after: lock.into_iter().collect(),
                    provider: event.provider,
                    final_state: event.finalState,
                    trace_root: event.traceRoot,
                    output_root: event.outputRoot,
                    steps: event.steps,
                    status: event.status,
                    exit_code: event.exitCode,
                    block,
                });
                self.claim = Some(log);
            }
            Event::JobPaid(_) => self.ending = Some(("JobPaid", log)),
            Event::JobSlashed(_) => self.ending = Some(("JobSlashed", log)),
            Event::JobLapsed(_) => self.ending = Some(("JobLapsed", log)),
            Event::JobUnwound(_) => self.ending = Some(("JobUnwound", log)),
            _ => {}
        }
    }
}

pub(crate) fn block(log: &Log) -> BlockRef {
    BlockRef {
        number: log.block_number.unwrap_or_default(),
        hash: log.block_hash.unwrap_or_default(),
    }
}
