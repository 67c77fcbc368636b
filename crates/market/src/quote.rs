//! What an order would cost, and when somebody would take it, from what providers say of their
//! prices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amount::text;
use crate::{Account, CostModel, Needed, PriceTerms};

/// What a provider says publicly of its prices. A forecast is worth what its offers are: nobody is
/// bound by one. A reader passes over fields of a newer version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Who would lock.
    pub provider: Account,
    /// What it counts with.
    pub cost: CostModel,
    /// Its free stake, in the token's smallest unit.
    #[serde(with = "text")]
    pub stake_free: u128,
    /// The last second in which it means this.
    pub until: u64,
    /// How long it takes for a run when it is idle; `None` where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_time: Option<RunTime>,
}

/// How long a provider takes for a run when it is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunTime {
    /// Steps that it counts on in a second.
    pub steps_per_sec: u64,
    /// What it leaves for its transactions and confirmations, in seconds.
    pub margin_secs: u64,
}

impl RunTime {
    /// How long a run of so many steps takes, in seconds.
    pub fn secs(&self, steps: u64) -> u64 {
        steps.div_ceil(self.steps_per_sec.max(1)).saturating_add(self.margin_secs)
    }
}

/// What an order asks for, besides its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The most steps.
    pub step_limit: u64,
    /// What the provider puts at stake, in the token's smallest unit.
    pub stake: u128,
    /// How long the run may take, in seconds.
    pub run_secs: u32,
}

/// What an order costs with the providers that could take it ([`quote`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// How many could take it.
    pub providers: u32,
    /// The terms of the cheapest; `None` if there is no provider.
    pub low: Option<Quoted>,
    /// The terms of the one in the middle (of the lower two, if they are even in number): half of
    /// them ask no more.
    pub median: Option<Quoted>,
}

/// Terms on which one provider takes an order, in the token's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quoted {
    /// Whose terms these are.
    pub provider: Account,
    /// The fixed price; or the most that a metered order pays.
    #[serde(with = "text")]
    pub price: u128,
    /// A metered order's base.
    #[serde(with = "text")]
    pub base: u128,
    /// A metered order's rate for 2^20 steps.
    #[serde(with = "text", rename = "mebistep")]
    pub per_mebistep: u128,
}

impl Quoted {
    /// A fixed price, the same at any time.
    pub fn fixed(&self) -> PriceTerms {
        PriceTerms::fixed(self.price)
    }

    /// A metered price, the same at any time. Fixed where the steps are too few to matter: an
    /// order's base is below its maximum, or it is a fixed price.
    pub fn metered(&self) -> PriceTerms {
        if self.base >= self.price {
            return self.fixed();
        }
        PriceTerms { base: self.base, per_mebistep: self.per_mebistep, ..self.fixed() }
    }
}

/// What an order costs now, with who has the stake and is fast enough. A provider with several
/// offers counts once, with its cheapest; the order of the offers does not matter.
pub fn quote(asked: Asked, offers: &[Offer], now: u64) -> Quote {
    let mut cheapest: BTreeMap<Account, Quoted> = BTreeMap::new();
    let can = |offer: &&Offer| offer.covers(asked.stake, now) && offer.is_fast_enough(asked);
    for offer in offers.iter().filter(can) {
        let quoted = offer.quoted(asked.step_limit);
        let kept = cheapest.entry(offer.provider).or_insert(quoted);
        if quoted.rank() < kept.rank() {
            *kept = quoted;
        }
    }
    let mut all: Vec<Quoted> = cheapest.into_values().collect();
    all.sort_by_key(Quoted::rank);
    let median = all.get(all.len().saturating_sub(1) / 2).copied();
    let providers = u32::try_from(all.len()).unwrap_or(u32::MAX);
    Quote { providers, low: all.first().copied(), median }
}

/// Who is expected to lock an order first, when, and for how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forecast {
    /// Who.
    pub provider: Account,
    /// When, in Unix seconds.
    pub at: u64,
    /// The escrow then, in the token's smallest unit.
    #[serde(with = "text")]
    pub price: u128,
}

