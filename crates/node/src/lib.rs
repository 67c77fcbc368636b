//! What runs: roles, their event loops, and the state that they keep under one folder.
//!
//! The only crate with a real clock, sockets and randomness. It decides nothing that `machine`, `dispute` or the contracts
//! decide.

mod error;
mod files;
mod home;
mod keys;
mod local;

pub use error::{Error, Result};
pub use home::Home;
pub use keys::{DevelopmentKeys, Role};
pub use local::{LocalChain, Running};
