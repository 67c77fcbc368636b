//! What runs: roles, their event loops, and the state that they keep under one folder.
//!
//! The only crate with a real clock, sockets and randomness. It decides nothing that `machine`,
//! `dispute` or the contracts decide.

mod anchor;
mod auditor;
mod backlog;
mod board;
mod contracts;
mod cosign;
mod datasets;
mod disclosure;
mod error;
mod files;
mod games;
mod history;
mod home;
mod inputs;
mod key_service;
mod keys;
mod liar;
mod local;
mod losses;
mod market;
mod masking;
mod owner;
mod progress;
mod provider;
mod record;
mod remote;
mod reputation;
mod requester;
mod role;
mod sealed;
mod sources;
mod story;
mod sweep;
mod vault;

pub use anchor::{Anchorer, anchored_trees};
pub use assay_market::JobStatus;
pub use assay_mask::MasterKey;
pub use assay_protocol::SignedOrder;
pub use assay_storage::free_size;
pub use auditor::{Auditor, AuditorPlan};
pub use board::{Board, Store};
pub use contracts::{CHUNK_FEE_MIN, Contracts, Funds, clock_secs};
pub use cosign::{AskedWitness, entries_of, keep_cosigned, log_at, open_witness, operators_of};
pub use datasets::{Datasets, GRACE_SECS, Version};
pub use disclosure::{
    budget_left, create_budget, output_slot, presented_by, release_statistics, slot_of_image,
};
pub use error::{Error, Result};
pub use history::{JobEvent, history};
pub use home::Home;
pub use inputs::{JobFiles, Replayed, replay, replay_files};
pub use key_service::{KeyReasons, KeyService};
pub use keys::{DevelopmentKeys, Role};
pub use liar::Liar;
pub use local::{LocalChain, Running};
pub use market::{LocalMarket, MarketPlan, with_log};
pub use masking::{MaskDone, MaskFiles, mask_key, mask_table, new_mask_key};
pub use owner::Owner;
pub use progress::Progress;
pub use provider::{HostFact, Provider, ProviderPlan, SWEEP_EVERY};
pub use record::{PublicLog, Recorder};
pub use remote::RemoteMarket;
pub use reputation::{ProviderRecord, provider_record, provider_records};
pub use requester::{DatasetTerms, DatasetUse, JobRecord, JobTerms, Requester, Sealing};
pub use sealed::kept_output_key;
pub use sources::{MadeOf, SourceName, SourceNameError};
