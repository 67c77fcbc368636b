//! Statistics with differential privacy: counts and sums over jobs in which no one party's part can
//! be told (spec/disclosure.md#statistics).
//!
//! Noise is discrete Laplace, drawn exactly with integers (Canonne, Kamath and Steinke, "The
//! Discrete Gaussian for Differential Privacy", 2020, algorithms 1 and 2), so no rounding gives
//! anything away. Random bytes are handed in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

mod ledger;

pub use ledger::{BUDGET_SCHEMA, Budget, BudgetError};

/// Millionths of epsilon: what a release costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MicroEpsilon(u64);

/// One epsilon.
const EPSILON_MICRO: u64 = 1_000_000;

/// The most that a release, or a whole budget, can have: an epsilon of 1000, far beyond what
/// protects anybody.
const MICRO_MAX: u64 = 1_000 * EPSILON_MICRO;

/// How many statistics share a release's epsilon: jobs by ending, parties, spend.
const SHARES: u64 = 3;

/// The most that one party can be let to change a sum by: keeps the noise's scale within 128 bits.
const SENSITIVITY_MAX: u128 = 1 << 96;

/// Fills a buffer with random bytes of cryptographic quality.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// Why statistics can't be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatisticsError {
    /// An epsilon that is none.
    #[error("{0} millionths of epsilon can't be spent: it must be from 1 to {MICRO_MAX}")]
    Epsilon(u64),
    /// A release's epsilon does not go round.
    #[error("{0} millionths of epsilon are too few to share among {SHARES} statistics")]
    Share(u64),
    /// A bound on what one party adds is zero, or too large.
    #[error("the bounds on one party's part must be at least 1, and their product below 2^96")]
    Bounds,
}

impl MicroEpsilon {
    /// From millionths, 1 to 10^9.
    ///
    /// # Errors
    ///
    /// [`StatisticsError::Epsilon`].
    pub fn new(micro: u64) -> Result<Self, StatisticsError> {
        if micro == 0 || micro > MICRO_MAX {
            return Err(StatisticsError::Epsilon(micro));
        }
        Ok(MicroEpsilon(micro))
    }

    /// In millionths.
    pub fn micro(self) -> u64 {
        self.0
    }
}

/// One job, as far as statistics go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<C> {
    /// The job: which of a party's jobs count, if not all do, goes by the order of these.
    pub job: [u8; 32],
    /// Whose part is protected.
    pub party: [u8; 20],
    /// How it ended.
    pub class: C,
    /// What was paid, in the token's smallest unit.
    pub spend: u128,
}

/// How much of one party can be in the statistics, and how little is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The most jobs of one party that count; others are left out.
    pub jobs_per_party_max: u32,
    /// The most of one job's spend that counts.
    pub spend_per_job_max: u128,
    /// Noisy counts below it are not shown.
    pub count_min: u32,
    /// What the release costs in all.
    pub epsilon: MicroEpsilon,
}

/// What is released. Every number has noise; a number below the threshold is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statistics<C: Ord> {
    /// Jobs by ending: each possible ending is there, whether or not a job had it.
    pub jobs: BTreeMap<C, Option<i128>>,
    /// How many parties there are.
    pub parties: Option<i128>,
    /// What was spent together; not there if too few jobs are.
    pub spend: Option<i128>,
    /// Scale of the noise on each count of jobs, as a fraction.
    pub jobs_scale: Scale,
    /// On the number of parties.
    pub parties_scale: Scale,
    /// On the spend.
    pub spend_scale: Scale,
}

/// The scale of discrete Laplace noise: `numerator / denominator`. P(x) is proportional to
/// `exp(-|x| * denominator / numerator)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Scale {
    /// Sensitivity times 10^6.
    pub numerator: u128,
    /// Millionths of epsilon.
    pub denominator: u64,
}

impl Scale {
    /// What a release needs whose values together change by at most `sensitivity` (1 to 2^96) when
    /// one party comes or goes.
    ///
    /// # Errors
    ///
    /// [`StatisticsError::Bounds`].
    pub fn new(sensitivity: u128, epsilon: MicroEpsilon) -> Result<Self, StatisticsError> {
        if sensitivity == 0 || sensitivity > SENSITIVITY_MAX {
            return Err(StatisticsError::Bounds);
        }
        Ok(Scale { numerator: sensitivity * u128::from(EPSILON_MICRO), denominator: epsilon.0 })
    }
}

/// What counts of some jobs, before noise.
#[derive(Debug, PartialEq, Eq)]
struct Counts<C: Ord> {
    jobs: BTreeMap<C, u128>,
    parties: u128,
    spend: u128,
}

