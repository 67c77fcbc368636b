//! What an order pays over time and over steps, and what a provider needs (spec/pricing.md).

use serde::{Deserialize, Serialize};

use crate::amount::{BPS, mul_div, mul_div_ceil, text};

/// The steps that a rate is for: 2^20.
pub const MEBISTEP: u64 = 1 << 20;

/// An order's `price` (spec/contracts.md#orders), in the token's smallest unit and Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTerms {
    /// The escrow until the ramp begins.
    #[serde(with = "text")]
    pub min: u128,
    /// The escrow from the ramp's end on.
    #[serde(with = "text")]
    pub max: u128,
    /// The part due whatever the steps; `max` for a fixed price.
    #[serde(with = "text")]
    pub base: u128,
    /// What 2^20 steps earn; zero for a fixed price.
    #[serde(with = "text", rename = "mebistep")]
    pub per_mebistep: u128,
    /// When the escrow begins to rise.
    pub ramp_start_at: u64,
    /// How long it rises; 0 jumps to `max` at `ramp_start_at`.
    pub ramp_secs: u32,
}

impl PriceTerms {
    /// A fixed price, the same at any time.
    pub fn fixed(price: u128) -> Self {
        let (min, max, base) = (price, price, price);
        PriceTerms { min, max, base, per_mebistep: 0, ramp_start_at: 0, ramp_secs: 0 }
    }

    /// The escrow of a lock at this time: a forecast of the contract's `Ramp`.
    ///
    /// The contract decides; a differential test in `crates/node` compares the two. The contract
    /// refuses an order whose `min` is above its `max`, so what this says of one means nothing.
    pub fn price_at(&self, time: u64) -> u128 {
        let Some(elapsed_secs) = time.checked_sub(self.ramp_start_at) else { return self.min };
        if elapsed_secs >= u64::from(self.ramp_secs) {
            return self.max;
        }
        let rise = mul_div(self.max.saturating_sub(self.min), elapsed_secs, self.ramp_secs.into());
        self.min.saturating_add(rise).min(self.max)
    }

    /// What of an escrow a run of so many steps earns: a forecast of the contract's `Meter`,
    /// compared with it in the same test as [`price_at`](Self::price_at).
    pub fn due(&self, escrow: u128, steps: u64) -> u128 {
        escrow.min(self.base.saturating_add(mul_div(self.per_mebistep, steps, MEBISTEP)))
    }

    /// The first second from `not_before` on in which the escrow is `needed` or more: the inverse
    /// of [`price_at`](Self::price_at). `None` if it never is.
    pub fn lock_at(&self, needed: u128, not_before: u64) -> Option<u64> {
        if self.min > self.max {
            return None;
        }
        if self.price_at(not_before) >= needed {
            return Some(not_before);
        }
        let mut enough = self.ramp_start_at.saturating_add(self.ramp_secs.into());
        if self.price_at(enough) < needed {
            return None;
        }
        // The price never falls: too little at `below`, enough at `enough`. Searching leaves one
        // copy of the ramp.
        let mut below = not_before;
        while enough - below > 1 {
            let middle = below + (enough - below) / 2;
            if self.price_at(middle) < needed { below = middle } else { enough = middle }
        }
        Some(enough)
    }

    /// Whether the escrow is due whatever the steps.
    pub fn is_fixed(&self) -> bool {
        self.base >= self.max
    }
}

/// What work costs a provider, in the token's smallest unit, and what it adds to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostModel {
    /// A job, however short: gas, fetching, the time value of its stake.
    #[serde(with = "text")]
    pub job: u128,
    /// 2^20 steps.
    #[serde(with = "text", rename = "mebistep")]
    pub per_mebistep: u128,
    /// What is added to both, in basis points.
    pub margin_bps: u16,
}

impl CostModel {
    /// The least pay for which a run of so many steps is worth it: cost and margin.
    pub fn pay_for(&self, steps: u64) -> u128 {
        // Steps round down, as what they earn does: else an order that pays exactly this rate would
        // be wanting.
        self.base().saturating_add(mul_div(self.rate(), steps, MEBISTEP * BPS))
    }

