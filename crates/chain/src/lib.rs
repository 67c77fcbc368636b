//! The only EVM code of Assay.
mod client;
mod clock;
mod deployment;
mod embedded;
mod error;
mod evidence;
pub mod keystore;
mod rpc;
mod watch;

pub use client::{ChainClientConfig, Client, Endpoint, connect};
pub use clock::{ManualClock, SystemClock};
pub use deployment::{
    DeploymentPlan, Governance, GovernancePlan, check_deployment, deploy, governance,
};
pub use embedded::{
    CHAIN_ID_END, CHAIN_ID_MIN, Config, EmbeddedChain, GenesisAccount, Head, Identity,
    TRANSACTION_BYTES_MAX, WAITING_MAX,
};
pub use error::{Error, Rejection, Result};
pub use evidence::prove_event;
pub use rpc::{
    BATCH_MAX, InProcess, PROOF_SLOTS_MAX, READS_AT_ONCE_MAX, Rpc, RpcServer, RpcServerConfig,
    serve,
};
pub use watch::{
    Change, Cursor, CursorStore, Depth, Event, MemoryCursors, OnReorganisation, RedbCursors,
    SeenBlock, WatchConfig, Watcher,
};
