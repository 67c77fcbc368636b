//! Wires roles together: a market in this process, or one of strangers. The only room that knows
//! all others.

pub(crate) mod chain;
pub(crate) mod liar;
pub(crate) mod local;
pub(crate) mod remote;
