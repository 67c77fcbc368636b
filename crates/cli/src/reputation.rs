//! `assay reputation` and `assay provider show`: how well providers have kept their word, by the
//! chain's events.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use assay_market::{Outcome, OutcomeKind};
use assay_node::{Contracts, ProviderRecord, provider_record, provider_records};
use serde::Serialize;

use crate::failure::Failure;
use crate::home::HomeArgument;
use crate::market::{MarketArgument, on_contracts};
use crate::run::dollars;
use crate::text::{grouped, json, table};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
    #[command(flatten)]
    market: MarketArgument,
    /// The provider [default: all that have ever locked an order]
    provider: Option<Address>,
}

#[derive(clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    home: HomeArgument,
    #[command(flatten)]
    market: MarketArgument,
    /// The provider.
    provider: Address,
}

/// `assay.reputation/1`.
#[derive(Serialize)]
struct Shown {
    schema: &'static str,
    providers: Vec<ProviderRecord>,
}

/// `assay.provider/1`.
#[derive(Serialize)]
struct One {
    schema: &'static str,
    #[serde(flatten)]
    record: ProviderRecord,
    stake_free: String,
    stake_reserved: String,
}

pub(crate) fn run(arguments: &Arguments, as_json: bool) -> Result<String, Failure> {
    if let Some(provider) = arguments.provider {
        return show_one(&arguments.home, &arguments.market, provider, as_json);
    }
    on_contracts(&arguments.home, &arguments.market, async |contracts| {
        let providers = provider_records(contracts).await?;
        if as_json {
            return Ok(json(&Shown { schema: "assay.reputation/1", providers }));
        }
        if providers.is_empty() {
            return Ok("nobody has locked an order here\n".to_owned());
        }
        let mut providers = providers;
        providers.sort_by_key(|record| std::cmp::Reverse(record.reputation.score));
        Ok(providers.iter().map(line).collect())
    })
}

pub(crate) fn show(arguments: &Show, as_json: bool) -> Result<String, Failure> {
    show_one(&arguments.home, &arguments.market, arguments.provider, as_json)
}

fn show_one(
    home: &HomeArgument,
    market: &MarketArgument,
    provider: Address,
    as_json: bool,
) -> Result<String, Failure> {
    on_contracts(home, market, async |contracts| {
        let record = provider_record(contracts, provider).await?;
        let [free, reserved] = stakes(contracts, provider).await?;
        if as_json {
            let (stake_free, stake_reserved) = (free.to_string(), reserved.to_string());
            return Ok(json(&One {
                schema: "assay.provider/1",
                record,
                stake_free,
                stake_reserved,
            }));
        }
        let reputation = &record.reputation;
        let rows = table(&[
            ("provider", provider.to_string()),
            ("reputation", of_10000(reputation.score)),
            ("kept", format!("{}, aged", dollars(reputation.kept))),
            ("broken", format!("{}, aged and times their weight", dollars(reputation.broken))),
            ("stake", format!("{} free, {} reserved", dollars(free), dollars(reserved))),
            ("jobs", summary(&record.outcomes)),
        ]);
        let outcome = |outcome: &Outcome| {
            let kind = name(outcome.kind);
            format!("{}  {kind:<15} {}\n", time(outcome.at), dollars(outcome.value))
        };
        Ok(rows + &record.outcomes.iter().map(outcome).collect::<String>())
    })
}

async fn stakes(contracts: &Contracts, provider: Address) -> Result<[u128; 2], Failure> {
    let failed = |error| Failure::from(assay_chain::Error::from(error));
    let free = contracts.stakes.freeOf(provider).call().await.map_err(failed)?;
    let reserved = contracts.stakes.reservedOf(provider).call().await.map_err(failed)?;
    Ok([free.to(), reserved.to()])
}

/// A score as people read it.
pub(crate) fn of_10000(score: u16) -> String {
    format!("{} of 10,000", grouped(score.into()))
}

fn line(record: &ProviderRecord) -> String {
    let (provider, score) = (record.provider, record.reputation.score);
    format!("{provider}  {score:>5}  {}\n", summary(&record.outcomes))
}

/// "3: 2 completed, 1 missed".
fn summary(outcomes: &[Outcome]) -> String {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for outcome in outcomes {
        *kinds.entry(name(outcome.kind)).or_default() += 1;
    }
    let kinds: Vec<String> =
        kinds.into_iter().map(|(kind, count)| format!("{} {kind}", grouped(count))).collect();
    match kinds.is_empty() {
        true => "none ended yet".to_owned(),
        false => format!("{}: {}", grouped(outcomes.len() as u64), kinds.join(", ")),
    }
}

fn name(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Completed => "completed",
        OutcomeKind::CompletedLate => "completed late",
        OutcomeKind::Missed => "missed",
        OutcomeKind::Refuted => "refuted",
        OutcomeKind::Silent => "silent",
        OutcomeKind::Lapsed => "lapsed",
    }
}

/// Unix seconds as ISO 8601.
pub(crate) fn time(at: u64) -> String {
    let time = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    time.map_or_else(|| at.to_string(), |time| time.to_string())
}
