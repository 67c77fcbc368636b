//! A whole market in this process: chain, board, providers and an auditor.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use assay_broker::{Broker, Limits, Server, ServerConfig};
use assay_chain::{ChainClientConfig, Endpoint};
use assay_market::CostModel;
use assay_types::Clock;
use tokio::sync::watch;

use crate::auditor::{Auditor, AuditorPlan};
use crate::base::env::{Env, Tasks};
use crate::base::progress::Progress;
use crate::board::{Board, Store};
use crate::chain::contracts::Contracts;
use crate::job::executor::InProcess;
use crate::log::anchor::Anchorer;
use crate::log::recorder::{PublicLog, Recorder};
use crate::market::liar::Liar;
use crate::provider::{HostFact, MEMORY_MAX, Provider, ProviderPlan};
use crate::requester::Requester;
use crate::role::sweep::SWEEP_EVERY;
use crate::{Error, Home, LocalChain, Result, Role, Running};

/// A test dollar, in its smallest unit.
const DOLLAR: u128 = 1_000_000;

/// What each provider has at stake at the least, and each of the others in its account.
const FUNDS: u128 = 10_000 * DOLLAR;

/// What providers leave free on this machine's disk, in bytes.
const DISK_FREE_MIN: u64 = 64 << 20;

/// How often the log is anchored, if it has grown.
const ANCHOR_EVERY: Duration = Duration::from_secs(10);

/// The number of the provider that lies.
pub const LIAR: u8 = 255;

/// What a market on this machine consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketPlan {
    /// What each provider asks.
    pub providers: Vec<CostModel>,
    /// Whether there is a provider, besides, whose outputs are false. It takes only orders that
    /// name it.
    pub with_liar: bool,
}

impl Default for MarketPlan {
    /// Two providers, one cheaper than the other.
    fn default() -> Self {
        let cost = |job| CostModel { job, per_mebistep: 1, margin_bps: 1_000 };
        MarketPlan { providers: vec![cost(DOLLAR / 50), cost(DOLLAR / 25)], with_liar: false }
    }
}

/// A market of one process, under one home.
pub struct LocalMarket {
    env: Env,
    local: LocalChain,
    store: Store,
    log: PublicLog,
    progress: Progress,
    requester: Requester,
    liar: Option<Address>,
    auditor: Address,
    server: Option<Server>,
    stop: watch::Sender<bool>,
    tasks: Tasks<()>,
}

impl LocalMarket {
    /// Opens the home's market, or makes one, and sets everyone to work. Accounts that lack test
    /// dollars get some.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain), for instance if another process has the home open;
    /// [`Error::Store`](crate::Error::Store), [`Error::File`](crate::Error::File).
    pub async fn open(home: &Home, plan: &MarketPlan) -> Result<Self> {
        Self::open_in(Env::system(), home, plan).await
    }

    /// The same with another clock for the chain, for tests: what is ahead of the system's clock is
    /// ahead for everyone.
    ///
    /// # Errors
    ///
    /// As [`LocalMarket::open`].
    pub async fn open_at(home: &Home, plan: &MarketPlan, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::begin(Env::system(), home, plan, clock).await
    }

    /// The same in another world.
    ///
    /// # Errors
    ///
    /// As [`LocalMarket::open`].
    pub async fn open_in(env: Env, home: &Home, plan: &MarketPlan) -> Result<Self> {
        let clock = Arc::new(env.clone());
        Self::begin(env, home, plan, clock).await
    }

    async fn begin(
        env: Env,
        home: &Home,
        plan: &MarketPlan,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let local = LocalChain::open_at(home, clock).await?;
        let store = Store::open(&home.board())?;
        let board = Board::of_store(store.clone(), local.deployment());
        let log = PublicLog::open(home, local.deployment())?;
        // First of all: whoever adds to a log that lost its end has forked it.
        let contracts = connected(&env, &local, Role::Operator).await?;
        let anchorer = Anchorer::new(contracts, log.clone()).await?;
        let (stop, stopped) = watch::channel(false);
        let (mut tasks, progress) = (env.tasks(), Progress::default());
        for (number, cost) in (0..).zip(&plan.providers) {
            let contracts = provider(&env, &local, number).await?;
            let plan = provider_plan(*cost);
            let recorder = recorder(&log, &contracts).await?;
            let provider =
                Provider::new(contracts, board.clone(), plan, InProcess::default()).await?;
            let provider = provider.recording(recorder).with_progress(progress.clone());
            tasks.spawn(provider.run(stopped.clone()));
        }
        let mut liar = None;
        if plan.with_liar {
            let contracts = provider(&env, &local, LIAR).await?;
            liar = Some(contracts.account());
            let plan = provider_plan(CostModel { job: 0, per_mebistep: 0, margin_bps: 0 });
            // It must be asked for: nobody's ordinary job is to fall to it.
            let plan = ProviderPlan { only_named: true, ..plan };
            let recorder = recorder(&log, &contracts).await?;
            let provider = Provider::new(contracts, board.clone(), plan, Liar).await?;
            let provider = provider.recording(recorder).with_progress(progress.clone());
            tasks.spawn(provider.run(stopped.clone()));
        }
        let contracts = connected(&env, &local, Role::Auditor).await?;
        let named_auditor = contracts.account();
        fund(&contracts).await?;
        let plan = AuditorPlan { share_bps: 10_000, runs_at_once: 1 };
        let saying = recorder(&log, &contracts).await?;
        let auditor =
            Auditor::new(contracts, board.clone(), plan, home.challenges(), InProcess::default())
                .await?;
        tasks.spawn(auditor.recording(saying).run(stopped.clone()));
        tasks.spawn(anchorer.run(ANCHOR_EVERY, stopped));
        let contracts = connected(&env, &local, Role::Requester).await?;
        fund(&contracts).await?;
        let saying = recorder(&log, &contracts).await?;
        let requester = Requester::new(contracts, board.clone(), home).recording(saying);
        let (auditor, server) = (named_auditor, None);
        Ok(LocalMarket {
            env,
            local,
            store,
            log,
            progress,
            requester,
            liar,
            auditor,
            server,
            stop,
            tasks,
        })
    }

