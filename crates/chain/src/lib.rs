//! The only EVM code of Assay.
mod clock;
mod embedded;
mod error;
mod rpc;

pub use clock::{Clock, ManualClock, SystemClock};
pub use embedded::{
    CHAIN_ID_END, CHAIN_ID_MIN, Config, EmbeddedChain, GenesisAccount, Head, Identity,
    TRANSACTION_BYTES_MAX, WAITING_MAX,
};
pub use rpc::{BATCH_MAX, InProcess, PROOF_SLOTS_MAX, READS_AT_ONCE_MAX, Rpc, Server, ServerConfig, serve};
pub use error::{Error, Rejection, Result};
mod client { pub(crate) fn is_transient(_: &alloy_transport::TransportError) -> bool { false } }
