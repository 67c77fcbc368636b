//! The contracts as Rust sees them: bindings from the committed ABI.

use alloy_primitives::{Address, B256};
use alloy_sol_types::{SolStruct, eip712_domain, sol};

use crate::Deployment;

/// An order's id on a market: what its requester signs (spec/contracts.md#orders).
pub fn job_id(deployment: &Deployment, order: &Market::Order) -> B256 {
    job_id_on(deployment.chain_id, deployment.market, order)
}

/// The same, by what of a deployment it takes: the chain's id and the market's address.
pub fn job_id_on(chain_id: u64, market: Address, order: &Market::Order) -> B256 {
    order.eip712_signing_hash(&eip712_domain! {
        name: "Assay Market",
        version: "1",
        chain_id: chain_id,
        verifying_contract: market,
    })
}

/// A contract's types from its ABI; with the feature `rpc`, calls over a provider too.
macro_rules! contract {
    ($name:ident, $abi:literal, $($derived:path),*) => {
        #[cfg(not(feature = "rpc"))]
        sol!(
            #[allow(missing_docs, clippy::too_many_arguments)]
            #[derive($($derived),*)]
            $name,
            $abi
        );
        #[cfg(feature = "rpc")]
        sol!(
            #[sol(rpc)]
            #[allow(missing_docs, clippy::too_many_arguments)]
            #[derive($($derived),*)]
            $name,
            $abi
        );
    };
}

contract!(Anchors, "../../contracts/abi/Anchors.json", Debug);
contract!(Disputes, "../../contracts/abi/Disputes.json", Debug);
contract!(
    Market,
    "../../contracts/abi/Market.json",
    Debug,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize
);
contract!(Stakes, "../../contracts/abi/Stakes.json", Debug);
contract!(Step, "../../contracts/abi/Step.json", Debug);
contract!(TestDollar, "../../contracts/abi/TestDollar.json", Debug);
contract!(Timelock, "../../contracts/abi/Timelock.json", Debug);
contract!(Verifiers, "../../contracts/abi/Verifiers.json", Debug);
