//! Clients of a broker and of witnesses over HTTP, that believe nothing (spec/broker.md): what they
//! give was signed by who it names, or has the name it was asked for.

mod access;
mod client;
mod error;
mod nonce;
mod witness;

pub use access::Access;
pub use client::{BrokerClient, BrokerClientConfig, Follow};
pub use error::{Error, Result};
pub use witness::{Cosigned, WitnessClient};
