//! `assay auditor`: re-checks claims, until Ctrl-C.

use assay_node::AuditorPlan;

use crate::output::failure::Failure;
use crate::output::print::print;
use crate::session::market::TakePart;
use crate::session::runtime::{block_on, until_stopped};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    at: TakePart,
    /// The share of claims to re-run, in basis points
    #[arg(long, value_name = "BPS", default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    share_bps: u16,
    /// How many claims to re-run at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    runs_at_once: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let home = arguments.at.home.open()?;
    let plan = AuditorPlan { share_bps: arguments.share_bps, runs_at_once: arguments.runs_at_once };
    block_on(async {
        let there = arguments.at.there(&home).await?;
        let key = arguments.at.key.load(&home)?;
        let account = key.address();
        let auditor = there.auditor(key, &home, plan).await?;
        print(&format!("auditor    {account}\n"))?;
        until_stopped(|stop| auditor.run(stop)).await;
        Ok(String::new())
    })
}
