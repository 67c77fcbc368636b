//! Providers' records, read from the chain's events (spec/reputation.md#reading).

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::{SolEvent, SolEventInterface};
use assay_contracts::Market;
use assay_market::{JobStatus, Outcome, OutcomeKind, Reputation, reputation};
use serde::Serialize;

use crate::Result;
use crate::chain::contracts::{Contracts, chain};

/// The decimals of the token that values are said in.
const DECIMALS: u32 = 6;

/// A provider's record: every lock of its that has ended, and what that comes to at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProviderRecord {
    /// Whose.
    pub provider: Address,
    /// When it was computed, in Unix seconds.
    pub at: u64,
    /// What it comes to.
    #[serde(flatten)]
    pub reputation: Reputation,
    /// How its locks ended, oldest first.
    pub outcomes: Vec<Outcome>,
}

/// The record of one provider now. Who has never locked anything has an empty one.
///
/// # Errors
///
/// [`Error::Chain`](crate::Error::Chain).
pub async fn provider_record(contracts: &Contracts, provider: Address) -> Result<ProviderRecord> {
    let outcomes = outcomes(contracts, Some(provider)).await?.remove(&provider);
    Ok(ProviderRecord::of(contracts, provider, outcomes.unwrap_or_default()))
}

/// The records of all providers that have ever locked an order, by account.
///
/// # Errors
///
/// [`Error::Chain`](crate::Error::Chain).
pub async fn provider_records(contracts: &Contracts) -> Result<Vec<ProviderRecord>> {
    let all = outcomes(contracts, None).await?.into_iter();
    Ok(all.map(|(provider, outcomes)| ProviderRecord::of(contracts, provider, outcomes)).collect())
}

impl ProviderRecord {
    fn of(contracts: &Contracts, provider: Address, outcomes: Vec<Outcome>) -> Self {
        let at = contracts.now();
        ProviderRecord { provider, at, reputation: reputation(&outcomes, at), outcomes }
    }
}

/// The ended locks of each provider, or of one, from the market's first block on.
async fn outcomes(
    contracts: &Contracts,
    provider: Option<Address>,
) -> Result<BTreeMap<Address, Vec<Outcome>>> {
    let ends = [
        Market::JobPaid::SIGNATURE_HASH,
        Market::JobSlashed::SIGNATURE_HASH,
        Market::JobLapsed::SIGNATURE_HASH,
        Market::JobUnwound::SIGNATURE_HASH,
    ];
    let market = || {
        let deployment = &contracts.deployment;
        Filter::new().address(deployment.market).from_block(deployment.from_block)
    };
    let (mut locks, mut ends) = (
        market().event_signature(Market::JobLocked::SIGNATURE_HASH),
        market().event_signature(ends.to_vec()),
    );
    if let Some(provider) = provider {
        (locks, ends) = (locks.topic3(provider), ends.topic2(provider));
    }
    let mut logs = Vec::new();
    for filter in [locks, ends] {
        let found = contracts.client().provider().get_logs(&filter).await;
        logs.extend(found.map_err(assay_chain::Error::from)?);
    }
    logs.sort_by_key(|log| (log.block_number, log.log_index));
    let decimals = contracts.token.decimals().call().await.map_err(chain)?;
    let mut history =
        History { times: Times::default(), locked: BTreeMap::new(), ended: BTreeMap::new() };
    for log in logs {
        history.take(contracts, &log, decimals.into()).await?;
    }
    Ok(history.ended)
}

/// Events in their order, paired into locks and their ends.
struct History {
    times: Times,
    /// The lock of a job by a provider that has not ended yet: its stake, and whether it is late.
    locked: BTreeMap<(B256, Address), (u128, bool)>,
    ended: BTreeMap<Address, Vec<Outcome>>,
}

impl History {
    async fn take(&mut self, contracts: &Contracts, log: &Log, decimals: u32) -> Result<()> {
        use Market::MarketEvents as Event;
        let Ok(event) = Market::MarketEvents::decode_log(&log.inner) else { return Ok(()) };
        let (job, provider, kind) = match event.data {
            Event::JobLocked(event) => {
                self.ended.entry(event.provider).or_default();
                let lock = (event.stake.to(), event.late);
                self.locked.insert((event.jobId, event.provider), lock);
                return Ok(());
            }
            Event::JobPaid(event) => (event.jobId, event.provider, Some(OutcomeKind::Completed)),
            Event::JobSlashed(event) => (event.jobId, event.provider, fault(event.status)),
            Event::JobLapsed(event) => (event.jobId, event.provider, Some(OutcomeKind::Lapsed)),
            Event::JobUnwound(event) => (event.jobId, event.provider, None),
            _ => return Ok(()),
        };
        let Some((stake, late)) = self.locked.remove(&(job, provider)) else { return Ok(()) };
        let Some(kind) = kind else { return Ok(()) };
        let kind = match kind {
            OutcomeKind::Completed if late => OutcomeKind::CompletedLate,
            kind => kind,
        };
        let at = self.times.of(contracts, log).await?;
        let outcome = Outcome { at, value: in_millionths(stake, decimals), kind };
        self.ended.entry(provider).or_default().push(outcome);
        Ok(())
    }
}

/// What a slashed stake was slashed for. A first deadline that was missed leaves the job to others.
fn fault(status: u8) -> Option<OutcomeKind> {
    match JobStatus::try_from(status).ok()? {
        JobStatus::Refuted => Some(OutcomeKind::Refuted),
        JobStatus::Silent => Some(OutcomeKind::Silent),
        _ => Some(OutcomeKind::Missed),
    }
}

/// An amount of a token of so many decimals, rounded down.
fn in_millionths(amount: u128, decimals: u32) -> u128 {
    let scale = |by: u32| U256::from(10).checked_pow(U256::from(by)).unwrap_or(U256::MAX);
    let scaled = U256::from(amount).saturating_mul(scale(DECIMALS)) / scale(decimals);
    u128::try_from(scaled).unwrap_or(u128::MAX)
}

/// The times of blocks. Not every node tells them with an event, and each is asked for once.
#[derive(Default)]
struct Times(BTreeMap<u64, u64>);

impl Times {
    async fn of(&mut self, contracts: &Contracts, log: &Log) -> Result<u64> {
        if let Some(at) = log.block_timestamp {
            return Ok(at);
        }
        let number = log.block_number.unwrap_or_default();
        if let Some(at) = self.0.get(&number) {
            return Ok(*at);
        }
        let block = contracts.client().provider().get_block_by_number(number.into()).await;
        let block = block.map_err(assay_chain::Error::from)?;
        let missing =
            || assay_chain::Error::BadAnswer { what: "a block of its logs is gone".into() };
        let at = block.ok_or_else(missing)?.header.timestamp;
        self.0.insert(number, at);
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_millionths_whatever_the_token() {
        assert_eq!(in_millionths(5, 6), 5);
        assert_eq!(in_millionths(2_999_999_999_999, 18), 2, "rounded down");
        assert_eq!(in_millionths(7, 0), 7_000_000);
        assert_eq!(in_millionths(u128::MAX, 0), u128::MAX, "a sum that is too large stops there");
        assert_eq!(in_millionths(u128::MAX, 255), 0);
    }
}
