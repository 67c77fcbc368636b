//! What runs: roles, their event loops, and the state that they keep under one folder.
//!
//! The only crate with a real clock, sockets and randomness. It decides nothing that `machine`, `dispute` or the contracts
//! decide.

mod auditor;
mod board;
mod contracts;
mod cosign;
mod disclosure;
mod error;
mod files;
mod games;
mod history;
mod home;
mod inputs;
mod keys;
mod liar;
mod local;
mod market;
mod provider;
mod record;
mod remote;
mod requester;
mod role;
mod story;

pub use assay_api::SignedOrder;
pub use assay_market::JobStatus;
pub use auditor::{Auditor, AuditorPlan};
pub use board::{Board, Store};
pub use contracts::Contracts;
pub use cosign::{AskedWitness, fsck_log, keep_cosigned, open_witness};
pub use disclosure::{
    budget_left, create_budget, output_slot, presented_by, release_statistics, slot_of_image,
};
pub use error::{Error, Result};
pub use history::{JobEvent, history};
pub use home::Home;
pub use inputs::{JobFiles, Replayed, replay, replay_files};
pub use keys::{DevelopmentKeys, Role};
pub use liar::Liar;
pub use local::{LocalChain, Running};
pub use market::{LocalMarket, MarketPlan, with_log};
pub use provider::{Provider, ProviderPlan};
pub use record::{PublicLog, Recorder};
pub use remote::RemoteMarket;
pub use requester::{JobRecord, JobTerms, Requester};
