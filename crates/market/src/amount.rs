//! Arithmetic on amounts that cannot overflow, and amounts in JSON.

/// The largest amount that an order can name: the contracts keep 96 bits.
pub const AMOUNT_MAX: u128 = (1 << 96) - 1;

/// Basis points in a whole.
pub(crate) const BPS: u64 = 10_000;

/// floor(a b / divisor), or the largest number where that is larger still. The divisor is not 0.
pub(crate) fn mul_div(a: u128, b: u64, divisor: u64) -> u128 {
    let (b, divisor) = (u128::from(b), u128::from(divisor));
    // The remainder is below 2^64, so its product fits.
    (a / divisor).saturating_mul(b).saturating_add(a % divisor * b / divisor)
}

/// ceil(a b / divisor), or the largest number where that is larger still. The divisor is not 0.
pub(crate) fn mul_div_ceil(a: u128, b: u64, divisor: u64) -> u128 {
    let (b, divisor) = (u128::from(b), u128::from(divisor));
    (a / divisor).saturating_mul(b).saturating_add((a % divisor * b).div_ceil(divisor))
}

/// For `#[serde(with = "text")]`: an amount as a string of decimal digits. Numbers in JSON lose
/// digits above 2^53 in many readers, and serde cannot take 128 bits through a tagged enum.
pub(crate) mod text {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(amount: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(amount)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let amount: u128 = text.parse().map_err(de::Error::custom)?;
        // One form for each amount: no sign, no leading zeros.
        if amount.to_string() != text {
            return Err(de::Error::custom("an amount is decimal digits without leading zeros"));
        }
        Ok(amount)
    }
}

/// For `#[serde(serialize_with = "option_text")]`: an amount, or null.
pub(crate) fn option_text<S: serde::Serializer>(
    amount: &Option<u128>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match amount {
        Some(amount) => to.collect_str(amount),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_plain_arithmetic() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let (a, b, divisor) = (rng.u64(..), rng.u64(..) >> rng.u32(..64), rng.u64(1..));
            let product = u128::from(a) * u128::from(b);
            let divisor_wide = u128::from(divisor);
            assert_eq!(mul_div(a.into(), b, divisor), product / divisor_wide);
            assert_eq!(mul_div_ceil(a.into(), b, divisor), product.div_ceil(divisor_wide));
        }
    }

    #[test]
    fn products_stop_at_the_top() {
        let most = u64::MAX;
        assert_eq!(mul_div(u128::MAX, most, 1), u128::MAX);
        assert_eq!(mul_div(u128::MAX, most, most), u128::MAX, "exact where it fits");
        assert_eq!(mul_div_ceil(u128::MAX, most, 2), u128::MAX);
    }

    #[test]
    fn amounts_have_one_text() {
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        struct Amount(#[serde(with = "text")] u128);
        for (amount, json) in
            [(0, r#""0""#), (u128::MAX, r#""340282366920938463463374607431768211455""#)]
        {
            assert_eq!(serde_json::to_string(&Amount(amount)).unwrap(), json);
            assert_eq!(serde_json::from_str::<Amount>(json).unwrap(), Amount(amount));
        }
        for bad in ["1", "\"+1\"", "\"01\"", "\"-1\"", "\"1.0\"", "\"\""] {
            assert!(serde_json::from_str::<Amount>(bad).is_err(), "{bad} is not an amount");
        }
    }
}
