//! Functions on fixed-point numbers that the `fixed` crate doesn't have. Square roots are its own:
//! `x.sqrt()`.

use fixed::types::I32F32;

const LN2_Q62: i64 = 3_196_577_161_300_663_915;
const INV_LN2_Q32: i64 = 6_196_328_019;
const ONE_Q62: i64 = 1 << 62;

/// e^x, within 2^-31 of the true value, or within 2^-31 of it relatively above one; about 10,000
/// steps.
///
/// Saturates at the largest number from x = 21.49 on, and is zero below x = -22.9.
pub fn exp(x: I32F32) -> I32F32 {
    // e^x = 2^k e^r with |r| <= ln(2) / 2.
    let doublings = ((i128::from(x.to_bits()) * i128::from(INV_LN2_Q32)) + (1 << 63)) >> 64;
    if doublings > 31 {
        return I32F32::MAX;
    }
    if doublings < -33 {
        return I32F32::ZERO;
    }
    let doublings = doublings as i64;
    let rest =
        ((i128::from(x.to_bits()) << 30) - i128::from(doublings) * i128::from(LN2_Q62)) as i64;
    // Horner's scheme; the next term, 0.35^18 / 18!, is far below 2^-62.
    let mut sum = ONE_Q62;
    for n in (1..=17).rev() {
        sum = ONE_Q62 + multiply_q62(rest, sum) / n;
    }
    let shift = 30 - doublings;
    if shift <= 0 {
        return i64::checked_mul(sum, 1 << -shift).map_or(I32F32::MAX, I32F32::from_bits);
    }
    // Unsigned, since 2^62 e^0.35 and half a unit together pass 2^63.
    let rounded = (sum.unsigned_abs() + (1 << (shift - 1))) >> shift;
    i64::try_from(rounded).map_or(I32F32::MAX, I32F32::from_bits)
}

/// The logistic function, 1 / (1 + e^-x), within 2^-30 of the true value; about 11,000 steps.
pub fn logistic(x: I32F32) -> I32F32 {
    // Only e^-|x| <= 1 keeps all its digits.
    let magnitude = x.saturating_abs();
    let small = exp(-magnitude);
    let larger = I32F32::ONE / (I32F32::ONE + small);
    if x.is_negative() { I32F32::ONE - larger } else { larger }
}

fn multiply_q62(a: i64, b: i64) -> i64 {
    ((i128::from(a) * i128::from(b)) >> 62) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exp_is_near_the_true_value(x in -30.0f64..21.4) {
            let x = I32F32::from_num(x);
            let (got, truth) = (exp(x).to_num::<f64>(), x.to_num::<f64>().exp());
            prop_assert!((got - truth).abs() <= 2f64.powi(-31) * truth.max(1.0), "{x}: {got} not {truth}");
        }

        #[test]
        fn logistic_is_near_the_true_value(x in -50.0f64..50.0) {
            let x = I32F32::from_num(x);
            let (got, truth) = (logistic(x).to_num::<f64>(), 1.0 / (1.0 + (-x.to_num::<f64>()).exp()));
            prop_assert!((got - truth).abs() <= 2f64.powi(-30), "{x}: {got} not {truth}");
        }

        #[test]
        fn no_number_panics(bits: i64) {
            exp(I32F32::from_bits(bits));
            logistic(I32F32::from_bits(bits));
        }
    }

    #[test]
    fn edges() {
        assert_eq!(exp(I32F32::ZERO), I32F32::ONE);
        assert_eq!(exp(I32F32::MAX), I32F32::MAX);
        assert_eq!(exp(I32F32::MIN), I32F32::ZERO);
        assert_eq!(logistic(I32F32::ZERO), I32F32::ONE / 2);
        assert_eq!(logistic(I32F32::MAX), I32F32::ONE);
        assert_eq!(logistic(I32F32::MIN), I32F32::ZERO);
    }
}
