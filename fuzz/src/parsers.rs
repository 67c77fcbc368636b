//! Mutants of good documents through the parsers of what strangers send: none may crash, and what is accepted is written as the
//! same bytes.

use std::convert::Infallible;
use std::panic::catch_unwind;

use assay_privacy::envelope::{self, Header};
use assay_privacy::rand_core::{TryCryptoRng, TryRng};
use assay_privacy::{ContentKey, SealKeys, SealPublic, Wrap, WrapContext, output_key, seal_output};
use assay_types::{Hash, Salt};
use fastrand::Rng;
use rayon::prelude::*;

/// Seeded bytes where the product draws secret ones: the same in every run, and no secret.
pub struct Seeded(Rng);

impl Seeded {
    /// By a seed.
    pub fn new(seed: u64) -> Self {
        Seeded(Rng::with_seed(seed))
    }
}

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.u32(..))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.u64(..))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Seeded {}

/// Mutants by one generator; their numbers seed it.
const BATCH: u64 = 1_000;

/// A parser, and what to feed it with.
pub struct Parser {
    /// What it reads.
    pub name: &'static str,
    /// Good documents, which are mutated.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Reads, and says whether it accepted. Panics if what it accepted is not written as the same bytes.
    pub check: fn(&[u8]) -> bool,
}

/// All of them.
pub const PARSERS: [Parser; 4] = [
    Parser { name: "envelope header", seeds: headers, check: read_header },
    Parser { name: "envelope", seeds: envelopes, check: open_envelope },
    Parser { name: "wrap", seeds: wraps, check: read_wrap },
    Parser { name: "seal keys", seeds: seal_keys, check: read_seal_keys },
];

const SALT: Salt = Salt([7; 24]);

fn envelopes() -> Vec<Vec<u8>> {
    let key = output_key(&SALT);
    let mut rng = Seeded::new(1);
    let drawn = |length: usize, rng: &mut Seeded| {
        envelope::seal(&key, &vec![3; length], Hash([5; 32]), rng).unwrap_or_default()
    };
    let programs = |length: usize| seal_output(&SALT, &vec![3; length], Hash::default());
    vec![
        drawn(0, &mut rng),
        drawn(50, &mut rng),
        drawn(70_000, &mut rng),
        programs(50).unwrap_or_default(),
    ]
}

/// Only the envelopes themselves open: whatever else does was forged.
fn open_envelope(bytes: &[u8]) -> bool {
    thread_local! {
        static GOOD: Vec<Vec<u8>> = envelopes();
    }
    let opened = envelope::open(&output_key(&SALT), bytes).is_ok();
    assert!(!opened || GOOD.with(|good| good.iter().any(|one| one == bytes)), "a forgery opens");
    opened
}

fn headers() -> Vec<Vec<u8>> {
    envelopes().into_iter().map(|envelope| envelope[..envelope::HEADER_SIZE].to_vec()).collect()
}

fn read_header(bytes: &[u8]) -> bool {
    let Ok(header) = Header::from_bytes(bytes) else { return false };
    assert_eq!(header.to_bytes()[..], bytes[..envelope::HEADER_SIZE], "a header has two forms");
    // What a reader asks of it next.
    let last = header.chunks() - 1;
    let end = header.sealed_range(last).map(|range| range.end);
    assert_eq!(end, Ok(header.envelope_size()), "the last chunk ends the envelope");
    assert!(header.plain_range(last + 1).is_err());
    true
}

fn wraps() -> Vec<Vec<u8>> {
    let keys = SealKeys::derive(&[1; 32]);
    let zero = Hash::default();
    let context = WrapContext {
        job: zero,
        slot: 2,
        envelope: zero,
        policy: zero,
        owner: [1; 20],
        recipient: [2; 20],
    };
    let old = keys.public().only(|suite| suite == 1);
    let mut rng = Seeded::new(2);
    let offers = [Ok(keys.public()), old].into_iter().flatten();
    let wrap = |offer| Wrap::seal(&ContentKey::from_bytes([9; 32]), &offer, &context, &mut rng);
    offers.map(wrap).flatten().map(|wrap| wrap.to_bytes()).collect()
}

