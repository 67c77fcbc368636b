//! `assay quote`: what a job would cost.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use assay_market::Quote;
use assay_node::provider_record;
use assay_verify::exec::step_limit;
use serde::Serialize;

use crate::output::amounts::{of_10000, price};
use crate::output::failure::Failure;
use crate::output::text::{grouped, json, table};
use crate::session::market::TakePart;
use crate::session::requester::{asked, nobody_offers, on_market};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    at: TakePart,
    /// How many steps the job may take, 1 to 2^45
    #[arg(long, value_name = "N", default_value_t = 1 << 30)]
    steps_max: u64,
    /// How much the provider stakes on the job, in the token's smallest unit
    #[arg(long, value_name = "AMOUNT", default_value_t = 100_000_000)]
    stake: u128,
    /// How long the run may take, in seconds [default: from --steps-max, at least 60]
    #[arg(long, value_name = "SECONDS")]
    run_secs: Option<u32>,
}

#[derive(Serialize)]
struct Quoted {
    schema: &'static str,
    #[serde(flatten)]
    quote: Quote,
    /// The scores of those who are named.
    reputations: BTreeMap<Address, u16>,
}

pub(crate) fn run(arguments: &Arguments, as_json: bool) -> Result<String, Failure> {
    on_market(&arguments.at, async |session| {
        step_limit(arguments.steps_max)?;
        let asked = asked(arguments.steps_max, arguments.stake, arguments.run_secs);
        let quote = session.requester().quote(asked).await?;
        let mut reputations = BTreeMap::new();
        for quoted in [quote.low, quote.median].into_iter().flatten() {
            let provider = Address::from(quoted.provider.0);
            let record = provider_record(session.requester().contracts(), provider).await?;
            reputations.insert(provider, record.reputation.score);
        }
        if as_json {
            return Ok(json(&Quoted { schema: "assay.quote/1", quote, reputations }));
        }
        let (Some(low), Some(median)) = (quote.low, quote.median) else {
            return Err(nobody_offers()
                .next("lower --stake, raise --run-secs, or wait for other providers"));
        };
        let terms_of = |quoted: &assay_market::Quoted| {
            let (terms, provider) = (quoted.metered(), Address::from(quoted.provider.0));
            let score = reputations.get(&provider).copied().map(of_10000).unwrap_or_default();
            format!("{}, asked by {provider}, reputation {score}", price(&terms))
        };
        Ok(table(&[
            ("providers", grouped(quote.providers.into())),
            ("cheapest", terms_of(&low)),
            ("median", terms_of(&median)),
        ]))
    })
}
