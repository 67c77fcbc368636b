//! The broker itself: its market, its health.

use assay_protocol::{BROKER_SCHEMA, Health, MarketInfo};
use reqwest::Method;

use super::BrokerClient;
use super::request::{ANSWER_BYTES_MAX, bounded};
use crate::error::{Error, Result};

impl BrokerClient {
    /// The market that the broker serves, and the broker's limits.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] if it serves another market; as every call, [`Error::Unreachable`] and
    /// [`Error::Refused`].
    pub async fn market(&self) -> Result<MarketInfo> {
        let info: MarketInfo = self.read("/v1/market").await?;
        if info.schema != BROKER_SCHEMA {
            return Err(Error::bad_answer(format!(
                "its schema is {:?}, not {BROKER_SCHEMA}",
                info.schema
            )));
        }
        let known = &self.deployment;
        let found = &info.deployment;
        if (found.chain_id, found.market, found.genesis_hash)
            != (known.chain_id, known.market, known.genesis_hash)
        {
            return Err(Error::bad_answer("it serves another market"));
        }
        Ok(info)
    }

    /// Whether the broker works.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn health(&self) -> Result<Health> {
        self.read("/v1/health").await
    }

    /// The answer to a `GET`, as it comes: unlike with the other calls, nothing of it is checked.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn unchecked(&self, path: &str) -> Result<Vec<u8>> {
        let response = self.send(&self.call(Method::GET, path), |request| request).await?;
        bounded(response, ANSWER_BYTES_MAX).await
    }
}
