//! What travels between parties: types on the wire, what is signed and how, capabilities, problems,
//! limits, and who may use which path (spec/broker.md, spec/access.md).
//!
//! Pure: a broker serves this and a client asks for it; neither lives here.

mod account_key;
mod capability;
mod check;
mod eip712;
mod json_text;
mod limits;
mod permissions;
mod places;
mod problem;
mod request;
#[cfg(feature = "openapi")]
pub mod schema;
mod signature;
mod signing;
mod types;

pub use account_key::{AccountKey, AccountKeyError};
pub use capability::{
    Capability, CapabilityChain, CapabilityError, Role, RoleError, SignedCapability,
    SignedRevocation, Use,
};
pub use check::{HashedSlot, SlotHasher, check_envelope, check_program, check_slot};
pub use json_text::{JsonObject, JsonObjectError};
pub use limits::{
    ACCOUNT_CLOCK_SKEW_SECS_MAX, BINARY, CAPABILITIES_BYTES_MAX, CAPABILITIES_MAX,
    DOCUMENT_BODY_BYTES_MAX, DOCUMENT_BYTES_MAX, DOCUMENTS_LIMIT_MAX, JSON, LIMIT_DEFAULT,
    LIMIT_MAX, NAME_BYTES_MAX, OFFER_SECS_MAX, ORDER_TERMS_BYTES_MAX, REASON_BYTES_MAX,
    REASON_CODE_BYTES_MAX, REQUEST_SECS_MAX, SEAL_KEYS_BYTES_MAX, TERMS_BYTES_MAX, WRAP_BYTES_MAX,
    WRAP_RECIPIENTS_MAX,
};
pub use permissions::{PERMISSIONS, Permission, Who, method_of, permission_of, shape_of};
pub use places::{KeptWrap, dataset_part, is_for, recipient_part, revocation_part};
pub use problem::{PROBLEM_TYPE, Problem, ProblemKind};
pub use request::{EMPTY_DIGEST, Epoch, SignedRequest, header};
pub use signature::{SignError, SignatureError, sign, verify_account};
pub use types::{
    BROKER_SCHEMA, BlobPut, DatasetEntry, DatasetsPage, EntryPut, Health, KeyRefusal,
    KeyRefusalEntry, KeyRefusalsPage, KeyWrap, LogAdded, MarketInfo, MarketLimits, Offer,
    OfferEntry, OfferPut, OffersPage, OrderEntry, OrdersPage, OwnerDocument, OwnerDocumentEntry,
    OwnerDocumentsPage, Posted, Refusal, RefusalEntry, Refusals, SealKeys, SealKeysEntry,
    SignedDataset, SignedKeyRefusal, SignedOffer, SignedOrder, SignedOwnerDocument, SignedRefusal,
    SignedSealKeys, SignedWrap, WrapEntry, WrapsPage, is_name,
};