impl Terms {
    /// Makes a release of jobs. `classes` has every ending that a job can have, whatever the jobs
    /// are. Two sets of jobs that differ in all of one party's jobs give the same release with
    /// probabilities that differ by a factor of `exp(epsilon)` at the most.
    ///
    /// Call it only once the epsilon is spent, durably ([`Budget`]).
    ///
    /// # Errors
    ///
    /// [`StatisticsError::Share`], [`StatisticsError::Bounds`].
    pub fn release<C: Copy + Ord>(
        &self,
        entries: &[Entry<C>],
        classes: &[C],
        random: Random<'_>,
    ) -> Result<Statistics<C>, StatisticsError> {
        let [jobs_scale, parties_scale, spend_scale] = self.scales()?;
        let counts = self.counts(entries, classes);
        let noisy = |value: u128, scale, random: Random<'_>| {
            // A sum of jobs is below 2^127: there are fewer than 2^31, of less than 2^96.
            i128::try_from(value).unwrap_or(i128::MAX).saturating_add(noise(scale, random))
        };
        let count_min = i128::from(self.count_min);
        let shown = |count: i128| (count >= count_min).then_some(count);
        let mut jobs = BTreeMap::new();
        let mut total: i128 = 0;
        for (class, count) in counts.jobs {
            let count = noisy(count, jobs_scale, random);
            total = total.saturating_add(count);
            jobs.insert(class, shown(count));
        }
        let parties = noisy(counts.parties, parties_scale, random);
        let spend = noisy(counts.spend, spend_scale, random);
        Ok(Statistics {
            jobs,
            parties: shown(parties),
            spend: shown(total).map(|_| spend),
            jobs_scale,
            parties_scale,
            spend_scale,
        })
    }

    /// Whether a release can be made by these terms: to be asked before it is paid for.
    ///
    /// # Errors
    ///
    /// [`StatisticsError::Share`], [`StatisticsError::Bounds`].
    pub fn check(&self) -> Result<(), StatisticsError> {
        self.scales().map(drop)
    }

    /// The noise of each statistic. One party changes the counts of jobs by `jobs_per_party_max`
    /// together, whatever their endings.
    fn scales(&self) -> Result<[Scale; 3], StatisticsError> {
        let share = MicroEpsilon(self.epsilon.0 / SHARES);
        if share.0 == 0 {
            return Err(StatisticsError::Share(self.epsilon.0));
        }
        let jobs = u128::from(self.jobs_per_party_max);
        let spend = jobs.checked_mul(self.spend_per_job_max).ok_or(StatisticsError::Bounds)?;
        Ok([Scale::new(jobs, share)?, Scale::new(1, share)?, Scale::new(spend, share)?])
    }

    /// Counts each job once, and of each party no more than the terms allow.
    fn counts<C: Copy + Ord>(&self, entries: &[Entry<C>], classes: &[C]) -> Counts<C> {
        let mut by_party: BTreeMap<[u8; 20], BTreeMap<[u8; 32], &Entry<C>>> = BTreeMap::new();
        let known: BTreeSet<C> = classes.iter().copied().collect();
        for entry in entries.iter().filter(|entry| known.contains(&entry.class)) {
            by_party.entry(entry.party).or_default().entry(entry.job).or_insert(entry);
        }
        let mut counts = Counts {
            jobs: known.into_iter().map(|class| (class, 0)).collect(),
            parties: by_party.len() as u128,
            spend: 0,
        };
        let most = self.jobs_per_party_max as usize;
        for entry in by_party.values().flat_map(|jobs| jobs.values().take(most)) {
            *counts.jobs.entry(entry.class).or_default() += 1;
            counts.spend = counts.spend.saturating_add(entry.spend.min(self.spend_per_job_max));
        }
        counts
    }
}

/// Draws discrete Laplace noise, exactly (algorithm 2).
pub fn noise(scale: Scale, random: Random<'_>) -> i128 {
    let (t, s) = (scale.numerator, u128::from(scale.denominator));
    loop {
        let within = below(t, random);
        if !is_exp(within, t, random) {
            continue;
        }
        let mut whole: u128 = 0;
        while is_exp(1, 1, random) {
            whole += 1;
        }
        // `whole` beyond 2^7 has probability exp(-128), so the product stays below 2^127.
        let magnitude = whole.saturating_mul(t).saturating_add(within) / s;
        let is_negative = below(2, random) == 1;
        if is_negative && magnitude == 0 {
            continue;
        }
        let magnitude = i128::try_from(magnitude).unwrap_or(i128::MAX);
        return if is_negative { -magnitude } else { magnitude };
    }
}

