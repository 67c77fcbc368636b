//! Raising the price of an order that nobody takes, within bounds (spec/pricing.md#re-pricing).

use serde::{Deserialize, Serialize};

use crate::amount::{BPS, mul_div_ceil, text};
use crate::{AMOUNT_MAX, PriceTerms};

/// How far a requester lets its price rise by itself.
///
/// The caller signs the new terms **under the same nonce**, so at most one of the orders becomes a
/// job. The older ones stay good: whoever takes one takes less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repricing {
    /// What a raise adds to the maximum, in basis points.
    pub raise_bps: u16,
    /// How long terms stand before they are raised.
    pub every_secs: u32,
    /// What the maximum never exceeds, in the token's smallest unit.
    #[serde(with = "text")]
    pub price_max: u128,
    /// How many raises there are at most.
    pub times_max: u8,
}

impl Repricing {
    /// The next terms of an order that still waits, if a raise is due: not before these have stood
    /// for `every_secs`, not more than `times_max` times, not above `price_max`.
    ///
    /// The maximum rises by `raise_bps`, rounded up, or straight to the hint (the price that
    /// refusals say would fill the order) if that is higher and within `price_max`. A hint above it
    /// is passed over: one provider's refusal never moves the price out of the requester's bounds.
    /// A fixed price's base rises with it. Minimum, rate and ramp stay, so the new price is at no
    /// time below the old.
    ///
    /// # Arguments
    ///
    /// `posted_at` is when `terms` were posted, not their forerunners: a requester that was away
    /// raises once, not all that it missed. `raised_times` is how many raises led to them.
    pub fn next(
        &self,
        terms: &PriceTerms,
        posted_at: u64,
        raised_times: u8,
        now: u64,
        hint: Option<u128>,
    ) -> Option<PriceTerms> {
        if raised_times >= self.times_max || now < posted_at.saturating_add(self.every_secs.into())
        {
            return None;
        }
        let bound = self.price_max.min(AMOUNT_MAX);
        let raised = terms.max.saturating_add(mul_div_ceil(terms.max, self.raise_bps.into(), BPS));
        let hint = hint.filter(|&price| price <= bound).unwrap_or(0);
        let max = raised.min(bound).max(hint);
        if max <= terms.max {
            return None;
        }
        let base = if terms.is_fixed() { max } else { terms.base };
        Some(PriceTerms { max, base, ..*terms })
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    const TERMS: PriceTerms = PriceTerms {
        min: 50,
        max: 100,
        base: 100,
        per_mebistep: 0,
        ramp_start_at: 10,
        ramp_secs: 20,
    };
    const RULE: Repricing =
        Repricing { raise_bps: 1001, every_secs: 60, price_max: 130, times_max: 3 };

    #[test]
    fn raises_by_hand() {
        let max = |terms: &PriceTerms, times, now, hint| {
            RULE.next(terms, 1000, times, now, hint).map(|next| next.max)
        };
        assert_eq!(max(&TERMS, 0, 1059, None), None, "too soon");
        assert_eq!(max(&TERMS, 0, 1060, None), Some(111), "10.01 % of 100, rounded up");
        assert_eq!(max(&TERMS, 0, 1060, Some(120)), Some(120), "straight to what fills it");
        assert_eq!(max(&TERMS, 0, 1060, Some(105)), Some(111), "a hint below the step");
        assert_eq!(max(&TERMS, 0, 1060, Some(131)), Some(111), "a hint out of bounds");
        assert_eq!(max(&TERMS, 3, 1060, None), None, "often enough");
        let top = PriceTerms { max: 125, base: 125, ..TERMS };
        assert_eq!(max(&top, 2, 9999, None), Some(130), "never above the bound");
        let over = PriceTerms { max: 130, base: 130, ..TERMS };
        assert_eq!(max(&over, 2, 9999, None), None, "nothing left to raise");
    }

    #[test]
    fn a_fixed_price_stays_fixed_and_a_metered_one_keeps_its_meter() {
        let next = RULE.next(&TERMS, 0, 0, 60, None).unwrap();
        assert_eq!(next, PriceTerms { max: 111, base: 111, ..TERMS });
        let metered = PriceTerms { base: 20, per_mebistep: 7, ..TERMS };
        let next = RULE.next(&metered, 0, 0, 60, None).unwrap();
        assert_eq!(next, PriceTerms { max: 111, ..metered });
    }

    #[test]
    fn raises_end_within_bounds_and_never_lower_a_price() {
        let mut rng = Rng::with_seed(7);
        for _ in 0..2000 {
            let rule = Repricing {
                raise_bps: rng.u16(..),
                every_secs: rng.u32(..1000),
                price_max: rng.u128(..) >> rng.u32(..128),
                times_max: rng.u8(..),
            };
            let max = rng.u128(..) >> rng.u32(..128);
            let min = rng.u128(..=max);
            let mut terms = PriceTerms { min, max, base: max, ..TERMS };
            let (mut now, mut times) = (0u64, 0u8);
            loop {
                let hint = rng.bool().then(|| rng.u128(..) >> rng.u32(..128));
                let later = now + u64::from(rule.every_secs);
                let Some(next) = rule.next(&terms, now, times, later, hint) else { break };
                assert!(next.max > terms.max && next.max <= rule.price_max, "{rule:?}");
                assert!(times < rule.times_max, "{rule:?}");
                for time in [0, 10, 11, 20, 29, 30, 99] {
                    assert!(next.price_at(time) >= terms.price_at(time), "{rule:?} {terms:?}");
                }
                (terms, now, times) = (next, later, times + 1);
            }
        }
    }
}
