//! What a watcher asks a node, in as few round trips as the answers allow.

use std::collections::VecDeque;

use alloy_primitives::{B256, Bloom, U64};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_client::BatchRequest;
use alloy_rpc_types_eth::{BlockNumberOrTag, Filter, Log};
use alloy_transport::TransportResult;
use serde::Deserialize;

use super::{Depth, WatchConfig};
use crate::{Error, Result};

/// The parts of a block that watching needs; chains of any flavour have them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Header {
    #[serde(deserialize_with = "quantity")]
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) parent_hash: B256,
    #[serde(default)]
    logs_bloom: Bloom,
}

fn quantity<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    U64::deserialize(deserializer).map(|number| number.to())
}

#[derive(Debug)]
pub(crate) struct Source {
    provider: DynProvider,
    filter: Filter,
    page_blocks: u64,
    use_blooms: bool,
}

impl Source {
    pub(crate) fn new(provider: DynProvider, config: &WatchConfig) -> Self {
        Self {
            provider,
            filter: config.filter.clone(),
            page_blocks: config.page_blocks.max(1),
            use_blooms: config.use_blooms,
        }
    }

    /// The newest block that lies deep enough.
    pub(crate) async fn target(&self, depth: Depth) -> Result<Option<u64>> {
        match depth {
            Depth::Confirmations(count) => {
                Ok(self.provider.get_block_number().await?.checked_sub(count))
            }
            Depth::Finalized => {
                let params = (BlockNumberOrTag::Finalized, false);
                let header: Option<Header> =
                    self.provider.client().request("eth_getBlockByNumber", params).await?;
                Ok(header.map(|header| header.number))
            }
        }
    }

    /// The header at `check`, then those from `first` to `target` or a page's end. Ends early where
    /// the node knows no more, so nothing follows a missing header.
    pub(crate) async fn headers(
        &self,
        check: Option<u64>,
        first: u64,
        target: u64,
    ) -> Result<VecDeque<Header>> {
        let last = target.min(first.saturating_add(self.page_blocks - 1));
        let page = first.max(check.map_or(0, |check| check + 1))..=last;
        let numbers: Vec<u64> = check.into_iter().chain(page).collect();
        let calls = numbers.iter().map(|number| ("eth_getBlockByNumber", block_params(*number)));
        let answers: Vec<Option<Header>> = self.batch(calls).await?;
        let mut headers = VecDeque::new();
        for (number, answer) in numbers.into_iter().zip(answers) {
            match answer {
                Some(header) if header.number == number => headers.push_back(header),
                Some(_) => {
                    return Err(Error::BadAnswer { what: format!("another block for {number}") });
                }
                None => break,
            }
        }
        Ok(headers)
    }

    pub(crate) async fn hash_at(&self, number: u64) -> Result<Option<B256>> {
        let header: Option<Header> =
            self.provider.client().request("eth_getBlockByNumber", block_params(number)).await?;
        Ok(header.map(|header| header.hash))
    }

    /// The matching logs of each block, asked for by its hash, in order.
    pub(crate) async fn logs(&self, headers: &VecDeque<Header>) -> Result<Vec<Vec<Log>>> {
        let wanted: Vec<&Header> = headers.iter().filter(|header| self.may_match(header)).collect();
        let calls = wanted
            .iter()
            .map(|header| ("eth_getLogs", (self.filter.clone().at_block_hash(header.hash),)));
        let mut answers = self.batch::<_, Vec<Log>>(calls).await?.into_iter();
        let mut all = Vec::with_capacity(headers.len());
        for header in headers {
            let logs = match self.may_match(header) {
                true => answers.next().unwrap_or_default(),
                false => Vec::new(),
            };
            all.push(self.checked(header, logs)?);
        }
        Ok(all)
    }

    fn may_match(&self, header: &Header) -> bool {
        !self.use_blooms || self.filter.matches_bloom(header.logs_bloom)
    }

    /// The logs in order, each of this block, each once.
    fn checked(&self, header: &Header, mut logs: Vec<Log>) -> Result<Vec<Log>> {
        logs.sort_by_key(|log| log.log_index);
        let in_block = logs.iter().all(|log| {
            log.block_hash == Some(header.hash)
                && log.log_index.is_some()
                && self.filter.matches(&log.inner)
        });
        let distinct = logs.windows(2).all(|pair| pair[0].log_index < pair[1].log_index);
        if in_block && distinct {
            return Ok(logs);
        }
        Err(Error::BadAnswer {
            what: format!("logs that are not those of block {}", header.number),
        })
    }

    async fn batch<P, T>(&self, calls: impl Iterator<Item = (&'static str, P)>) -> Result<Vec<T>>
    where
        P: alloy_json_rpc::RpcSend,
        T: alloy_json_rpc::RpcRecv,
    {
        let client = self.provider.client();
        let mut batch = BatchRequest::new(client);
        let mut waiters = Vec::new();
        for (method, params) in calls {
            waiters.push(batch.add_call::<P, T>(method, &params)?);
        }
        if waiters.is_empty() {
            return Ok(Vec::new());
        }
        batch.send().await?;
        let answers: Vec<TransportResult<T>> = futures_util::future::join_all(waiters).await;
        Ok(answers.into_iter().collect::<TransportResult<_>>()?)
    }
}

fn block_params(number: u64) -> (BlockNumberOrTag, bool) {
    (BlockNumberOrTag::Number(number), false)
}
