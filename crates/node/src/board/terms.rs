//! What an order agrees besides what the contract reads.

use assay_market::Terms;
use assay_protocol::SignedOrder;

use crate::{Error, Result};

/// What an order agrees besides what the contract reads.
pub(crate) fn terms_of(signed: &SignedOrder) -> Result<Terms> {
    let Some(text) = &signed.terms else { return Ok(Terms::open()) };
    Terms::from_text(text.as_str()).map_err(|error| Error::Job(error.to_string()))
}
