//! The log of what roles say: an account's voice in it, its anchors, and its witnesses.

pub(crate) mod anchor;
pub(crate) mod anchored;
pub(crate) mod cosign;
pub(crate) mod moves;
pub(crate) mod objects;
pub(crate) mod recorder;
