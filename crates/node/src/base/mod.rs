//! What every room of the node stands on; it knows none of them.

pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod home;
pub(crate) mod ids;
pub(crate) mod keys;
pub(crate) mod progress;
