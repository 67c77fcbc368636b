//! Building a block: the header template, running transactions into it, sealing it.

use alloy_consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy_consensus::transaction::Recovered;
use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, EthereumReceipt, Header, Transaction, TxEnvelope, TxReceipt,
};
use alloy_eips::eip2935::{HISTORY_SERVE_WINDOW, HISTORY_STORAGE_ADDRESS};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{B64, B256, Bloom, Bytes, U256, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;
use revm::context::result::ExecutionResult;

use super::Config;
use super::evm::{Changes, EvmFailure, Overlay, Rules, message_of, rejection_of};
use super::tables::{ANY_TOPIC, SealedHeader, StoredReceipt};
use super::trie::StateTrie;
use crate::{Error, Rejection, Result};

/// A block under construction.
pub(crate) struct Draft<'a> {
    header: Header,
    chain_id: u64,
    overlay: Overlay<'a>,
    transactions: Vec<Recovered<TxEnvelope>>,
    receipts: Vec<StoredReceipt>,
    log_count: u32,
}

/// A block that is ready to be written.
pub(crate) struct Block {
    pub(crate) header: SealedHeader,
    pub(crate) transactions: Vec<Recovered<TxEnvelope>>,
    pub(crate) receipts: Vec<StoredReceipt>,
    pub(crate) changes: Changes,
}

/// What became of a transaction that was offered to a draft.
pub(crate) enum Offer {
    /// It is in the block.
    Included,
    /// It may run once the sender's earlier nonces have.
    Early(Recovered<TxEnvelope>),
    /// The block has no room; it belongs in the next.
    Full(Recovered<TxEnvelope>),
    /// It breaks a rule.
    Refused(Rejection),
}

impl<'a> Draft<'a> {
    pub(crate) fn new(
        mut overlay: Overlay<'a>,
        chain_id: u64,
        parent: &SealedHeader,
        timestamp: u64,
        config: &Config,
    ) -> Result<Self> {
        remember_parent(&mut overlay, parent)?;
        Ok(Self {
            header: next_header(parent, timestamp, config),
            chain_id,
            overlay,
            transactions: Vec::new(),
            receipts: Vec::new(),
            log_count: 0,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// Runs a transaction at the block's end.
    pub(crate) fn offer(&mut self, transaction: Recovered<TxEnvelope>) -> Result<Offer> {
        if transaction.nonce() > self.overlay.nonce(transaction.signer())? {
            return Ok(Offer::Early(transaction));
        }
        let room = self.header.gas_limit - self.header.gas_used;
        if transaction.gas_limit() > room && !self.is_empty() {
            return Ok(Offer::Full(transaction));
        }
        let message = message_of(&transaction);
        let outcome =
            self.overlay.run(&self.header, self.chain_id, message.clone(), Rules::Transaction);
        match outcome {
            Ok((result, state)) => {
                self.overlay.apply(state);
                self.include(transaction, result);
                Ok(Offer::Included)
            }
            Err(EvmFailure::Invalid(invalid)) => {
                Ok(Offer::Refused(rejection_of(invalid, &message, &self.header)))
            }
            Err(EvmFailure::Stopped(error)) => Err(error),
        }
    }

    fn include(&mut self, transaction: Recovered<TxEnvelope>, result: ExecutionResult) {
        let gas_used = result.tx_gas_used();
        self.header.gas_used += gas_used;
        let success = result.is_success();
        let receipt = EthereumReceipt {
            tx_type: transaction.tx_type(),
            success,
            cumulative_gas_used: self.header.gas_used,
            logs: if success { result.into_logs() } else { Vec::new() },
        };
        let first_log_index = self.log_count;
        self.log_count += u32::try_from(receipt.logs.len()).unwrap_or(u32::MAX);
        self.receipts.push(StoredReceipt {
            gas_used,
            first_log_index,
            receipt: receipt.into_with_bloom(),
        });
        self.transactions.push(transaction);
    }

    /// Computes the roots and the hash. The trie then stands at this block.
    pub(crate) fn seal(mut self, trie: &mut StateTrie) -> Block {
        let changes = self.overlay.into_changes();
        apply_to_trie(&changes, trie);
        let header = &mut self.header;
        header.state_root = trie.root();
        let envelopes: Vec<_> = self.transactions.iter().map(Recovered::inner).collect();
        header.transactions_root = calculate_transaction_root(&envelopes);
        let receipts: Vec<_> = self.receipts.iter().map(|stored| &stored.receipt).collect();
        header.receipts_root = calculate_receipt_root(&receipts);
        header.logs_bloom = receipts.iter().fold(Bloom::ZERO, |all, one| all | one.logs_bloom);
        Block {
            header: SealedHeader::seal(self.header),
            transactions: self.transactions,
            receipts: self.receipts,
            changes,
        }
    }
}

impl Block {
    /// The log index keys of this block, each once.
    pub(crate) fn log_keys(&self) -> Vec<(alloy_primitives::Address, B256)> {
        let mut keys: Vec<_> = self
            .receipts
            .iter()
            .flat_map(|stored| &stored.receipt.receipt.logs)
            .flat_map(|log| {
                let first = log.topics().first().copied();
                [Some(ANY_TOPIC), first].into_iter().flatten().map(|topic| (log.address, topic))
            })
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// Brings the trie to the state after `changes`.
pub(crate) fn apply_to_trie(changes: &Changes, trie: &mut StateTrie) {
    for address in &changes.wiped {
        trie.wipe_storage(*address);
    }
    for (address, slot, value) in &changes.slots {
        trie.set_slot(*address, *slot, *value);
    }
    for (address, info) in &changes.accounts {
        match info {
            Some(info) => trie.set_account(*address, info.nonce, info.balance, info.code_hash),
            None => trie.remove_account(*address),
        }
    }
}

/// The header of the block after `parent`, before anything ran.
pub(crate) fn next_header(parent: &SealedHeader, timestamp: u64, config: &Config) -> Header {
    Header {
        parent_hash: parent.hash,
        number: parent.header.number + 1,
        timestamp: timestamp.max(parent.header.timestamp),
        mix_hash: keccak256(parent.hash),
        ..header_template(config)
    }
}

/// The first header. The salt makes its hash unlike that of any other instance.
pub(crate) fn genesis_header(
    chain_id: u64,
    salt: B256,
    state_root: B256,
    timestamp: u64,
    config: &Config,
) -> Header {
    let mut extra = b"assay".to_vec();
    extra.extend(chain_id.to_be_bytes());
    Header {
        state_root,
        timestamp,
        mix_hash: salt,
        extra_data: Bytes::from(extra),
        ..header_template(config)
    }
}

fn header_template(config: &Config) -> Header {
    Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: config.beneficiary,
        state_root: EMPTY_ROOT_HASH,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        gas_limit: config.block_gas_limit,
        nonce: B64::ZERO,
        base_fee_per_gas: Some(config.base_fee_wei),
        withdrawals_root: Some(EMPTY_ROOT_HASH),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

/// EIP-2935: the parent's hash goes where contracts can read the last 8191 of them.
fn remember_parent(overlay: &mut Overlay<'_>, parent: &SealedHeader) -> Result<(), Error> {
    let slot = U256::from(parent.header.number) % U256::from(HISTORY_SERVE_WINDOW);
    overlay.set_slot(HISTORY_STORAGE_ADDRESS, slot, U256::from_be_bytes(parent.hash.0))
}
