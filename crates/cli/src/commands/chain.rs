//! `assay chain`: the embedded chain, and the market's contracts on any chain.

use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use assay_chain::{ChainClientConfig, Client, DeploymentPlan, Endpoint, connect};
use assay_contracts::{Deployment, DisputeTerms};
use assay_node::{Home, LocalChain, Running};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::files::write_file;
use crate::output::print::{print, say};
use crate::output::text::{grouped, json, table};
use crate::session::deployment::read_deployment;
use crate::session::home::HomeArgument;
use crate::session::keys::KeyArgument;
use crate::session::runtime::{block_on, stopped};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Run the embedded chain with the market's contracts until Ctrl-C, served as JSON-RPC on
    /// 127.0.0.1
    Up {
        #[command(flatten)]
        home: HomeArgument,
        /// The port; 0 takes any free port
        #[arg(long, value_name = "PORT", default_value_t = 8545)]
        port: u16,
    },
    /// Show a chain's last block, and check that the market's contracts belong together
    Status {
        #[command(flatten)]
        home: HomeArgument,
        /// The chain's JSON-RPC URL [default: the chain that runs under --home]
        #[arg(
            long,
            value_name = "URL",
            env = "ASSAY_RPC",
            hide_env_values = true,
            requires = "deployment"
        )]
        rpc: Option<String>,
        /// The market's contract addresses: the file that `assay chain deploy` wrote [default: the
        /// local market's]
        #[arg(long, value_name = "FILE", env = "ASSAY_DEPLOYMENT")]
        deployment: Option<PathBuf>,
    },
    /// Deploy the market's contracts on a chain
    Deploy(Deploy),
}

#[derive(clap::Args)]
pub(crate) struct Deploy {
    #[command(flatten)]
    home: HomeArgument,
    /// The chain's JSON-RPC URL. If it holds a secret, set ASSAY_RPC instead
    #[arg(long, value_name = "URL", env = "ASSAY_RPC", hide_env_values = true)]
    rpc: String,
    #[command(flatten)]
    key: KeyArgument,
    /// The id that the chain must have
    #[arg(long, value_name = "ID")]
    chain_id: Option<u64>,
    /// The ERC-20 token that pays for everything. Its transfers must take no fee
    #[arg(long, value_name = "ADDRESS", required_unless_present = "test_dollar")]
    token: Option<Address>,
    /// Deploy a test dollar, which anyone can mint, and use that
    #[arg(long, conflicts_with = "token")]
    test_dollar: bool,
    /// Who is offered the ownership of the market and its registry [default: the account that
    /// signs]
    #[arg(long, value_name = "ADDRESS")]
    governance: Option<Address>,
    /// How long each move in a dispute may take
    #[arg(long, value_name = "TERMS", default_value = "public")]
    terms: Terms,
    /// Where to write the contract addresses
    #[arg(long, value_name = "FILE", default_value = "deployment.json")]
    output: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Terms {
    /// A day for each side, and a day against censorship
    Public,
    /// Seconds, for a chain on one machine
    Local,
}

#[derive(Serialize)]
struct Status<'a> {
    schema: &'static str,
    rpc: Option<&'a str>,
    block: u64,
    block_hash: B256,
    deployment: &'a Deployment,
}

pub(crate) fn run(command: &Command, as_json: bool) -> Result<String, Failure> {
    block_on(async {
        match command {
            Command::Up { home, port } => up(&home.open()?, *port, as_json).await,
            Command::Status { home, rpc, deployment } => {
                status(&home.open()?, rpc.as_deref(), deployment.as_deref(), as_json).await
            }
            Command::Deploy(arguments) => deploy(arguments, as_json).await,
        }
    })
}

async fn up(home: &Home, port: u16, as_json: bool) -> Result<String, Failure> {
    let mut local = LocalChain::open(home).await?;
    let rpc = local.serve(port, None).await?.rpc;
    let client = local.client(assay_node::Role::Deployer).await?;
    print(&show(&client, local.deployment(), Some(&rpc), as_json).await?)?;
    if !as_json {
        say("serving until Ctrl-C");
    }
    stopped().await;
    local.close().await?;
    Ok(String::new())
}

async fn status(
    home: &Home,
    rpc: Option<&str>,
    deployment: Option<&Path>,
    as_json: bool,
) -> Result<String, Failure> {
    let running = Running::read(home)?;
    let local = running.map(|running| running.rpc);
    let url = rpc.map(str::to_owned).or_else(|| local.clone()).ok_or_else(|| {
        Failure::new(format!("no chain runs under {}", home.path().display()))
            .next("start it with `assay chain up`, or give --rpc URL")
    })?;
    let path = deployment.map_or_else(|| home.deployment(), Path::to_owned);
    let deployment = read_deployment(&path)?;
    let config = ChainClientConfig { retries: 1, ..ChainClientConfig::default() };
    let client = connect(Endpoint::Url(url), None, config).await.map_err(|error| {
        Failure::from(error).next("is it running? `assay chain up` starts the local one")
    })?;
    assay_chain::check_deployment(&deployment, &client).await.map_err(|error| {
        Failure::refused(error)
            .next("use the deployment of this chain, or the chain of this deployment")
    })?;
    show(&client, &deployment, if rpc.is_none() { local.as_deref() } else { None }, as_json).await
}

async fn deploy(arguments: &Deploy, as_json: bool) -> Result<String, Failure> {
    let home = arguments.home.open()?;
    if arguments.output.exists() {
        return Err(Failure::new(format!("{} is there already", arguments.output.display()))
            .next("give another --output, so that no deployment is forgotten"));
    }
    let key = arguments.key.load(&home)?;
    let config = ChainClientConfig { chain_id: arguments.chain_id, ..ChainClientConfig::default() };
    let client = connect(Endpoint::Url(arguments.rpc.clone()), Some(key), config).await?;
    let terms = match arguments.terms {
        Terms::Public => DisputeTerms::PUBLIC,
        Terms::Local => DisputeTerms::LOCAL,
    };
    let plan = DeploymentPlan { token: arguments.token, governance: arguments.governance, terms };
    let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    progress.set_message("deploying");
    progress.enable_steady_tick(Duration::from_millis(200));
    let deployed = assay_chain::deploy(&client, &plan).await;
    progress.finish_and_clear();
    let deployment = deployed.map_err(|error| {
        Failure::from(error)
            .next("contracts already deployed hold nothing; fix the cause and run it again")
    })?;
    // Shown even if it can't be written: the contracts are there.
    let text = show(&client, &deployment, None, as_json).await?;
    if let Err(error) = write_file(&arguments.output, json(&deployment).as_bytes()) {
        print(&text)?;
        return Err(Failure::from(error).next("keep the addresses above"));
    }
    Ok(text)
}

async fn show(
    client: &Client,
    deployment: &Deployment,
    rpc: Option<&str>,
    as_json: bool,
) -> Result<String, Failure> {
    let (block, block_hash) = client.head().await?;
    if as_json {
        let schema = "assay.chain/1";
        return Ok(json(&Status { schema, rpc, block, block_hash, deployment }));
    }
    let mut rows = vec![
        ("chain", deployment.chain_id.to_string()),
        ("genesis", deployment.genesis_hash.to_string()),
        ("head", format!("{} {block_hash}", grouped(block))),
    ];
    if let Some(rpc) = rpc {
        rows.insert(0, ("rpc", rpc.to_owned()));
    }
    rows.extend(deployment.contracts().map(|(name, address)| (name, address.to_string())));
    Ok(table(&rows))
}
