//! `assay provider`: runs jobs for pay, until Ctrl-C.

mod benchmark;
mod show;

use assay_machine::Interpreter;
use assay_market::CostModel;
use assay_node::{HostFact, Liar, ProviderPlan, SWEEP_EVERY};

use crate::output::failure::Failure;
use crate::output::print::print;
use crate::session::market::TakePart;
use crate::session::runtime::{block_on, until_stopped};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    at: TakePart,
    /// What it has at stake at the least, in the token's smallest unit; what lacks is moved from
    /// the account.
    #[arg(long, value_name = "AMOUNT", env = "ASSAY_STAKE", default_value_t = 100_000_000)]
    stake: u128,
    /// What a job costs it, however short, in the token's smallest unit.
    #[arg(long, value_name = "AMOUNT", default_value_t = 20_000)]
    job_cost: u128,
    /// What 2^20 steps cost it, in the token's smallest unit.
    #[arg(long, value_name = "AMOUNT", default_value_t = 1)]
    mebistep_cost: u128,
    /// What it adds to both, in basis points.
    #[arg(long, value_name = "BPS", default_value_t = 1_000)]
    margin_bps: u16,
    /// How fast it counts on being, in steps a second: it locks nothing that it could not finish in
    /// time.
    #[arg(long, value_name = "N", default_value_t = 50_000_000)]
    steps_per_sec: u64,
    /// The least that a demand for a chunk of output must pay, in the token's smallest unit; unset,
    /// nothing on an embedded chain and 15000 elsewhere.
    #[arg(long, value_name = "AMOUNT")]
    chunk_fee_min: Option<u128>,
    /// The most at stake at once, with what was lost in the last day, in the token's smallest unit.
    #[arg(long, value_name = "AMOUNT", default_value_t = 10_000_000_000)]
    loss_day_max: u128,
    /// So many losses within an hour stop it from locking for an hour.
    #[arg(long, value_name = "N", default_value_t = 3)]
    failures_max: u32,
    /// How many jobs it runs at once.
    #[arg(long, value_name = "N", default_value_t = 1)]
    runs_at_once: usize,
    /// What it leaves of a run's time for its transactions and the confirmations, in seconds: some
    /// blocks.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    margin_secs: u64,
    /// What stays free on its disk beside the largest files that a job may need, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    disk_free_min: u64,
    /// Pass over orders that name no provider.
    #[arg(long)]
    only_named: bool,
    /// What it says of its machine in the statements of its runs, with commas between: any of
    /// engine, arch, os, cores; or none.
    #[arg(long, value_name = "FACTS", default_value = "engine")]
    disclose: String,
    /// Claim false outputs, to see what becomes of it: the stake will be lost.
    #[arg(long, hide = true)]
    lie: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Measure what work costs on this machine, and set that as what to ask for.
    Benchmark(benchmark::Arguments),
    /// Show a provider's stake, and how well it has kept its word.
    Show(show::Arguments),
}

pub(crate) fn run(arguments: &Arguments, as_json: bool) -> Result<String, Failure> {
    match &arguments.command {
        Some(Command::Benchmark(arguments)) => return benchmark::run(arguments, as_json),
        Some(Command::Show(arguments)) => return show::run(arguments, as_json),
        None => {}
    }
    let home = arguments.at.home.open()?;
    let facts = host_facts(&arguments.disclose)?;
    block_on(async {
        let there = arguments.at.there(&home).await?;
        let plan = ProviderPlan {
            cost: CostModel {
                job: arguments.job_cost,
                per_mebistep: arguments.mebistep_cost,
                margin_bps: arguments.margin_bps,
            },
            steps_per_sec: arguments.steps_per_sec,
            confirmations: there.confirmations,
            loss_day_max: arguments.loss_day_max,
            failures_max: arguments.failures_max,
            runs_at_once: arguments.runs_at_once,
            margin_secs: arguments.margin_secs,
            chunk_fee_min: arguments.chunk_fee_min,
            sweep_every: SWEEP_EVERY,
            only_named: arguments.only_named,
            disk_free_min: arguments.disk_free_min,
            host_facts: facts,
        };
        let key = arguments.at.key.load(&home)?;
        let account = key.address();
        let (stake, said) = (arguments.stake, format!("provider   {account}\n"));
        if arguments.lie {
            let provider = there.provider(key, &home, plan, stake, Liar::new).await?;
            print(&said)?;
            until_stopped(|stop| provider.run(stop)).await;
        } else {
            let provider = there.provider(key, &home, plan, stake, Interpreter::new).await?;
            print(&said)?;
            until_stopped(|stop| provider.run(stop)).await;
        }
        Ok(String::new())
    })
}

fn host_facts(text: &str) -> Result<Vec<HostFact>, Failure> {
    let fact = |name: &str| match name {
        "engine" => Ok(HostFact::Engine),
        "arch" => Ok(HostFact::Arch),
        "os" => Ok(HostFact::Os),
        "cores" => Ok(HostFact::Cores),
        other => Err(Failure::new(format!("{other:?} is nothing that --disclose can tell"))
            .next("give any of engine, arch, os, cores, with commas between; or none")),
    };
    match text {
        "none" => Ok(Vec::new()),
        text => text.split(',').map(fact).collect(),
    }
}