/// Who locks an order of these terms first, if providers do as they offer: each in the first second
/// in which the ramp gives what it needs. Of two in one second, the lower account. `None` if nobody
/// does before the lock deadline.
///
/// The caller leaves out the offers of providers that the order does not admit.
pub fn forecast(
    terms: &PriceTerms,
    step_limit: u64,
    stake: u128,
    offers: &[Offer],
    now: u64,
    lock_deadline: u64,
) -> Option<Forecast> {
    let lock = |offer: &Offer| {
        let Needed::Price(needed) = offer.cost.needed(terms, step_limit) else { return None };
        let at = terms.lock_at(needed, now)?;
        (at <= lock_deadline && offer.covers(stake, at)).then_some((at, offer.provider))
    };
    let (at, provider) = offers.iter().filter_map(lock).min()?;
    Some(Forecast { provider, at, price: terms.price_at(at) })
}

impl Offer {
    /// Whether it stands at a time, and its provider has the stake.
    fn covers(&self, stake: u128, time: u64) -> bool {
        self.stake_free >= stake && time <= self.until
    }

    /// Whether a run ends in time when the provider is idle. Who does not say may be.
    fn is_fast_enough(&self, asked: Asked) -> bool {
        let takes = self.run_time.map(|time| time.secs(asked.step_limit));
        takes.is_none_or(|secs| secs <= u64::from(asked.run_secs))
    }

    fn quoted(&self, step_limit: u64) -> Quoted {
        Quoted {
            provider: self.provider,
            price: self.cost.pay_for(step_limit.max(1)),
            base: self.cost.base(),
            per_mebistep: self.cost.per_mebistep(),
        }
    }
}

