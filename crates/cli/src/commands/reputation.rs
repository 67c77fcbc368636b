//! `assay reputation`: how well providers have kept their word, by the chain's events.

use alloy_primitives::Address;
use assay_node::{ProviderRecord, provider_record, provider_records};
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::reputation::{provider_line, provider_shown};
use crate::output::text::json;
use crate::session::home::HomeArgument;
use crate::session::market::{MarketArgument, on_contracts};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
    #[command(flatten)]
    market: MarketArgument,
    /// The provider [default: all that have ever locked an order]
    provider: Option<Address>,
}

/// `assay.reputation/1`.
#[derive(Serialize)]
struct Shown {
    schema: &'static str,
    providers: Vec<ProviderRecord>,
}

pub(crate) fn run(arguments: &Arguments, as_json: bool) -> Result<String, Failure> {
    on_contracts(&arguments.home, &arguments.market, async |contracts| {
        if let Some(provider) = arguments.provider {
            let record = provider_record(contracts, provider).await?;
            let funds = contracts.funds(provider).await?;
            return Ok(provider_shown(record, funds.stake_free, funds.stake_reserved, as_json));
        }
        let mut providers = provider_records(contracts).await?;
        if as_json {
            return Ok(json(&Shown { schema: "assay.reputation/1", providers }));
        }
        if providers.is_empty() {
            return Ok("no provider has locked an order here\n".to_owned());
        }
        providers.sort_by_key(|record| std::cmp::Reverse(record.reputation.score));
        Ok(providers.iter().map(provider_line).collect())
    })
}
