//! `assay broker`, `provider` and `auditor`: one role each, on a market of strangers, until Ctrl-C.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use assay_broker::{KEEP_SECS, Server};
use assay_contracts::Deployment;
use assay_market::CostModel;
use assay_node::{
    Anchorer, AskedWitness, AuditorPlan, Env, Home, HostFact, InProcess, Liar, ProviderPlan,
    PublicLog, SWEEP_EVERY, Store, keep_cosigned, with_log,
};
use assay_protocol::Limits;
use tokio::sync::watch;

use crate::failure::Failure;
use crate::home::{HomeArgument, KeyArgument};
use crate::market::{TakePart, deployment};
use crate::{benchmark, reputation};

#[derive(clap::Args)]
pub(crate) struct Broker {
    #[command(flatten)]
    home: HomeArgument,
    /// Where the market's contracts are, as `assay chain deploy` wrote it.
    #[arg(long, value_name = "FILE", env = "ASSAY_DEPLOYMENT")]
    deployment: PathBuf,
    /// Where to listen; port 0 takes any that is free. There is no TLS: for other machines put a
    /// proxy before it.
    #[arg(long, value_name = "ADDRESS", env = "ASSAY_LISTEN", default_value = "127.0.0.1:8546")]
    listen: SocketAddr,
    /// Where its log lies, if not under the home: s3://BUCKET/PREFIX, with AWS_* in the
    /// environment. The home keeps the log's key. Who opens a log takes it over from whoever wrote
    /// it before.
    #[arg(long, value_name = "URL", env = "ASSAY_LOG_URL")]
    log_url: Option<String>,
    /// Anchor the log on the chain that often, if it has grown, by the account of the key that is
    /// named.
    #[arg(long, value_name = "SECONDS", requires = "rpc", value_parser = clap::value_parser!(u64).range(1..))]
    anchor_secs: Option<u64>,
    /// The chain's JSON-RPC endpoint, to anchor. May hold a secret: better in ASSAY_RPC than as an
    /// argument.
    #[arg(long, value_name = "URL", env = "ASSAY_RPC", hide_env_values = true)]
    rpc: Option<String>,
    #[command(flatten)]
    key: KeyArgument,
    /// A witness that its log asks to cosign, as KEY@URL; once for each.
    #[arg(long = "witness", value_name = "KEY@URL")]
    witnesses: Vec<String>,
    /// The largest slot image that it takes, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    slot_bytes_max: u64,
    /// Where to serve metrics for Prometheus, as /metrics: an address of this machine's own, apart
    /// from what strangers reach.
    #[arg(long, value_name = "ADDRESS", env = "ASSAY_METRICS", value_parser = loopback)]
    metrics: Option<SocketAddr>,
    /// How long it keeps an order after its job must have ended, and a blob that nothing names, in
    /// seconds. The log is kept for ever.
    #[arg(long, value_name = "SECONDS", default_value_t = KEEP_SECS, value_parser = clap::value_parser!(u64).range(1..))]
    keep_secs: u64,
}

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Provider {
    #[command(subcommand)]
    command: Option<ProviderCommand>,
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
enum ProviderCommand {
    /// Measure what work costs on this machine, and set that as what to ask for.
    Benchmark(benchmark::Arguments),
    /// Show a provider's stake, and how well it has kept its word.
    Show(reputation::Show),
}

#[derive(clap::Args)]
pub(crate) struct Auditor {
    #[command(flatten)]
    at: TakePart,
    /// The share of claims that it re-runs, in basis points.
    #[arg(long, value_name = "BPS", default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    share_bps: u16,
    /// How many claims it re-runs at once.
    #[arg(long, value_name = "N", default_value_t = 1)]
    runs_at_once: usize,
}

pub(crate) fn broker(arguments: &Broker) -> Result<String, Failure> {
    let home = arguments.home.open()?;
    let deployment = deployment(&arguments.deployment)?;
    let witnesses: Vec<_> =
        arguments.witnesses.iter().map(|text| asked(text)).collect::<Result<_, _>>()?;
    crate::block_on(async {
        let store = Store::open(&home.board())?;
        let env = Env::system();
        let limits = Limits { slot_bytes_max: arguments.slot_bytes_max, ..Limits::default() };
        let log = match &arguments.log_url {
            Some(url) => PublicLog::open_at(&env, url, &home, &deployment)?,
            None => PublicLog::open(&home, &deployment)?,
        };
        let anchoring = anchoring(arguments, &home, &deployment, &log).await?;
        let broker = with_log(store.as_broker(&env, &deployment, limits), &log);
        let server = assay_broker::serve(arguments.listen, broker.router())
            .await
            .map_err(|error| Failure::from(error).next("give another --listen"))?;
        crate::print(&format!("broker     {}\nlog        {}\n", server.url(), log.vkey()))?;
        if let Some((anchorer, _)) = &anchoring {
            crate::print(&format!("operator   {}\n", anchorer.account()))?;
        }
        let metrics = metrics(arguments, &broker).await?;
        until_stopped(|stop| async move {
            let cosigning = async {
                if let Some(log) = log.hosted().filter(|_| !witnesses.is_empty()) {
                    keep_cosigned(&env, log, witnesses, stop.clone()).await;
                }
            };
            let anchoring = async {
                if let Some((anchorer, every)) = anchoring {
                    anchorer.run(every, stop.clone()).await;
                }
            };
            let cleaning = broker.keep_clean(arguments.keep_secs, stop.clone());
            tokio::join!(cosigning, anchoring, cleaning);
        })
        .await;
        drop(metrics);
        server.stop().await;
        Ok(String::new())
    })
}

/// What serves the broker's metrics, if it was asked for.
async fn metrics(
    arguments: &Broker,
    broker: &assay_broker::Broker,
) -> Result<Option<Server>, Failure> {
    let Some(address) = arguments.metrics else { return Ok(None) };
    let server = assay_broker::serve(address, broker.metrics_router())
        .await
        .map_err(|error| Failure::from(error).next("give another --metrics"))?;
    crate::print(&format!("metrics    {}/metrics\n", server.url()))?;
    Ok(Some(server))
}

/// An address that only this machine reaches: who wants it elsewhere puts something before it that
/// asks who is there.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().map_err(|error| error.to_string())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("metrics are served on loopback only, such as 127.0.0.1:9464".to_owned()),
    }
}

