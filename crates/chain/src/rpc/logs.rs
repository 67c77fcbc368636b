//! Log queries, by the index where an address is named and by blooms where not.

use std::collections::BTreeSet;

use alloy_eips::BlockNumberOrTag;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};

use super::chain::{describe_log, find};
use super::error::{LIMIT_EXCEEDED, RpcError, SERVER};
use super::params::Params;
use super::{Answer, answer};
use crate::Config;
use crate::embedded::tables::{ANY_TOPIC, SealedHeader, View};

/// Pairs of an address and a first topic in one filter, at most.
const PAIRS_MAX: usize = 1024;
/// Blocks whose receipts one query reads, at most.
const CANDIDATES_MAX: usize = 200_000;

pub(crate) fn query(view: &View, config: &Config, params: &Params) -> Answer {
    let filter: Filter = params.required(0, "filter")?;
    let mut found = Vec::new();
    for number in candidates(view, config, &filter)? {
        let sealed = view.header(number)?;
        // The index knows first topics only; the bloom spares most blocks that have them with other
        // topics beside.
        if let Some(sealed) = sealed.filter(|sealed| filter.matches_bloom(sealed.header.logs_bloom))
        {
            collect(view, &filter, &sealed, &mut found)?;
        }
        if found.len() > config.logs_max {
            let message = format!("query returned more than {} results", config.logs_max);
            return Err(RpcError::new(LIMIT_EXCEEDED, message));
        }
    }
    answer(&found)
}

fn collect(
    view: &View,
    filter: &Filter,
    sealed: &SealedHeader,
    found: &mut Vec<Log>,
) -> Result<(), RpcError> {
    let number = sealed.header.number;
    for (index, stored) in (0u32..).zip(view.receipts(number)?) {
        let matching: Vec<_> = (u64::from(stored.first_log_index)..)
            .zip(stored.receipt.receipt.logs)
            .filter(|(_, log)| filter.matches(log))
            .collect();
        if matching.is_empty() {
            continue;
        }
        let Some(transaction) = view.transaction((number, index))? else { continue };
        let hash = *transaction.tx_hash();
        found.extend(
            matching.into_iter().map(|(log_index, log)| {
                describe_log(log, hash, u64::from(index), log_index, sealed)
            }),
        );
    }
    Ok(())
}

/// The blocks that may hold matching logs, in order.
fn candidates(view: &View, config: &Config, filter: &Filter) -> Result<Vec<u64>, RpcError> {
    let (first, last) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let number = view.number_of(hash)?;
            return number
                .map(|number| vec![number])
                .ok_or_else(|| RpcError::new(SERVER, "unknown block"));
        }
        FilterBlockOption::Range { from_block, to_block } => {
            (bound(view, from_block)?, bound(view, to_block)?)
        }
    };
    if first > last {
        return Err(RpcError::params("invalid block range params"));
    }
    // An empty answer would say that those blocks have no such logs, and nobody knows yet.
    if last > view.head()?.header.number {
        return Err(RpcError::params("block range extends beyond current head block"));
    }
    if last - first >= config.log_range_blocks_max {
        let message =
            format!("block range too large: at most {} blocks", config.log_range_blocks_max);
        return Err(RpcError::new(LIMIT_EXCEEDED, message));
    }
    if filter.address.is_empty() {
        by_bloom(view, config, filter, first, last)
    } else {
        by_index(view, filter, first, last)
    }
}

fn bound(view: &View, tag: Option<BlockNumberOrTag>) -> Result<u64, RpcError> {
    match tag.unwrap_or_default() {
        BlockNumberOrTag::Number(number) => Ok(number),
        tag => Ok(find(view, tag.into())?.map_or(0, |sealed| sealed.header.number)),
    }
}

fn by_index(view: &View, filter: &Filter, first: u64, last: u64) -> Result<Vec<u64>, RpcError> {
    let topics: Vec<_> = match filter.topics[0].is_empty() {
        true => vec![ANY_TOPIC],
        false => filter.topics[0].iter().copied().collect(),
    };
    if filter.address.len() * topics.len() > PAIRS_MAX {
        return Err(RpcError::new(LIMIT_EXCEEDED, "too many addresses and topics"));
    }
    let mut blocks = BTreeSet::new();
    for address in filter.address.iter() {
        for topic in &topics {
            blocks.extend(view.logged(*address, *topic, first, last, CANDIDATES_MAX + 1)?);
            if blocks.len() > CANDIDATES_MAX {
                return Err(RpcError::new(LIMIT_EXCEEDED, "block range too large for this filter"));
            }
        }
    }
    Ok(blocks.into_iter().collect())
}

fn by_bloom(
    view: &View,
    config: &Config,
    filter: &Filter,
    first: u64,
    last: u64,
) -> Result<Vec<u64>, RpcError> {
    if last.saturating_sub(first) >= config.log_scan_blocks_max {
        let message = format!(
            "block range too large: name an address, or at most {} blocks",
            config.log_scan_blocks_max
        );
        return Err(RpcError::new(LIMIT_EXCEEDED, message));
    }
    let mut blocks = Vec::new();
    for number in first..=last {
        let header = view.header(number)?;
        if header.is_some_and(|sealed| filter.matches_bloom(sealed.header.logs_bloom)) {
            blocks.push(number);
        }
    }
    Ok(blocks)
}
