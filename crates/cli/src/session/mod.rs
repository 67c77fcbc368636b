//! Which market a command means, whose keys it uses, and what its settings are.

pub(crate) mod capability;
pub(crate) mod deployment;
pub(crate) mod follow;
pub(crate) mod home;
pub(crate) mod keys;
pub(crate) mod market;
pub(crate) mod names;
pub(crate) mod owner;
pub(crate) mod receipts;
pub(crate) mod requester;
pub(crate) mod runtime;
pub(crate) mod settings;
pub(crate) mod trust;
