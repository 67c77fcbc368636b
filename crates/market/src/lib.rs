//! The market, as far as it is not the contract's: what an order will cost and earn, why it was
//! declined, what to do about it, and who has kept its word.
//!
//! **Forecasts and explanations.** Who is paid what is decided by the contracts
//! (spec/contracts.md); nothing here is asked when money moves. The rules are in spec/pricing.md
//! and spec/reputation.md.
//!
//! Amounts are in the token's smallest unit, at most [`AMOUNT_MAX`]; larger ones never overflow,
//! they only forecast nothing useful. Times are Unix seconds, and a deadline is the last second in
//! time. In JSON, amounts are strings of decimal digits, accounts and job ids are `0x` hex.
//!
//! Pure: no I/O, no clock, no randomness. Figures come in, figures and sentences go out.

mod amount;
mod pricing;
mod quote;
mod refusal;
mod repricing;
mod reputation;
mod status;
mod terms;
mod why;

pub use amount::AMOUNT_MAX;
pub use assay_types::{Account, IdParseError, JobId};
pub use pricing::{CostModel, MEBISTEP, Needed, PriceTerms};
pub use quote::{Asked, Forecast, Offer, Quote, Quoted, RunTime, forecast, quote};
pub use refusal::{CAUSE_SIZE_MAX, Cause, Reason, Refusal};
pub use repricing::Repricing;
pub use reputation::{
    DAY_MAX, HALF_LIFE_DAYS, Outcome, OutcomeKind, PRIOR, PRIOR_KEPT, Reputation, SCORE_MAX,
    reputation,
};
pub use status::{JobStatus, ShownStatus, UnknownStatus};
pub use terms::{AUDITORS_MAX, PURPOSE_SIZE_MAX, SealedSlot, TERMS_SCHEMA, Terms, TermsError};
pub use why::{Explanation, Facts, Finding, explain};
