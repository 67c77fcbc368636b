//! Why a contract refuses a call, decoded from what it reverts with.

use std::fmt;

use alloy_sol_types::SolInterface;

use crate::{
    Anchors::AnchorsErrors, Disputes::DisputesErrors, Market::MarketErrors, Stakes::StakesErrors,
    Verifiers::VerifiersErrors,
};

/// A contract's own error (contracts/src/interfaces).
#[derive(Debug)]
#[non_exhaustive]
pub enum ContractError {
    /// The market's.
    Market(MarketErrors),
    /// The disputes'.
    Disputes(DisputesErrors),
    /// The stakes'.
    Stakes(StakesErrors),
    /// The registry of verifiers'.
    Verifiers(VerifiersErrors),
    /// The anchors'.
    Anchors(AnchorsErrors),
}

impl ContractError {
    /// Reads what a call reverted with; `None` if no contract of ours says so.
    pub fn decode(data: &[u8]) -> Option<Self> {
        MarketErrors::abi_decode(data)
            .map(Self::Market)
            .or_else(|_| DisputesErrors::abi_decode(data).map(Self::Disputes))
            .or_else(|_| StakesErrors::abi_decode(data).map(Self::Stakes))
            .or_else(|_| VerifiersErrors::abi_decode(data).map(Self::Verifiers))
            .or_else(|_| AnchorsErrors::abi_decode(data).map(Self::Anchors))
            .ok()
    }

    /// Whether the order itself is at fault, so that no other time and no other provider could lock
    /// it.
    pub fn is_of_order(&self) -> bool {
        matches!(
            self,
            Self::Market(
                MarketErrors::OrderInvalid(_)
                    | MarketErrors::WindowOutOfRange(_)
                    | MarketErrors::SignatureInvalid(_)
            )
        )
    }
}

impl fmt::Display for ContractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Market(error) => write!(f, "{error:?}"),
            Self::Disputes(error) => write!(f, "{error:?}"),
            Self::Stakes(error) => write!(f, "{error:?}"),
            Self::Verifiers(error) => write!(f, "{error:?}"),
            Self::Anchors(error) => write!(f, "{error:?}"),
        }
    }
}

impl std::error::Error for ContractError {}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use alloy_sol_types::SolError;

    use super::*;
    use crate::Market;

    #[test]
    fn an_orders_own_fault_is_told_from_what_passes() {
        let decoded = |data: Vec<u8>| ContractError::decode(&data).expect("one of ours");
        let invalid = decoded(Market::OrderInvalid { fault: 2 }.abi_encode());
        assert!(invalid.is_of_order(), "{invalid}");
        assert!(invalid.to_string().starts_with("OrderInvalid("), "{invalid}");
        // What is open under a canary changes from job to job, and so does whether more fits.
        let capped = Market::ValueAboveCap { value: U256::from(2), cap: U256::from(1) };
        assert!(!decoded(capped.abi_encode()).is_of_order());
        let late = Market::VerdictPending { jobId: Default::default() };
        assert!(!decoded(late.abi_encode()).is_of_order());
        assert!(ContractError::decode(b"none").is_none());
    }
}
