//! What a requester remembers of the orders that it has signed.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use alloy_primitives::{B256, hex};
use assay_market::Repricing;
use assay_protocol::SignedOrder;
use assay_types::Hash;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::base::blocking::blocking;
use crate::base::files;
use crate::chain::contracts::Contracts;
use crate::requester::Requester;

/// An order that was signed, as it is remembered: written before it is posted, so that whoever asks
/// for the same again after a crash gets the same job, and never a second one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobRecord {
    /// What makes two orders the same: an unfinished one is taken up again.
    pub key: Hash,
    /// The job.
    pub job_id: B256,
    /// What was signed.
    pub signed: SignedOrder,
    /// The same order at the lower prices that nobody took, which stay good: they share its nonce,
    /// so one of them at most becomes a job.
    pub earlier: Vec<SignedOrder>,
    /// When the price was last raised, or first said, in Unix seconds.
    pub posted_at: u64,
    /// How far it may rise by itself.
    pub repricing: Option<Repricing>,
    /// Whether its output was handed over: the next order of the same is a new one.
    pub is_done: bool,
}

impl JobRecord {
    pub(super) fn lock_deadline(&self) -> u64 {
        self.signed.order.lockDeadline.to()
    }

    /// The order at all its prices, with their job ids.
    pub(super) fn all(&self, contracts: &Contracts) -> Vec<(B256, SignedOrder)> {
        let orders = self.earlier.iter().chain([&self.signed]);
        orders.map(|signed| (contracts.job_id(&signed.order), signed.clone())).collect()
    }
}

/// The turn at a key's record: nobody else reads or writes it, in this process or another.
pub(super) struct Turn {
    _here: tokio::sync::OwnedMutexGuard<()>,
    _elsewhere: File,
}

impl Requester {
    /// Waits for the turn at a key's record.
    pub(super) async fn turn(&self, key: Hash) -> Result<Turn> {
        let here = {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(keys.entry(key).or_default())
        };
        let _here = here.lock_owned().await;
        // It stays: who removed it could remove one that another process has just locked.
        let path = self.file(key).with_extension("lock");
        let _elsewhere = blocking(move || files::lock(&path)).await?;
        Ok(Turn { _here, _elsewhere })
    }

    /// The record under an order's key, if it is still of that order, at whatever price.
    pub(super) fn current(&self, record: &JobRecord, _turn: &Turn) -> Result<Option<JobRecord>> {
        let nonce = record.signed.order.nonce;
        Ok(self.record(record.key)?.filter(|found| found.signed.order.nonce == nonce))
    }

    pub(super) fn record(&self, key: Hash) -> Result<Option<JobRecord>> {
        files::read_json(&self.file(key))
    }

    /// Remembers that a job's output was handed over, or that it came to nothing.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File).
    pub async fn finish(&self, record: &JobRecord) -> Result<()> {
        let turn = self.turn(record.key).await?;
        let done = JobRecord { is_done: true, ..record.clone() };
        // Under its own name, so that the next of the same key takes nobody's place.
        files::write_json(&self.file(Hash(record.job_id.0)), &done)?;
        // Another process may have finished it before, and ordered anew.
        match self.current(record, &turn)? {
            Some(_) => files::remove(&self.file(record.key)),
            None => Ok(()),
        }
    }

    /// All orders that were signed here.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Damaged`].
    pub fn records(&self) -> Result<Vec<JobRecord>> {
        files::read_all_json(&self.records)
    }

    pub(super) fn file(&self, key: Hash) -> PathBuf {
        self.records.join(format!("{}.json", hex::encode(key.0)))
    }
}
