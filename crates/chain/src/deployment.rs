//! Putting a market's contracts on a chain, and making sure that they are there.

use alloy_primitives::aliases::U96;
use alloy_primitives::{Address, U256};
use alloy_provider::Provider;
use assay_contracts::{
    Anchors, DEPLOYMENT_SCHEMA, Deployment, DisputeTerms, Disputes, Market, Step, TestDollar,
    Timelock, Verifiers,
};

use crate::{Client, Error, Result};

/// What to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentPlan {
    /// The ERC-20 that pays for everything. None: a test dollar, which anyone can mint.
    pub token: Option<Address>,
    /// Who owns the market and its registry from their first block on. None: a test market, which
    /// the deployer owns, and may enter any verifier into.
    pub governance: Option<GovernancePlan>,
    /// The base fee that orders' chunk fees are made for, in wei; 0 where they do not follow it.
    pub base_fee_reference: u64,
    /// The fraud-proof window's terms.
    pub terms: DisputeTerms,
}

/// A timelock, and who may halt a verifier (spec/contracts.md#verifiers).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GovernancePlan {
    /// Who may propose to the timelock, and execute what it has kept for long enough.
    pub council: Vec<Address>,
    /// How long it keeps each proposal, in seconds.
    pub delay_secs: u64,
    /// Who may halt a verifier at once.
    pub guardian: Address,
}

/// Who governs a market, as its contracts say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Governance {
    /// Who owns the market: may pause new locks and move the cover pool.
    pub market_owner: Address,
    /// Who owns the registry of verifiers.
    pub registry_owner: Address,
    /// Who may halt a verifier.
    pub guardian: Address,
    /// Who acts for the registry's owner without any delay: as long as there is somebody, this is a
    /// test market.
    pub founder: Option<Address>,
}

