//! The chain's file: its tables and records (spec/chain.md#the-file).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{EthereumReceipt, Header, ReceiptWithBloom, TxEnvelope, TxType};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, U256};
use alloy_rlp::{Decodable, Encodable};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition};
use revm::bytecode::Bytecode;
use revm::primitives::KECCAK_EMPTY;
use revm::state::AccountInfo;

use crate::{Error, Result};

/// The format's tag: `assay`, a letter, the version, the hash suite (none: the EVM's own).
pub(crate) const FORMAT: &[u8; 8] = b"assayc\x01\x00";

pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
pub(crate) const ACCOUNTS: TableDefinition<'_, &[u8; 20], &[u8; 72]> =
    TableDefinition::new("accounts");
pub(crate) const STORAGE: TableDefinition<'_, &[u8; 52], &[u8; 32]> =
    TableDefinition::new("storage");
pub(crate) const CODE: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("code");
pub(crate) const HEADERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("headers");
pub(crate) const BLOCK_NUMBERS: TableDefinition<'_, &[u8; 32], u64> =
    TableDefinition::new("block_numbers");
pub(crate) const TRANSACTIONS: TableDefinition<'_, (u64, u32), &[u8]> =
    TableDefinition::new("transactions");
pub(crate) const RECEIPTS: TableDefinition<'_, (u64, u32), &[u8]> =
    TableDefinition::new("receipts");
pub(crate) const PLACES: TableDefinition<'_, &[u8; 32], (u64, u32)> =
    TableDefinition::new("transaction_places");
pub(crate) const LOG_INDEX: TableDefinition<'_, &[u8; 60], ()> = TableDefinition::new("log_index");

/// Under this topic every log of an address is indexed, for filters that name no first topic.
pub(crate) const ANY_TOPIC: B256 = B256::repeat_byte(0xff);

/// A header and its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedHeader {
    pub(crate) hash: B256,
    pub(crate) header: Header,
}

impl SealedHeader {
    pub(crate) fn seal(header: Header) -> Self {
        Self { hash: header.hash_slow(), header }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.hash.to_vec();
        self.header.encode(&mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = || Error::corrupt("a header does not decode");
        let (hash, mut rlp) = bytes.split_at_checked(32).ok_or_else(damaged)?;
        let header = Header::decode(&mut rlp).map_err(|_| damaged())?;
        Ok(Self { hash: B256::from_slice(hash), header })
    }
}

/// A receipt and what its consensus form leaves out.
#[derive(Clone, Debug)]
pub(crate) struct StoredReceipt {
    pub(crate) gas_used: u64,
    pub(crate) first_log_index: u32,
    pub(crate) receipt: ReceiptWithBloom<EthereumReceipt<TxType>>,
}

impl StoredReceipt {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.gas_used.to_be_bytes().to_vec();
        out.extend(self.first_log_index.to_be_bytes());
        self.receipt.encode_2718(&mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = || Error::corrupt("a receipt does not decode");
        let (gas_used, rest) = bytes.split_first_chunk().ok_or_else(damaged)?;
        let (first_log_index, mut rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        Ok(Self {
            gas_used: u64::from_be_bytes(*gas_used),
            first_log_index: u32::from_be_bytes(*first_log_index),
            receipt: Decodable2718::decode_2718(&mut rest).map_err(|_| damaged())?,
        })
    }
}

pub(crate) fn encode_transaction(transaction: &Recovered<TxEnvelope>) -> Vec<u8> {
    let mut out = transaction.signer().to_vec();
    transaction.inner().encode_2718(&mut out);
    out
}

fn decode_transaction(bytes: &[u8]) -> Result<Recovered<TxEnvelope>> {
    let damaged = || Error::corrupt("a transaction does not decode");
    let (sender, mut rest) = bytes.split_first_chunk::<20>().ok_or_else(damaged)?;
    let envelope = TxEnvelope::decode_2718(&mut rest).map_err(|_| damaged())?;
    Ok(Recovered::new_unchecked(envelope, Address::from(*sender)))
}

pub(crate) fn encode_account(info: &AccountInfo) -> [u8; 72] {
    let mut out = [0; 72];
    out[..8].copy_from_slice(&info.nonce.to_be_bytes());
    out[8..40].copy_from_slice(&info.balance.to_be_bytes::<32>());
    out[40..].copy_from_slice(info.code_hash.as_slice());
    out
}

pub(crate) fn decode_account(bytes: &[u8; 72]) -> AccountInfo {
    let mut nonce = [0; 8];
    nonce.copy_from_slice(&bytes[..8]);
    AccountInfo {
        nonce: u64::from_be_bytes(nonce),
        balance: U256::from_be_slice(&bytes[8..40]),
        code_hash: B256::from_slice(&bytes[40..]),
        code: None,
        account_id: None,
    }
}

pub(crate) fn storage_key(address: Address, slot: U256) -> [u8; 52] {
    let mut key = [0; 52];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&slot.to_be_bytes::<32>());
    key
}

pub(crate) fn log_key(address: Address, topic: B256, block: u64) -> [u8; 60] {
    let mut key = [0; 60];
    key[..20].copy_from_slice(address.as_slice());
    key[20..52].copy_from_slice(topic.as_slice());
    key[52..].copy_from_slice(&block.to_be_bytes());
    key
}

/// One committed state of the whole chain, unmoved by later blocks.
pub(crate) struct View {
    transaction: ReadTransaction,
    accounts: ReadOnlyTable<&'static [u8; 20], &'static [u8; 72]>,
    storage: ReadOnlyTable<&'static [u8; 52], &'static [u8; 32]>,
    code: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    headers: ReadOnlyTable<u64, &'static [u8]>,
    known_code: KnownCode,
}

/// Code that was read and made ready to run, by its hash. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownCode(Arc<Mutex<HashMap<B256, Bytecode>>>);

/// So many contracts' code at most is kept ready: some megabytes.
const KNOWN_CODE_MAX: usize = 64;

impl KnownCode {
    fn get(&self, hash: B256) -> Option<Bytecode> {
        self.lock().get(&hash).cloned()
    }

