//! The contracts as Rust sees them: bindings from the committed ABI.

use alloy_sol_types::sol;

sol!(
    #[sol(rpc)]
    #[allow(missing_docs, clippy::too_many_arguments)]
    #[derive(Debug)]
    Anchors,
    "../../contracts/abi/Anchors.json"
);
sol!(
    #[sol(rpc)]
    #[allow(missing_docs, clippy::too_many_arguments)]
    #[derive(Debug)]
    Disputes,
    "../../contracts/abi/Disputes.json"
);
sol!(
    #[sol(rpc)]
    #[allow(missing_docs, clippy::too_many_arguments)]
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    Market,
    "../../contracts/abi/Market.json"
);
sol!(
    #[sol(rpc)]
    #[allow(missing_docs, clippy::too_many_arguments)]
    #[derive(Debug)]
    Stakes,
    "../../contracts/abi/Stakes.json"
);
sol!(
    #[sol(rpc)]
    #[allow(missing_docs, clippy::too_many_arguments)]
    #[derive(Debug)]
    Step,
    "../../contracts/abi/Step.json"
);
sol!(
    #[sol(rpc)]
    #[allow(missing_docs, clippy::too_many_arguments)]
    #[derive(Debug)]
    TestDollar,
    "../../contracts/abi/TestDollar.json"
);
sol!(
    #[sol(rpc)]
    #[allow(missing_docs, clippy::too_many_arguments)]
    #[derive(Debug)]
    Verifiers,
    "../../contracts/abi/Verifiers.json"
);