impl Quoted {
    /// Cheapest first; the account, then the meter, settle ties, so that the order is total.
    fn rank(&self) -> (u128, Account, u128, u128) {
        (self.price, self.provider, self.base, self.per_mebistep)
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;
    use crate::MEBISTEP;

    fn offer(provider: u8, job: u128, per_mebistep: u128) -> Offer {
        let cost = CostModel { job, per_mebistep, margin_bps: 0 };
        Offer {
            provider: Account([provider; 20]),
            cost,
            stake_free: 100,
            until: 1000,
            run_time: None,
        }
    }

    fn offers(rng: &mut Rng) -> Vec<Offer> {
        let count = rng.usize(..8);
        (0..count)
            .map(|_| Offer {
                provider: Account([rng.u8(..5); 20]),
                cost: CostModel {
                    job: rng.u128(..1000),
                    per_mebistep: rng.u128(..100),
                    margin_bps: rng.u16(..3000),
                },
                stake_free: rng.u128(..200),
                until: rng.u64(..200),
                run_time: None,
            })
            .collect()
    }

    #[test]
    fn a_quote_by_hand() {
        let late = Offer { until: 9, ..offer(4, 1, 1) };
        let poor = Offer { stake_free: 49, ..offer(5, 1, 1) };
        let offers = [offer(3, 500, 1), offer(1, 100, 20), offer(2, 200, 4), late, poor];
        let asked = |run_secs| Asked { step_limit: 10 * MEBISTEP, stake: 50, run_secs };
        let quote = super::quote(asked(60), &offers, 10);
        let quoted = |provider, price, base, per_mebistep| {
            Some(Quoted { provider: Account([provider; 20]), price, base, per_mebistep })
        };
        assert_eq!(quote.providers, 3, "one offer is over, one lacks stake");
        assert_eq!(quote.low, quoted(2, 240, 200, 4));
        assert_eq!(quote.median, quoted(1, 300, 100, 20));
    }

    #[test]
    fn who_is_too_slow_is_not_quoted() {
        let run_time = |steps_per_sec| Some(RunTime { steps_per_sec, margin_secs: 5 });
        let slow = Offer { run_time: run_time(MEBISTEP), ..offer(1, 1, 1) };
        let fast = Offer { run_time: run_time(4 * MEBISTEP), ..offer(2, 9, 9) };
        let silent = offer(3, 99, 99);
        let quoted = |run_secs| {
            let asked = Asked { step_limit: 10 * MEBISTEP, stake: 50, run_secs };
            let quote = quote(asked, &[slow, fast, silent], 10);
            (quote.providers, quote.low.map(|low| low.provider.0[0]))
        };
        assert_eq!(quoted(15), (3, Some(1)), "10 s of running, and 5 s of margin");
        assert_eq!(quoted(14), (2, Some(2)), "the cheapest would decline it");
        assert_eq!(quoted(7), (1, Some(3)), "who does not say may be fast enough");
    }

    #[test]
    fn an_offer_of_another_version_is_read() {
        let offer = offer(1, 2, 3);
        let text = serde_json::to_string(&offer).expect("JSON");
        assert!(!text.contains("run_time"), "as before where nothing is said: {text}");
        assert_eq!(serde_json::from_str::<Offer>(&text).expect("an offer"), offer);
        let newer = text.replacen('{', r#"{"gpu":true,"#, 1);
        assert_eq!(serde_json::from_str::<Offer>(&newer).expect("an offer"), offer);
    }

    #[test]
    fn no_offers_quote_nothing() {
        let expect = Quote { providers: 0, low: None, median: None };
        assert_eq!(quote(Asked { step_limit: 1, stake: 1, run_secs: 1 }, &[], 0), expect);
    }

    #[test]
    fn what_is_quoted_is_taken_and_order_does_not_matter() {
        let mut rng = Rng::with_seed(5);
        let mut taken = 0;
        for _ in 0..5000 {
            let mut offers = offers(&mut rng);
            let (limit, stake, now) = (rng.u64(1..100 * MEBISTEP), rng.u128(..150), rng.u64(..150));
            let asked = Asked { step_limit: limit, stake, run_secs: 60 };
            let quoted = quote(asked, &offers, now);
            rng.shuffle(&mut offers);
            assert_eq!(quote(asked, &offers, now), quoted, "shuffled");
            for terms in quoted.low.iter().chain(&quoted.median) {
                for terms in [terms.fixed(), terms.metered()] {
                    assert!(
                        terms.base < terms.max || terms.per_mebistep == 0,
                        "no order: {terms:?}"
                    );
                    let forecast = forecast(&terms, limit, stake, &offers, now, now);
                    let forecast = forecast.expect("somebody quoted this");
                    assert_eq!((forecast.at, forecast.price), (now, terms.max));
                    taken += 1;
                }
            }
        }
        assert!(taken > 5000, "only {taken} quotes were tried");
    }

    #[test]
    fn forecasts_follow_the_ramp() {
        let terms = PriceTerms {
            min: 0,
            max: 1000,
            base: 1000,
            per_mebistep: 0,
            ramp_start_at: 100,
            ramp_secs: 100,
        };
        let offers = [offer(3, 500, 0), offer(2, 500, 0), offer(1, 700, 0)];
        let at = |now, lock_deadline| forecast(&terms, 1, 50, &offers, now, lock_deadline);
        let provider =
            |provider, at, price| Some(Forecast { provider: Account([provider; 20]), at, price });
        assert_eq!(at(0, 500), provider(2, 150, 500), "the lower account of two");
        assert_eq!(at(180, 500), provider(1, 180, 800), "all would, at once");
        assert_eq!(at(0, 149), None, "the order ends before");
        let brief = [Offer { until: 149, ..offers[1] }, offers[2]];
        assert_eq!(forecast(&terms, 1, 50, &brief, 0, 500), provider(1, 170, 700));
        assert_eq!(forecast(&terms, 1, 101, &offers, 0, 500), None, "nobody has the stake");
    }

    #[test]
    fn forecasts_are_the_first_lock_of_a_second_by_second_search() {
        let mut rng = Rng::with_seed(6);
        for _ in 0..3000 {
            let mut offers = offers(&mut rng);
            let (min, rise) = (rng.u128(..1000), rng.u128(..2000));
            let base = if rng.bool() { min + rise } else { rng.u128(..=min + rise) };
            let terms = PriceTerms {
                min,
                max: min + rise,
                base,
                per_mebistep: if base == min + rise { 0 } else { rng.u128(..100) },
                ramp_start_at: rng.u64(..100),
                ramp_secs: rng.u32(..100),
            };
            let (limit, stake) = (rng.u64(1..10 * MEBISTEP), rng.u128(..150));
            let (now, end) = (rng.u64(..100), rng.u64(..200));
            let expect = (now..=end).find_map(|time| {
                let price = terms.price_at(time);
                let takes = |offer: &&Offer| {
                    let needed = offer.cost.needed(&terms, limit);
                    let pays = matches!(needed, Needed::Price(needed) if needed <= price);
                    pays && offer.covers(stake, time)
                };
                let provider = offers.iter().filter(takes).map(|offer| offer.provider).min()?;
                Some(Forecast { provider, at: time, price })
            });
            rng.shuffle(&mut offers);
            assert_eq!(forecast(&terms, limit, stake, &offers, now, end), expect, "{terms:?}");
        }
    }
}
