//! Masking: a table made less telling before it is sealed, by a plan that names each column
//! (spec/mask.md).
//!
//! A table is read twice: [`Masker::count`] sees each row to know which groups are small, then
//! [`Masker::mask`] writes those that may stay, and counts anew what it has written, so that the
//! [`Effect`] is measured on the result and not inferred.

mod error;
mod generalise;
mod groups;
mod keyed;
mod masker;
mod plan;
mod redact;
mod rows;
mod statement;

pub use error::MaskError;
pub use groups::{DIVERSITY_MAX, GROUPS_MAX, Measure};
pub use keyed::{MasterKey, TOKEN_DOMAIN_MIN, TOKEN_NUMERALS_MAX};
pub use masker::{ColumnEffect, Effect, Masker};
pub use plan::{ActionKind, PLAN_BYTES_MAX, PLAN_SCHEMA, Plan};
pub use redact::{NAME_BYTES_MAX, NAMES_MAX};
pub use rows::{CELL_COLUMNS_MAX, ROW_BYTES_MAX, Row, Rows};
pub use statement::{
    Commit, CommitSalt, MASK_URI, MaskStatement, Masked, OPENINGS_SCHEMA, Openings,
};
