//! A market's contracts: putting them on a chain, and finding them again.

use alloy_primitives::{Address, B256};
use alloy_provider::Provider;
use serde::{Deserialize, Serialize};

use crate::contracts::{Anchors, Disputes, Market, Step, TestDollar, Verifiers};
use crate::{Client, Error, Result};

/// What a [`Deployment`] file begins with.
pub const DEPLOYMENT_SCHEMA: &str = "assay.deployment/1";

/// How a market's fraud-proof window is paced and priced (spec/dispute.md#clocks, #bonds). Amounts in the token's smallest
/// unit, times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisputeTerms {
    /// What a challenger puts down for each game.
    pub bond: u128,
    /// What a lost game pays the claimant in any case.
    pub cost_base: u128,
    /// And for each answer that it drew.
    pub cost_answer: u128,
    /// And for each reveal.
    pub cost_reveal: u128,
    /// How fast an auditor must be able to re-run a job, in steps a second.
    pub steps_per_sec: u64,
    /// How fast a player must be able to re-run a segment with all its states.
    pub retrace_steps_per_sec: u64,
    /// What a window leaves for fetching the inputs.
    pub fetch_secs: u32,
    /// What a window leaves for getting a transaction mined against resistance.
    pub censorship_secs: u32,
    /// From a commitment to its first move.
    pub opening_secs: u32,
    /// Each party's clock in each game.
    pub clock_secs: u32,
    /// The least time for any move.
    pub move_floor_secs: u32,
}

impl DisputeTerms {
    /// For a chain on this machine, where nobody censors and everyone is awake: the shortest window is two seconds.
    pub const LOCAL: Self = Self {
        bond: 100_000_000,
        cost_base: 5_000_000,
        cost_answer: 2_000_000,
        cost_reveal: 1_000_000,
        steps_per_sec: 1 << 30,
        retrace_steps_per_sec: 1 << 25,
        fetch_secs: 1,
        censorship_secs: 0,
        opening_secs: 60,
        clock_secs: 120,
        move_floor_secs: 30,
    };

    /// For a public chain: a day against censorship, an hour to fetch, and a day on each clock.
    pub const PUBLIC: Self = Self {
        steps_per_sec: 100_000_000,
        retrace_steps_per_sec: 1_000_000,
        fetch_secs: 3_600,
        censorship_secs: 86_400,
        opening_secs: 3_600,
        clock_secs: 86_400,
        move_floor_secs: 3_600,
        ..Self::LOCAL
    };
}

/// What to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentPlan {
    /// The ERC-20 that pays for everything. None: a test dollar, which anyone can mint.
    pub token: Option<Address>,
    /// Who is offered ownership of the market and its registry, and must accept it. None: the deployer keeps it.
    pub governance: Option<Address>,
    /// The fraud-proof window's terms.
    pub terms: DisputeTerms,
}

/// Where a market's contracts are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deployment {
    /// [`DEPLOYMENT_SCHEMA`].
    pub schema: String,
    /// The chain.
    pub chain_id: u64,
    /// Its first block's hash.
    pub genesis_hash: B256,
    /// The block before the first contract: nothing of the market happened earlier.
    pub from_block: u64,
    /// The ERC-20.
    pub token: Address,
    /// Orders, escrow, locks, claims, settlement.
    pub market: Address,
    /// Free and reserved stake.
    pub stakes: Address,
    /// What can make a claim final.
    pub verifiers: Address,
    /// The fraud-proof window.
    pub disputes: Address,
    /// One instruction.
    pub step: Address,
    /// Log checkpoints.
    pub anchors: Address,
    /// The fraud-proof window's number among the verifiers.
    pub fraud_proofs: u16,
}

