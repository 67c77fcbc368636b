//! Amounts, prices and scores, for people.

use assay_market::PriceTerms;

use crate::output::text::grouped;

/// An amount of a token of six decimals.
pub(crate) fn dollars(amount: u128) -> String {
    format!("{}.{:06} tUSD", amount / 1_000_000, amount % 1_000_000)
}

/// A price as people read it.
pub(crate) fn price(terms: &PriceTerms) -> String {
    if terms.is_fixed() {
        return dollars(terms.max);
    }
    format!(
        "{} and {} for 2^20 steps, at most {}",
        dollars(terms.base),
        dollars(terms.per_mebistep),
        dollars(terms.max)
    )
}

/// A score as people read it.
pub(crate) fn of_10000(score: u16) -> String {
    format!("{} of 10,000", grouped(score.into()))
}
