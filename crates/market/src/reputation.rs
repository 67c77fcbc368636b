//! How well a provider has kept its word, from what is on the chain (spec/reputation.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amount::{mul_div, text};

/// The best score: 10 000 basis points. Nobody reaches it.
pub const SCORE_MAX: u16 = 10_000;

/// The value that every provider starts with: 500 tokens of 10^6 units. It keeps one job from
/// saying everything.
pub const PRIOR: u128 = 500_000_000;

/// The part of the prior that counts as kept: a newcomer scores 4000.
pub const PRIOR_KEPT: u128 = 200_000_000;

/// What a day's completed jobs count for at most: 100 tokens. So a record takes time, whoever
/// orders the jobs.
pub const DAY_MAX: u128 = 100_000_000;

/// What one fault's value counts for at most, before its factor: 10^12 tokens, only so that sums
/// stay small.
const FAULT_VALUE_MAX: u128 = 1_000_000_000_000_000_000;

/// After so many days an outcome counts half.
pub const HALF_LIFE_DAYS: u64 = 90;

const DAY_SECS: u64 = 86_400;

/// Weight of an outcome of today.
const ONE: u64 = 1 << 32;

/// How one of a provider's locks ended, as the chain's events tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// When: the block's time, in Unix seconds.
    pub at: u64,
    /// The stake that was at risk, in millionths of the token.
    #[serde(with = "text")]
    pub value: u128,
    /// How.
    pub kind: OutcomeKind,
}

/// The ends of a lock that count. A job that was unwound says nothing of its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// Claimed, upheld and paid.
    Completed,
    /// The same, after another provider had missed its deadline.
    CompletedLate,
    /// No claim in time.
    Missed,
    /// The claim was shown false.
    Refuted,
    /// The output was withheld.
    Silent,
    /// No `begin` in time: the requester's keys may have been late too.
    Lapsed,
}

impl OutcomeKind {
    /// How many times its value a fault counts; `None` if the job was completed.
    pub fn fault_factor(self) -> Option<u64> {
        match self {
            OutcomeKind::Completed | OutcomeKind::CompletedLate => None,
            OutcomeKind::Lapsed => Some(1),
            OutcomeKind::Missed => Some(5),
            OutcomeKind::Refuted | OutcomeKind::Silent => Some(20),
        }
    }
}

/// A provider's record at a moment ([`reputation`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reputation {
    /// 0 to [`SCORE_MAX`], in basis points.
    pub score: u16,
    /// The aged value of completed jobs, in millionths of the token: what the score rests on.
    #[serde(with = "text")]
    pub kept: u128,
    /// The aged value of faults, times their factors.
    #[serde(with = "text")]
    pub broken: u128,
}

/// The record of the provider of these outcomes: the same for everyone who has read the same chain,
/// in whatever order. Outcomes after `now` are not counted, so a past score can be computed again.
///
/// A score is a hint and not a security: whoever can lose it can begin anew, and whoever has stake
/// can order from itself (spec/reputation.md#limits).
pub fn reputation(outcomes: &[Outcome], now: u64) -> Reputation {
    let today = now / DAY_SECS;
    let mut kept_by_age: BTreeMap<u64, u128> = BTreeMap::new();
    let mut broken: u128 = 0;
    for outcome in outcomes.iter().filter(|outcome| outcome.at <= now) {
        let age_days = today - outcome.at / DAY_SECS;
        match outcome.kind.fault_factor() {
            None => {
                let kept = kept_by_age.entry(age_days).or_default();
                *kept = kept.saturating_add(outcome.value).min(DAY_MAX);
            }
            Some(factor) => {
                let value = outcome.value.min(FAULT_VALUE_MAX) * u128::from(factor);
                broken = broken.saturating_add(aged(value, age_days));
            }
        }
    }
    let kept = kept_by_age.iter().map(|(&age_days, &value)| aged(value, age_days));
    let kept = kept.fold(0, u128::saturating_add);
    Reputation { score: score(kept, broken), kept, broken }
}

/// floor(10 000 (200 + kept) / (500 + kept + broken)), in tokens.
fn score(kept: u128, broken: u128) -> u16 {
    let part = kept.saturating_add(PRIOR_KEPT);
    let whole = kept.saturating_add(PRIOR).saturating_add(broken);
    // The part never exceeds the whole: at most 10 000.
    (part.saturating_mul(SCORE_MAX.into()) / whole).min(SCORE_MAX.into()) as u16
}

/// A value after some days: half after each half-life, on a straight line between.
fn aged(value: u128, age_days: u64) -> u128 {
    mul_div(value, weight(age_days), ONE)
}

