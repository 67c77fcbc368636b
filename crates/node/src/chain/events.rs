//! What has happened to a job, as the chain tells it.

use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::Filter;
use alloy_sol_types::SolEventInterface;
use assay_contracts::{Disputes, Market};
use assay_market::JobStatus;
use serde::Serialize;

use crate::Result;
use crate::chain::contracts::Contracts;

/// Something that happened to a job. Amounts are in the token's smallest unit, times Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum JobEvent {
    /// A provider has bound itself.
    Locked {
        /// Who.
        provider: Address,
        /// What is in escrow.
        price: u128,
        /// What the provider put at stake.
        stake: u128,
        /// Until when it must claim.
        deadline: u64,
        /// Whether another had missed it before.
        late: bool,
    },
    /// The provider has opened the sealed inputs, and the run's time counts.
    Begun {
        /// Until when it must claim.
        deadline: u64,
    },
    /// No run began: a key that did not come, or a lock that was not meant.
    Lapsed {
        /// Whose lock it was.
        provider: Address,
        /// What each side paid for it.
        fee: u128,
    },
    /// A provider says what the job came to.
    Claimed {
        /// Who.
        provider: Address,
        /// The output slot's root.
        output_root: B256,
        /// How many steps it took.
        steps: u64,
        /// The exit code, where it exited.
        exit_code: u32,
    },
    /// Somebody doubts the claim.
    Challenged {
        /// Who.
        challenger: Address,
        /// The game's number.
        game: u64,
    },
    /// A game has ended.
    GameEnded {
        /// The game's number.
        game: u64,
        /// Whether the claim was shown to be false.
        claim_false: bool,
    },
    /// The provider was paid.
    Paid {
        /// Who.
        provider: Address,
        /// How much.
        paid: u128,
        /// What of the escrow went back to the requester.
        refunded: u128,
        /// What the data owner got.
        data_fee: u128,
    },
    /// The provider's stake was taken.
    Slashed {
        /// Whose.
        provider: Address,
        /// Why: what became of the job.
        status: JobStatus,
        /// What of the escrow, data fee included, went back to the requester.
        refunded: u128,
        /// What the requester got of the stake.
        compensation: u128,
        /// Who showed the fault.
        informer: Address,
        /// What of the stake is for who showed the fault, or delivers late.
        bounty: u128,
        /// What of the stake went to the cover pool.
        cover: u128,
    },
    /// Something else, by the contract's name for it.
    Other {
        /// The name.
        name: String,
    },
}

/// What has happened to a job in these blocks, in order.
///
/// # Errors
///
/// [`Error::Chain`](crate::Error::Chain).
pub async fn history(
    contracts: &Contracts,
    id: B256,
    blocks: RangeInclusive<u64>,
) -> Result<Vec<JobEvent>> {
    let deployment = &contracts.deployment;
    let market = Filter::new().address(deployment.market).topic1(id);
    let disputes = Filter::new().address(deployment.disputes).topic2(id);
    if blocks.is_empty() {
        return Ok(Vec::new());
    }
    let mut logs = Vec::new();
    for filter in [market, disputes] {
        let filter = filter.from_block(*blocks.start()).to_block(*blocks.end());
        let found = contracts.client().provider().get_logs(&filter).await;
        logs.extend(found.map_err(assay_chain::Error::from)?);
    }
    logs.sort_by_key(|log| (log.block_number, log.log_index));
    Ok(logs.iter().filter_map(|log| event(&log.inner)).collect())
}

fn event(log: &alloy_primitives::Log) -> Option<JobEvent> {
    if let Ok(event) = Market::MarketEvents::decode_log(log) {
        return of_market(event.data);
    }
    of_disputes(Disputes::DisputesEvents::decode_log(log).ok()?.data)
}

fn of_market(event: Market::MarketEvents) -> Option<JobEvent> {
    use Market::MarketEvents as Event;
    let other = |name: &str| Some(JobEvent::Other { name: name.into() });
    match event {
        Event::JobLocked(event) => Some(JobEvent::Locked {
            provider: event.provider,
            price: event.price.to(),
            stake: event.stake.to(),
            deadline: event.deadline.to(),
            late: event.late,
        }),
        Event::JobClaimed(event) => Some(JobEvent::Claimed {
            provider: event.provider,
            output_root: event.outputRoot,
            steps: event.steps,
            exit_code: event.exitCode,
        }),
        Event::JobPaid(event) => Some(JobEvent::Paid {
            provider: event.provider,
            paid: event.paid.to(),
            refunded: event.refunded.to(),
            data_fee: event.dataFee.to(),
        }),
        Event::JobSlashed(event) => Some(JobEvent::Slashed {
            provider: event.provider,
            status: JobStatus::try_from(event.status).ok()?,
            refunded: event.refunded.to(),
            compensation: event.compensation.to(),
            informer: event.informer,
            bounty: event.bounty.to(),
            cover: event.cover.to(),
        }),
        Event::JobBegun(event) => Some(JobEvent::Begun { deadline: event.deadline.to() }),
        Event::JobLapsed(event) => {
            Some(JobEvent::Lapsed { provider: event.provider, fee: event.feeEach.to() })
        }
        Event::JobUnwound(_) => other("JobUnwound"),
        Event::BountyForfeited(_) => other("BountyForfeited"),
        Event::ChunkRequested(_) => other("ChunkRequested"),
        Event::ChunkAnswered(_) => other("ChunkAnswered"),
        Event::ChunkFeeReturned(_) => other("ChunkFeeReturned"),
        _ => None,
    }
}

fn of_disputes(event: Disputes::DisputesEvents) -> Option<JobEvent> {
    use Disputes::DisputesEvents as Event;
    match event {
        Event::Committed(event) => {
            Some(JobEvent::Challenged { challenger: event.challenger, game: event.id })
        }
        Event::GameEnded(event) => Some(JobEvent::GameEnded {
            game: event.id,
            claim_false: event.outcome == crate::chain::games::stage::WON,
        }),
        _ => None,
    }
}