    /// The market's own requester.
    pub fn requester(&self) -> &Requester {
        &self.requester
    }

    /// Its chain.
    pub fn chain(&self) -> &LocalChain {
        &self.local
    }

    /// What is said of its jobs.
    pub fn log(&self) -> &PublicLog {
        &self.log
    }

    /// Where its orders are.
    pub fn board(&self) -> Board {
        Board::of_store(self.store.clone(), self.local.deployment())
    }

    /// How far the runs of its providers are.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The provider that lies, if there is one.
    pub fn liar(&self) -> Option<Address> {
        self.liar
    }

    /// The auditor that checks everything here.
    pub fn auditor(&self) -> Address {
        self.auditor
    }

    /// Serves the chain and the broker on loopback (port 0: any that is free), and writes down
    /// where.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain) or [`Error::Broker`](crate::Error::Broker) if a port
    /// is taken; [`Error::File`](crate::Error::File).
    pub async fn serve(&mut self, chain_port: u16, broker_port: u16) -> Result<Running> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, broker_port));
        let broker = self.store.as_broker(&self.env, self.local.deployment(), Limits::default());
        let router = with_log(broker, &self.log).router();
        // No page in a browser is to reach it under a name of its own.
        let config = ServerConfig::from(address).for_hosts(Vec::new());
        let server = assay_broker::serve(config, router).await?;
        let running = self.local.serve(chain_port, Some(server.url())).await?;
        self.server = Some(server);
        Ok(running)
    }

    /// Stops everyone and closes the chain.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File).
    pub async fn close(mut self) -> Result<()> {
        let _ = self.stop.send(true);
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        self.tasks.join().await;
        self.local.close().await
    }
}

fn provider_plan(cost: CostModel) -> ProviderPlan {
    ProviderPlan {
        cost,
        steps_per_sec: 50_000_000,
        confirmations: 0,
        loss_day_max: FUNDS,
        failures_max: 3,
        runs_at_once: 1,
        margin_secs: Some(1),
        chunk_fee_min: None,
        sweep_every: SWEEP_EVERY,
        only_named: false,
        disk_free_min: DISK_FREE_MIN,
        memory_max: MEMORY_MAX,
        host_facts: vec![HostFact::Engine],
    }
}

async fn connected(env: &Env, local: &LocalChain, role: Role) -> Result<Contracts> {
    let endpoint = Endpoint::Embedded(local.chain().clone());
    let key = local.key(role);
    Contracts::connect(env, endpoint, key, local.deployment(), ChainClientConfig::default()).await
}

/// A broker that serves a log too, if it is here.
pub fn with_log(broker: Broker, log: &PublicLog) -> Broker {
    match log.hosted() {
        Some(hosted) => broker.with_log(hosted),
        None => broker,
    }
}

async fn recorder(log: &PublicLog, contracts: &Contracts) -> Result<Recorder> {
    Recorder::new(contracts.env(), log.clone(), contracts.signer(), &contracts.deployment).await
}

/// A provider's contracts, with its stake put down.
async fn provider(env: &Env, local: &LocalChain, number: u8) -> Result<Contracts> {
    let contracts = connected(env, local, Role::Provider(number)).await?;
    match contracts.stake(FUNDS).await {
        Err(Error::Funds { .. }) => {
            fund(&contracts).await?;
            contracts.stake(FUNDS).await?;
        }
        staked => staked?,
    }
    Ok(contracts)
}

/// Mints what the account lacks.
async fn fund(contracts: &Contracts) -> Result<()> {
    let lacks = FUNDS.saturating_sub(contracts.tokens(contracts.account()).await?);
    if lacks > 0 {
        contracts.send(contracts.mint(lacks)).await?;
    }
    Ok(())
}
