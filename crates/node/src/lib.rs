//! What runs: roles, their event loops, and the state that they keep under one folder.
//!
//! The only crate with a real clock, sockets and randomness. It decides nothing that `machine`,
//! `dispute` or the contracts decide.

mod auditor;
mod base;
mod board;
mod chain;
mod job;
mod key_service;
mod log;
mod market;
mod owner;
mod provider;
mod requester;
mod role;

pub use assay_contracts::{JobEvent, RunOutcome};
pub use assay_market::JobStatus;
pub use assay_mask::MasterKey;
pub use assay_protocol::SignedOrder;
pub use assay_storage::free_size;
pub use auditor::{Auditor, AuditorPlan};
pub use base::env::{Env, ManualTime, World, clock_secs};
pub use base::error::{Error, Result};
pub use base::home::Home;
pub use base::keys::{DevelopmentKeys, Role};
pub use base::progress::Progress;
pub use board::{Board, KeyReasons, Store, Version};
pub use chain::contracts::Contracts;
pub use chain::events::events;
pub use chain::funds::{CHUNK_FEE_MIN, Funds, Unbonding};
pub use chain::reputation::{ProviderRecord, provider_record, provider_records};
pub use job::executor::{EngineKind, EngineKindError, Executor, InProcess, JobImages, JobRun};
pub use job::images::Image;
pub use job::inputs::{JobFiles, Replay, Replayed, replay, replay_files};
pub use job::sealed::kept_output_key;
pub use key_service::KeyService;
pub use log::anchor::Anchorer;
pub use log::anchored::anchored_trees;
pub use log::cosign::{
    AskedWitness, check_cosigned, entries_of, keep_cosigned, log_at, open_witness, operators_of,
};
pub use log::recorder::{PublicLog, Recorder};
pub use market::chain::{LocalChain, Running};
pub use market::liar::Liar;
pub use market::local::{LIAR, LocalMarket, MarketPlan, with_log};
pub use market::remote::RemoteMarket;
pub use owner::Owner;
pub use owner::datasets::{Datasets, GRACE_SECS};
pub use owner::disclosure::{
    budget_left, create_budget, output_slot, presented_by, release_statistics, slot_of_image,
};
pub use owner::masking::{MaskDone, MaskFiles, mask_key, mask_table, new_mask_key};
pub use owner::sources::{MadeOf, SourceName, SourceNameError};
pub use provider::{HostFact, MEMORY_MAX, Provider, ProviderPlan};
pub use requester::{DatasetTerms, DatasetUse, JobRecord, JobTerms, Requester, Sealing};
pub use role::sweep::SWEEP_EVERY;
