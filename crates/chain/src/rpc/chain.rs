//! Reading blocks, transactions and receipts.

use alloy_consensus::transaction::{Recovered, TransactionInfo};
use alloy_consensus::{BlockBody, ReceiptEnvelope, Transaction as _, TxEnvelope};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{B256, Sealed, U64, U256};
use alloy_rlp::Encodable;
use alloy_rpc_types_eth::{
    Block, BlockId, BlockNumberOrTag, BlockTransactions, FeeHistory, Header, Index, Log,
    Transaction, TransactionReceipt,
};

use super::error::RpcError;
use super::params::Params;
use super::{Answer, answer, not_kept};
use crate::embedded::tables::{SealedHeader, StoredReceipt, View};
use crate::{Config, Error, Head};

/// The blocks of one fee history, at most; geth's bound.
const FEE_HISTORY_MAX: u64 = 1024;

/// The header that a number, tag or hash names, if there is one.
///
/// Every block is final, so `latest`, `safe`, `finalized` and `pending` are one.
pub(crate) fn find(view: &View, block: BlockId) -> Result<Option<SealedHeader>, Error> {
    match block {
        BlockId::Hash(hash) => match view.number_of(hash.block_hash)? {
            Some(number) => view.header(number),
            None => Ok(None),
        },
        BlockId::Number(BlockNumberOrTag::Number(number)) => view.header(number),
        BlockId::Number(BlockNumberOrTag::Earliest) => view.header(0),
        BlockId::Number(_) => view.head().map(Some),
    }
}

/// Only the latest state is kept; anything else is an error that says so.
pub(crate) fn check_state_of(view: &View, block: Option<BlockId>) -> Result<(), RpcError> {
    let head = view.head()?;
    check_is_head(view, block, Head { number: head.header.number, hash: head.hash })
}

pub(crate) fn check_is_head(
    view: &View,
    block: Option<BlockId>,
    head: Head,
) -> Result<(), RpcError> {
    let Some(block) = block else { return Ok(()) };
    if let BlockId::Number(tag) = block
        && tag.as_number().is_none()
        && !tag.is_earliest()
    {
        return Ok(());
    }
    match find(view, block)? {
        None => Err(RpcError::new(super::SERVER, "header not found")),
        Some(found) if found.hash == head.hash => Ok(()),
        Some(found) => Err(not_kept(format_args!("block {}", found.header.number))),
    }
}

pub(crate) fn block(view: &View, params: &Params) -> Answer {
    let full = params.optional(1, "full")?.unwrap_or(false);
    let Some(sealed) = find(view, params.required(0, "block")?)? else { return answer(&()) };
    let transactions = view.transactions(sealed.header.number)?;
    let size = size_of_block(&sealed, &transactions);
    let transactions = if full {
        let indexed = (0u64..).zip(transactions);
        BlockTransactions::Full(indexed.map(|(i, one)| describe(one, i, &sealed)).collect())
    } else {
        BlockTransactions::Hashes(transactions.iter().map(|one| *one.tx_hash()).collect())
    };
    let header = Sealed::new_unchecked(sealed.header, sealed.hash);
    let header = Header::from_consensus(header, Some(U256::ZERO), Some(U256::from(size)));
    answer(&Block::new(header, transactions).with_withdrawals(Some(Withdrawals::default())))
}

fn size_of_block(sealed: &SealedHeader, transactions: &[Recovered<TxEnvelope>]) -> usize {
    let body = BlockBody::<TxEnvelope> {
        transactions: transactions.iter().map(|one| one.inner().clone()).collect(),
        ommers: Vec::new(),
        withdrawals: Some(Withdrawals::default()),
    };
    alloy_consensus::Block::new(sealed.header.clone(), body).length()
}

pub(crate) fn transaction_count_of_block(view: &View, params: &Params) -> Answer {
    let Some(sealed) = find(view, params.required(0, "block")?)? else { return answer(&()) };
    answer(&U64::from(view.transactions(sealed.header.number)?.len()))
}

pub(crate) fn transaction(view: &View, params: &Params) -> Answer {
    let hash: B256 = params.required(0, "hash")?;
    let Some(place) = view.place_of(hash)? else { return answer(&()) };
    describe_at(view, place)
}

pub(crate) fn transaction_at(view: &View, params: &Params) -> Answer {
    let Some(sealed) = find(view, params.required(0, "block")?)? else { return answer(&()) };
    let index: Index = params.required(1, "index")?;
    match u32::try_from(index.0) {
        Ok(index) => describe_at(view, (sealed.header.number, index)),
        Err(_) => answer(&()),
    }
}

fn describe_at(view: &View, place: (u64, u32)) -> Answer {
    let (Some(transaction), Some(sealed)) = (view.transaction(place)?, view.header(place.0)?)
    else {
        return answer(&());
    };
    answer(&describe(transaction, u64::from(place.1), &sealed))
}

