//! Which market a command means, and as whom it takes part.

use std::path::PathBuf;

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use assay_chain::{ChainClientConfig, Endpoint};
use assay_contracts::Deployment;
use assay_node::{
    Contracts, DevelopmentKeys, Env, Home, LocalChain, LocalMarket, MarketPlan, RemoteMarket,
    Requester, Role,
};

use crate::access;
use crate::failure::Failure;
use crate::home::{HomeArgument, KeyArgument};

/// Where somebody takes part, and as whom.
#[derive(clap::Args)]
pub(crate) struct TakePart {
    #[command(flatten)]
    pub(crate) home: HomeArgument,
    #[command(flatten)]
    pub(crate) market: MarketArgument,
    #[command(flatten)]
    pub(crate) key: KeyArgument,
    /// What another account lets this one do at the broker in its name (`assay access issue`). What
    /// it is not for is done in this one's own name.
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
        let capabilities = self.capability.as_deref().map(access::read).transpose()?;
        let confirmations = self.market.confirmations.unwrap_or(there.confirmations);
        Ok(RemoteMarket { capabilities, confirmations, ..there })
    }
}

#[derive(clap::Args)]
pub(crate) struct MarketArgument {
    /// The broker's URL. May hold a secret: better in ASSAY_MARKET than as an argument.
    #[arg(long, value_name = "URL", env = "ASSAY_MARKET", hide_env_values = true)]
    market: Option<String>,
    /// The chain's JSON-RPC endpoint. May hold a secret: better in ASSAY_RPC than as an argument.
    #[arg(long, value_name = "URL", env = "ASSAY_RPC", hide_env_values = true)]
    rpc: Option<String>,
    /// Where the market's contracts are, as `assay chain deploy` wrote it. Not asked of the broker,
    /// which could name others.
    #[arg(long, value_name = "FILE", env = "ASSAY_DEPLOYMENT")]
    deployment: Option<PathBuf>,
    /// How many blocks must stand upon a lock's before a run begins or a key goes out: a lock that
    /// a reorganisation takes back must have been given nothing [default: 1, and 0 on the market of
    /// this machine, whose chain takes no block back]
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
                deployment: deployment(path)?,
                confirmations: 1,
                capabilities: None,
            })),
            _ => {
                Err(Failure::new("a market is named by --market, --rpc and --deployment together")
                    .cause("some of them are missing")
                    .next("give all three, or none for the market of this machine"))
            }
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
    crate::block_on(async {
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

pub(crate) fn deployment(path: &std::path::Path) -> Result<Deployment, Failure> {
    let failed = |verb, error: &dyn std::fmt::Display| {
        Failure::file(verb, path, error).next("give the file that `assay chain deploy` wrote")
    };
    let text = std::fs::read(path).map_err(|error| failed("read", &error))?;
    serde_json::from_slice(&text).map_err(|error| failed("use", &error))
}

/// A requester at work on a market.
pub(crate) enum Session {
    /// On a market of this process.
    Here(Box<LocalMarket>),
    /// On another's.
    There {
        requester: Box<Requester>,
        /// The auditor of the local market, if it is that.
        auditor: Option<Address>,
    },
}

impl Session {
    /// On the market that was named; else on the one that runs under the home; else on the home's
    /// own, started here.
    pub(crate) async fn open(at: &TakePart, with_liar: bool) -> Result<Self, Failure> {
        let TakePart { home, key, .. } = at;
        let home = &home.open()?;
        let (there, signer, auditor) = match at.named()? {
            Some(there) => (Some(there), Some(key.load(home)?), None),
            None => match at.running(home).await? {
                Some(there) => {
                    let keys = DevelopmentKeys::open(home)?;
                    let signer = match key.is_given() {
                        true => key.load(home)?,
                        false => keys.key(Role::Requester),
                    };
                    (Some(there), Some(signer), Some(keys.key(Role::Auditor).address()))
                }
                None => (None, None, None),
            },
        };
        if let (Some(there), Some(signer)) = (there, signer) {
            if with_liar {
                return Err(Failure::new(
                    "a liar takes part only in a market that this command starts",
                )
                .cause("the order goes to a market that runs already")
                .next("give another --home, or stop the market with `assay down`"));
            }
            let requester = Box::new(there.requester(signer, home).await?);
            return Ok(Session::There { requester, auditor });
        }
        if at.capability.is_some() {
            return Err(Failure::new("a capability is used at a broker")
                .cause("no market runs, so this command would start its own, which has none")
                .next("start one with `assay up`, or leave --capability out"));
        }
        let plan = MarketPlan { with_liar, ..MarketPlan::default() };
        Ok(Session::Here(Box::new(LocalMarket::open(home, &plan).await?)))
    }

    pub(crate) fn requester(&self) -> &Requester {
        match self {
            Session::Here(market) => market.requester(),
            Session::There { requester, .. } => requester,
        }
    }

    /// The auditor of the local market, if it is that.
    pub(crate) fn auditor(&self) -> Option<Address> {
        match self {
            Session::Here(market) => Some(market.auditor()),
            Session::There { auditor, .. } => *auditor,
        }
    }

    /// The provider that lies, if there is one.
    pub(crate) fn liar(&self) -> Option<Address> {
        match self {
            Session::Here(market) => market.liar(),
            Session::There { .. } => None,
        }
    }

    /// How many steps a job has taken that runs in this process.
    pub(crate) fn steps(&self, job: B256) -> Option<u64> {
        match self {
            Session::Here(market) => market.progress().steps(job),
            Session::There { .. } => None,
        }
    }

    pub(crate) async fn close(self) -> Result<(), Failure> {
        match self {
            Session::Here(market) => Ok(market.close().await?),
            Session::There { .. } => Ok(()),
        }
    }
}