    /// What an order must pay so that the provider loses at no number of steps up to the limit,
    /// which is all that it knows beforehand.
    ///
    /// Pay is min(escrow, base + rate · steps), which is concave, and cost is a line: the worst
    /// case is at one end. The last step sets the escrow. Base and rate are wanting at the first
    /// step, or at the last, whatever the escrow.
    pub fn needed(&self, terms: &PriceTerms, step_limit: u64) -> Needed {
        let steps_max = step_limit.max(1);
        if !terms.is_fixed() {
            let least = self.least_base(terms.per_mebistep, steps_max);
            // With a base below the cost of an empty job, no sensible rate helps.
            let base_covers_job = terms.base >= self.base();
            if terms.base < least && base_covers_job && self.outruns(terms.per_mebistep) {
                return Needed::Rate { least: self.least_rate(terms.base, steps_max) };
            }
            if terms.base < least {
                return Needed::Base { least };
            }
        }
        Needed::Price(self.pay_for(steps_max))
    }

    /// The base that it asks for in a metered order: the cost of a job and its margin, rounded up.
    pub fn base(&self) -> u128 {
        mul_div_ceil(self.job, BPS + u64::from(self.margin_bps), BPS)
    }

    /// The rate that it asks for in a metered order: the cost of 2^20 steps and its margin, rounded
    /// up.
    pub fn per_mebistep(&self) -> u128 {
        self.rate().div_ceil(BPS.into())
    }

    /// The cost of 2^20 steps with its margin, in ten-thousandths of the smallest unit, so that
    /// small costs keep it.
    fn rate(&self) -> u128 {
        self.per_mebistep.saturating_mul(u128::from(BPS) + u128::from(self.margin_bps))
    }

    /// Whether cost rises faster than what this rate earns.
    fn outruns(&self, per_mebistep: u128) -> bool {
        self.rate() > per_mebistep.saturating_mul(BPS.into())
    }

    /// The base with which a rate covers the cost at every number of steps.
    fn least_base(&self, per_mebistep: u128, steps_max: u64) -> u128 {
        if self.outruns(per_mebistep) {
            // Worst at the last step. Rounded up, since pay and cost round at different steps.
            let gap = self.rate() - per_mebistep.saturating_mul(BPS.into());
            self.base().saturating_add(mul_div_ceil(gap, steps_max, MEBISTEP * BPS))
        } else {
            // Worst at the first step, whatever the rounding (spec/pricing.md#needed).
            self.pay_for(1).saturating_sub(mul_div(per_mebistep, 1, MEBISTEP))
        }
    }

    /// The rate with which a base, which covers an empty job, covers every longer one.
    fn least_rate(&self, base: u128, steps_max: u64) -> u128 {
        let room = mul_div(base.saturating_sub(self.base()), MEBISTEP * BPS, steps_max);
        self.rate().saturating_sub(room).div_ceil(BPS.into())
    }
}