fn describe(
    transaction: Recovered<TxEnvelope>,
    index: u64,
    sealed: &SealedHeader,
) -> Transaction<TxEnvelope> {
    let info = TransactionInfo {
        hash: Some(*transaction.tx_hash()),
        index: Some(index),
        block_hash: Some(sealed.hash),
        block_number: Some(sealed.header.number),
        base_fee: sealed.header.base_fee_per_gas,
        block_timestamp: Some(sealed.header.timestamp),
    };
    Transaction::from_transaction(transaction, info)
}

pub(crate) fn receipt(view: &View, params: &Params) -> Answer {
    let hash: B256 = params.required(0, "hash")?;
    let Some(place) = view.place_of(hash)? else { return answer(&()) };
    let (Some(transaction), Some(stored), Some(sealed)) =
        (view.transaction(place)?, view.receipt(place)?, view.header(place.0)?)
    else {
        return answer(&());
    };
    answer(&describe_receipt(&transaction, stored, u64::from(place.1), &sealed))
}

pub(crate) fn receipts(view: &View, params: &Params) -> Answer {
    let Some(sealed) = find(view, params.required(0, "block")?)? else { return answer(&()) };
    let transactions = view.transactions(sealed.header.number)?;
    let receipts = view.receipts(sealed.header.number)?;
    let described: Vec<_> = (0u64..)
        .zip(transactions.iter().zip(receipts))
        .map(|(index, (transaction, stored))| describe_receipt(transaction, stored, index, &sealed))
        .collect();
    answer(&described)
}

fn describe_receipt(
    transaction: &Recovered<TxEnvelope>,
    stored: StoredReceipt,
    index: u64,
    sealed: &SealedHeader,
) -> TransactionReceipt<ReceiptEnvelope<Log>> {
    let logs_bloom = stored.receipt.logs_bloom;
    let mut log_index = u64::from(stored.first_log_index);
    let receipt = stored.receipt.receipt.map_logs(|log| {
        log_index += 1;
        describe_log(log, *transaction.tx_hash(), index, log_index - 1, sealed)
    });
    let plain = alloy_consensus::Receipt {
        status: receipt.success.into(),
        cumulative_gas_used: receipt.cumulative_gas_used,
        logs: receipt.logs,
    };
    let with_bloom = alloy_consensus::ReceiptWithBloom { receipt: plain, logs_bloom };
    let contract_address =
        transaction.is_create().then(|| transaction.signer().create(transaction.nonce()));
    TransactionReceipt {
        inner: ReceiptEnvelope::from_typed(receipt.tx_type, with_bloom),
        transaction_hash: *transaction.tx_hash(),
        transaction_index: Some(index),
        block_hash: Some(sealed.hash),
        block_number: Some(sealed.header.number),
        gas_used: stored.gas_used,
        effective_gas_price: transaction.effective_gas_price(sealed.header.base_fee_per_gas),
        blob_gas_used: None,
        blob_gas_price: None,
        from: transaction.signer(),
        to: transaction.to(),
        contract_address,
    }
}

pub(crate) fn describe_log(
    log: alloy_primitives::Log,
    transaction: B256,
    transaction_index: u64,
    log_index: u64,
    sealed: &SealedHeader,
) -> Log {
    Log {
        inner: log,
        block_hash: Some(sealed.hash),
        block_number: Some(sealed.header.number),
        block_timestamp: Some(sealed.header.timestamp),
        transaction_hash: Some(transaction),
        transaction_index: Some(transaction_index),
        log_index: Some(log_index),
        removed: false,
    }
}

/// The base fee is constant and a tip buys nothing, so every reward is zero.
pub(crate) fn fee_history(view: &View, config: &Config, params: &Params) -> Answer {
    let count = params.number(0, "blockCount")?.min(FEE_HISTORY_MAX);
    let percentiles: Option<Vec<f64>> = params.optional(2, "percentiles")?;
    let newest = find(view, params.optional(1, "newest")?.unwrap_or_default())?
        .ok_or_else(|| RpcError::new(super::SERVER, "header not found"))?;
    let last = newest.header.number;
    let count = count.min(last + 1);
    let mut history = FeeHistory { oldest_block: last + 1 - count, ..FeeHistory::default() };
    for number in history.oldest_block..=last {
        if let Some(sealed) = view.header(number)? {
            let header = sealed.header;
            let base_fee = header.base_fee_per_gas.unwrap_or_default();
            history.base_fee_per_gas.push(u128::from(base_fee));
            history.gas_used_ratio.push(header.gas_used as f64 / header.gas_limit as f64);
        }
    }
    history.base_fee_per_gas.push(u128::from(config.base_fee_wei));
    history.base_fee_per_blob_gas = vec![1; history.base_fee_per_gas.len()];
    history.blob_gas_used_ratio = vec![0.0; history.gas_used_ratio.len()];
    history.reward = percentiles
        .map(|percentiles| vec![vec![0; percentiles.len()]; history.gas_used_ratio.len()]);
    answer(&history)
}
