//! Provenance: statements about each step of a job, signed by who speaks and linked by digest; and
//! receipts, one file a job, that anyone checks without a network.
//!
//! Statements are in-toto Statements in DSSE envelopes (spec/statements.md), entries of a
//! transparency log. A receipt (spec/receipt.md) holds the order, the proved events that settled
//! it, the statements, and the log's proofs. No I/O, clock or randomness.

mod audit;
mod dsse;
mod export;
mod graph;
mod layout;
mod presentation;
mod receipt;
mod statement;
mod summary;
mod trust;
mod verify;
mod whole;

pub use assay_contracts::RunOutcome;
pub use audit::{Audit, AuditedJob, PERIOD_ALL};
pub use dsse::{Envelope, EnvelopeError, PAYLOAD_TYPE, RoleKey};
pub use export::{open_lineage, prov, ro_crate};
pub use graph::Graph;
pub use presentation::{
    Expected, PRESENTATION_TYPE, Presentation, PresentationCheck, PresentationCode,
    PresentationError, claim_names, present,
};
pub use receipt::{
    LoggedStatement, RECEIPT_SCHEMA, Receipt, ReceiptAnchor, ReceiptError, ReceiptLog,
};
pub use statement::{
    Binding, BlockRef, Claimed, DataFee, GivenKey, InToto, Judgement, Locked, MarketId, Masked,
    Move, Moved, Operator, Ordered, Predicate, Ran, Released, ReleasedSlot, Settled, Statement,
    StatementError, Verdict, binding_text, operator_text, run_statement,
};
pub use summary::JobSummary;
pub use trust::{TRUST_SCHEMA, Trust, TrustError, TrustedLog};
pub use verify::{
    Anchored, Check, ClaimFacts, Code, Outcome, Report, Standing, anchored, claim_of, verify,
    without_noise,
};
pub use whole::summaries_of_log;
