//! The contracts as Rust sees them: bindings from the committed ABI, where a market's contracts
//! are, events proved up to a block's header, and the only place that decodes a job's events.
//!
//! Pure, but for the feature `rpc`, which adds typed calls over a provider to the bindings.

mod bindings;
mod deployment;
pub mod events;
mod evidence;
mod outcome;
mod refusal;
mod stage;

pub use bindings::{
    Anchors, Disputes, Market, Stakes, Step, TestDollar, Verifiers, job_id, job_id_on,
};
pub use deployment::{DEPLOYMENT_SCHEMA, Deployment, DisputeTerms};
pub use events::{JobEvent, LoggedEvent};
pub use evidence::{EventProof, EvidenceError, ProvedEvent, prove_receipt};
pub use outcome::RunOutcome;
pub use refusal::ContractError;
pub use stage::{GameStage, UnknownStage};
