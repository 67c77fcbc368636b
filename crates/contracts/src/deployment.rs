//! Where a market's contracts are, and what they were made with.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

/// What a [`Deployment`] file begins with.
pub const DEPLOYMENT_SCHEMA: &str = "assay.deployment/1";

/// How a market's fraud-proof window is paced and priced (spec/dispute.md#clocks, #bonds). Amounts
/// in the token's smallest unit, times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisputeTerms {
    /// What a challenger puts down for a game, at the least; more with the games that are open.
    pub bond: u128,
    /// The part of the claimant's stake on top of it, in basis points.
    pub stake_bps: u16,
    /// What a lost game pays the claimant in any case.
    pub cost_base: u128,
    /// And for each answer that it drew.
    pub cost_answer: u128,
    /// And for each reveal.
    pub cost_reveal: u128,
    /// How fast an auditor must be able to re-run a job, in steps a second: the slowest program
    /// that anybody could write.
    pub steps_per_sec: u64,
    /// How fast a player must be able to re-run a segment with all its states, of the slowest
    /// program.
    pub retrace_steps_per_sec: u64,
    /// The part of an order's time for a run that a window leaves for checking at the least, in
    /// basis points: 10,000 where an auditor may be as slow as the slowest provider.
    pub run_bps: u16,
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
    /// What each further answer adds to the claimant's time, for sending it.
    pub spacing_secs: u32,
}

impl DisputeTerms {
    /// For a chain on this machine, where nobody censors and everyone is awake. The speeds are what
    /// `cargo xtask bench worst` measured at the slowest; a short run's window is five seconds.
    pub const LOCAL: Self = Self {
        bond: 100_000_000,
        stake_bps: 100,
        cost_base: 5_000_000,
        cost_answer: 2_000_000,
        cost_reveal: 1_000_000,
        steps_per_sec: 4_000_000,
        retrace_steps_per_sec: 1_500_000,
        run_bps: 0,
        fetch_secs: 3,
        censorship_secs: 0,
        opening_secs: 60,
        clock_secs: 120,
        move_floor_secs: 30,
        spacing_secs: 1,
    };

    /// For a public chain, whose auditors may be as slow as its providers: half the speeds, a day
    /// against censorship, an hour to fetch, and a day on each clock.
    pub const PUBLIC: Self = Self {
        steps_per_sec: 2_000_000,
        retrace_steps_per_sec: 750_000,
        run_bps: 10_000,
        fetch_secs: 3_600,
        censorship_secs: 86_400,
        opening_secs: 86_400,
        clock_secs: 86_400,
        move_floor_secs: 3_600,
        spacing_secs: 60,
        ..Self::LOCAL
    };
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
