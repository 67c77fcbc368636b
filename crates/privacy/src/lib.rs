//! Privacy: what seals data, who may open it, and what may be shown of it.
//!
//! Pure: keys and salts come in as arguments, drawn by whoever calls; nothing here reads a file, a clock or the system's
//! randomness.

pub mod cells;
pub mod envelope;
mod kdf;
mod keys;
pub mod mask;
pub mod policy;
pub mod sd_jwt;
pub mod statistics;
mod wrap;

pub use envelope::{EnvelopeError, Opener, Sealer, open_output, open_output_by, seal_output};
pub use hpke::rand_core;
pub use keys::{
    ContentKey, KeyError, OFFER_KEY_MAX, OFFERS_MAX, SealKeys, SealPublic, WrapSuite, output_key,
};
pub use wrap::{CONTEXT_SIZE, Wrap, WrapContext, WrapError};
