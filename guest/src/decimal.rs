use core::fmt;

/// A decimal number with up to nine places: an `i64` count of 10^-9, from -9,223,372,036.854775808
/// to 9,223,372,036.854775807. Numbers of tables are read and written without rounding.
///
/// It is for text. To compute, sum and compare [`nanos`](Self::nanos), or turn it into a
/// [`fixed`](crate::fixed) type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(i64);

/// Why a field is no [`Decimal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalError {
    /// Something else than an optional sign, digits, and a point with digits; exponents are not
    /// read.
    NotANumber,
    /// More than nine digits after the point that are not zeros.
    TooPrecise,
    /// The number is outside the range.
    OutOfRange,
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "not a decimal number such as -12.5",
            Self::TooPrecise => "more than nine digits after the point",
            Self::OutOfRange => {
                "outside what nine decimal places allow, about 9.2 billion either way"
            }
        })
    }
}

impl core::error::Error for DecimalError {}

impl Decimal {
    /// Units in one.
    pub const ONE_NANOS: i64 = 1_000_000_000;
    /// Digits after the point.
    pub const PLACES: u32 = 9;

    /// The number of so many 10^-9.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The number in 10^-9.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Reads a field: spaces around it, a sign, digits, and a point with digits; `.5` and `5.` are
    /// numbers.
    pub fn parse(field: &[u8]) -> Result<Self, DecimalError> {
        let (nanos, exact) = parse(field, Self::PLACES)?;
        if !exact {
            return Err(DecimalError::TooPrecise);
        }
        nanos.map(Self).ok_or(DecimalError::OutOfRange)
    }

