//! `assay provider`: runs jobs for pay, until Ctrl-C.

mod benchmark;
mod show;

use assay_market::CostModel;
use assay_node::{HostFact, InProcess, Liar, MEMORY_MAX, ProviderPlan, SWEEP_EVERY};

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
    /// The least stake to hold, in the token's smallest unit. What is missing is staked from the
    /// account at the start
    #[arg(long, value_name = "AMOUNT", env = "ASSAY_STAKE", default_value_t = 100_000_000)]
    stake: u128,
    /// What any job costs you, however short, in the token's smallest unit
    #[arg(long, value_name = "AMOUNT", default_value_t = 20_000)]
    job_cost: u128,
    /// What 2^20 steps cost you, in the token's smallest unit
    #[arg(long, value_name = "AMOUNT", default_value_t = 1)]
    mebistep_cost: u128,
    /// Your margin on these costs, in basis points
    #[arg(long, value_name = "BPS", default_value_t = 1_000)]
    margin_bps: u16,
    /// How fast this machine runs jobs, in steps a second. The provider locks no job that it could
    /// not finish in time
    #[arg(long, value_name = "N", default_value_t = 50_000_000)]
    steps_per_sec: u64,
    /// The least fee for publishing a chunk of output on demand, in the token's smallest unit
    /// [default: 0 on an embedded chain, 15000 elsewhere]
    #[arg(long, value_name = "AMOUNT")]
    chunk_fee_min: Option<u128>,
    /// The most to have at stake at once, counting losses of the last day, in the token's smallest
    /// unit
    #[arg(long, value_name = "AMOUNT", default_value_t = 10_000_000_000)]
    loss_day_max: u128,
    /// After this many losses within an hour, lock nothing for an hour
    #[arg(long, value_name = "N", default_value_t = 3)]
    failures_max: u32,
    /// How many jobs to run at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    runs_at_once: usize,
    /// How much of a job's time to leave for transactions and confirmations, in seconds. Less than
    /// the chain takes is refused [default: what the chain takes, 5 at the least]
    #[arg(long, value_name = "SECONDS")]
    margin_secs: Option<u64>,
    /// How much disk space to leave free, besides the files of a job, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    disk_free_min: u64,
    /// How much memory the inputs of all jobs that run at once may take, in bytes: some 20 KiB for
    /// each 4 KiB that they fill
    #[arg(long, value_name = "BYTES", default_value_t = MEMORY_MAX)]
    memory_max: u64,
    /// Take only orders that name this provider
    #[arg(long)]
    only_named: bool,
    /// What the statements about runs disclose of this machine: any of engine, arch, os, cores,
    /// separated by commas; or none
    #[arg(long, value_name = "FACTS", default_value = "engine")]
    disclose: String,
    /// Claim false outputs, to watch the disputes. The stake will be lost
    #[arg(long, hide = true)]
    lie: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Measure what jobs cost on this machine, and write that to the settings
    Benchmark(benchmark::Arguments),
    /// Show a provider's stake, and how well it has kept its word
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
            memory_max: arguments.memory_max,
            host_facts: facts,
        };
        let key = arguments.at.key.load(&home)?;
        let account = key.address();
        let (stake, said) = (arguments.stake, format!("provider   {account}\n"));
        if arguments.lie {
            let provider = there.provider(key, &home, plan, stake, Liar).await?;
            print(&said)?;
            until_stopped(|stop| provider.run(stop)).await;
        } else {
            let provider = there.provider(key, &home, plan, stake, InProcess::default()).await?;
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
        other => Err(Failure::new(format!("--disclose does not know {other:?}"))
            .next("give any of engine, arch, os, cores, separated by commas; or none")),
    };
    match text {
        "none" => Ok(Vec::new()),
        text => text.split(',').map(fact).collect(),
    }
}
