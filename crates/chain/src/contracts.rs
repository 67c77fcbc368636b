//! The contracts as Rust sees them: bindings from the committed ABI.
//!
//! `Market` is missing: its `Order` has 25 fields, and alloy encodes tuples of at most 24. It joins when the order's prices are
//! a struct of their own.

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