/// True with probability `exp(-numerator / denominator)`, for a fraction from 0 to 1 (algorithm 1).
fn is_exp(numerator: u128, denominator: u128, random: Random<'_>) -> bool {
    let mut k: u128 = 1;
    // True with probability numerator / (denominator * k): two draws, so that no product outgrows
    // its type.
    while below(denominator, random) < numerator && below(k, random) == 0 {
        k += 1;
    }
    k % 2 == 1
}

/// A number below `bound`, which is above 0, each with the same probability.
fn below(bound: u128, random: Random<'_>) -> u128 {
    let mask = u128::MAX >> (bound - 1).leading_zeros().min(127);
    loop {
        let mut bytes = [0; 16];
        random(&mut bytes);
        let drawn = u128::from_le_bytes(bytes) & mask;
        if drawn < bound {
            return drawn;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Ending {
        Paid,
        Slashed,
        Lapsed,
    }

    const ENDINGS: [Ending; 3] = [Ending::Paid, Ending::Slashed, Ending::Lapsed];

    fn terms(micro: u64) -> Terms {
        let epsilon = MicroEpsilon::new(micro).expect("an epsilon");
        Terms { jobs_per_party_max: 3, spend_per_job_max: 100, count_min: 5, epsilon }
    }

    fn entry(job: u8, party: u8, class: Ending, spend: u128) -> Entry<Ending> {
        Entry { job: [job; 32], party: [party; 20], class, spend }
    }

    /// Seeded bytes, for tests only.
    fn seeded(seed: u64) -> impl FnMut(&mut [u8]) {
        let mut generator = fastrand::Rng::with_seed(seed);
        move |buffer| generator.fill(buffer)
    }

    /// Pearson's statistic of draws of noise against exact probabilities, over -`reach`..=`reach`
    /// and two tails.
    fn chi_square(scale: Scale, reach: i128, draws: u32, seed: u64) -> f64 {
        let mut random = seeded(seed);
        let mut seen = vec![0u32; 2 * reach as usize + 3];
        for _ in 0..draws {
            let drawn = noise(scale, &mut random).clamp(-reach - 1, reach + 1);
            seen[(drawn + reach + 1) as usize] += 1;
        }
        let q = (-(scale.denominator as f64) / scale.numerator as f64).exp();
        let probability = |x: i128| match x.unsigned_abs() as i32 {
            beyond if i128::from(beyond) > reach => q.powi(beyond) / (1.0 + q),
            within => (1.0 - q) / (1.0 + q) * q.powi(within),
        };
        let cells = (-reach - 1..=reach + 1).zip(&seen);
        cells
            .map(|(x, &seen)| {
                let expected = probability(x) * f64::from(draws);
                (f64::from(seen) - expected).powi(2) / expected
            })
            .sum()
    }

    #[test]
    fn noise_has_exactly_the_distribution_it_should() {
        // 99.99 % quantiles of chi-square: 23 cells (22 degrees of freedom) 56.8, 7 cells (6) 27.9.
        // The seeds are fixed.
        let scale = |sensitivity, micro| {
            Scale::new(sensitivity, MicroEpsilon::new(micro).expect("an epsilon")).expect("a scale")
        };
        let wide = chi_square(scale(3, 1_000_000), 10, 200_000, 1);
        assert!(wide < 56.8, "scale 3: chi-square {wide}");
        let narrow = chi_square(scale(1, 2_000_000), 2, 200_000, 2);
        assert!(narrow < 27.9, "scale 1/2: chi-square {narrow}");
        let odd = chi_square(scale(7, 1_234_567), 10, 200_000, 3);
        assert!(odd < 56.8, "a scale that is no whole number: chi-square {odd}");
    }

    #[test]
    fn the_test_of_the_distribution_can_fail() {
        let drawn = Scale { numerator: 3_300_000, denominator: 1_000_000 };
        let mut random = seeded(1);
        let zeros = (0..200_000).filter(|_| noise(drawn, &mut random) == 0).count() as f64;
        // At scale 3 one would expect tanh(1/6) of the draws to be zero.
        let expected = (1.0f64 / 6.0).tanh() * 200_000.0;
        let deviation = (zeros - expected).powi(2) / expected;
        assert!(deviation > 56.8, "noise that is a tenth too wide must not pass: {deviation}");
    }

    #[test]
    fn uniform_draws_reach_all_numbers_and_no_more() {
        let mut random = seeded(4);
        for bound in [1u128, 2, 3, 5, 8, 1 << 64, SENSITIVITY_MAX * 1_000_000] {
            assert!((0..200).all(|_| below(bound, &mut random) < bound), "below {bound}");
        }
        let seen: BTreeSet<u128> = (0..200).map(|_| below(5, &mut random)).collect();
        assert_eq!(seen.len(), 5, "each number comes");
    }

    #[test]
    fn one_party_changes_no_more_than_the_noise_is_made_for() {
        // Neighbouring data: everybody else, with and without one party of many costly jobs.
        let terms = terms(3_000_000);
        let mut generator = fastrand::Rng::with_seed(5);
        for _ in 0..200 {
            let mut random_entry = |party: u8, job: u8| {
                entry(job, party, ENDINGS[generator.usize(0..3)], generator.u128(0..1_000))
            };
            let others: Vec<_> = (0..30).map(|job| random_entry(job % 7, job)).collect();
            let more: Vec<_> = (100..120).map(|job| random_entry(99, job)).collect();
            let without = terms.counts(&others, &ENDINGS);
            let with = terms.counts(&[others, more].concat(), &ENDINGS);
            let jobs: u128 =
                ENDINGS.map(|ending| with.jobs[&ending] - without.jobs[&ending]).iter().sum();
            assert!(jobs <= 3, "a party adds {jobs} jobs, noise is for 3");
            assert!(with.spend - without.spend <= 300, "a party adds more spend than noise is for");
            assert_eq!(with.parties - without.parties, 1);
        }
        let [jobs, parties, spend] = terms.scales().expect("scales");
        assert_eq!(jobs, Scale { numerator: 3_000_000, denominator: 1_000_000 });
        assert_eq!(parties, Scale { numerator: 1_000_000, denominator: 1_000_000 });
        assert_eq!(spend, Scale { numerator: 300_000_000, denominator: 1_000_000 });
    }

    #[test]
    fn a_receipt_given_twice_counts_once() {
        let entries = [entry(1, 1, Ending::Paid, 10), entry(1, 1, Ending::Paid, 10)];
        let counts = terms(3_000_000).counts(&entries, &ENDINGS);
        assert_eq!((counts.jobs[&Ending::Paid], counts.spend), (1, 10));
    }

    #[test]
    fn small_counts_are_not_shown_and_every_ending_is_there() {
        // An epsilon of 300 a statistic: noise that is zero but once in e^100 for counts, and of
        // scale 1 for the spend.
        let terms = Terms { count_min: 5, ..terms(900_000_000) };
        let mut entries: Vec<_> = (0..20).map(|i| entry(i, i, Ending::Paid, 1_000)).collect();
        entries.push(entry(50, 50, Ending::Slashed, 0));
        let made = terms.release(&entries, &ENDINGS, &mut seeded(6)).expect("made");
        assert_eq!(made.jobs[&Ending::Paid], Some(20));
        assert_eq!(made.jobs[&Ending::Slashed], None, "one job must not be shown");
        assert_eq!(made.jobs[&Ending::Lapsed], None);
        assert_eq!(made.parties, Some(21));
        let spend = made.spend.expect("enough jobs");
        assert!((spend - 2_000).abs() < 30, "spend is cut off at 100 a job, not {spend}");
        let few = terms.release(&entries[..3], &ENDINGS, &mut seeded(7)).expect("made");
        assert_eq!((few.parties, few.spend), (None, None), "the spend of a few is not shown");
    }

    #[test]
    fn what_can_not_be_is_refused() {
        assert_eq!(MicroEpsilon::new(0), Err(StatisticsError::Epsilon(0)));
        assert_eq!(MicroEpsilon::new(MICRO_MAX + 1), Err(StatisticsError::Epsilon(MICRO_MAX + 1)));
        let release = |terms: Terms| terms.release(&[], &ENDINGS, &mut seeded(8)).err();
        assert_eq!(release(terms(2)), Some(StatisticsError::Share(2)));
        let none = Terms { jobs_per_party_max: 0, ..terms(9) };
        assert_eq!(release(none), Some(StatisticsError::Bounds));
        let vast = Terms { spend_per_job_max: u128::MAX, ..terms(9) };
        assert_eq!(release(vast), Some(StatisticsError::Bounds));
        // The widest noise that there is stays within its type.
        let widest = Scale::new(SENSITIVITY_MAX, MicroEpsilon(1)).expect("a scale");
        let mut random = seeded(9);
        let far = (0..100).map(|_| noise(widest, &mut random).unsigned_abs()).max();
        assert!(far.is_some_and(|far| far > 1 << 100 && far < 1 << 127), "{far:?}");
    }
}
