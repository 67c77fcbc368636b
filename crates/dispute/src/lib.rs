//! The dispute game (spec/dispute.md), as far as it is not the contract's: what an honest party
//! does next.
//!
//! The contract holds the rules, clocks and bonds; here are the moves. A [`Tracer`] re-runs a job
//! wherever a tree or a witness is needed; [`challenge`] finds the first place where a claim
//! departs from it; [`answer`] and [`reveal`] defend a true claim.
//!
//! Pure: no I/O, no clock, no randomness. A view of a game comes in, a move goes out.

mod challenger;
mod claim;
mod claimant;
mod segment;
mod tracer;

pub use challenger::{Challenge, Known, Opening, Own, Pointing, challenge, opening};
pub use claim::Claim;
pub use claimant::{Answer, FAN_OUT, answer, reveal};
pub use segment::Segment;
pub use tracer::{SNAPSHOTS_MAX, SNAPSHOTS_MIN, SNAPSHOTS_SIZE_MAX, TraceTree, Tracer};