    /// `numerator / denominator` rounded to so many places (at most 9), half to even. Both are in
    /// the same unit; the denominator is above zero. `None` if the result is out of range.
    pub fn from_ratio(numerator: i128, denominator: i128, places: u32) -> Option<Self> {
        let numerator = numerator.checked_mul(10i128.pow(places))?;
        let (quotient, rest) =
            (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
        let rounds_up = match (2 * rest).cmp(&denominator) {
            core::cmp::Ordering::Less => false,
            core::cmp::Ordering::Equal => quotient % 2 != 0,
            core::cmp::Ordering::Greater => true,
        };
        let rounded = quotient + i128::from(rounds_up);
        let nanos = rounded.checked_mul(10i128.pow(Self::PLACES - places))?;
        i64::try_from(nanos).ok().map(Self)
    }

    /// This number rounded to so many places (at most 9), half to even. `None` if that leaves the
    /// range.
    pub fn round(self, places: u32) -> Option<Self> {
        Self::from_ratio(i128::from(self.0), i128::from(Self::ONE_NANOS), places)
    }
}

/// Shows all digits that are not trailing zeros, or exactly as many places as asked for with
/// `{:.2}`, cutting the rest off.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let unit = Self::ONE_NANOS.unsigned_abs();
        // One 64-bit division; the rest is 32-bit.
        let (whole, nanos) = (magnitude / unit, (magnitude % unit) as u32);
        let mut digits = [b'0'; Self::PLACES as usize];
        let mut rest = nanos;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let significant =
            digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        let places = f.precision().map_or(significant, |places| places.min(digits.len()));
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write!(f, "{whole}")?;
        if places > 0 {
            // INVARIANT: digits are ASCII.
            f.write_str(".")?;
            f.write_str(core::str::from_utf8(&digits[..places]).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

/// Reads a field as a count of 10^-places (at most 9), rounded up, and saturated to an `i32`.
///
/// Comparing with a threshold `t` strictly within the range decides as the exact number would:
/// `x <= t` if and only if the rounded x is. So a table of any precision can be compared in 32
/// bits.
pub fn parse_rounding_up(field: &[u8], places: u32) -> Result<i32, DecimalError> {
    let (value, exact) = parse(field, places)?;
    let negative = field.trim_ascii().first() == Some(&b'-');
    let value = match value {
        // Digits were cut off towards zero: for a negative number that is up.
        Some(value) if !exact && !negative => value.saturating_add(1),
        Some(value) => value,
        None if negative => i64::MIN,
        None => i64::MAX,
    };
    Ok(value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32)
}

/// The number in 10^-places, cut towards zero (`None` beyond an `i64`), and whether nothing was cut
/// off.
fn parse(field: &[u8], places: u32) -> Result<(Option<i64>, bool), DecimalError> {
    let field = field.trim_ascii();
    let (negative, unsigned) = match field.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, field),
    };
    let point = unsigned.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(point) => (&unsigned[..point], &unsigned[point + 1..]),
        None => (unsigned, &[][..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DecimalError::NotANumber);
    }
    let (kept, cut) = fraction.split_at(fraction.len().min(places as usize));
    let mut value = Some(0i64);
    for byte in whole.iter().chain(kept) {
        let digit = digit(*byte)?;
        // Counting down from zero reaches i64::MIN too.
        value = value.and_then(|value| value.checked_mul(10)?.checked_sub(digit));
    }
    for _ in kept.len()..places as usize {
        value = value.and_then(|value| value.checked_mul(10));
    }
    let mut exact = true;
    for byte in cut {
        exact &= digit(*byte)? == 0;
    }
    let value = if negative { value } else { value.and_then(i64::checked_neg) };
    Ok((value, exact))
}

fn digit(byte: u8) -> Result<i64, DecimalError> {
    match byte {
        b'0'..=b'9' => Ok(i64::from(byte - b'0')),
        _ => Err(DecimalError::NotANumber),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn check(field: &str, expect: Result<&str, DecimalError>) {
        let shown = Decimal::parse(field.as_bytes()).map(|decimal| decimal.to_string());
        assert_eq!(shown, expect.map(ToString::to_string), "for {field:?}");
    }

    #[test]
    fn reads_what_people_write() {
        check("12.50", Ok("12.5"));
        check(" -0.000000001 ", Ok("-0.000000001"));
        check("+7", Ok("7"));
        check(".5", Ok("0.5"));
        check("5.", Ok("5"));
        check("-0", Ok("0"));
        check("1.0000000000", Ok("1"));
        check("9223372036.854775807", Ok("9223372036.854775807"));
        check("-9223372036.854775808", Ok("-9223372036.854775808"));
    }

    #[test]
    fn refuses_what_it_would_have_to_guess() {
        for field in
            ["", " ", ".", "-", "1e5", "1,5", "0x10", "1.2.3", "NaN", "--1", "1 2", "1.0000000000x"]
        {
            check(field, Err(DecimalError::NotANumber));
        }
        check("0.0000000001", Err(DecimalError::TooPrecise));
        check("9223372036.854775808", Err(DecimalError::OutOfRange));
        check("99999999999999999999999", Err(DecimalError::OutOfRange));
    }

    #[test]
    fn rounds_half_to_even() {
        for (numerator, expect) in
            [(5, "0"), (15, "2"), (25, "2"), (-5, "0"), (-15, "-2"), (26, "3")]
        {
            let rounded = Decimal::from_ratio(numerator, 10, 0).map(|decimal| decimal.to_string());
            assert_eq!(rounded.as_deref(), Some(expect), "{numerator}/10");
        }
    }

    #[test]
    fn shows_as_many_places_as_asked() {
        assert_eq!(alloc::format!("{:.2}", Decimal::from_nanos(-1_500_000_000)), "-1.50");
        assert_eq!(alloc::format!("{:.0}", Decimal::from_nanos(2_000_000_000)), "2");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(nanos: i64) {
            let decimal = Decimal::from_nanos(nanos);
            prop_assert_eq!(Decimal::parse(decimal.to_string().as_bytes()), Ok(decimal));
        }

        #[test]
        fn rounding_up_decides_as_the_exact_number(nanos in -5_000_000_000i64..5_000_000_000, threshold in -499i32..499) {
            let field = Decimal::from_nanos(nanos).to_string();
            let rounded = parse_rounding_up(field.as_bytes(), 2).unwrap();
            let exact = nanos <= i64::from(threshold) * 10_000_000;
            prop_assert_eq!(rounded <= threshold, exact);
        }
    }

    #[test]
    fn rounding_up_saturates_and_keeps_its_side() {
        assert_eq!(parse_rounding_up(b"99999999999999999999999", 9), Ok(i32::MAX));
        assert_eq!(parse_rounding_up(b"-99999999999999999999999", 9), Ok(i32::MIN));
    }
}
