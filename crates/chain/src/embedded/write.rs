//! Writing: the first block, and every block after it, each in one durable transaction.

use alloy_eips::eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use redb::{Database, Durability, WriteTransaction};
use revm::bytecode::Bytecode;
use revm::primitives::KECCAK_EMPTY;
use revm::state::AccountInfo;

use super::block::{Block, apply_to_trie, genesis_header};
use super::config::{Config, GenesisAccount, Identity};
use super::evm::Changes;
use super::tables::{
    ACCOUNTS, BLOCK_NUMBERS, CODE, FORMAT, HEADERS, LOG_INDEX, META, PLACES, RECEIPTS, STORAGE,
    SealedHeader, TRANSACTIONS, encode_account, encode_transaction, log_key, storage_key,
};
use super::trie::StateTrie;
use crate::Result;

/// Stores the first block. Until this commits, the file is not a chain and is begun anew.
pub(crate) fn genesis(database: &Database, config: &Config, identity: Identity) -> Result<()> {
    let changes = genesis_changes(config);
    let mut trie = StateTrie::default();
    apply_to_trie(&changes, &mut trie);
    let header = SealedHeader::seal(genesis_header(
        identity.chain_id,
        identity.salt,
        trie.root(),
        config.clock.unix_secs(),
        config,
    ));
    let block = Block { header, transactions: Vec::new(), receipts: Vec::new(), changes };
    let transaction = begin(database)?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT.as_slice())?;
        meta.insert("chain_id", identity.chain_id.to_be_bytes().as_slice())?;
    }
    write_block(&transaction, &block)?;
    Ok(transaction.commit()?)
}

/// Stores one block: state, transactions, receipts and log index together. Returns once synced.
pub(crate) fn block(database: &Database, block: &Block) -> Result<()> {
    let transaction = begin(database)?;
    write_block(&transaction, block)?;
    Ok(transaction.commit()?)
}

fn begin(database: &Database) -> Result<WriteTransaction> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // A start after a crash then reads no more than a start after a close.
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn write_block(transaction: &WriteTransaction, block: &Block) -> Result<()> {
    write_state(transaction, &block.changes)?;
    let number = block.header.header.number;
    transaction.open_table(HEADERS)?.insert(number, block.header.encode().as_slice())?;
    transaction.open_table(BLOCK_NUMBERS)?.insert(&block.header.hash.0, number)?;
    let mut transactions = transaction.open_table(TRANSACTIONS)?;
    let mut receipts = transaction.open_table(RECEIPTS)?;
    let mut places = transaction.open_table(PLACES)?;
    for (index, (one, receipt)) in (0u32..).zip(block.transactions.iter().zip(&block.receipts)) {
        transactions.insert((number, index), encode_transaction(one).as_slice())?;
        receipts.insert((number, index), receipt.encode().as_slice())?;
        places.insert(&one.tx_hash().0, (number, index))?;
    }
    let mut log_index = transaction.open_table(LOG_INDEX)?;
    for (address, topic) in block.log_keys() {
        log_index.insert(&log_key(address, topic, number), ())?;
    }
    Ok(())
}

fn write_state(transaction: &WriteTransaction, changes: &Changes) -> Result<()> {
    let mut storage = transaction.open_table(STORAGE)?;
    for address in &changes.wiped {
        let (from, to) = (storage_key(*address, U256::ZERO), storage_key(*address, U256::MAX));
        storage.retain_in::<&[u8; 52], _>(&from..=&to, |_, _| false)?;
    }
    for (address, slot, value) in &changes.slots {
        let key = storage_key(*address, *slot);
        if value.is_zero() {
            storage.remove(&key)?;
        } else {
            storage.insert(&key, &value.to_be_bytes::<32>())?;
        }
    }
    let mut accounts = transaction.open_table(ACCOUNTS)?;
    for (address, info) in &changes.accounts {
        match info {
            Some(info) => accounts.insert(&address.0.0, &encode_account(info))?.is_some(),
            None => accounts.remove(&address.0.0)?.is_some(),
        };
    }
    let mut code = transaction.open_table(CODE)?;
    for (hash, bytecode) in &changes.code {
        code.insert(&hash.0, bytecode.original_byte_slice())?;
    }
    Ok(())
}

fn genesis_changes(config: &Config) -> Changes {
    let mut changes = Changes::default();
    for (address, account) in &config.alloc {
        add_account(&mut changes, *address, account);
    }
    let history = GenesisAccount {
        nonce: 1,
        code: HISTORY_STORAGE_CODE.clone(),
        ..GenesisAccount::default()
    };
    add_account(&mut changes, HISTORY_STORAGE_ADDRESS, &history);
    changes
}

fn add_account(changes: &mut Changes, address: Address, account: &GenesisAccount) {
    let code_hash = code_hash(&account.code);
    let info = AccountInfo {
        balance: account.balance,
        nonce: account.nonce,
        code_hash,
        code: None,
        account_id: None,
    };
    changes.accounts.push((address, Some(info)));
    let slots = account.storage.iter().map(|(slot, value)| (address, *slot, *value));
    changes.slots.extend(slots);
    if !account.code.is_empty() {
        changes.code.push((code_hash, Bytecode::new_raw(account.code.clone())));
    }
}

fn code_hash(code: &Bytes) -> B256 {
    if code.is_empty() { KECCAK_EMPTY } else { keccak256(code) }
}
