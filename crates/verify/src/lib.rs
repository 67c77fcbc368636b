//! What needs no network: checking receipts ([`verify`]) and running programs ([`exec`]).
//!
//! The binary `assay-verify` is these two commands and nothing else; `assay` has them among its
//! own, from the same code.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod exec;
pub mod failure;
pub mod files;
pub mod program;
pub mod text;
pub mod verify;

pub use failure::Failure;
