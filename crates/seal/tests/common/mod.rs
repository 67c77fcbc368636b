//! What the tests share: seeded randomness and a world of two accounts.
#![allow(dead_code, reason = "each test file uses its part")]

use std::convert::Infallible;

use assay_seal::rand_core::{TryCryptoRng, TryRng};
use assay_seal::{ContentKey, SealKeys, WrapContext};
use assay_types::{Hash, sha256};

/// SHA-256 of a seed and a counter: the same "randomness" in every run.
pub(crate) struct Seeded(u64, u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Seeded(seed, 0)
    }
}

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.try_next_u64()? as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(32) {
            self.1 += 1;
            let block = sha256(&[self.0.to_le_bytes(), self.1.to_le_bytes()].concat());
            part.copy_from_slice(&block.0[..part.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Seeded {}

/// Bytes that do not repeat soon.
pub(crate) fn plaintext(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 256 * 13 + i / 65_536 * 31) as u8).collect()
}

pub(crate) fn key(seed: u8) -> ContentKey {
    ContentKey::from_bytes([seed; 32])
}

pub(crate) fn account(seed: u8) -> SealKeys {
    SealKeys::derive(&[seed; 32])
}

pub(crate) fn context() -> WrapContext {
    WrapContext {
        job: Hash([1; 32]),
        slot: 2,
        envelope: Hash([2; 32]),
        policy: Hash([3; 32]),
        owner: [4; 20],
        recipient: [5; 20],
    }
}
