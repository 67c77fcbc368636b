#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

mod history;
mod request;

use alloc::vec::Vec;
use assay_guest::fixed::types::U6F26;
use assay_guest::sha2::{Digest, Sha256};
use assay_guest::{Decimal, Error, Output, Params, bail};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use core::fmt::Write;
use history::read_returns;
use request::Request;

/// Simulates as the README says. Errors name the parameter or the row that is wrong.
pub fn run(input: &[u8], dataset: &[u8], output: &mut Output) -> Result<(), Error> {
    let (params, body) = Params::split(input)?;
    let request = Request::read(params)?;
    let history = if dataset.is_empty() { body } else { dataset };
    let returns = read_returns(history, request.column)?;
    let mut ends = simulate(&returns, &request)?;
    ends.sort_unstable();
    write_answer(&ends, &request, output)
}

/// What each path's position is worth at the horizon, relative to today.
fn simulate(returns: &[U6F26], request: &Request<'_>) -> Result<Vec<U6F26>, Error> {
    let mut draws = Draws::new(request.seed, returns);
    let mut ends = Vec::with_capacity(request.paths as usize);
    for _ in 0..request.paths {
        let mut growth = U6F26::ONE;
        for _ in 0..request.horizon {
            growth = match multiply(growth, draws.next()) {
                Some(growth) => growth,
                None => bail!("a path grew 64-fold: choose a shorter horizon"),
            };
        }
        ends.push(growth);
    }
    Ok(ends)
}

/// The product, rounded to nearest: cutting off would add up to a loss that nobody had. `None` from
/// 64 on.
fn multiply(a: U6F26, b: U6F26) -> Option<U6F26> {
    const HALF: u64 = 1 << (U6F26::FRAC_NBITS - 1);
    let product = u64::from(a.to_bits()) * u64::from(b.to_bits()) + HALF;
    u32::try_from(product >> U6F26::FRAC_NBITS).ok().map(U6F26::from_bits)
}

/// Fair draws from the returns, by Lemire's method: one multiplication, and a rare second try.
struct Draws<'a> {
    random: ChaCha20Rng,
    returns: &'a [U6F26],
    /// 2^32 modulo the number of returns.
    unfair_below: u32,
}

impl<'a> Draws<'a> {
    fn new(seed: &str, returns: &'a [U6F26]) -> Self {
        // INVARIANT: there are at least 1 and at most MAX_RETURNS returns.
        let count = returns.len() as u32;
        let random = ChaCha20Rng::from_seed(Sha256::digest(seed).into());
        Self { random, returns, unfair_below: count.wrapping_neg() % count }
    }

    fn next(&mut self) -> U6F26 {
        loop {
            let scaled = u64::from(self.random.next_u32()) * self.returns.len() as u64;
            if scaled as u32 >= self.unfair_below {
                return self.returns[(scaled >> 32) as usize];
            }
        }
    }
}

/// Writes the measures; `ends` ascend, so the worst path is the first.
fn write_answer(ends: &[U6F26], request: &Request<'_>, output: &mut Output) -> Result<(), Error> {
    output.write(b"measure,confidence,loss\n")?;
    writeln!(output, "mean,,{:.2}", mean_loss(ends, request.value)?)?;
    writeln!(output, "worst,,{:.2}", mean_loss(&ends[..1], request.value)?)?;
    for confidence in &request.confidences {
        let tail = &ends[..request.tail_paths(*confidence)];
        let value_at_risk = mean_loss(&tail[tail.len() - 1..], request.value)?;
        let expected_shortfall = mean_loss(tail, request.value)?;
        writeln!(output, "value_at_risk,{confidence},{value_at_risk:.2}")?;
        writeln!(output, "expected_shortfall,{confidence},{expected_shortfall:.2}")?;
    }
    Ok(())
}

