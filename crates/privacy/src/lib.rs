//! Privacy: what seals data, who may open it, and what may be shown of it.
//!
//! Pure: keys and salts come in as arguments, drawn by whoever calls; nothing here reads a file, a clock or the system's
//! randomness.

pub mod cells;
pub mod sd_jwt;
pub mod statistics;
