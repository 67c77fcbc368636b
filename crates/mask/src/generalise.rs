//! Less precise values: dates, numbers, places, codes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;

/// The most levels that a place is raised by.
const LEVELS_MAX: u32 = 16;

/// Digits after the point that a number may have.
const FRACTION_DIGITS: usize = 9;

/// Digits before the point that a number may have.
const WHOLE_DIGITS_MAX: usize = 18;

/// What a date is cut to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DateUnit {
    Month,
    Quarter,
    Year,
    Decade,
}

impl DateUnit {
    /// Writes a date of the proleptic Gregorian calendar, `YYYY-MM-DD` or `YYYY/MM/DD` with or
    /// without a time, less precisely.
    pub(super) fn write(self, value: &str, out: &mut String) -> Option<()> {
        use fmt::Write;
        let (year, month) = year_and_month(value)?;
        let _ = match self {
            DateUnit::Month => write!(out, "{year:04}-{month:02}"),
            DateUnit::Quarter => write!(out, "{year:04}-Q{}", (month - 1) / 3 + 1),
            DateUnit::Year => write!(out, "{year:04}"),
            DateUnit::Decade => write!(out, "{:03}0s", year / 10),
        };
        Some(())
    }
}

fn year_and_month(value: &str) -> Option<(u32, u32)> {
    let (date, rest) = value.as_bytes().split_at_checked(10)?;
    let [y0, y1, y2, y3, first, m0, m1, second, d0, d1] = date else { return None };
    if first != second || !b"-/".contains(first) {
        return None;
    }
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0, |number, &digit| Some(number * 10 + char::from(digit).to_digit(10)?))
    };
    let year = number(&[*y0, *y1, *y2, *y3])?;
    let (month, day) = (number(&[*m0, *m1])?, number(&[*d0, *d1])?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap),
        _ => return None,
    };
    let is_time = match rest {
        [] => true,
        [b'T' | b' ', time @ ..] => {
            !time.is_empty() && time.iter().all(|c| c.is_ascii_digit() || b":.+-Z".contains(c))
        }
        _ => false,
    };
    ((1..=days).contains(&day) && is_time).then_some((year, month))
}

/// A decimal number, in units of 10^-9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct Decimal(i128);

/// A number in a plan: an integer, or decimal digits in quotes. A float is refused: 0.1 would not
/// be what it says.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Integer(i64),
    Text(String),
}

impl TryFrom<Written> for Decimal {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let text = match written {
            Written::Integer(number) => number.to_string(),
            Written::Text(text) => text,
        };
        Decimal::parse(&text).ok_or("a number has at most 18 digits and 9 after the point")
    }
}

impl Decimal {
    const ONE: i128 = 1_000_000_000;

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (digits, ""),
        };
        let is_decimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let fits =
            (1..=WHOLE_DIGITS_MAX).contains(&whole.len()) && fraction.len() <= FRACTION_DIGITS;
        if !fits || !is_decimal(whole) || !is_decimal(fraction) {
            return None;
        }
        let scaled: i128 = format!("{whole}{fraction:0<FRACTION_DIGITS$}").parse().ok()?;
        Some(Decimal(if text.starts_with('-') { -scaled } else { scaled }))
    }

    pub(super) fn is_positive(self) -> bool {
        self.0 > 0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, fraction) = (self.0.abs() / Self::ONE, self.0.abs() % Self::ONE);
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{fraction:0>FRACTION_DIGITS$}");
        write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

/// Intervals of one width, open above: `LOW..HIGH`.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bins {
    width: Decimal,
    /// Where one of them begins.
    origin: Option<Decimal>,
    /// What is less is `<BELOW`.
    below: Option<Decimal>,
    /// What is this or more is `>=ABOVE`.
    above: Option<Decimal>,
}

impl Bins {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let ends = self.below.zip(self.above);
        if !self.width.is_positive() {
            Err("a bin is wider than 0")
        } else if ends.is_some_and(|(below, above)| below >= above) {
            Err("`below` is less than `above`")
        } else {
            Ok(())
        }
    }

    pub(super) fn write(&self, value: &str, out: &mut String) -> Option<()> {
        use fmt::Write;
        let number = Decimal::parse(value)?;
        let _ = match (self.below, self.above) {
            (Some(below), _) if number < below => write!(out, "<{below}"),
            (_, Some(above)) if number >= above => write!(out, ">={above}"),
            _ => {
                let origin = self.origin.map_or(0, |origin| origin.0);
                let low = (number.0 - origin).div_euclid(self.width.0) * self.width.0 + origin;
                write!(out, "{}..{}", Decimal(low), Decimal(low + self.width.0))
            }
        };
        Some(())
    }
}

/// Which place lies in which.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Places {
    /// How far a place is raised.
    levels: u32,
    /// For a place that the hierarchy does not have.
    other: Option<String>,
    hierarchy: BTreeMap<String, String>,
}