/// Who anchors the log, and how often; none if nobody was asked to.
async fn anchoring(
    arguments: &Broker,
    home: &Home,
    deployment: &Deployment,
    log: &PublicLog,
) -> Result<Option<(Anchorer, Duration)>, Failure> {
    let (Some(secs), Some(rpc)) = (arguments.anchor_secs, &arguments.rpc) else { return Ok(None) };
    let key = arguments.key.load(home)?;
    let anchorer = Anchorer::connect(&Env::system(), rpc, key, deployment, log.clone()).await?;
    Ok(Some((anchorer, Duration::from_secs(secs))))
}

/// A witness by its key and URL.
fn asked(text: &str) -> Result<AskedWitness, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format!("{text:?} names no witness")).cause(error).next("give KEY@URL")
    };
    let (key, url) = text.split_once('@').ok_or_else(|| failed(&"there is no @ in it"))?;
    let key = key.parse::<assay_tlog::Vkey>().map_err(|error| failed(&error))?;
    let client = assay_broker_client::WitnessClient::new(url).map_err(|error| failed(&error))?;
    Ok(AskedWitness { client, key })
}

pub(crate) fn provider(arguments: &Provider, as_json: bool) -> Result<String, Failure> {
    match &arguments.command {
        Some(ProviderCommand::Benchmark(arguments)) => return benchmark::run(arguments, as_json),
        Some(ProviderCommand::Show(arguments)) => return reputation::show(arguments, as_json),
        None => {}
    }
    let home = arguments.at.home.open()?;
    let facts = host_facts(&arguments.disclose)?;
    crate::block_on(async {
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
            let provider = there.provider(key, &home, plan, stake, Liar).await?;
            crate::print(&said)?;
            until_stopped(|stop| provider.run(stop)).await;
        } else {
            let provider = there.provider(key, &home, plan, stake, InProcess::default()).await?;
            crate::print(&said)?;
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

pub(crate) fn auditor(arguments: &Auditor) -> Result<String, Failure> {
    let home = arguments.at.home.open()?;
    let plan = AuditorPlan { share_bps: arguments.share_bps, runs_at_once: arguments.runs_at_once };
    crate::block_on(async {
        let there = arguments.at.there(&home).await?;
        let key = arguments.at.key.load(&home)?;
        let account = key.address();
        let auditor = there.auditor(key, &home, plan).await?;
        crate::print(&format!("auditor    {account}\n"))?;
        until_stopped(|stop| auditor.run(stop)).await;
        Ok(String::new())
    })
}

pub(crate) async fn until_stopped<F: Future<Output = ()>>(
    work: impl FnOnce(watch::Receiver<bool>) -> F,
) {
    let (stop, stopped) = watch::channel(false);
    let stopping = async {
        crate::chain::stopped().await;
        let _ = stop.send(true);
    };
    tokio::join!(work(stopped), stopping);
}
