//! A whole market in this process: chain, board, providers and an auditor.

use alloy_primitives::aliases::U96;
use alloy_primitives::{Address, U256};
use assay_chain::{ClientConfig, Endpoint};
use assay_machine::Interpreter;
use assay_market::{Account, CostModel, Offer, Quote, quote};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::auditor::{Auditor, AuditorPlan};
use crate::board::Board;
use crate::contracts::{Contracts, chain};
use crate::liar::Liar;
use crate::provider::{Provider, ProviderPlan};
use crate::requester::Requester;
use crate::{Home, LocalChain, Result, Role};

/// A test dollar, in its smallest unit.
const DOLLAR: u128 = 1_000_000;

/// What each provider has at stake at the least, and each of the others in its account.
const FUNDS: u128 = 10_000 * DOLLAR;

/// The number of the provider that lies.
const LIAR: u8 = 255;

/// What a market on this machine consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketPlan {
    /// What each provider asks.
    pub providers: Vec<CostModel>,
    /// Whether there is a provider, besides, whose outputs are false. It takes only orders that name it.
    pub with_liar: bool,
}

impl Default for MarketPlan {
    /// Two providers, one cheaper than the other.
    fn default() -> Self {
        let cost = |job| CostModel { job, mebistep: 1, margin_bps: 1_000 };
        MarketPlan { providers: vec![cost(DOLLAR / 50), cost(DOLLAR / 25)], with_liar: false }
    }
}

/// A market of one process, under one home.
pub struct LocalMarket {
    local: LocalChain,
    board: Board,
    requester: Requester,
    liar: Option<Address>,
    offers: Vec<Offer>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl LocalMarket {
    /// Opens the home's market, or makes one, and sets everyone to work. Accounts that lack test dollars get some.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain), for instance if another process has the home open;
    /// [`Error::Store`](crate::Error::Store), [`Error::File`](crate::Error::File).
    pub async fn open(home: &Home, plan: &MarketPlan) -> Result<Self> {
        let local = LocalChain::open(home).await?;
        let board = Board::open(&home.board())?;
        let (stop, stopped) = watch::channel(false);
        let (mut tasks, mut offers) = (JoinSet::new(), Vec::new());
        for (number, cost) in (0..).zip(&plan.providers) {
            let contracts = provider(&local, number).await?;
            let account = Account(contracts.account().into_array());
            offers.push(Offer {
                provider: account,
                cost: *cost,
                stake_free: FUNDS,
                until: u64::MAX,
            });
            let plan = provider_plan(*cost);
            let provider = Provider::new(contracts, board.clone(), plan, Interpreter::new).await?;
            tasks.spawn(provider.run(stopped.clone()));
        }
        let mut liar = None;
        if plan.with_liar {
            let contracts = provider(&local, LIAR).await?;
            liar = Some(contracts.account());
            let plan = provider_plan(CostModel { job: 0, mebistep: 0, margin_bps: 0 });
            // It must be asked for: nobody's ordinary job is to fall to it.
            let plan = ProviderPlan { only_named: true, ..plan };
            let provider = Provider::new(contracts, board.clone(), plan, Liar::new).await?;
            tasks.spawn(provider.run(stopped.clone()));
        }
        let contracts = connected(&local, Role::Auditor).await?;
        fund(&contracts).await?;
        let plan = AuditorPlan { share_bps: 10_000, runs_at_once: 1 };
        let auditor = Auditor::new(contracts, board.clone(), plan, home.challenges()).await?;
        tasks.spawn(auditor.run(stopped));
        let contracts = connected(&local, Role::Requester).await?;
        fund(&contracts).await?;
        let requester = Requester::new(contracts, board.clone(), home.jobs());
        Ok(LocalMarket { local, board, requester, liar, offers, stop, tasks })
    }

    /// The market's own requester.
    pub fn requester(&self) -> &Requester {
        &self.requester
    }

    /// What a job would cost here now.
    pub fn quote(&self, step_limit: u64, stake: u128) -> Quote {
        quote(step_limit, stake, &self.offers, self.requester.contracts().now())
    }

    /// The provider that lies, if there is one.
    pub fn liar(&self) -> Option<Address> {
        self.liar
    }

    /// Where its orders are.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Stops everyone and closes the chain.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File).
    pub async fn close(mut self) -> Result<()> {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
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
        only_named: false,
    }
}

async fn connected(local: &LocalChain, role: Role) -> Result<Contracts> {
    let endpoint = Endpoint::Embedded(local.chain().clone());
    let key = local.key(role);
    Contracts::connect(endpoint, key, local.deployment(), ClientConfig::default()).await
}

/// A provider's contracts, with its stake put down.
async fn provider(local: &LocalChain, number: u8) -> Result<Contracts> {
    let contracts = connected(local, Role::Provider(number)).await?;
    let (account, stakes) = (contracts.account(), &contracts.stakes);
    let free = stakes.freeOf(account).call().await.map_err(chain)?.to::<u128>();
    let reserved = stakes.reservedOf(account).call().await.map_err(chain)?.to::<u128>();
    if free + reserved < FUNDS {
        fund(&contracts).await?;
        contracts.allow(contracts.deployment.stakes).await?;
        let deposit = stakes.deposit(account, U96::from(FUNDS - free - reserved));
        contracts.send(deposit.into_transaction_request()).await?;
    }
    Ok(contracts)
}

/// Mints what the account lacks.
async fn fund(contracts: &Contracts) -> Result<()> {
    let (account, token) = (contracts.account(), &contracts.token);
    let has = token.balanceOf(account).call().await.map_err(chain)?;
    if let Some(lacks) = U256::from(FUNDS).checked_sub(has).filter(|lacks| !lacks.is_zero()) {
        contracts.send(token.mint(account, lacks).into_transaction_request()).await?;
    }
    Ok(())
}
