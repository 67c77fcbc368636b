//! The chain as roles see it: contracts by typed methods, what happened to a job, games,
//! reputation.

pub(crate) mod block;
pub(crate) mod chunks;
pub(crate) mod clock;
pub(crate) mod contracts;
pub(crate) mod events;
pub(crate) mod funds;
pub(crate) mod games;
pub(crate) mod market;
pub(crate) mod pace;
pub(crate) mod price;
pub(crate) mod reputation;
pub(crate) mod timeline;
