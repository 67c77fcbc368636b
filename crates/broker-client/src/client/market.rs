//! What the broker serves, and whether it works.

use assay_protocol::{BROKER_SCHEMA, Health, MarketFacts};
use reqwest::Method;

use super::BrokerClient;
use super::request::{ANSWER_BYTES_MAX, bounded};
use crate::error::{Error, Result};

impl BrokerClient {
    /// What the broker serves, and within which limits.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] if it serves another market; as every call, [`Error::Unreachable`] and
    /// [`Error::Refused`].
    pub async fn market(&self) -> Result<MarketFacts> {
        let facts: MarketFacts = self.read("/v1/market").await?;
        if facts.schema != BROKER_SCHEMA {
            return Err(Error::bad_answer(format!("{:?} is no {BROKER_SCHEMA}", facts.schema)));
        }
        let known = &self.deployment;
        let found = &facts.deployment;
        if (found.chain_id, found.market, found.genesis_hash)
            != (known.chain_id, known.market, known.genesis_hash)
        {
            return Err(Error::bad_answer("it serves another market"));
        }
        Ok(facts)
    }

    /// Whether it works.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn health(&self) -> Result<Health> {
        self.read("/v1/health").await
    }

    /// What the broker answers to a read of a path, as it comes: nothing of it is checked. The
    /// other calls check.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn unchecked(&self, path: &str) -> Result<Vec<u8>> {
        let response = self.send(&self.call(Method::GET, path), |request| request).await?;
        bounded(response, ANSWER_BYTES_MAX).await
    }
}
