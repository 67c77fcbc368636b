//! What travels between parties: types on the wire, what is signed and how, capabilities, problems,
//! limits, and who may use which path (spec/broker.md, spec/access.md).
//!
//! Pure: a broker serves this and a client asks for it; neither lives here.

mod account_key;
mod capability;
mod check;
mod json_text;
mod limits;
mod permissions;
mod places;
mod problem;
pub mod schema;
mod signing;
mod types;

pub use account_key::{AccountKey, AccountKeyError};
pub use capability::{
    Capability, CapabilityChain, CapabilityError, Role, RoleError, SignedCapability,
    SignedRevocation, Use,
};
pub use check::{check_envelope, check_program, check_slot};
pub use json_text::{JsonObject, JsonObjectError};
pub use limits::*;
pub use permissions::{RULES, Rule, Who, method_of, rule_of, shape_of};
pub use places::{KeptWrap, dataset_part, is_for, recipient_part, revocation_part};
pub use problem::{PROBLEM_TYPE, Problem, ProblemKind};
pub use signing::{
    EMPTY_DIGEST, Epoch, SignError, SignatureError, SignedRequest, header, sign, verify_account,
};
pub use types::*;