impl Places {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if !(1..=LEVELS_MAX).contains(&self.levels) {
            return Err("a place is raised by 1 to 16 levels");
        }
        let is_round = |start: &String| {
            let mut seen = BTreeSet::new();
            let mut place = Some(start);
            while let Some(at) = place {
                if seen.len() > LEVELS_MAX as usize || !seen.insert(at) {
                    return true;
                }
                place = self.hierarchy.get(at);
            }
            false
        };
        if self.hierarchy.keys().any(is_round) {
            return Err("the places' hierarchy goes round, or has more than 16 levels");
        }
        Ok(())
    }

    /// What lies in nothing is as general as can be.
    pub(super) fn write(&self, value: &str, out: &mut String) -> Option<()> {
        let mut place = value;
        for level in 0..self.levels {
            match self.hierarchy.get(place) {
                Some(wider) => place = wider,
                None if level > 0 || self.hierarchy.values().any(|wider| wider == place) => break,
                None => {
                    place = self.other.as_deref()?;
                    break;
                }
            }
        }
        out.push_str(place);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut String) -> Option<()>) -> Option<String> {
        let mut out = String::new();
        write(&mut out).map(|()| out)
    }

    #[test]
    fn dates() {
        use DateUnit::*;
        let cases = [
            (Month, "2012-03-31", "2012-03"),
            (Month, "2012/12/01", "2012-12"),
            (Quarter, "2012-03-31", "2012-Q1"),
            (Quarter, "2012-04-01", "2012-Q2"),
            (Quarter, "2012-12-31T23:59:59Z", "2012-Q4"),
            (Year, "2000-02-29 10:00", "2000"),
            (Decade, "1999-12-31", "1990s"),
            (Decade, "0007-01-01", "0000s"),
        ];
        for (unit, value, expect) in cases {
            let got = written(|out| unit.write(value, out));
            assert_eq!(got.as_deref(), Some(expect), "{unit:?} of {value}");
        }
        for value in [
            "",
            "2012",
            "2012-3-1",
            "2012-13-01",
            "2012-00-01",
            "2012-02-30",
            "1900-02-29",
            "2012-01/01",
            "2012-01-01x",
            "2012-01-01T",
            "31.12.2012",
            "２０１２-01-01",
            "+012-01-01",
        ] {
            assert_eq!(written(|out| Year.write(value, out)), None, "{value:?} is no date");
        }
    }

    #[test]
    fn numbers() {
        let decimal = |text: &str| Decimal::parse(text);
        let bins = |width: &str, origin: &str, below: &str, above: &str| Bins {
            width: decimal(width).unwrap(),
            origin: decimal(origin),
            below: decimal(below),
            above: decimal(above),
        };
        let cases = [
            (bins("10", "", "", ""), "0", "0..10"),
            (bins("10", "", "", ""), "9.999999999", "0..10"),
            (bins("10", "", "", ""), "10", "10..20"),
            (bins("10", "", "", ""), "-0.1", "-10..0"),
            (bins("10", "", "", ""), "-10", "-10..0"),
            (bins("10", "", "", ""), "+7", "0..10"),
            (bins("10", "5", "", ""), "4", "-5..5"),
            (bins("0.25", "", "", ""), "1.3", "1.25..1.5"),
            (bins("10", "", "18", "90"), "17", "<18"),
            (bins("10", "", "18", "90"), "18", "10..20"),
            (bins("10", "", "18", "90"), "90", ">=90"),
            (
                bins("999999999999999999", "", "", ""),
                "999999999999999999",
                "999999999999999999..1999999999999999998",
            ),
        ];
        for (bins, value, expect) in cases {
            assert_eq!(written(|out| bins.write(value, out)).as_deref(), Some(expect), "{value}");
        }
        for value in [
            "",
            "-",
            "x",
            "1.",
            ".5",
            "1e3",
            "1,000",
            "NaN",
            "1.0000000001",
            "1234567890123456789",
            "--1",
            "１",
        ] {
            let got = written(|out| bins("1", "", "", "").write(value, out));
            assert_eq!(got, None, "{value:?} is no number");
        }
        assert!(bins("0", "", "", "").check().is_err());
        assert!(bins("-1", "", "", "").check().is_err());
        assert!(bins("1", "", "5", "5").check().is_err());
    }

    #[test]
    fn places() {
        let places = |levels, other: Option<&str>| Places {
            levels,
            other: other.map(str::to_owned),
            hierarchy: [("Soho", "London"), ("London", "England"), ("Leeds", "England")]
                .map(|(place, wider)| (place.to_owned(), wider.to_owned()))
                .into(),
        };
        let cases = [
            (1, None, "Soho", Some("London")),
            (2, None, "Soho", Some("England")),
            (9, None, "Soho", Some("England")),
            (1, None, "Leeds", Some("England")),
            (1, None, "England", Some("England")),
            (1, None, "Paris", None),
            (1, Some("elsewhere"), "Paris", Some("elsewhere")),
        ];
        for (levels, other, value, expect) in cases {
            let got = written(|out| places(levels, other).write(value, out));
            assert_eq!(got.as_deref(), expect, "{value} by {levels}");
        }
        let mut round = places(1, None);
        assert!(round.check().is_ok());
        round.hierarchy.insert("England".into(), "Soho".into());
        assert!(round.check().is_err(), "a hierarchy that goes round has no top");
        assert!(places(0, None).check().is_err());
        assert!(places(17, None).check().is_err());
    }
}