/// What a provider needs of an order ([`CostModel::needed`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// This escrow or more at the lock.
    Price(u128),
    /// A higher base, whatever the escrow; this one would do.
    Base {
        /// The least base, with the order's rate.
        least: u128,
    },
    /// A higher rate, whatever the escrow; this one would do.
    Rate {
        /// The least rate for 2^20 steps, with the order's base.
        least: u128,
    },
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;
    use crate::AMOUNT_MAX;

    fn amount(rng: &mut Rng) -> u128 {
        rng.u128(..=AMOUNT_MAX) >> rng.u32(..96)
    }

    fn terms(rng: &mut Rng) -> PriceTerms {
        let (a, b) = (amount(rng), amount(rng));
        PriceTerms {
            min: a.min(b),
            max: a.max(b),
            base: amount(rng),
            per_mebistep: amount(rng),
            ramp_start_at: rng.u64(..2_000_000_000),
            ramp_secs: rng.u32(..) >> rng.u32(..32),
        }
    }

    #[test]
    fn a_ramp_by_hand() {
        let terms = PriceTerms {
            min: 10,
            max: 20,
            base: 5,
            per_mebistep: 3,
            ramp_start_at: 100,
            ramp_secs: 7,
        };
        let prices: Vec<u128> = (98..=109).map(|time| terms.price_at(time)).collect();
        assert_eq!(prices, [10, 10, 10, 11, 12, 14, 15, 17, 18, 20, 20, 20]);
        assert_eq!(terms.due(20, MEBISTEP - 1), 7, "rounded down");
        assert_eq!(terms.due(20, MEBISTEP), 8);
        assert_eq!(terms.due(20, 6 * MEBISTEP), 20, "capped by the escrow");
    }

    #[test]
    fn lock_at_inverts_price_at_everywhere() {
        for (min, max) in [(0, 0), (0, 1), (3, 3), (2, 9), (0, 40)] {
            for ramp_secs in 0..=20 {
                let terms =
                    PriceTerms { min, max, base: 0, per_mebistep: 0, ramp_start_at: 10, ramp_secs };
                for needed in 0..=max + 1 {
                    for not_before in 0..=40 {
                        let first = (not_before..=60).find(|&time| terms.price_at(time) >= needed);
                        assert_eq!(terms.lock_at(needed, not_before), first, "{terms:?} {needed}");
                    }
                }
            }
        }
    }

    #[test]
    fn lock_at_is_the_first_second_of_long_ramps() {
        let mut rng = Rng::with_seed(2);
        let mut found = 0;
        for _ in 0..20_000 {
            let terms = terms(&mut rng);
            let needed = rng.u128(..=terms.max.saturating_add(terms.max / 8));
            let not_before = rng.u64(..4_000_000_000);
            match terms.lock_at(needed, not_before) {
                Some(at) => {
                    found += 1;
                    assert!(at >= not_before && terms.price_at(at) >= needed, "{terms:?}");
                    assert!(at == not_before || terms.price_at(at - 1) < needed, "{terms:?}");
                }
                None => assert!(terms.max < needed, "{terms:?} {needed}"),
            }
        }
        assert!(found > 10_000, "only {found} cases had a lock");
    }

    #[test]
    fn lock_at_ends_with_time() {
        let start = u64::MAX - 5;
        let terms = PriceTerms {
            min: 0,
            max: 100,
            base: 0,
            per_mebistep: 0,
            ramp_start_at: start,
            ramp_secs: 10,
        };
        assert_eq!(terms.lock_at(50, 0), Some(u64::MAX), "half-way in the last second");
        assert_eq!(terms.lock_at(51, 0), None, "time ends before the ramp");
        assert_eq!(PriceTerms { min: 101, ..terms }.lock_at(1, 0), None, "no order at all");
    }

    /// Whether a provider loses at some number of steps.
    fn loses(cost: &CostModel, terms: &PriceTerms, escrow: u128, step_limit: u64) -> Option<u64> {
        (1..=step_limit).find(|&steps| terms.due(escrow, steps) < cost.pay_for(steps))
    }

    /// Coarse steps make every rounding show: with rates near 2^20, each step counts.
    #[test]
    fn what_is_needed_never_loses_and_one_less_does() {
        let mut rng = Rng::with_seed(3);
        let [mut prices, mut bases, mut rates] = [0; 3];
        for _ in 0..20_000 {
            let rate = |rng: &mut Rng| rng.u128(..4 << 20) >> rng.u32(..22);
            let cost = CostModel {
                job: rng.u128(..40),
                per_mebistep: rate(&mut rng),
                margin_bps: rng.u16(..) >> rng.u32(..16),
            };
            let base = rng.u128(..60);
            let max = base + rng.u128(1..200);
            let per_mebistep = if rng.bool() { cost.per_mebistep() } else { rate(&mut rng) };
            let terms =
                PriceTerms { min: 0, max, base, per_mebistep, ramp_start_at: 0, ramp_secs: 0 };
            let limit = rng.u64(1..60);
            let most = AMOUNT_MAX;
            match cost.needed(&terms, limit) {
                Needed::Price(price) => {
                    prices += 1;
                    assert_eq!(loses(&cost, &terms, price, limit), None, "{cost:?} {terms:?}");
                    let less = price.checked_sub(1);
                    let lost = less.and_then(|less| loses(&cost, &terms, less, limit));
                    assert!(less.is_none() || lost.is_some(), "{cost:?} {terms:?}: {price}");
                }
                Needed::Base { least } => {
                    bases += 1;
                    assert!(least > base);
                    let max = least + most;
                    let raised = PriceTerms { base: least, max, ..terms };
                    assert_eq!(loses(&cost, &raised, most, limit), None, "{cost:?} {raised:?}");
                    assert!(matches!(cost.needed(&raised, limit), Needed::Price(_)));
                    if let Some(less) = least.checked_sub(2) {
                        let lowered = PriceTerms { base: less, ..raised };
                        let lost = loses(&cost, &lowered, most, limit);
                        assert!(lost.is_some(), "{cost:?} {lowered:?}: over by two or more");
                    }
                }
                Needed::Rate { least } => {
                    rates += 1;
                    assert!(least > per_mebistep);
                    let raised = PriceTerms { per_mebistep: least, ..terms };
                    assert_eq!(loses(&cost, &raised, most, limit), None, "{cost:?} {raised:?}");
                    assert!(matches!(cost.needed(&raised, limit), Needed::Price(_)));
                    let short = PriceTerms { per_mebistep: least - 1, ..terms };
                    assert!(matches!(cost.needed(&short, limit), Needed::Rate { .. }));
                }
            }
        }
        let kinds = [prices, bases, rates];
        assert!(kinds.iter().all(|&n| n > 500), "cases of each kind: {kinds:?}");
    }

    #[test]
    fn what_is_needed_covers_both_ends_of_the_largest_jobs() {
        let mut rng = Rng::with_seed(4);
        for _ in 0..20_000 {
            let terms = terms(&mut rng);
            let cost = CostModel {
                job: amount(&mut rng),
                per_mebistep: amount(&mut rng),
                margin_bps: rng.u16(..),
            };
            let limit = rng.u64(1..=1 << 45);
            if let Needed::Price(price) = cost.needed(&terms, limit) {
                // A fixed price's base follows its escrow.
                let base = if terms.is_fixed() { price } else { terms.base };
                let terms = PriceTerms { base, ..terms };
                for steps in [1, 2, limit / 2, limit - 1, limit].map(|steps| steps.max(1)) {
                    let (due, pay) = (terms.due(price, steps), cost.pay_for(steps));
                    assert!(due >= pay, "{cost:?} {terms:?}: {due} for {steps} steps");
                }
            }
        }
    }

    #[test]
    fn a_fixed_price_is_wanting_in_its_price_only() {
        let terms = PriceTerms {
            min: 0,
            max: 100,
            base: 100,
            per_mebistep: 0,
            ramp_start_at: 0,
            ramp_secs: 9,
        };
        let cost = CostModel { job: 1000, per_mebistep: 10, margin_bps: 1000 };
        assert_eq!(cost.needed(&terms, 5 * MEBISTEP), Needed::Price(1155));
    }

    #[test]
    fn nothing_overflows() {
        let most = PriceTerms {
            min: u128::MAX,
            max: u128::MAX,
            base: u128::MAX,
            per_mebistep: u128::MAX,
            ramp_start_at: u64::MAX,
            ramp_secs: u32::MAX,
        };
        let dear = CostModel { job: u128::MAX, per_mebistep: u128::MAX, margin_bps: u16::MAX };
        let free = CostModel { job: 0, per_mebistep: 0, margin_bps: 0 };
        for terms in [most, PriceTerms { base: 0, ..most }, PriceTerms { min: 0, ..most }] {
            for steps in [0, 1, u64::MAX] {
                terms.price_at(steps);
                terms.due(u128::MAX, steps);
                dear.needed(&terms, steps);
                dear.needed(&PriceTerms { per_mebistep: 0, ..terms }, steps);
                free.needed(&terms, steps);
                terms.lock_at(u128::MAX, steps);
            }
        }
    }
}