/// Puts a market on the client's chain, signed and paid for by its signer.
///
/// A dozen transactions. Both ownerships are the timelock's from the contracts' first block on;
/// what the deployer may do as founder ends with the last transaction. One that fails leaves the
/// earlier contracts unused and holding nothing; run it again.
///
/// # Errors
///
/// [`Error::Config`] without a signer or where the token has no code, [`Error::Transport`],
/// [`Error::Reverted`].
pub async fn deploy(client: &Client, plan: &DeploymentPlan) -> Result<Deployment> {
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
    let (owner, guardian) = match &plan.governance {
        Some(GovernancePlan { council, delay_secs, guardian }) => {
            if council.is_empty() || guardian.is_zero() {
                let message = "a market that is no test market needs a council and a guardian";
                return Err(Error::Config(message.into()));
            }
            let (proposers, executors) = (council.clone(), council.clone());
            let delay = U256::from(*delay_secs);
            let timelock = Timelock::deploy(provider.clone(), delay, proposers, executors).await?;
            (*timelock.address(), *guardian)
        }
        None => (deployer, deployer),
    };
    let verifiers = Verifiers::deploy(provider.clone(), owner, guardian).await?;
    let reference = U256::from(plan.base_fee_reference);
    let market =
        Market::deploy(provider.clone(), token, *verifiers.address(), owner, reference).await?;
    let stakes = market.STAKES().call().await?;
    let step = *Step::deploy(provider.clone()).await?.address();
    let parameters = parameters(&plan.terms, token, *market.address(), step)?;
    let disputes = *Disputes::deploy(provider.clone(), parameters).await?.address();
    let anchors = *Anchors::deploy(provider.clone()).await?.address();

    client.execute(verifiers.propose(disputes).into_transaction_request()).await?;
    let fraud_proofs = verifiers.count().call().await?;
    let cap = alloy_primitives::aliases::U88::MAX;
    let canary = verifiers.startCanary(fraud_proofs, cap);
    client.execute(canary.into_transaction_request()).await?;
    client.execute(verifiers.activate(fraud_proofs).into_transaction_request()).await?;
    if plan.governance.is_some() {
        client.execute(verifiers.endFounding().into_transaction_request()).await?;
    }
    Ok(Deployment {
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

/// Who governs a market.
///
/// # Errors
///
/// [`Error::Transport`].
pub async fn governance(deployment: &Deployment, client: &Client) -> Result<Governance> {
    let provider = client.provider();
    let market = Market::new(deployment.market, provider);
    let verifiers = Verifiers::new(deployment.verifiers, provider);
    let founder = verifiers.founder().call().await?;
    Ok(Governance {
        market_owner: market.owner().call().await?,
        registry_owner: verifiers.owner().call().await?,
        guardian: verifiers.guardian().call().await?,
        founder: (!founder.is_zero()).then_some(founder),
    })
}

/// Makes sure that the contracts are on the client's chain and belong together.
///
/// # Errors
///
/// [`Error::WrongChain`], [`Error::Config`] naming the contract that does not fit,
/// [`Error::Transport`].
pub async fn check_deployment(deployment: &Deployment, client: &Client) -> Result<()> {
    if deployment.schema != DEPLOYMENT_SCHEMA {
        return Err(Error::Config(format!("{} is no {DEPLOYMENT_SCHEMA}", deployment.schema)));
    }
    if client.chain_id() != deployment.chain_id {
        let (expected, found) = (deployment.chain_id, client.chain_id());
        return Err(Error::WrongChain { expected, found });
    }
    if client.genesis_hash() != deployment.genesis_hash {
        let message = "the chain has this id but another first block; it was made anew";
        return Err(Error::Config(message.into()));
    }
    for (name, address) in deployment.contracts() {
        require_code(client, name, address).await?;
    }
    let provider = client.provider();
    let market = Market::new(deployment.market, provider);
    let verifiers = Verifiers::new(deployment.verifiers, provider);
    let disputes = Disputes::new(deployment.disputes, provider);
    let chosen = disputes.parameters().call().await?;
    let facts = [
        ("the market's stakes", market.STAKES().call().await?, deployment.stakes),
        ("the market's token", market.TOKEN().call().await?, deployment.token),
        ("the market's registry", market.VERIFIERS().call().await?, deployment.verifiers),
        ("the disputes' market", chosen.market, deployment.market),
        ("the disputes' token", chosen.token, deployment.token),
        ("the disputes' step", chosen.step, deployment.step),
        (
            "the registry's fraud-proof window",
            verifiers.verifierOf(deployment.fraud_proofs).call().await?,
            deployment.disputes,
        ),
    ];
    for (name, found, expected) in facts {
        if found != expected {
            return Err(Error::Config(format!("{name} is {found}, not {expected}")));
        }
    }
    Ok(())
}

fn parameters(
    terms: &DisputeTerms,
    token: Address,
    market: Address,
    step: Address,
) -> Result<Disputes::DisputeParameters> {
    let amount = |amount: u128| {
        let large = || Error::Config(format!("{amount} is more than an amount can be"));
        U96::checked_from_limbs_slice(&[amount as u64, (amount >> 64) as u64]).ok_or_else(large)
    };
    Ok(Disputes::DisputeParameters {
        token,
        market,
        step,
        bond: amount(terms.bond)?,
        stakeBps: terms.stake_bps,
        costBase: amount(terms.cost_base)?,
        costAnswer: amount(terms.cost_answer)?,
        costReveal: amount(terms.cost_reveal)?,
        stepsPerSec: terms.steps_per_sec,
        retraceStepsPerSec: terms.retrace_steps_per_sec,
        runBps: terms.run_bps,
        fetchSecs: terms.fetch_secs,
        censorshipSecs: terms.censorship_secs,
        openingSecs: terms.opening_secs,
        clockSecs: terms.clock_secs,
        moveFloorSecs: terms.move_floor_secs,
        spacingSecs: terms.spacing_secs,
    })
}

async fn require_code(client: &Client, name: &str, address: Address) -> Result<()> {
    if client.provider().get_code_at(address).await?.is_empty() {
        return Err(Error::Config(format!("{name} has no code at {address}")));
    }
    Ok(())
}
