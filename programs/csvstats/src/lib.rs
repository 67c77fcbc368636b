#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

use alloc::vec::Vec;
use assay_guest::csv::{Table, TableWriter};
use assay_guest::{Decimal, Error, Output, Params, bail};
use core::hash::BuildHasherDefault;
use hashbrown::HashMap;
use rustc_hash::FxHasher;

/// The least `min_group` for a table that came as a dataset.
pub const DATASET_MIN_GROUP: u32 = 5;
/// The most quantiles in one run.
pub const MAX_QUANTILES: usize = 32;

/// Each group's values in 10^-9, by the group's text.
type Groups = HashMap<Vec<u8>, Vec<i64>, BuildHasherDefault<FxHasher>>;

/// Describes a column as the README says. Errors name the parameter, column or row that is wrong.
pub fn run(input: &[u8], dataset: &[u8], output: &mut Output) -> Result<(), Error> {
    let (params, body) = Params::split(input)?;
    let (table, floor) = if dataset.is_empty() { (body, 1) } else { (dataset, DATASET_MIN_GROUP) };
    let request = Request::read(params, floor)?;
    let groups = read_groups(table, &request)?;
    write_answer(groups, &request, output)
}

struct Request<'a> {
    value: &'a str,
    group: Option<&'a str>,
    quantiles: Vec<Decimal>,
    min_group: u32,
    decimals: u32,
}

impl<'a> Request<'a> {
    fn read(mut params: Params<'a>, floor: u32) -> Result<Self, Error> {
        let request = Self {
            value: params.required("value")?,
            group: params.text("group"),
            quantiles: params.decimals("quantiles", "0.25,0.5,0.75")?,
            min_group: params.integer("min_group", floor)?,
            decimals: params.integer("decimals", 6)?,
        };
        params.finish()?;
        if request.min_group < floor {
            bail!("min_group is {}, but must be at least {floor} here", request.min_group);
        }
        if request.decimals > Decimal::PLACES {
            bail!("decimals is {}, but at most 9 can be shown", request.decimals);
        }
        if request.quantiles.len() > MAX_QUANTILES {
            bail!("at most {MAX_QUANTILES} quantiles can be asked for at once");
        }
        let unit = 0..=Decimal::ONE_NANOS;
        if let Some(wrong) = request.quantiles.iter().find(|q| !unit.contains(&q.nanos())) {
            bail!("the quantile {wrong} is not between 0 and 1");
        }
        Ok(request)
    }
}

fn read_groups(table: &[u8], request: &Request<'_>) -> Result<Groups, Error> {
    let mut table = Table::new(table)?;
    let value_column = table.column(request.value)?;
    let group_column = request.group.map(|name| table.column(name)).transpose()?;
    let mut groups = Groups::default();
    while let Some(row) = table.next_row()? {
        let field = row.field(value_column);
        if field.trim_ascii().is_empty() {
            continue;
        }
        let value = match Decimal::parse(field) {
            Ok(value) => value.nanos(),
            // Not the field itself: a message must not carry private data.
            Err(error) => bail!("row {}, column {}: {error}", row.number, request.value),
        };
        let key = group_column.map_or(&b"all"[..], |column| row.field(column));
        match groups.get_mut(key) {
            Some(values) => values.push(value),
            None => {
                groups.insert(key.to_vec(), alloc::vec![value]);
            }
        }
    }
    Ok(groups)
}

fn write_answer(groups: Groups, request: &Request<'_>, output: &mut Output) -> Result<(), Error> {
    let mut table = TableWriter::new(output);
    for name in ["group", "count", "mean", "min", "max"] {
        table.field(name.as_bytes())?;
    }
    for quantile in &request.quantiles {
        table.show(format_args!("q{quantile}"))?;
    }
    table.end_row()?;
    let mut shown: Vec<(Vec<u8>, Vec<i64>)> = groups
        .into_iter()
        .filter(|(_, values)| values.len() >= request.min_group as usize)
        .collect();
    shown.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (name, mut values) in shown {
        values.sort_unstable();
        table.field(&name)?;
        write_group(&values, request, &mut table)?;
    }
    table.finish();
    Ok(())
}

/// Writes one group's numbers; `sorted` has at least one value.
fn write_group(
    sorted: &[i64],
    request: &Request<'_>,
    table: &mut TableWriter<'_>,
) -> Result<(), Error> {
    let sum: i128 = sorted.iter().map(|value| i128::from(*value)).sum();
    let denominator = sorted.len() as i128 * i128::from(Decimal::ONE_NANOS);
    let Some(mean) = Decimal::from_ratio(sum, denominator, request.decimals) else {
        bail!("a mean does not fit nine decimal places: ask for fewer decimals");
    };
    let (least, greatest) = (sorted[0], sorted[sorted.len() - 1]);
    table.show(sorted.len())?;
    table.show(mean)?;
    for nanos in [least, greatest] {
        table.show(Decimal::from_nanos(nanos))?;
    }
    for quantile in &request.quantiles {
        table.show(Decimal::from_nanos(sorted[quantile_index(*quantile, sorted.len())]))?;
    }
    table.end_row()
}

