//! Taking part in a market that others run: a chain's JSON-RPC, a broker's URL, and where the
//! contracts are.

use std::time::Duration;

use alloy_signer_local::PrivateKeySigner;
use assay_broker_client::{Access, BrokerClient, BrokerClientConfig};
use assay_chain::{ChainClientConfig, Endpoint};
use assay_contracts::Deployment;
use assay_policy::Word;
use assay_protocol::CapabilityChain;

use crate::auditor::{Auditor, AuditorPlan};
use crate::base::env::Env;
use crate::base::files;
use crate::board::{Board, Store, Version};
use crate::chain::contracts::Contracts;
use crate::job::executor::{Executor, InProcess};
use crate::key_service::KeyService;
use crate::log::recorder::{PublicLog, Recorder};
use crate::owner::Owner;
use crate::provider::{Provider, ProviderPlan};
use crate::requester::Requester;
use crate::{Error, Home, Result, Running};

/// How long a market of this machine may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Where a market is. The URLs may hold secrets, so this has no `Debug`.
#[derive(Clone)]
pub struct RemoteMarket {
    /// What else lies outside.
    pub env: Env,
    /// The chain's JSON-RPC endpoint: trusted for what the contracts say.
    pub rpc: String,
    /// The broker's URL: trusted for nothing.
    pub broker: String,
    /// Where the contracts are: trusted for what is a market at all, so it never comes from a
    /// broker.
    pub deployment: Deployment,
    /// How many blocks must stand upon a lock's before anything hangs on it: a run, or a key that
    /// goes out; upon a claim's before it is audited; and upon a job's end before its receipt is
    /// made.
    pub confirmations: u64,
    /// What others let the broker's client do in their name: used where it is for what is asked.
    pub capabilities: Option<CapabilityChain>,
}

impl RemoteMarket {
    /// The market that a process runs under a home, if one does and answers.
    ///
    /// # Errors
    ///
    /// [`Error::MarketHangs`] if it takes connections and does not answer within 2 seconds;
    /// [`Error::File`], [`Error::Damaged`].
    pub async fn running(home: &Home) -> Result<Option<Self>> {
        let Some(Running { rpc, broker: Some(broker), pid }) = Running::read(home)? else {
            return Ok(None);
        };
        let Some(deployment) = files::read_json::<Deployment>(&home.deployment())? else {
            return Ok(None);
        };
        // What a crash left behind names a process that is gone.
        let config = BrokerClientConfig { retries: 0, ..BrokerClientConfig::default() };
        let env = Env::system();
        let client = env.broker(&broker, &deployment, Access::public(), config)?;
        let answer = env.within(ANSWERS_WITHIN, client.market()).await;
        let answers = answer.ok_or(Error::MarketHangs { pid, url: broker.clone() })?.is_ok();
        // An embedded chain takes no block back.
        let (confirmations, capabilities) = (0, None);
        let there = RemoteMarket { env, rpc, broker, deployment, confirmations, capabilities };
        Ok(answers.then_some(there))
    }

    /// A requester that keeps its records under a home.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain), [`Error::Broker`](crate::Error::Broker).
    pub async fn requester(&self, key: PrivateKeySigner, home: &Home) -> Result<Requester> {
        let contracts = self.contracts(key).await?;
        let broker = self.broker(contracts.signer()).await?;
        let recorder = recorder(&broker, &contracts, home).await?;
        let requester = Requester::new(contracts, Board::of_broker(broker, None), home)
            .confirming(self.confirmations);
        Ok(match recorder {
            Some(recorder) => requester.recording(recorder),
            None => requester,
        })
    }

    /// A provider with so much stake, in the token's smallest unit: what lacks is moved from its
    /// account.
    ///
    /// # Errors
    ///
    /// [`Error::Funds`](crate::Error::Funds), [`Error::Chain`](crate::Error::Chain),
    /// [`Error::Broker`](crate::Error::Broker), [`Error::Store`](crate::Error::Store).
    pub async fn provider(
        &self,
        key: PrivateKeySigner,
        home: &Home,
        plan: ProviderPlan,
        stake: u128,
        executor: impl Executor,
    ) -> Result<Provider> {
        let contracts = self.contracts(key).await?;
        contracts.stake(stake).await?;
        let (board, recorder) = self.board(&contracts, home).await?;
        let provider = Provider::new(contracts, board, plan, executor).await?;
        Ok(match recorder {
            Some(recorder) => provider.recording(recorder),
            None => provider,
        })
    }

    /// An auditor.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain), [`Error::Broker`](crate::Error::Broker),
    /// [`Error::Store`](crate::Error::Store).
    pub async fn auditor(
        &self,
        key: PrivateKeySigner,
        home: &Home,
        plan: AuditorPlan,
    ) -> Result<Auditor> {
        let contracts = self.contracts(key).await?;
        let (board, recorder) = self.board(&contracts, home).await?;
        let challenges = home.challenges().join(contracts.account().to_string());
        let auditor =
            Auditor::new(contracts, board, plan, challenges, InProcess::default()).await?;
        let auditor = auditor.confirming(self.confirmations);
        Ok(match recorder {
            Some(recorder) => auditor.recording(recorder),
            None => auditor,
        })
    }

