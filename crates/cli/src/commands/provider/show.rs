//! `assay provider show`: a provider's stake, and how well it has kept its word.

use alloy_primitives::Address;
use assay_node::provider_record;

use crate::output::failure::Failure;
use crate::output::reputation::provider_shown;
use crate::session::home::HomeArgument;
use crate::session::market::{MarketArgument, on_contracts};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
    #[command(flatten)]
    market: MarketArgument,
    /// The provider
    provider: Address,
}

pub(crate) fn run(arguments: &Arguments, as_json: bool) -> Result<String, Failure> {
    on_contracts(&arguments.home, &arguments.market, async |contracts| {
        let record = provider_record(contracts, arguments.provider).await?;
        let funds = contracts.funds(arguments.provider).await?;
        Ok(provider_shown(record, funds.stake_free, funds.stake_reserved, as_json))
    })
}
