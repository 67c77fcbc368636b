#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

mod model;

use alloc::vec::Vec;
use assay_guest::csv::{Row, Table};
use assay_guest::fixed::types::{I32F32, I40F24};
use assay_guest::math::logistic;
use assay_guest::{Decimal, Error, Output, bail, parse_rounding_up};
use core::fmt::Write;
use model::{Feature, Link, MISSING, Model};

/// Places of a score.
const PLACES: u32 = 6;

/// Scores the rows of `input` with the model in `dataset`. Errors name what is wrong with the
/// model, or the row.
pub fn run(input: &[u8], dataset: &[u8], output: &mut Output) -> Result<(), Error> {
    let model = Model::parse(dataset)?;
    let mut table = Table::new(input)?;
    let columns: Vec<usize> = model
        .features
        .iter()
        .map(|feature| table.column(feature.name))
        .collect::<Result<_, Error>>()?;
    let mut numbers = Vec::with_capacity(columns.len());
    output.write(b"row,score\n")?;
    while let Some(row) = table.next_row()? {
        read_numbers(row, &columns, &model.features, &mut numbers)?;
        let sum = model.sum(&numbers);
        writeln!(output, "{},{}", row.number - 1, score(sum, model.link)?)?;
    }
    Ok(())
}

fn read_numbers(
    row: Row<'_>,
    columns: &[usize],
    features: &[Feature<'_>],
    numbers: &mut Vec<i32>,
) -> Result<(), Error> {
    numbers.clear();
    for (column, feature) in columns.iter().zip(features) {
        let field = row.field(*column);
        if field.trim_ascii().is_empty() {
            numbers.push(MISSING);
            continue;
        }
        match parse_rounding_up(field, feature.places) {
            // The least i32 means missing; one above is still below every threshold.
            Ok(number) => numbers.push(number.max(MISSING + 1)),
            // Not the field itself: a message must not carry private data.
            Err(error) => bail!("row {}, column {}: {error}", row.number, feature.name),
        }
    }
    Ok(())
}

fn score(sum: I40F24, link: Link) -> Result<Decimal, Error> {
    let (bits, one) = match link {
        Link::Identity => (i128::from(sum.to_bits()), 1 << I40F24::FRAC_NBITS),
        Link::Logistic => {
            let probability = logistic(I32F32::saturating_from_num(sum));
            (i128::from(probability.to_bits()), 1 << I32F32::FRAC_NBITS)
        }
    };
    match Decimal::from_ratio(bits, one, PLACES) {
        Some(score) => Ok(score),
        None => bail!("a score is beyond nine billion: the model is not fit for use"),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    const MODEL: &[u8] = include_bytes!("../../../examples/data/breast-cancer.gbt");
    const ROWS: &str = include_str!("../../../examples/data/breast-cancer.csv");

    fn answer(input: &str, dataset: &[u8]) -> Result<String, String> {
        let mut output = Output::new();
        run(input.as_bytes(), dataset, &mut output).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(output.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn agrees_with_the_trainer() {
        let expect = include_str!("../expected/breast-cancer.csv");
        assert_eq!(answer(ROWS, MODEL).unwrap(), expect, "train.py computed other scores");
    }

    /// One feature "x" with two places, one tree: x <= 1.50 gives 1, else 2; missing goes right.
    fn stump(link: u32) -> Vec<u8> {
        let mut model = b"assayg\x01\x01".to_vec();
        for number in [link, 1, 1, 3, 0, 0] {
            model.extend(u32::to_le_bytes(number));
        }
        model.extend(b"\x02\x01x");
        model.extend(u32::to_le_bytes(0));
        for (feature, missing_right, value, right) in
            [(0u16, 1u16, 150i32, 2u32), (0xFFFF, 0, 1 << 24, 0), (0xFFFF, 0, 2 << 24, 0)]
        {
            model.extend(feature.to_le_bytes());
            model.extend(missing_right.to_le_bytes());
            model.extend(value.to_le_bytes());
            model.extend(right.to_le_bytes());
        }
        model
    }

    #[test]
    fn the_threshold_itself_goes_left() {
        let rows = "y,x\n,1.5\n,1.500001\n,\n,-99999999999\n,99999999999\n";
        let text = answer(rows, &stump(0)).unwrap();
        assert_eq!(text, "row,score\n1,1\n2,2\n3,2\n4,1\n5,2\n");
    }

    #[test]
    fn a_logistic_model_gives_probabilities() {
        // 1 / (1 + e^-1) = 0.7310585786...
        assert_eq!(answer("x\n0\n", &stump(1)).unwrap(), "row,score\n1,0.731059\n");
    }

    #[test]
    fn says_what_is_wrong_with_rows() {
        let error = answer("y\n1\n", &stump(0)).unwrap_err();
        assert_eq!(error, "the table has no column \"x\", it has y");
        let error = answer("x\nfoo\n", &stump(0)).unwrap_err();
        assert_eq!(error, "row 2, column x: not a decimal number such as -12.5");
    }

    #[test]
    fn refuses_what_is_no_model() {
        let error = answer("x\n1\n", b"").unwrap_err();
        assert_eq!(error, "the dataset is no model: it does not begin with the tag assayg");
        let mut loops = stump(0);
        let first_right = loops.len() - 28;
        loops[first_right..first_right + 4].copy_from_slice(&0u32.to_le_bytes());
        let error = answer("x\n1\n", &loops).unwrap_err();
        assert_eq!(
            error,
            "node 0: the right child 0 has to lie behind its parent and its left sibling"
        );
        let mut long = stump(0);
        long.push(0);
        assert_eq!(answer("x\n1\n", &long).unwrap_err(), "the model has 1 byte(s) too many");
    }

    #[test]
    fn every_cut_is_refused() {
        let model = stump(0);
        for end in 0..model.len() {
            assert!(
                answer("x\n1\n", &model[..end]).is_err(),
                "{end} of {} bytes pass",
                model.len()
            );
        }
    }

    proptest! {
        #[test]
        fn no_damaged_model_panics_or_hangs(at in 0usize..75, byte: u8) {
            let mut model = stump(1);
            let at = at % model.len();
            model[at] = byte;
            let _ = answer("x\n1\n", &model);
        }
    }
}
