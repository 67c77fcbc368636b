//! Hashes, ids and format tags: the bytes that every other crate agrees on.
//!
//! Pure: no I/O, no clock, no randomness.

mod clock;
mod hash;
mod ids;
mod tag;

pub use clock::Clock;
pub use hash::{
    BlobRoot, Hash, HashParseError, MemoryRoot, ProgramId, Salt, StateHash, TraceRoot, sha256,
    sha256_leaf, sha256_pair,
};
pub use ids::{Account, IdParseError, JobId};
pub use tag::{SUITE_SHA256, TAG_SIZE, Tag};
