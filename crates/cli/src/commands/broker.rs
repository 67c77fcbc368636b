//! `assay broker`, `provider` and `auditor`: one role each, on a market of strangers, until Ctrl-C.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy_primitives::Address;
use assay_broker::{Accounts, KEEP_SECS, Limits, Server, ServerConfig};
use assay_contracts::Deployment;
use assay_node::{
    Anchorer, AskedWitness, Env, Home, PublicLog, Store, check_cosigned, keep_cosigned, with_log,
};

use crate::output::failure::Failure;
use crate::output::files::read_bounded;
use crate::output::print::print;
use crate::session::deployment::read_deployment;
use crate::session::home::HomeArgument;
use crate::session::keys::KeyArgument;
use crate::session::runtime::{block_on, until_stopped};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
    /// The market's contract addresses: the file that `assay chain deploy` wrote
    #[arg(long, value_name = "FILE", env = "ASSAY_DEPLOYMENT")]
    deployment: PathBuf,
    /// The address to listen on; port 0 takes any free port. There is no TLS: for other machines,
    /// put a proxy in front
    #[arg(long, value_name = "ADDRESS", env = "ASSAY_LISTEN", default_value = "127.0.0.1:8546")]
    listen: SocketAddr,
    /// A file of accounts, one a line, of which alone writes are taken [default: of any]
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// An account that is not served at all; repeat for several
    #[arg(long = "ban", value_name = "ADDRESS")]
    banned: Vec<Address>,
    /// A name that requests may come under (`Host`), besides this machine's own; repeat for
    /// several. On a loopback address only the named ones are served, elsewhere any unless one is
    /// named
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// A proxy in front whose `X-Forwarded-For` is believed, by its address; repeat for several.
    /// Limits then count for those it forwards for
    #[arg(long = "proxy", value_name = "ADDRESS")]
    proxies: Vec<IpAddr>,
    /// Where to keep the log, if not under the home: s3://BUCKET/PREFIX, with AWS_* in the
    /// environment. The log's key stays under the home. A broker that opens a log takes it over
    /// from the broker that wrote it before
    #[arg(long, value_name = "URL", env = "ASSAY_LOG_URL")]
    log_url: Option<String>,
    /// How often to anchor the log on the chain if it has grown, in seconds. The account of the
    /// given key pays
    #[arg(long, value_name = "SECONDS", requires = "rpc", value_parser = clap::value_parser!(u64).range(1..))]
    anchor_secs: Option<u64>,
    /// The chain's JSON-RPC URL, for anchoring. If it holds a secret, set ASSAY_RPC instead
    #[arg(long, value_name = "URL", env = "ASSAY_RPC", hide_env_values = true)]
    rpc: Option<String>,
    #[command(flatten)]
    key: KeyArgument,
    /// A witness that the log asks to cosign, as KEY@URL; repeat for several
    #[arg(long = "witness", value_name = "KEY@URL")]
    witnesses: Vec<String>,
    /// The largest slot image that the broker accepts, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    slot_bytes_max: u64,
    /// The address to serve Prometheus metrics on, at /metrics. It must be a loopback address
    #[arg(long, value_name = "ADDRESS", env = "ASSAY_METRICS", value_parser = loopback)]
    metrics: Option<SocketAddr>,
    /// How long to keep an order after the latest end of its job, and a blob that nothing refers
    /// to, in seconds. The log is kept for ever
    #[arg(long, value_name = "SECONDS", default_value_t = KEEP_SECS, value_parser = clap::value_parser!(u64).range(1..))]
    keep_secs: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let home = arguments.home.open()?;
    let deployment = read_deployment(&arguments.deployment)?;
    let witnesses: Vec<_> =
        arguments.witnesses.iter().map(|text| asked(text)).collect::<Result<_, _>>()?;
    block_on(async {
        let store = Store::open(&home.board())?;
        let env = Env::system();
        let accounts = Accounts {
            listed: arguments.accounts.as_deref().map(accounts_in).transpose()?,
            banned: arguments.banned.iter().copied().collect(),
        };
        let slot_bytes_max = arguments.slot_bytes_max;
        let limits = Limits { slot_bytes_max, accounts, ..Limits::default() };
        let log = match &arguments.log_url {
            Some(url) => PublicLog::open_at(&env, url, &home, &deployment)?,
            None => PublicLog::open(&home, &deployment)?,
        };
        // Before anything is added, and before anyone is served.
        if let Some(log) = log.hosted() {
            check_cosigned(&log, &witnesses).await?;
        }
        let anchoring = anchoring(arguments, &home, &deployment, &log).await?;
        let broker = with_log(store.as_broker(&env, &deployment, limits), &log);
        let server = assay_broker::serve(arguments.server(), broker.router())
            .await
            .map_err(|error| Failure::from(error).next("give another --listen"))?;
        print(&format!("broker     {}\nlog        {}\n", server.url(), log.vkey()))?;
        if let Some((anchorer, _)) = &anchoring {
            print(&format!("operator   {}\n", anchorer.account()))?;
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
            let cleaning = broker.run_retention(arguments.keep_secs, stop.clone());
            tokio::join!(cosigning, anchoring, cleaning);
        })
        .await;
        drop(metrics);
        server.stop().await;
        Ok(String::new())
    })
}

