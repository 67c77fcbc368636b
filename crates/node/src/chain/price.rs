//! An order's price, as the contract has it and as forecasts take it.

use alloy_primitives::aliases::U40;
use assay_contracts::Market;
use assay_market::PriceTerms;

use crate::Result;
use crate::chain::contracts::amount;

/// An order's price as forecasts take it.
pub(crate) fn price_terms(order: &Market::Order) -> PriceTerms {
    let price = &order.price;
    PriceTerms {
        min: price.min.to(),
        max: price.max.to(),
        base: price.base.to(),
        per_mebistep: price.mebistep.to(),
        ramp_start_at: price.rampStartAt.to(),
        ramp_secs: price.rampSecs,
    }
}

/// An order's price, from the terms that describe it.
///
/// # Errors
///
/// As [`amount`].
pub(crate) fn price(terms: &PriceTerms) -> Result<Market::Price> {
    Ok(Market::Price {
        min: amount(terms.min)?,
        max: amount(terms.max)?,
        base: amount(terms.base)?,
        mebistep: amount(terms.per_mebistep)?,
        rampStartAt: U40::from(terms.ramp_start_at),
        rampSecs: terms.ramp_secs,
    })
}