    fn keep(&self, hash: B256, code: &Bytecode) {
        let mut known = self.lock();
        if known.len() >= KNOWN_CODE_MAX {
            known.clear();
        }
        known.insert(hash, code.clone());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<B256, Bytecode>> {
        // A hash has one code for ever, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    pub(crate) fn open(transaction: ReadTransaction, known_code: KnownCode) -> Result<Self> {
        Ok(Self {
            known_code,
            accounts: transaction.open_table(ACCOUNTS)?,
            storage: transaction.open_table(STORAGE)?,
            code: transaction.open_table(CODE)?,
            headers: transaction.open_table(HEADERS)?,
            transaction,
        })
    }

    pub(crate) fn account(&self, address: Address) -> Result<Option<AccountInfo>> {
        Ok(self.accounts.get(&address.0.0)?.map(|record| decode_account(record.value())))
    }

    pub(crate) fn slot(&self, address: Address, slot: U256) -> Result<U256> {
        let record = self.storage.get(&storage_key(address, slot))?;
        Ok(record.map_or(U256::ZERO, |value| U256::from_be_bytes(*value.value())))
    }

    pub(crate) fn code(&self, hash: B256) -> Result<Bytecode> {
        if hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        if let Some(known) = self.known_code.get(hash) {
            return Ok(known);
        }
        let record = self.code.get(&hash.0)?.ok_or_else(|| Error::corrupt("code is missing"))?;
        let code = Bytecode::new_raw(record.value().to_vec().into());
        self.known_code.keep(hash, &code);
        Ok(code)
    }

    pub(crate) fn head(&self) -> Result<SealedHeader> {
        let last = self.headers.last()?.ok_or_else(|| Error::corrupt("there is no block"))?;
        SealedHeader::decode(last.1.value())
    }

    pub(crate) fn header(&self, number: u64) -> Result<Option<SealedHeader>> {
        self.headers.get(number)?.map(|record| SealedHeader::decode(record.value())).transpose()
    }

    pub(crate) fn number_of(&self, hash: B256) -> Result<Option<u64>> {
        let table = self.transaction.open_table(BLOCK_NUMBERS)?;
        Ok(table.get(&hash.0)?.map(|number| number.value()))
    }

    pub(crate) fn place_of(&self, transaction: B256) -> Result<Option<(u64, u32)>> {
        let table = self.transaction.open_table(PLACES)?;
        Ok(table.get(&transaction.0)?.map(|place| place.value()))
    }

    pub(crate) fn transactions(&self, block: u64) -> Result<Vec<Recovered<TxEnvelope>>> {
        let table = self.transaction.open_table(TRANSACTIONS)?;
        let records = table.range((block, 0)..=(block, u32::MAX))?;
        records.map(|record| decode_transaction(record?.1.value())).collect()
    }

    pub(crate) fn transaction(&self, place: (u64, u32)) -> Result<Option<Recovered<TxEnvelope>>> {
        let table = self.transaction.open_table(TRANSACTIONS)?;
        table.get(place)?.map(|record| decode_transaction(record.value())).transpose()
    }

    pub(crate) fn receipts(&self, block: u64) -> Result<Vec<StoredReceipt>> {
        let table = self.transaction.open_table(RECEIPTS)?;
        let records = table.range((block, 0)..=(block, u32::MAX))?;
        records.map(|record| StoredReceipt::decode(record?.1.value())).collect()
    }

    pub(crate) fn receipt(&self, place: (u64, u32)) -> Result<Option<StoredReceipt>> {
        let table = self.transaction.open_table(RECEIPTS)?;
        table.get(place)?.map(|record| StoredReceipt::decode(record.value())).transpose()
    }

    /// The blocks of `first..=last` in which `address` logged under `topic`, at most `limit`.
    pub(crate) fn logged(
        &self,
        address: Address,
        topic: B256,
        first: u64,
        last: u64,
        limit: usize,
    ) -> Result<Vec<u64>> {
        let table = self.transaction.open_table(LOG_INDEX)?;
        let (from, to) = (log_key(address, topic, first), log_key(address, topic, last));
        let mut blocks = Vec::new();
        for record in table.range::<&[u8; 60]>(&from..=&to)?.take(limit) {
            let (key, ()) = (record?.0, ());
            let mut number = [0; 8];
            number.copy_from_slice(&key.value()[52..]);
            blocks.push(u64::from_be_bytes(number));
        }
        Ok(blocks)
    }

    /// Calls `each` for every account, then `slot` for every storage slot.
    pub(crate) fn walk(
        &self,
        mut slot: impl FnMut(Address, U256, U256),
        mut account: impl FnMut(Address, AccountInfo),
    ) -> Result<()> {
        for record in self.storage.iter()? {
            let (key, value) = record?;
            let (address, index) = key.value().split_at(20);
            let value = U256::from_be_bytes(*value.value());
            slot(Address::from_slice(address), U256::from_be_slice(index), value);
        }
        for record in self.accounts.iter()? {
            let (address, info) = record?;
            account(Address::from(*address.value()), decode_account(info.value()));
        }
        Ok(())
    }
}
