//! Accounts, programs and markets, as the pure crates name what the chain names otherwise.

use alloy_primitives::{Address, B256};
use assay_contracts::{Deployment, Market};
use assay_receipt::MarketId;
use assay_types::{Account, Hash, ProgramId};

/// An account, as the pure crates write it.
pub(crate) fn account(address: Address) -> Account {
    Account(address.into_array())
}

/// A hash, as the contracts take it.
pub(crate) fn b256(hash: Hash) -> B256 {
    B256::from(hash.0)
}

/// The program that an order names.
pub(crate) fn program_id(order: &Market::Order) -> ProgramId {
    ProgramId(Hash(order.programId.0))
}

/// A market, as statements name it.
pub(crate) fn market_id(deployment: &Deployment) -> MarketId {
    MarketId {
        chain_id: deployment.chain_id,
        genesis_hash: deployment.genesis_hash,
        market: deployment.market,
    }
}
