//! A market that no chain has, for brokers that ask none.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its share")]

use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::aliases::{U40, U96};
use alloy_primitives::{Address, B256, U256};
use alloy_signer_local::PrivateKeySigner;
use assay_contracts::Market;
use assay_contracts::{DEPLOYMENT_SCHEMA, Deployment};
use assay_protocol::SignedOrder;

/// Where its contracts would be.
pub fn deployment() -> Deployment {
    let contract = Address::repeat_byte;
    Deployment {
        schema: DEPLOYMENT_SCHEMA.to_owned(),
        chain_id: 31_337,
        genesis_hash: B256::repeat_byte(7),
        from_block: 0,
        token: contract(1),
        market: contract(2),
        stakes: contract(3),
        verifiers: contract(4),
        disputes: contract(5),
        step: contract(6),
        anchors: contract(7),
        fraud_proofs: 1,
    }
}

/// A public order that stays open for a while.
pub fn order(key: &PrivateKeySigner, nonce: u64) -> SignedOrder {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let amount = |units: u64| U96::from(units);
    let order = Market::Order {
        requester: key.address(),
        provider: Address::ZERO,
        beneficiary: key.address(),
        programId: B256::repeat_byte(0xaa),
        inputRoot: B256::repeat_byte(0xbb),
        datasetRoot: B256::repeat_byte(0xcc),
        termsHash: B256::ZERO,
        nonce: U256::from(nonce),
        stepLimit: 1 << 30,
        verifierId: 1,
        lockDeadline: U40::from(now + 3_000),
        beginSecs: 0,
        runSecs: 600,
        windowSecs: 60,
        stake: amount(1_000_000),
        lapseFee: amount(0),
        chunkFee: amount(0),
        dataOwner: Address::ZERO,
        dataFee: amount(0),
        compensationBps: 5_000,
        bountyBps: 2_500,
        price: Market::Price {
            min: amount(5),
            max: amount(5),
            base: amount(5),
            mebistep: amount(0),
            rampStartAt: U40::ZERO,
            rampSecs: 0,
        },
    };
    SignedOrder::sign(order, &deployment(), key).unwrap()
}
