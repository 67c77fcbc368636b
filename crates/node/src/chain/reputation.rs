//! Providers' records, read from the chain's events (spec/reputation.md#reading).

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::{Filter, Log};
use assay_contracts::events::topics;
use assay_contracts::{JobEvent, LoggedEvent};
use assay_market::{JobStatus, Outcome, OutcomeKind, Reputation, reputation};
use serde::Serialize;

use crate::Result;
use crate::chain::contracts::Contracts;
use crate::chain::events::logged;

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
    Ok(ProviderRecord::new(contracts, provider, outcomes.unwrap_or_default()))
}

/// The records of all providers that have ever locked an order, by account.
///
/// # Errors
///
/// [`Error::Chain`](crate::Error::Chain).
pub async fn provider_records(contracts: &Contracts) -> Result<Vec<ProviderRecord>> {
    let all = outcomes(contracts, None).await?.into_iter();
    Ok(all.map(|(provider, outcomes)| ProviderRecord::new(contracts, provider, outcomes)).collect())
}

impl ProviderRecord {
    fn new(contracts: &Contracts, provider: Address, outcomes: Vec<Outcome>) -> Self {
        let at = contracts.now();
        ProviderRecord { provider, at, reputation: reputation(&outcomes, at), outcomes }
    }
}

/// The ended locks of each provider, or of one, from the market's first block on.
async fn outcomes(
    contracts: &Contracts,
    provider: Option<Address>,
) -> Result<BTreeMap<Address, Vec<Outcome>>> {
    let market = || {
        let deployment = &contracts.deployment;
        Filter::new().address(deployment.market).from_block(deployment.from_block)
    };
    let (mut locks, mut ends) = (
        market().event_signature(topics::LOCKED),
        market().event_signature(topics::ENDINGS.to_vec()),
    );
    if let Some(provider) = provider {
        (locks, ends) = (locks.topic3(provider), ends.topic2(provider));
    }
    let mut found = logged(contracts, locks).await?;
    found.extend(logged(contracts, ends).await?);
    found.sort_by_key(|(_, log)| (log.block_number, log.log_index));
    let decimals = contracts.decimals().await?;
    let mut locks = Locks { times: BTreeMap::new(), held: BTreeMap::new(), ended: BTreeMap::new() };
    for (found, log) in found {
        locks.take(contracts, found, &log, decimals.into()).await?;
    }
    Ok(locks.ended)
}

/// Locks, paired with their ends as events come in order.
struct Locks {
    /// The times of blocks, so that each is asked for once.
    times: BTreeMap<u64, u64>,
    /// The lock of a job by a provider that has not ended yet: its stake, and whether it is late.
    held: BTreeMap<(B256, Address), (u128, bool)>,
    ended: BTreeMap<Address, Vec<Outcome>>,
}

impl Locks {
    async fn take(
        &mut self,
        contracts: &Contracts,
        found: LoggedEvent,
        log: &Log,
        decimals: u32,
    ) -> Result<()> {
        let LoggedEvent { job: Some(job), event } = found else { return Ok(()) };
        if let JobEvent::Locked { provider, stake, late, .. } = event {
            self.ended.entry(provider).or_default();
            self.held.insert((job, provider), (stake, late));
            return Ok(());
        }
        let Some(provider) = event.ends_lock_of() else { return Ok(()) };
        let Some((stake, late)) = self.held.remove(&(job, provider)) else { return Ok(()) };
        let kind = match event {
            JobEvent::Paid { .. } if late => OutcomeKind::CompletedLate,
            JobEvent::Paid { .. } => OutcomeKind::Completed,
            JobEvent::Slashed { status, .. } => fault(status),
            JobEvent::Lapsed { .. } => OutcomeKind::Lapsed,
            _ => return Ok(()),
        };
        let at = self.time_of(contracts, log).await?;
        let outcome = Outcome { at, value: in_millionths(stake, decimals), kind };
        self.ended.entry(provider).or_default().push(outcome);
        Ok(())
    }

    async fn time_of(&mut self, contracts: &Contracts, log: &Log) -> Result<u64> {
        let number = log.block_number.unwrap_or_default();
        if let Some(at) = self.times.get(&number) {
            return Ok(*at);
        }
        let missing =
            || assay_chain::Error::BadAnswer { what: "a block of its logs is gone".into() };
        let at = contracts.time_of(log).await?.ok_or_else(missing)?;
        self.times.insert(number, at);
        Ok(at)
    }
}

/// What a slashed stake was slashed for. A first deadline that was missed leaves the job to others.
fn fault(status: JobStatus) -> OutcomeKind {
    match status {
        JobStatus::Refuted => OutcomeKind::Refuted,
        JobStatus::Silent => OutcomeKind::Silent,
        _ => OutcomeKind::Missed,
    }
}

/// An amount of a token of so many decimals, rounded down.
fn in_millionths(amount: u128, decimals: u32) -> u128 {
    let scale = |by: u32| U256::from(10).checked_pow(U256::from(by)).unwrap_or(U256::MAX);
    let scaled = U256::from(amount).saturating_mul(scale(DECIMALS)) / scale(decimals);
    u128::try_from(scaled).unwrap_or(u128::MAX)
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
