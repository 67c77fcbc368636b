//! Nonces of requests.

use alloy_primitives::B256;
use assay_protocol::Epoch;

use crate::error::{Error, Result};

/// A nonce for a request to the broker whose epoch that is.
pub(crate) fn fresh(epoch: Epoch) -> Result<B256> {
    let mut nonce = B256::ZERO;
    nonce[..16].copy_from_slice(&epoch[..]);
    getrandom::fill(&mut nonce[16..])
        .map_err(|error| Error::Config(format!("the system has no randomness: {error}")))?;
    Ok(nonce)
}
