//! The broker over HTTP: types, routes, OpenAPI, and the typed client (spec/broker.md).
//!
//! A broker can delay. It can't steal, forge or read: what it serves is signed by others or named by its own hash, and the
//! client here checks both.

mod access;
mod body;
mod broker;
mod check;
mod client;
mod error;
mod json_text;
mod limits;
mod problem;
mod rate;
mod routes;
mod server;
mod signing;
mod types;
mod witness;

pub use broker::{Broker, HostedLog, openapi};
pub use check::{check_program, check_slot};
pub use client::{BrokerClient, ClientConfig, Follow};
pub use error::{Error, Result};
pub use json_text::{JsonObject, JsonObjectError};
pub use limits::{
    ACCOUNT_CLOCK_SKEW_SECS_MAX, LIMIT_DEFAULT, LIMIT_MAX, Limits, OFFER_SECS_MAX,
    REASON_BYTES_MAX, REASON_CODE_BYTES_MAX, REQUEST_SECS_MAX, Rate, TERMS_BYTES_MAX,
};
pub use problem::{Problem, ProblemKind};
pub use server::{Server, ServerConfig, serve};
pub use signing::{SignatureError, SignedRequest, header, verify_account};
pub use types::{
    BROKER_SCHEMA, BlobPut, Health, LimitFacts, LogAdded, MarketFacts, Offer, OfferEntry, OfferPut,
    OffersPage, OrderEntry, OrdersPage, Posted, Refusal, RefusalEntry, Refusals, SignedOffer,
    SignedOrder, SignedRefusal,
};
pub use witness::{Cosigned, WitnessClient, witness_router};