fn weight(age_days: u64) -> u64 {
    let halvings = u32::try_from(age_days / HALF_LIFE_DAYS).unwrap_or(u32::MAX);
    let halved = ONE.checked_shr(halvings).unwrap_or(0);
    halved * (2 * HALF_LIFE_DAYS - age_days % HALF_LIFE_DAYS) / (2 * HALF_LIFE_DAYS)
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    const TOKEN: u128 = 1_000_000;
    const NOW: u64 = 20_000 * DAY_SECS + 7000;

    fn outcome(kind: OutcomeKind, age_days: u64, value: u128) -> Outcome {
        Outcome { at: NOW - age_days * DAY_SECS, value, kind }
    }

    fn random(rng: &mut Rng, kinds: &[OutcomeKind]) -> Outcome {
        Outcome {
            at: rng.u64(..NOW + 10 * DAY_SECS).max(rng.u64(..NOW)),
            value: rng.u128(..) >> rng.u32(..128),
            kind: kinds[rng.usize(..kinds.len())],
        }
    }

    const KEPT: [OutcomeKind; 2] = [OutcomeKind::Completed, OutcomeKind::CompletedLate];
    const BROKEN: [OutcomeKind; 4] =
        [OutcomeKind::Missed, OutcomeKind::Refuted, OutcomeKind::Silent, OutcomeKind::Lapsed];

    fn history(rng: &mut Rng) -> Vec<Outcome> {
        let kinds = [&KEPT[..], &BROKEN[..]].concat();
        (0..rng.usize(..20)).map(|_| random(rng, &kinds)).collect()
    }

    /// spec/reputation.md#example.
    #[test]
    fn the_example_of_the_specification() {
        let outcomes = [
            outcome(OutcomeKind::Completed, 0, 60 * TOKEN),
            outcome(OutcomeKind::CompletedLate, 0, 90 * TOKEN),
            outcome(OutcomeKind::Completed, 90, 60 * TOKEN),
            outcome(OutcomeKind::Missed, 45, 8 * TOKEN),
        ];
        let expect = Reputation { score: 5000, kept: 130 * TOKEN, broken: 30 * TOKEN };
        assert_eq!(reputation(&outcomes, NOW), expect);
    }

    #[test]
    fn a_newcomer_starts_below_the_middle() {
        assert_eq!(reputation(&[], NOW).score, 4000);
    }

    #[test]
    fn dust_does_not_outweigh_one_large_job() {
        let dust = vec![outcome(OutcomeKind::Completed, 0, TOKEN / 1000); 1000];
        let large = [outcome(OutcomeKind::Completed, 0, 10 * TOKEN)];
        assert!(reputation(&dust, NOW).score < reputation(&large, NOW).score);
        let mut hidden = dust;
        hidden.push(outcome(OutcomeKind::Refuted, 0, 10 * TOKEN));
        assert!(reputation(&hidden, NOW).score < 3000, "dust hides no lie");
    }

    #[test]
    fn a_day_of_washing_does_not_make_a_name() {
        let washed = vec![outcome(OutcomeKind::Completed, 0, 1000 * TOKEN); 1000];
        assert_eq!(reputation(&washed, NOW).score, 5000);
    }

    #[test]
    fn a_record_takes_days_and_never_the_whole() {
        let full = |days: u64| -> Vec<Outcome> {
            (0..days).map(|day| outcome(OutcomeKind::Completed, day, DAY_MAX)).collect()
        };
        let score = |days| reputation(&full(days), NOW).score;
        assert_eq!([10, 11, 4000].map(score), [7966, 8088, 9786]);
    }

    #[test]
    fn a_completion_never_lowers_and_a_fault_never_raises() {
        let mut rng = Rng::with_seed(8);
        for _ in 0..5000 {
            let mut outcomes = history(&mut rng);
            let before = reputation(&outcomes, NOW).score;
            assert!(before <= SCORE_MAX);
            outcomes.push(random(&mut rng, &KEPT));
            assert!(reputation(&outcomes, NOW).score >= before, "{outcomes:?}");
            outcomes.pop();
            outcomes.push(random(&mut rng, &BROKEN));
            assert!(reputation(&outcomes, NOW).score <= before, "{outcomes:?}");
        }
    }

    #[test]
    fn order_does_not_matter() {
        let mut rng = Rng::with_seed(9);
        for _ in 0..2000 {
            let mut outcomes = history(&mut rng);
            let expect = reputation(&outcomes, NOW);
            rng.shuffle(&mut outcomes);
            assert_eq!(reputation(&outcomes, NOW), expect);
        }
    }

    #[test]
    fn weights_halve_and_never_rise() {
        for halvings in 0..=32 {
            assert_eq!(weight(halvings * HALF_LIFE_DAYS), ONE >> halvings);
        }
        assert_eq!(weight(45), ONE / 4 * 3, "a straight line between");
        assert!((0..4000).all(|day| weight(day + 1) <= weight(day)));
        assert_eq!(weight(u64::MAX), 0);
    }

    #[test]
    fn all_is_forgotten_towards_the_prior() {
        let kept = [outcome(OutcomeKind::Completed, 0, 100 * TOKEN)];
        let broken = [outcome(OutcomeKind::Refuted, 0, 100 * TOKEN)];
        let scores = |outcomes: &[Outcome]| -> Vec<u16> {
            (0..4000).map(|day| reputation(outcomes, NOW + day * DAY_SECS).score).collect()
        };
        let (falls, rises) = (scores(&kept), scores(&broken));
        assert!(falls.is_sorted_by(|a, b| a >= b), "a good record fades");
        assert!(rises.is_sorted(), "a bad one too");
        assert_eq!((falls[3999], rises[3999]), (4000, 4000));
        assert_eq!((falls[0], rises[0]), (5000, 800));
    }

    #[test]
    fn the_future_is_not_counted_and_the_past_can_be_computed_again() {
        let mut rng = Rng::with_seed(10);
        for _ in 0..1000 {
            let outcomes = history(&mut rng);
            let past: Vec<Outcome> =
                outcomes.iter().copied().filter(|outcome| outcome.at <= NOW).collect();
            assert_eq!(reputation(&outcomes, NOW), reputation(&past, NOW));
        }
    }

    #[test]
    fn nothing_overflows() {
        let worst = Outcome { at: 0, value: u128::MAX, kind: OutcomeKind::Silent };
        let best = Outcome { kind: OutcomeKind::Completed, ..worst };
        assert_eq!(reputation(&vec![worst; 1000], 0).score, 0);
        assert_eq!(reputation(&vec![best; 1000], 0).score, 5000);
        assert_eq!(reputation(&[worst, best], u64::MAX).score, 4000);
    }
}
