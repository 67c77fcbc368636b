//! Putting a market's contracts on a chain, and making sure that they are there.

use alloy_primitives::Address;
use alloy_provider::Provider;
use assay_contracts::{
    Anchors, DEPLOYMENT_SCHEMA, Deployment, DisputeTerms, Disputes, Market, Step, TestDollar,
    Verifiers,
};

use crate::{Client, Error, Result};

/// What to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentPlan {
    /// The ERC-20 that pays for everything. None: a test dollar, which anyone can mint.
    pub token: Option<Address>,
    /// Who is offered ownership of the market and its registry, and must accept it. None: the
    /// deployer keeps it.
    pub governance: Option<Address>,
    /// The fraud-proof window's terms.
    pub terms: DisputeTerms,
}

/// Puts a market on the client's chain, signed and paid for by its signer.
///
/// Eight or more transactions. One that fails leaves the earlier contracts unused and holding
/// nothing; run it again.
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
    let verifiers = Verifiers::deploy(provider.clone(), deployer).await?;
    let market = Market::deploy(provider.clone(), token, *verifiers.address(), deployer).await?;
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