    /// A key service of an owner's datasets, and of what the account orders with.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain), [`Error::Broker`](crate::Error::Broker),
    /// [`Error::Store`](crate::Error::Store), [`Error::File`](crate::Error::File), for instance if
    /// another process keeps them.
    pub async fn key_service(&self, key: PrivateKeySigner, home: &Home) -> Result<KeyService> {
        let contracts = self.contracts(key).await?;
        // Apart from the store of a provider of the same account, which another process may have
        // open.
        let store = Store::open(&home.store(contracts.account()).join("key-service"))?;
        let (board, recorder) = self.board_over(&contracts, store, home).await?;
        let key_service = KeyService::new(contracts, board, home, self.confirmations)?;
        Ok(match recorder {
            Some(recorder) => key_service.recording(recorder),
            None => key_service,
        })
    }

    /// Publishes an owner's newest version of a dataset. Of masked data it says first in the log
    /// which masking it came of, so that whoever can order over it can read that.
    ///
    /// # Errors
    ///
    /// As [`Owner::publish`]; [`Error::LogAbsent`](crate::Error::LogAbsent) for masked data where
    /// the broker keeps no log.
    pub async fn publish(
        &self,
        owner: &Owner,
        key: &PrivateKeySigner,
        name: &Word,
    ) -> Result<Version> {
        let broker = self.broker(key).await?;
        let version = owner.newest(name)?;
        if owner.mask(&version)?.is_some() {
            let log = PublicLog::at(&broker).await?.ok_or(Error::LogAbsent)?;
            owner
                .say_mask(&Recorder::new(&self.env, log, key, &self.deployment).await?, &version)
                .await?;
        }
        owner.publish(&Board::of_broker(broker, None), name).await
    }

    /// What is on the broker's board, as an account that keeps nothing of it.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`](crate::Error::Broker).
    pub async fn board_of(&self, key: &PrivateKeySigner) -> Result<Board> {
        Ok(Board::of_broker(self.broker(key).await?, None))
    }

    async fn contracts(&self, key: PrivateKeySigner) -> Result<Contracts> {
        let endpoint = Endpoint::Url(self.rpc.clone());
        Contracts::connect(&self.env, endpoint, key, &self.deployment, ChainClientConfig::default())
            .await
    }

    /// A client of the broker that signs what it asks.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`](crate::Error::Broker).
    pub async fn broker(&self, access: impl Into<Access>) -> Result<BrokerClient> {
        let broker = self.unasked_broker(access)?;
        broker.market().await?;
        Ok(broker)
    }

    fn unasked_broker(&self, access: impl Into<Access>) -> Result<BrokerClient> {
        let access: Access = access.into();
        let access = match &self.capabilities {
            Some(capabilities) => access.by_or_own(capabilities.clone()),
            None => access,
        };
        let config = BrokerClientConfig::default();
        self.env.broker(&self.broker, &self.deployment, access, config)
    }

    /// With a store of its own, so that a role can go on with what it has begun while the broker is
    /// away.
    async fn board(&self, contracts: &Contracts, home: &Home) -> Result<(Board, Option<Recorder>)> {
        self.board_over(contracts, Store::open(&home.store(contracts.account()))?, home).await
    }

    /// The board of a role that has a stake in what it has begun: a broker that is away, or refuses
    /// this account, must not keep it from starting, and is asked again while it works. One of
    /// another market is a mistake.
    async fn board_over(
        &self,
        contracts: &Contracts,
        store: Store,
        home: &Home,
    ) -> Result<(Board, Option<Recorder>)> {
        let broker = self.unasked_broker(contracts.signer())?;
        let asked = self.env.within(PATIENCE, broker.market()).await;
        let recorder = match asked.map(|asked| asked.map_err(Error::Broker)) {
            Some(Ok(_)) => recorder_now_or_later(&broker, contracts, home).await?,
            Some(Err(error)) if !error.is_broker_away() => return Err(error),
            away => {
                let error = away.and_then(Result::err).map(tracing::field::display);
                tracing::warn!(error, "the broker can't be asked: work goes on without it");
                Some(later(&broker, contracts)?)
            }
        };
        Ok((Board::of_broker(broker, Some(store)), recorder))
    }
}

/// How long a start waits for a broker.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same for a role that can start without it.
async fn recorder_now_or_later(
    broker: &BrokerClient,
    contracts: &Contracts,
    home: &Home,
) -> Result<Option<Recorder>> {
    match contracts.env().within(PATIENCE, recorder(broker, contracts, home)).await {
        Some(Err(error)) if error.is_broker_away() => later(broker, contracts).map(Some),
        Some(recorder) => recorder,
        None => later(broker, contracts).map(Some),
    }
}

fn later(broker: &BrokerClient, contracts: &Contracts) -> Result<Recorder> {
    let (env, signer) = (contracts.env(), contracts.signer());
    Recorder::later(env, broker.clone(), signer, &contracts.deployment)
}

/// A voice in the log that a broker keeps, if it keeps one.
async fn recorder(
    broker: &BrokerClient,
    contracts: &Contracts,
    home: &Home,
) -> Result<Option<Recorder>> {
    let Some(log) = PublicLog::at(broker).await? else { return Ok(None) };
    let log = log.known_under(home);
    Ok(Some(Recorder::new(contracts.env(), log, contracts.signer(), &contracts.deployment).await?))
}