impl Deployment {
    /// Puts a market on the client's chain, signed and paid for by its signer.
    ///
    /// Eight or more transactions. One that fails leaves the earlier contracts unused and holding nothing; run it again.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] without a signer or where the token has no code, [`Error::Transport`], [`Error::Reverted`].
    pub async fn create(client: &Client, plan: &DeploymentPlan) -> Result<Self> {
        let provider = client.provider().clone();
        let Some(deployer) = client.signer() else {
            return Err(Error::Config("deploying needs an account that signs".into()));
        };
        let from_block = provider.get_block_number().await?;
        let token = match plan.token {
            Some(token) => {
                require_code(client, "the token", token).await?;
                token
            }
            None => *TestDollar::deploy(provider.clone()).await?.address(),
        };
        let verifiers = Verifiers::deploy(provider.clone(), deployer).await?;
        let market =
            Market::deploy(provider.clone(), token, *verifiers.address(), deployer).await?;
        let stakes = market.STAKES().call().await?;
        let step = *Step::deploy(provider.clone()).await?.address();
        let parameters = parameters(&plan.terms, token, *market.address(), step);
        let disputes = *Disputes::deploy(provider.clone(), parameters).await?.address();
        let anchors = *Anchors::deploy(provider.clone()).await?.address();

        client.execute(verifiers.propose(disputes).into_transaction_request()).await?;
        let fraud_proofs = verifiers.count().call().await?;
        let cap = alloy_primitives::aliases::U88::MAX;
        let canary = verifiers.startCanary(fraud_proofs, cap);
        client.execute(canary.into_transaction_request()).await?;
        client.execute(verifiers.activate(fraud_proofs).into_transaction_request()).await?;
        if let Some(owner) = plan.governance.filter(|owner| *owner != deployer) {
            client.execute(verifiers.transferOwnership(owner).into_transaction_request()).await?;
            client.execute(market.transferOwnership(owner).into_transaction_request()).await?;
        }
        Ok(Self {
            schema: DEPLOYMENT_SCHEMA.into(),
            chain_id: client.chain_id(),
            genesis_hash: client.genesis_hash(),
            from_block,
            token,
            market: *market.address(),
            stakes,
            verifiers: *verifiers.address(),
            disputes,
            step,
            anchors,
            fraud_proofs,
        })
    }

    /// Makes sure that the contracts are on the client's chain and belong together.
    ///
    /// # Errors
    ///
    /// [`Error::WrongChain`], [`Error::Config`] naming the contract that does not fit, [`Error::Transport`].
    pub async fn check(&self, client: &Client) -> Result<()> {
        if self.schema != DEPLOYMENT_SCHEMA {
            return Err(Error::Config(format!("{} is no {DEPLOYMENT_SCHEMA}", self.schema)));
        }
        if client.chain_id() != self.chain_id {
            let (expected, found) = (self.chain_id, client.chain_id());
            return Err(Error::WrongChain { expected, found });
        }
        if client.genesis_hash() != self.genesis_hash {
            let message = "the chain has this id but another first block; it was made anew";
            return Err(Error::Config(message.into()));
        }
        for (name, address) in self.contracts() {
            require_code(client, name, address).await?;
        }
        let provider = client.provider();
        let market = Market::new(self.market, provider);
        let verifiers = Verifiers::new(self.verifiers, provider);
        let disputes = Disputes::new(self.disputes, provider);
        let chosen = disputes.parameters().call().await?;
        let facts = [
            ("the market's stakes", market.STAKES().call().await?, self.stakes),
            ("the market's token", market.TOKEN().call().await?, self.token),
            ("the market's registry", market.VERIFIERS().call().await?, self.verifiers),
            ("the disputes' market", chosen.market, self.market),
            ("the disputes' token", chosen.token, self.token),
            ("the disputes' step", chosen.step, self.step),
            (
                "the registry's fraud-proof window",
                verifiers.verifierOf(self.fraud_proofs).call().await?,
                self.disputes,
            ),
        ];
        for (name, found, expected) in facts {
            if found != expected {
                return Err(Error::Config(format!("{name} is {found}, not {expected}")));
            }
        }
        Ok(())
    }

    /// Each contract with its name.
    pub fn contracts(&self) -> [(&'static str, Address); 7] {
        [
            ("token", self.token),
            ("market", self.market),
            ("stakes", self.stakes),
            ("verifiers", self.verifiers),
            ("disputes", self.disputes),
            ("step", self.step),
            ("anchors", self.anchors),
        ]
    }
}

fn parameters(
    terms: &DisputeTerms,
    token: Address,
    market: Address,
    step: Address,
) -> Disputes::DisputeParameters {
    Disputes::DisputeParameters {
        token,
        market,
        step,
        bond: terms.bond,
        costBase: terms.cost_base,
        costAnswer: terms.cost_answer,
        costReveal: terms.cost_reveal,
        stepsPerSec: terms.steps_per_sec,
        retraceStepsPerSec: terms.retrace_steps_per_sec,
        fetchSecs: terms.fetch_secs,
        censorshipSecs: terms.censorship_secs,
        openingSecs: terms.opening_secs,
        clockSecs: terms.clock_secs,
        moveFloorSecs: terms.move_floor_secs,
    }
}

async fn require_code(client: &Client, name: &str, address: Address) -> Result<()> {
    if client.provider().get_code_at(address).await?.is_empty() {
        return Err(Error::Config(format!("{name} has no code at {address}")));
    }
    Ok(())
}
