//! Clients of a broker and of witnesses over HTTP (spec/broker.md). They believe nothing: what they
//! return was signed by whoever it names, or has the name that was asked for.

mod access;
mod client;
mod error;
mod nonce;
mod witness;

pub use access::Access;
pub use client::{BrokerClient, BrokerClientConfig, Follow};
pub use error::{Error, Result};
pub use witness::{Cosigned, WitnessClient};
