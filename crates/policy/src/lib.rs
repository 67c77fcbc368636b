//! Datasets that outlive a job: what their owner publishes and signs, and when a key goes out
//! (spec/policy.md).
//!
//! Default deny: a policy that says nothing permits nothing. Structured clauses become Cedar
//! policies, one forbid each, so a refusal names its clause; an owner may add texts in Cedar of its
//! own.

mod cedar;
mod clause;
mod dataset;
mod document;
mod explain;
mod ledger;
mod rules;
mod terms;
#[cfg(test)]
mod tests;

pub use cedar::{CEDAR_SCHEMA, clauses_as_cedar};
pub use clause::{Clause, ClauseReason};
pub use dataset::{DatasetName, Grant, Publication, Revocation, Revoked, SOURCES_MAX, Source};
pub use document::{
    AMOUNT_MAX, DOCUMENT_SIZE_MAX, Document, DocumentError, Form, Measurement, MeasurementError,
    NUMBER_MAX, WORD_SIZE_MAX, Word, WordError,
};
pub use explain::{Change, explain, explain_changes, never_permits};
pub use ledger::{Entry, Ledger, LedgerError, Release, Spent};
pub use rules::{Decision, GRANTS_MAX, Permit, ReleaseRequest, Rules, RulesError};
pub use terms::{
    Allowed, Auditors, Budget, CEDAR_DEPTH_MAX, CEDAR_SIZE_MAX, CEDAR_TEXTS_MAX, Guarantees,
    LIST_MAX, Output, OutputClass, Policy, Providers, is_as_strict, stricter,
};
