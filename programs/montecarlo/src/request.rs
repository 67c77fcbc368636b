//! The parameters, read and bounded.

use alloc::vec::Vec;
use assay_guest::{Decimal, Error, Params, bail};

/// The most paths, so that their ends fit the heap; with the longest horizon the keystream's 32-bit
/// block counter suffices.
const MAX_PATHS: u32 = 1 << 26;
/// The longest horizon in rows.
const MAX_HORIZON: u32 = 1 << 10;
/// The most confidences in one run.
const MAX_CONFIDENCES: usize = 32;

pub(crate) struct Request<'a> {
    pub(crate) seed: &'a str,
    pub(crate) column: &'a str,
    pub(crate) paths: u32,
    pub(crate) horizon: u32,
    pub(crate) confidences: Vec<Decimal>,
    pub(crate) value: Decimal,
}

impl<'a> Request<'a> {
    pub(crate) fn read(mut params: Params<'a>) -> Result<Self, Error> {
        let request = Self {
            seed: params.required("seed")?,
            column: params.text("column").unwrap_or("close"),
            paths: params.integer("paths", 100_000)?,
            horizon: params.integer("horizon", 10)?,
            confidences: params.decimals("confidence", "0.95,0.99")?,
            value: params.decimals("value", "1000000")?[0],
        };
        params.finish()?;
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), Error> {
        let Self { paths, horizon, .. } = self;
        if !(1..=MAX_PATHS).contains(paths) {
            bail!("paths is {paths}, but has to be 1 to {MAX_PATHS}");
        }
        if !(1..=MAX_HORIZON).contains(horizon) {
            bail!("horizon is {horizon}, but has to be 1 to {MAX_HORIZON}");
        }
        if self.value.nanos() <= 0 {
            bail!("value is {}, but has to be above zero", self.value);
        }
        if self.confidences.len() > MAX_CONFIDENCES {
            bail!("at most {MAX_CONFIDENCES} confidences can be asked for at once");
        }
        for confidence in &self.confidences {
            if !(1..Decimal::ONE_NANOS).contains(&confidence.nanos()) {
                bail!("the confidence {confidence} is not between 0 and 1");
            }
            if self.tail_paths(*confidence) == 0 {
                bail!(
                    "the confidence {confidence} leaves less than one path of {paths} in the tail: ask for more paths"
                );
            }
        }
        Ok(())
    }

    /// How many paths are in the tail beyond a confidence: floor((1 - c) paths).
    pub(crate) fn tail_paths(&self, confidence: Decimal) -> usize {
        // INVARIANT: 0 < c < 1, so the product is below 2^56.
        let tail_nanos = Decimal::ONE_NANOS.abs_diff(confidence.nanos());
        (tail_nanos * u64::from(self.paths) / Decimal::ONE_NANOS.unsigned_abs()) as usize
    }
}
