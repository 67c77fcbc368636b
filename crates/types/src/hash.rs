//! 32-byte hashes, and one type for each thing that a hash can name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// A SHA-256 digest (FIPS 180-4), 32 bytes. Displayed as 64 lower-case hex digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

/// Why a string is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashParseError {
    /// The string is not 64 characters long (after an optional `0x`).
    #[error("a hash is 64 hex digits, this has {0}: copy it again in full")]
    Length(usize),
    /// A character is not a hex digit.
    #[error("a hash is hex digits only, this has something else at position {0}")]
    Digit(usize),
}

/// SHA-256 of any bytes.
pub fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

/// SHA-256 of two hashes side by side (64 bytes): a Merkle node.
pub fn sha256_pair(left: &Hash, right: &Hash) -> Hash {
    let mut blocks = [[0; 64]; 2];
    blocks[0][..32].copy_from_slice(&left.0);
    blocks[0][32..].copy_from_slice(&right.0);
    blocks[1] = padding(64);
    compress(&blocks)
}

/// SHA-256 of exactly 256 bytes: a Merkle leaf.
///
/// One call over five blocks: a quarter faster than the streaming interface, and rooting is nothing
/// but this.
pub fn sha256_leaf(leaf: &[u8; 256]) -> Hash {
    let mut blocks = [[0; 64]; 5];
    blocks[..4].as_flattened_mut().copy_from_slice(leaf);
    blocks[4] = padding(256);
    compress(&blocks)
}

/// The last block of a message whose size is a whole number of blocks (FIPS 180-4, 5.1.1).
const fn padding(message_size: u16) -> [u8; 64] {
    let mut block = [0; 64];
    block[0] = 0x80;
    let bits = (message_size * 8).to_be_bytes();
    block[62] = bits[0];
    block[63] = bits[1];
    block
}

fn compress(blocks: &[[u8; 64]]) -> Hash {
    // FIPS 180-4, 5.3.3.
    let mut state = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    compress256(&mut state, blocks);
    let mut hash = [0; 32];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&u32::to_be_bytes(word));
    }
    Hash(hash)
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashParseError;

    fn from_str(text: &str) -> Result<Self, HashParseError> {
        let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
        if digits.len() != 64 {
            return Err(HashParseError::Length(digits.len()));
        }
        let mut hash = [0; 32];
        for (i, &digit) in digits.iter().enumerate() {
            let value = (digit as char).to_digit(16).ok_or(HashParseError::Digit(i))?;
            hash[i / 2] = hash[i / 2] << 4 | value as u8;
        }
        Ok(Hash(hash))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Declares a hash that names one kind of thing, so that two kinds can't be confused.
macro_rules! named_hash {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Hash);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = HashParseError;

            fn from_str(text: &str) -> Result<Self, HashParseError> {
                text.parse().map($name)
            }
        }
    )*};
}

named_hash! {
    /// Names a program: its slot 0, entry and text range (spec/machine.md#programs).
    ProgramId
    /// Root of one slot, 2^21 leaves of 256 bytes (spec/machine.md#roots); names an input, a
    /// dataset or an output.
    BlobRoot
    /// Root of the whole memory, eight slots (spec/machine.md#roots).
    MemoryRoot
    /// Hash of a machine state's preimage (spec/machine.md#state).
    StateHash
    /// Root of a claim's top trace (spec/machine.md#traces).
    TraceRoot
}

/// A blob's salt, 24 bytes: random for private data, zero for public (spec/machine.md#blobs).
///
/// A salt keeps a root from being guessed, so it is never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 24]);

impl Salt {
    /// The salt of public data: zeros.
    pub const PUBLIC: Salt = Salt([0; 24]);
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Salt::PUBLIC { "Salt(public)" } else { "Salt(private)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_size_hashes_equal_the_streaming_one() {
        let leaf: [u8; 256] = std::array::from_fn(|i| (i * 7) as u8);
        assert_eq!(sha256_leaf(&leaf), sha256(&leaf));
        let (left, right) = (sha256(b"left"), sha256(b"right"));
        assert_eq!(sha256_pair(&left, &right), sha256(&[left.0, right.0].concat()));
    }

    #[test]
    fn sha256_of_abc() {
        let expect = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc").to_string(), expect, "FIPS 180-4 example");
        assert_eq!(expect.parse(), Ok(sha256(b"abc")));
        assert_eq!(format!("0x{expect}").parse(), Ok(sha256(b"abc")));
    }

    #[test]
    fn bad_hashes_say_why() {
        assert_eq!("abc".parse::<Hash>(), Err(HashParseError::Length(3)));
        let with_g = format!("{}g{}", "0".repeat(10), "0".repeat(53));
        assert_eq!(with_g.parse::<Hash>(), Err(HashParseError::Digit(10)));
    }

    #[test]
    fn salts_stay_out_of_debug_output() {
        assert_eq!(format!("{:?}", Salt([7; 24])), "Salt(private)");
    }
}
