//! How an embedded chain is set up.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};

use assay_types::Clock;

use crate::SystemClock;

/// The bytes of one transaction, at most; geth's bound.
pub const TRANSACTION_BYTES_MAX: usize = 128 * 1024;
/// The transactions that wait for a block, at most, those waiting for an earlier nonce included.
pub const WAITING_MAX: usize = 4096;
/// The smallest random chain id: above every id that a public chain is likely to take.
pub const CHAIN_ID_MIN: u64 = 1 << 31;
/// The largest random chain id, exclusive: integers below this are exact in JavaScript.
pub const CHAIN_ID_END: u64 = 1 << 53;

/// Settings of an embedded chain.
///
/// `identity` and `alloc` matter only when the chain is created. The rest holds from the next
/// block on.
#[derive(Clone)]
pub struct Config {
    /// The chain id and salt of a new chain. None: both come from the operating system's
    /// randomness, which is right for everything but reproducible tests. For an existing chain,
    /// a chain id that differs from the stored one is an error.
    pub identity: Option<Identity>,
    /// The accounts of the first block. There are none but these.
    pub alloc: BTreeMap<Address, GenesisAccount>,
    /// Gas a block, and so the most that one transaction may use.
    pub block_gas_limit: u64,
    /// The constant base fee, in wei per gas. Zero: nobody needs ether to take part.
    pub base_fee_wei: u64,
    /// Who gets the tips.
    pub beneficiary: Address,
    /// Where timestamps come from.
    pub clock: Arc<dyn Clock>,
    /// Serve `evm_mine`, `evm_increaseTime` and `evm_setNextBlockTimestamp`.
    pub test_controls: bool,
    /// How long a transaction waits for the sender's earlier nonces before it is refused.
    pub nonce_gap_wait: Duration,
    /// The most logs that one query returns.
    pub logs_max: usize,
    /// The most blocks that one log query without an address scans.
    pub log_scan_blocks_max: u64,
    /// The most blocks that any log query may span. Public nodes have such a bound.
    pub log_range_blocks_max: u64,
}

/// What tells one chain from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The chain id that transactions are signed for.
    pub chain_id: u64,
    /// Makes the genesis hash unlike that of other chains; stands in its `mixHash`.
    pub salt: B256,
}

/// An account of the first block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// The balance in wei.
    pub balance: U256,
    /// The nonce.
    pub nonce: u64,
    /// The code, empty for an account that only signs.
    pub code: Bytes,
    /// The storage.
    pub storage: BTreeMap<U256, U256>,
}

impl GenesisAccount {
    /// An account that holds ether and no code.
    pub fn funded(balance: U256) -> Self {
        Self { balance, ..Self::default() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            identity: None,
            alloc: BTreeMap::new(),
            block_gas_limit: 60_000_000,
            base_fee_wei: 0,
            beneficiary: Address::ZERO,
            clock: Arc::new(SystemClock),
            test_controls: false,
            nonce_gap_wait: Duration::from_secs(2),
            logs_max: 20_000,
            log_scan_blocks_max: 10_000,
            log_range_blocks_max: u64::MAX,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("identity", &self.identity)
            .field("accounts", &self.alloc.len())
            .field("block_gas_limit", &self.block_gas_limit)
            .field("base_fee_wei", &self.base_fee_wei)
            .field("test_controls", &self.test_controls)
            .finish_non_exhaustive()
    }
}