impl Arguments {
    fn server(&self) -> ServerConfig {
        let proxies = self.proxies.clone();
        let config = ServerConfig { proxies, ..ServerConfig::from(self.listen) };
        match self.listen.ip().is_loopback() || !self.hosts.is_empty() {
            true => config.for_hosts(self.hosts.clone()),
            false => config,
        }
    }
}

/// What serves the broker's metrics, if it was asked for.
async fn metrics(
    arguments: &Arguments,
    broker: &assay_broker::Broker,
) -> Result<Option<Server>, Failure> {
    let Some(address) = arguments.metrics else { return Ok(None) };
    let config = ServerConfig::from(address).for_hosts(Vec::new());
    let server = assay_broker::serve(config, broker.metrics_router())
        .await
        .map_err(|error| Failure::from(error).next("give another --metrics"))?;
    print(&format!("metrics    {}/metrics\n", server.url()))?;
    Ok(Some(server))
}

/// An address that only this machine reaches: who wants it elsewhere puts something before it that
/// asks who is there.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().map_err(|error| error.to_string())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => {
            Err("metrics are served on a loopback address only, such as 127.0.0.1:9464".to_owned())
        }
    }
}

/// Who anchors the log, and how often; none if nobody was asked to.
async fn anchoring(
    arguments: &Arguments,
    home: &Home,
    deployment: &Deployment,
    log: &PublicLog,
) -> Result<Option<(Anchorer, Duration)>, Failure> {
    let (Some(secs), Some(rpc)) = (arguments.anchor_secs, &arguments.rpc) else { return Ok(None) };
    let key = arguments.key.load(home)?;
    let anchorer = Anchorer::connect(&Env::system(), rpc, key, deployment, log.clone()).await?;
    Ok(Some((anchorer, Duration::from_secs(secs))))
}

/// The accounts that a file lists, one a line; what follows a `#` is a comment.
fn accounts_in(path: &Path) -> Result<BTreeSet<Address>, Failure> {
    let text = String::from_utf8(read_bounded(path)?).map_err(|error| {
        Failure::file("use", path, error).next("give a file with an account on each line")
    })?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| {
            line.parse::<Address>().map_err(|error| {
                Failure::file("use", path, format!("line {}: {error}", number + 1))
                    .next("give a file with an account on each line")
            })
        })
        .collect()
}

/// A witness by its key and URL.
fn asked(text: &str) -> Result<AskedWitness, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format!("{text:?} names no witness")).cause(error).next("give KEY@URL")
    };
    let (key, url) = text.split_once('@').ok_or_else(|| failed(&"it has no @"))?;
    let key = key.parse::<assay_tlog::Vkey>().map_err(|error| failed(&error))?;
    let client = assay_broker_client::WitnessClient::new(url).map_err(|error| failed(&error))?;
    Ok(AskedWitness { client, key })
}
