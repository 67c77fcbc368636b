//! Accounts and job ids, as the contracts and wallets write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a string is not an account or a job id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdParseError {
    /// The string has another number of digits (after an optional `0x`).
    #[error("this has {found} hex digits and should have {expected}: copy it again in full")]
    Length {
        /// How many it has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
    /// A character is not a hex digit.
    #[error("hex digits only, this has something else at position {0}")]
    Digit(usize),
}

/// Declares bytes that are displayed as `0x` hex.
macro_rules! hex_id {
    ($($(#[$doc:meta])* $name:ident $size:literal)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $size]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0x")?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdParseError;

            fn from_str(text: &str) -> Result<Self, IdParseError> {
                bytes(text).map($name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

hex_id! {
    /// An account on the chain, 20 bytes. Displayed in lower case: no EIP-55 checksum, none is
    /// checked.
    Account 20
    /// A job's id, 32 bytes: the order's EIP-712 digest (spec/contracts.md#orders).
    JobId 32
}

/// The bytes that 2 N hex digits stand for, after an optional `0x`.
fn bytes<const N: usize>(text: &str) -> Result<[u8; N], IdParseError> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    if digits.len() != 2 * N {
        return Err(IdParseError::Length { found: digits.len(), expected: 2 * N });
    }
    let mut bytes = [0; N];
    for (i, &digit) in digits.iter().enumerate() {
        let value = (digit as char).to_digit(16).ok_or(IdParseError::Digit(i))?;
        bytes[i / 2] = bytes[i / 2] << 4 | value as u8;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_text_and_json() {
        let account = Account(std::array::from_fn(|i| i as u8 * 13));
        let text = "0x000d1a2734414e5b6875828f9ca9b6c3d0ddeaf7";
        assert_eq!(account.to_string(), text);
        assert_eq!(text.to_uppercase().replace("0X", "0x").parse(), Ok(account), "any case");
        assert_eq!(text[2..].parse(), Ok(account), "0x may be missing");
        let json = serde_json::to_string(&JobId([0xab; 32])).unwrap();
        assert_eq!(json, format!("\"0x{}\"", "ab".repeat(32)));
        assert_eq!(serde_json::from_str::<JobId>(&json).unwrap(), JobId([0xab; 32]));
    }

    #[test]
    fn bad_ids_say_why() {
        let short = IdParseError::Length { found: 3, expected: 40 };
        assert_eq!("0xabc".parse::<Account>(), Err(short));
        let with_g = format!("0x{}g{}", "0".repeat(10), "0".repeat(29));
        assert_eq!(with_g.parse::<Account>(), Err(IdParseError::Digit(10)));
    }
}
