//! Giving the keys of sealed data to who holds a lock and to the auditors that the order names, by
//! its owner's decision, and saying in the log that they were given.
//!
//! The decision about an input is the order itself, which its owner has signed. About a dataset the
//! owner's rules decide (spec/policy.md), and what that spends is durable before a key leaves.

mod decide;
mod give;
mod giver;
mod release;
mod rules;

pub(crate) use giver::{Giving, KeyGiver};
pub(crate) use rules::DatasetRules;
