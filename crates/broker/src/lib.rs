//! The broker over HTTP: an order book, blobs and a log, served with their OpenAPI document
//! (spec/broker.md).
//!
//! A broker can delay. It can't steal, forge or read: what it serves is signed by others, or named
//! by its hash.

mod auth;
mod body;
mod broker;
mod caller;
mod connection;
mod counts;
mod error;
mod limits;
mod metrics;
mod middleware;
mod nonces;
mod rate;
mod retention;
mod routes;
mod server;
mod state;
mod witness;

pub use broker::Broker;
#[cfg(feature = "openapi")]
pub use broker::openapi;
pub use error::{Error, Failure, Result};
pub use limits::{Accounts, Limits, Rate};
pub use retention::{KEEP_SECS, Removed};
pub use server::{Server, ServerConfig, serve};
pub use state::HostedLog;
pub use witness::witness_router;
