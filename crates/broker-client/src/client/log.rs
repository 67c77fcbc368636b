//! The market's log.

use alloy_primitives::B256;
use assay_protocol::{BINARY, LogAdded, ProblemKind};
use assay_types::sha256;
use reqwest::Method;

use super::BrokerClient;
use super::entries::or_none;
use super::request::{Call, bounded, json};
use crate::error::Result;

/// An object of a log in bytes, at most: a bundle of 256 entries of 65,535 bytes.
const LOG_OBJECT_BYTES_MAX: usize = 17 << 20;

impl BrokerClient {
    /// Adds an entry to the market's log, and returns its index there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn log_add(&self, entry: Vec<u8>) -> Result<LogAdded> {
        let entry = bytes::Bytes::from(entry);
        let digest = B256::new(sha256(&entry).0);
        let call =
            Call { content_type: Some(BINARY), digest, ..self.call(Method::POST, "/v1/log/add") };
        json(self.send(&call, |request| request.body(entry.clone())).await?).await
    }

    /// An object of the market's log: `key`, `checkpoint`, `cosigned` or a tile. `None` if there is
    /// no log, or no such object. The caller has to check it.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn log_object(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let call = self.call(Method::GET, &format!("/v1/log/{name}"));
        let sent = or_none(self.send(&call, |request| request).await, ProblemKind::TileUnknown);
        let sent = match sent {
            Err(error) => or_none(Err(error), ProblemKind::LogAbsent)?,
            sent => sent?,
        };
        let Some(response) = sent else { return Ok(None) };
        Ok(Some(bounded(response, LOG_OBJECT_BYTES_MAX).await?))
    }
}
