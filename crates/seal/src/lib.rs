//! Sealing: envelopes for data, wraps for their keys, and how keys follow from each other.
//!
//! Pure: keys and salts come in as arguments, drawn by whoever calls; nothing here reads a file, a
//! clock or the system's randomness.

mod aead;
pub mod envelope;
mod kdf;
mod keys;
mod wrap;

pub use envelope::{EnvelopeError, Opener, Sealer, open_output, open_output_by, seal_output};
pub use hpke::rand_core;
pub use keys::{
    ContentKey, KeyError, OFFER_KEY_MAX, OFFERS_MAX, SealKeys, SealPublic, WrapSuite, output_key,
};
pub use wrap::{CONTEXT_SIZE, Wrap, WrapContext, WrapError};
