//! What an order agrees besides what the contract reads.

use assay_market::Terms;
use assay_protocol::SignedOrder;

use crate::Result;

/// What an order agrees besides what the contract reads.
pub(crate) fn terms_of(signed: &SignedOrder) -> Result<Terms> {
    let Some(text) = &signed.terms else { return Ok(Terms::open()) };
    Ok(Terms::from_text(text.as_str())?)
}