/// The place of a quantile among so many sorted values (at least one), from 0: ceil(q n) - 1, or 0
/// for q = 0.
fn quantile_index(quantile: Decimal, count: usize) -> usize {
    // INVARIANT: 0 <= q <= 1, so the product is below 2^62 and the rank at most the count.
    let rank = (quantile.nanos() as u64 * count as u64).div_ceil(Decimal::ONE_NANOS as u64);
    (rank as usize).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::format;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    const WEATHER: &str = include_str!("../../../examples/data/seattle-weather.csv");

    fn answer(input: &str, dataset: &str) -> Result<String, String> {
        let mut output = Output::new();
        run(input.as_bytes(), dataset.as_bytes(), &mut output)
            .map_err(|error| error.to_string())?;
        Ok(String::from_utf8(output.as_bytes().to_vec()).unwrap())
    }

    fn check(input: &str, dataset: &str, expect: &str) {
        assert_eq!(answer(input, dataset).as_deref(), Ok(expect), "for {input:?}");
    }

    fn check_error(input: &str, dataset: &str, expect: &str) {
        assert_eq!(answer(input, dataset).unwrap_err(), expect, "for {input:?}");
    }

    #[test]
    fn the_table_may_stand_in_the_input() {
        check(
            "value=v\ngroup=g\nquantiles=0,0.5,1\n\ng,v\nb,1\na,-2.5\na,4\n\"x,y\",0.1\nb,\n",
            "",
            "group,count,mean,min,max,q0,q0.5,q1\n\
             a,2,0.75,-2.5,4,-2.5,-2.5,4\n\
             b,1,1,1,1,1,1,1\n\
             \"x,y\",1,0.1,0.1,0.1,0.1,0.1,0.1\n",
        );
    }

    #[test]
    fn small_groups_of_a_dataset_stay_hidden() {
        let table = "g,v\na,1\na,2\na,3\na,4\na,5\nb,1\nb,2\nb,3\nb,4\n";
        check(
            "value=v\ngroup=g\nquantiles=0.5",
            table,
            "group,count,mean,min,max,q0.5\na,5,3,1,5,3\n",
        );
        let error = "min_group is 4, but must be at least 5 here";
        check_error("value=v\nmin_group=4", table, error);
    }

    #[test]
    fn the_example_weather() {
        let expect = include_str!("../expected/seattle-weather.csv");
        check("value=temp_max\ngroup=weather", WEATHER, expect);
    }

    #[test]
    fn says_what_is_wrong() {
        check_error("", "", "the parameter value is missing: give it as a line value=...");
        check_error("value=v", "", "the table is empty: a header and rows of CSV are expected");
        check_error("value=w", "v\n1", "the table has no column \"w\", it has v");
        check_error("value=v", "v\n1\nx", "row 3, column v: not a decimal number such as -12.5");
        check_error("value=v\nquantiles=1.1", "v\n1", "the quantile 1.1 is not between 0 and 1");
        check_error("value=v\ndecimals=10", "v\n1", "decimals is 10, but at most 9 can be shown");
        check_error("value=v\nfoo=1", "v\n1", "this program has no parameter foo");
    }

    /// The same files are refused by masking: crates/mask.
    #[test]
    fn a_table_that_is_damaged_or_saved_otherwise_is_refused() {
        let files: [(&[u8], &str); 6] = [
            (
                include_bytes!("../../../crates/mask/tests/tables/unclosed.csv"),
                "row 3 is no CSV (RFC 4180): a quote that is never closed",
            ),
            (
                include_bytes!("../../../crates/mask/tests/tables/dup.csv"),
                "columns 1 and 2 have the same name",
            ),
            (
                include_bytes!("../../../crates/mask/tests/tables/ragged.csv"),
                "row 3 has 1 cells and the header 2",
            ),
            (
                include_bytes!("../../../crates/mask/tests/tables/sep.csv"),
                "the table looks like a spreadsheet's export: remove its first line, sep=",
            ),
            (
                include_bytes!("../../../crates/mask/tests/tables/semi.csv"),
                "the table looks like one with semicolons between its cells: write commas, and \
                 points in numbers",
            ),
            (
                include_bytes!("../../../crates/mask/tests/tables/utf16.csv"),
                "the table looks like UTF-16: save it as UTF-8",
            ),
        ];
        for (table, expect) in files {
            let error = run(b"value=amount", table, &mut Output::new()).unwrap_err();
            assert_eq!(error.to_string(), expect);
        }
        check_error(
            "value=v",
            "g, v\na,1\n",
            "the table has the column \"v\" with blanks around its name, remove them: it has \"g,  v\"",
        );
    }

    #[test]
    fn no_rows_make_no_groups() {
        check("value=v", "v\n", "group,count,mean,min,max,q0.25,q0.5,q0.75\n");
    }

    proptest! {
        #[test]
        fn quantiles_agree_with_counting(
            mut values in proptest::collection::vec(-1000i64..1000, 1..100),
            quantile in 1i64..=100,
        ) {
            let lines: Vec<String> = values.iter().map(|value| format!("{value}\n")).collect();
            let q = Decimal::from_nanos(quantile * 10_000_000);
            let text = answer(&format!("value=v\nquantiles={q}\n\nv\n{}", lines.concat()), "").unwrap();
            let row = text.lines().nth(1).unwrap();
            let got: i64 = row.rsplit(',').next().unwrap().parse().unwrap();
            // The smallest value that at least a share q of all values does not exceed.
            values.sort();
            let share = |v: i64| values.iter().filter(|x| **x <= v).count() as i64 * 100;
            let expect = *values.iter().find(|v| share(**v) >= quantile * values.len() as i64).unwrap();
            prop_assert_eq!(got, expect);
        }

        #[test]
        fn no_bytes_panic(input in "(value=v\n|group=g\n|quantiles=0.5\n){0,3}\n?(g,v\n)?[a-z0-9,.\"\n-]{0,40}") {
            let _ = answer(&input, "");
        }
    }
}
