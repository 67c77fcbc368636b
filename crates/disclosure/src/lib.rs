//! Showing a part and no more: cells of a table, presentations as SD-JWT, statistics with
//! differential privacy (spec/disclosure.md).
//!
//! Pure: keys, salts and noise come in as arguments.

pub mod cells;
pub mod sd_jwt;
pub mod statistics;