fn read_wrap(bytes: &[u8]) -> bool {
    let Ok(wrap) = Wrap::from_bytes(bytes) else { return false };
    assert_eq!(wrap.to_bytes(), bytes, "a wrap has two forms");
    true
}

fn seal_keys() -> Vec<Vec<u8>> {
    let keys = SealKeys::derive(&[1; 32]).public();
    let old = keys.only(|suite| suite == 1).map(|old| old.to_bytes()).unwrap_or_default();
    vec![keys.to_bytes(), old, br#"{"kems":[{"suite":7,"key":"0102"}]}"#.to_vec()]
}

fn read_seal_keys(bytes: &[u8]) -> bool {
    let Ok(keys) = SealPublic::from_bytes(bytes) else { return false };
    assert_eq!(keys.to_bytes(), bytes, "the same keys have two forms");
    true
}

/// Feeds a parser with so many mutants, and says how many it accepted. `Err` has the bytes that crashed it.
pub fn fuzz(parser: &Parser, count: u64, seed: u64) -> Result<u64, String> {
    let seeds = (parser.seeds)();
    if let Some(bad) = seeds.iter().position(|seed| !(parser.check)(seed)) {
        return Err(format!("{}: its good document {bad} is refused", parser.name));
    }
    let batches = (0..count.div_ceil(BATCH)).into_par_iter();
    let accepted = batches.map(|batch| {
        let mut rng = Rng::with_seed(seed.wrapping_add(batch).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let size = BATCH.min(count - batch * BATCH);
        let one = |_| {
            let mutant = mutate(&seeds, &mut rng);
            let checked = catch_unwind(|| (parser.check)(&mutant));
            checked.map(u64::from).map_err(|_| {
                let hex = hex::encode(&mutant);
                format!("{}: crashed by 0x{hex} (batch {batch} of seed {seed})", parser.name)
            })
        };
        (0..size).map(one).sum::<Result<u64, String>>()
    });
    accepted.sum()
}

/// A good document with one to four changes.
fn mutate(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..rng.u32(1..=4) {
        change(&mut bytes, seeds, rng);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut Rng) {
    const ODD: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 1 << 40, (1 << 63) - 1, u64::MAX];
    let place = |bytes: &[u8], rng: &mut Rng| {
        // Half of the changes near the start, where the fields are.
        let end = if rng.bool() { bytes.len() } else { bytes.len().min(128) };
        rng.usize(..=end)
    };
    let at = place(bytes, rng);
    match rng.u32(..9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.u32(..8),
        1 if at < bytes.len() => bytes[at] = rng.u8(..),
        // Another digit, letter or quote: text stays text.
        2 if at < bytes.len() => {
            bytes[at] = *rng.choice(b"0123456789abcdefAF\"{}[]:, \\").unwrap_or(&0)
        }
        3 => bytes.insert(at, rng.u8(..)),
        4 => {
            let end = (at + rng.usize(..32)).min(bytes.len());
            bytes.drain(at..end);
        }
        5 => bytes.truncate(at),
        6 => {
            let end = (at + rng.usize(..64)).min(bytes.len());
            let copied = bytes[at..end].to_vec();
            let to = place(bytes, rng);
            bytes.splice(to..to, copied);
        }
        7 => {
            let other = &seeds[rng.usize(..seeds.len())];
            let from = rng.usize(..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            let odd = ODD[rng.usize(..ODD.len())].to_le_bytes();
            let end = (at + 8).min(bytes.len());
            bytes[at..end].copy_from_slice(&odd[..end - at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parser_is_crashed_by_mutants() {
        for parser in &PARSERS {
            let accepted = fuzz(parser, 20_000, 6).expect("no mutant crashes it");
            assert!(accepted < 20_000, "{}: the mutants are no mutants", parser.name);
        }
    }
}
