//! The broker over HTTP: types, routes, OpenAPI, and the typed client (spec/broker.md).
//!
//! A broker can delay. It can't steal, forge or read: what it serves is signed by others or named by its own hash, and the
//! client here checks both.

mod access;
mod body;
mod broker;
mod capability;
mod check;
mod cleaning;
mod client;
mod error;
mod gate;
mod identity;
mod json_text;
mod limits;
mod metrics;
mod nonces;
mod places;
mod problem;
mod rate;
mod routes;
mod rules;
mod server;
mod signing;
mod types;
mod witness;

pub use broker::{Broker, HostedLog, openapi};
pub use capability::{
    Capability, CapabilityChain, CapabilityError, Role, RoleError, SignedCapability,
    SignedRevocation, Use,
};
pub use check::{check_envelope, check_program, check_slot};
pub use cleaning::{Cleaned, KEEP_SECS};
pub use client::{BrokerClient, ClientConfig, Follow};
pub use error::{Error, Result};
pub use identity::Access;
pub use json_text::{JsonObject, JsonObjectError};
pub use limits::{
    ACCOUNT_CLOCK_SKEW_SECS_MAX, CAPABILITIES_BYTES_MAX, CAPABILITIES_MAX, DOCUMENT_BYTES_MAX,
    DOCUMENTS_LIMIT_MAX, LIMIT_DEFAULT, LIMIT_MAX, Limits, NAME_BYTES_MAX, NONCES_MAX,
    OFFER_SECS_MAX, ORDER_TERMS_BYTES_MAX, REASON_BYTES_MAX, REASON_CODE_BYTES_MAX,
    REQUEST_SECS_MAX, Rate, SEAL_KEYS_BYTES_MAX, TERMS_BYTES_MAX, WRAP_BYTES_MAX,
    WRAP_RECIPIENTS_MAX,
};
pub use places::{KeptWrap, dataset_part, is_for, recipient_part};
pub use problem::{Problem, ProblemKind};
pub use rules::{RULES, Rule, Who};
pub use server::{Server, ServerConfig, serve};
pub use signing::{SignatureError, SignedRequest, header, verify_account};
pub use types::{
    BROKER_SCHEMA, BlobPut, DatasetEntry, DatasetsPage, EntryPut, Health, KeyRefusal,
    KeyRefusalEntry, KeyRefusalsPage, LimitFacts, LogAdded, MarketFacts, Offer, OfferEntry,
    OfferPut, OffersPage, OrderEntry, OrdersPage, OwnerDocument, OwnerDocumentEntry,
    OwnerDocumentsPage, Posted, Refusal, RefusalEntry, Refusals, SealKeys, SealKeysEntry,
    SignedDataset, SignedKeyRefusal, SignedOffer, SignedOrder, SignedOwnerDocument, SignedRefusal,
    SignedSealKeys, SignedWrap, Wrap, WrapEntry, WrapsPage,
};
pub use witness::{Cosigned, WitnessClient, witness_router};
