//! Which market a command means, and as whom it takes part.

use std::path::PathBuf;

use alloy_signer_local::PrivateKeySigner;
use assay_chain::{ChainClientConfig, Endpoint};
use assay_contracts::Deployment;
use assay_node::{Contracts, Env, Home, LocalChain, RemoteMarket};

use crate::output::failure::Failure;
use crate::session::capability::read_capability;
use crate::session::deployment::read_deployment;
use crate::session::home::HomeArgument;
use crate::session::keys::KeyArgument;
use crate::session::runtime::block_on;

/// Where somebody takes part, and as whom.
#[derive(clap::Args)]
pub(crate) struct TakePart {
    #[command(flatten)]
    pub(crate) home: HomeArgument,
    #[command(flatten)]
    pub(crate) market: MarketArgument,
    #[command(flatten)]
    pub(crate) key: KeyArgument,
    /// A capability: another account's leave to act in its name at the broker (`assay access
    /// issue`). Requests that it does not cover are made in your own name
    #[arg(long, value_name = "FILE", env = "ASSAY_CAPABILITY")]
    pub(crate) capability: Option<PathBuf>,
}

impl TakePart {
    /// The market that was named; none if none was.
    pub(crate) fn named(&self) -> Result<Option<RemoteMarket>, Failure> {
        self.market.named()?.map(|there| self.lent(there)).transpose()
    }

    /// The market that runs under the home.
    pub(crate) async fn running(&self, home: &Home) -> Result<Option<RemoteMarket>, Failure> {
        RemoteMarket::running(home).await?.map(|there| self.lent(there)).transpose()
    }

    /// The market that was named, or the one that runs under the home.
    pub(crate) async fn there(&self, home: &Home) -> Result<RemoteMarket, Failure> {
        self.lent(self.market.there(home).await?)
    }

    /// With what another account lets this one do, and as many confirmations as were asked for.
    fn lent(&self, there: RemoteMarket) -> Result<RemoteMarket, Failure> {
        let capabilities = self.capability.as_deref().map(read_capability).transpose()?;
        let confirmations = self.market.confirmations.unwrap_or(there.confirmations);
        Ok(RemoteMarket { capabilities, confirmations, ..there })
    }
}

#[derive(clap::Args)]
pub(crate) struct MarketArgument {
    /// The broker's URL. If it holds a secret, set ASSAY_MARKET instead
    #[arg(long, value_name = "URL", env = "ASSAY_MARKET", hide_env_values = true)]
    market: Option<String>,
    /// The chain's JSON-RPC URL. If it holds a secret, set ASSAY_RPC instead
    #[arg(long, value_name = "URL", env = "ASSAY_RPC", hide_env_values = true)]
    rpc: Option<String>,
    /// The market's contract addresses: the file that `assay chain deploy` wrote. The broker is not
    /// asked, for it could name others
    #[arg(long, value_name = "FILE", env = "ASSAY_DEPLOYMENT")]
    deployment: Option<PathBuf>,
    /// How many blocks must follow a lock's block before the job is run or a key is released, a
    /// claim's before it is audited, and a job's end before its receipt is made
    /// [default: 1; 0 on the market of this machine, whose chain never reorganises]
    #[arg(long, value_name = "N", env = "ASSAY_CONFIRMATIONS")]
    confirmations: Option<u64>,
}

impl MarketArgument {
    /// The market that was named; none if none was.
    pub(crate) fn named(&self) -> Result<Option<RemoteMarket>, Failure> {
        match (&self.market, &self.rpc, &self.deployment) {
            (None, None, None) => Ok(None),
            (Some(broker), Some(rpc), Some(path)) => Ok(Some(RemoteMarket {
                env: Env::system(),
                rpc: rpc.clone(),
                broker: broker.clone(),
                deployment: read_deployment(path)?,
                confirmations: 1,
                capabilities: None,
            })),
            _ => Err(Failure::new("a market needs --market, --rpc and --deployment together")
                .cause("not all three are given")
                .next("give all three, or none for the market of this machine")),
        }
    }

    /// The market that was named, or the one that `assay up` runs under the home.
    pub(crate) async fn there(&self, home: &Home) -> Result<RemoteMarket, Failure> {
        if let Some(named) = self.named()? {
            return Ok(named);
        }
        RemoteMarket::running(home).await?.ok_or_else(|| {
            Failure::new(format!("no market runs under {}", home.path().display()))
                .next("start it with `assay up`, or name one with --market, --rpc and --deployment")
        })
    }
}

/// Works with the contracts of the market that was named, of the one that runs under the home, or
/// of the home's own, to read them: that takes nobody's key.
pub(crate) fn on_contracts(
    home: &HomeArgument,
    market: &MarketArgument,
    work: impl AsyncFnOnce(&Contracts) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let home = home.open()?;
    block_on(async {
        let there = match market.named()? {
            Some(named) => Some(named),
            None => RemoteMarket::running(&home).await?,
        };
        if let Some(there) = there {
            return work(&reader(Endpoint::Url(there.rpc), &there.deployment).await?).await;
        }
        if !home.chain().exists() {
            return Err(Failure::new(format!(
                "there is no market under {}",
                home.path().display()
            ))
            .next("`assay run` makes one; or name one with --market, --rpc and --deployment"));
        }
        let local = LocalChain::open(&home).await?;
        let endpoint = Endpoint::Embedded(local.chain().clone());
        let done = work(&reader(endpoint, local.deployment()).await?).await;
        local.close().await?;
        done
    })
}

/// The contracts as a stranger sees them, who never signs.
async fn reader(endpoint: Endpoint, deployment: &Deployment) -> Result<Contracts, Failure> {
    let (key, config) = (PrivateKeySigner::random(), ChainClientConfig::default());
    Ok(Contracts::connect(&Env::system(), endpoint, key, deployment, config).await?)
}
