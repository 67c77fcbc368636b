//! A job's files: inputs, what is sealed of them, and the keys.

pub(crate) mod executor;
pub(crate) mod images;
pub(crate) mod inputs;
pub(crate) mod keys;
pub(crate) mod sealed;
pub(crate) mod vault;