/// The mean loss of some paths (at least one), in units of the value, to two places.
fn mean_loss(ends: &[U6F26], value: Decimal) -> Result<Decimal, Error> {
    let worth: u64 = ends.iter().map(|end| u64::from(end.to_bits())).sum();
    // At most 2^26 paths of 32 bits: no sum reaches 2^58, and no product below 2^122.
    let start = i128::from(U6F26::ONE.to_bits()) * ends.len() as i128;
    let numerator = i128::from(value.nanos()) * (start - i128::from(worth));
    match Decimal::from_ratio(numerator, start * i128::from(Decimal::ONE_NANOS), 2) {
        Some(loss) => Ok(loss),
        None => bail!("a result does not fit nine decimal places: choose a smaller value"),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    const OIL: &str = include_str!("../../../examples/data/wti-daily.csv");

    fn answer(input: &str, dataset: &str) -> Result<String, String> {
        let mut output = Output::new();
        run(input.as_bytes(), dataset.as_bytes(), &mut output)
            .map_err(|error| error.to_string())?;
        Ok(String::from_utf8(output.as_bytes().to_vec()).unwrap())
    }

    fn check_error(input: &str, dataset: &str, expect: &str) {
        assert_eq!(answer(input, dataset).unwrap_err(), expect, "for {input:?}");
    }

    #[test]
    fn agrees_with_an_independent_simulation() {
        let expect = include_str!("../expected/wti-daily.csv");
        let text = answer("seed=assay\npaths=20000\n", OIL).unwrap();
        assert_eq!(text, expect, "expected/recompute.py computes the same from the README");
    }

    #[test]
    fn a_history_of_one_return_has_no_risk() {
        let text =
            answer("seed=1\npaths=200\nhorizon=1\nconfidence=0.99\nvalue=100\n\nclose\n4\n3\n", "");
        assert_eq!(
            text.unwrap(),
            "measure,confidence,loss\nmean,,25.00\nworst,,25.00\n\
             value_at_risk,0.99,25.00\nexpected_shortfall,0.99,25.00\n"
        );
    }

    #[test]
    fn says_what_is_wrong() {
        let missing = "the parameter seed is missing: give it as a line seed=...";
        check_error("paths=10", OIL, missing);
        check_error("seed=1", "", "the table is empty: a header and rows of CSV are expected");
        check_error("seed=1", "close\n1\n", "a history needs at least 2 prices, this one has 1");
        check_error("seed=1", "close\n1\n0\n", "row 3: a price has to be above zero");
        check_error(
            "seed=1",
            "close\n1\n64\n",
            "row 3: the price is 64 times the one before, or more",
        );
        check_error("seed=1\npaths=0", OIL, "paths is 0, but has to be 1 to 67108864");
        check_error("seed=1\nhorizon=1025", OIL, "horizon is 1025, but has to be 1 to 1024");
        check_error("seed=1\nconfidence=1", OIL, "the confidence 1 is not between 0 and 1");
        check_error(
            "seed=1\npaths=99",
            OIL,
            "the confidence 0.99 leaves less than one path of 99 in the tail: ask for more paths",
        );
        check_error("seed=1", "close\n1\n10\n", "a path grew 64-fold: choose a shorter horizon");
    }

    proptest! {
        #[test]
        fn more_confidence_never_means_less_loss(seed: u32, value in 1i64..1_000_000) {
            let input = std::format!("seed={seed}\npaths=500\nhorizon=3\nconfidence=0.5,0.9,0.99\nvalue={value}");
            let text = answer(&input, OIL).unwrap();
            let loss = |measure: &str| -> Vec<i64> {
                let lines = text.lines().filter(|line| line.starts_with(measure));
                lines.map(|line| Decimal::parse(line.rsplit(',').next().unwrap().as_bytes()).unwrap().nanos()).collect()
            };
            let (risks, shortfalls) = (loss("value_at_risk"), loss("expected_shortfall"));
            prop_assert!(risks.is_sorted() && shortfalls.is_sorted(), "{}", text);
            prop_assert!(risks.iter().zip(&shortfalls).all(|(risk, shortfall)| risk <= shortfall), "{}", text);
            prop_assert!(shortfalls.last() <= loss("worst").first(), "{}", text);
        }
    }
}
