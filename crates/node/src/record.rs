//! What roles say of a job, signed and put into the market's log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_primitives::{Address, B256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use assay_chain::Deployment;
use assay_provenance::{Binding, Envelope, MarketId, ReceiptLog, RoleKey, Said, binding_text};
use assay_store::{LogFiles, Sequencer};
use assay_tlog::{COSIGNED, NoteKey, Policy, Reader, Storage, Vkey};
use assay_types::Hash;
use zeroize::Zeroizing;

use crate::role::blocking;
use crate::{Error, Result};

/// A market's log, open in this process. Clones share it.
#[derive(Clone)]
pub struct PublicLog {
    sequencer: Sequencer,
    files: Arc<LogFiles>,
    key: Vkey,
    index: Arc<Mutex<Index>>,
}

/// Which entries speak of what, as far as the log was read.
#[derive(Default)]
struct Index {
    read: u64,
    bindings: BTreeMap<Hash, u64>,
    jobs: BTreeMap<B256, Vec<u64>>,
}

impl PublicLog {
    /// Opens the log in a folder, or begins one there.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], for instance if another process has it open.
    pub fn open(folder: &Path, key: NoteKey) -> Result<Self> {
        let vkey = key.vkey().clone();
        let sequencer = Sequencer::open(LogFiles::open(folder)?, key)?;
        let files = Arc::new(LogFiles::read_only(folder));
        Ok(PublicLog { sequencer, files, key: vkey, index: Arc::default() })
    }

    /// Its key, which readers pin.
    pub fn vkey(&self) -> &Vkey {
        &self.key
    }

    async fn add(&self, envelope: &Envelope) -> Result<u64> {
        Ok(self.sequencer.add(envelope.to_bytes()).await?.index)
    }

    /// What the log has about a job, with the bindings of the keys that signed it, under the newest checkpoint.
    pub(crate) async fn about(&self, job: B256) -> Result<ReceiptLog> {
        let log = self.clone();
        blocking(move || log.read_about(job)).await?
    }

    fn read_about(&self, job: B256) -> Result<ReceiptLog> {
        let newest = self.sequencer.checkpoint().borrow().clone();
        let policy = Policy::of_log(self.key.clone()).map_err(unreadable)?;
        let tree = policy.open(&newest).map_err(unreadable)?.checkpoint;
        let reader = Reader::new(&*self.files, &tree);
        let indices = {
            let mut index = self.index();
            while index.read < tree.size {
                let entry = reader.entry(index.read).map_err(unreadable)?;
                index.note(&entry);
            }
            index.about(job, &reader)?
        };
        let mut statements = Vec::new();
        for index in indices.into_iter().filter(|index| *index < tree.size) {
            let entry = reader.entry(index).map_err(unreadable)?;
            let path = reader.prove_inclusion(index).map_err(unreadable)?;
            let envelope = Envelope::from_bytes(&entry).map_err(unreadable)?;
            statements.push((index, path, envelope));
        }
        let note = self.cosigned(&newest, &policy).unwrap_or_else(|| newest.to_vec());
        let checkpoint = String::from_utf8(note).map_err(unreadable)?;
        Ok(ReceiptLog::new(checkpoint, statements))
    }

    /// The same checkpoint as its witnesses have cosigned it, if they have by now.
    fn cosigned(&self, newest: &[u8], policy: &Policy) -> Option<Vec<u8>> {
        let note = self.files.get(COSIGNED).ok().flatten()?;
        let same = policy.open(&note).ok()?.checkpoint == policy.open(newest).ok()?.checkpoint;
        same.then_some(note)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // Each entry is noted whole or not at all, so a panic elsewhere spoils nothing.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// Takes note of the next entry. What is no statement of ours is anybody's, and says nothing.
    fn note(&mut self, entry: &[u8]) {
        let place = self.read;
        self.read += 1;
        if let Some((said, key)) = opened(entry) {
            match said.job() {
                Some(job) => self.jobs.entry(job).or_default().push(place),
                None => drop(self.bindings.entry(key).or_insert(place)),
            }
        }
    }

    /// The entries about a job and the bindings of their keys, in the log's order.
    fn about<S: Storage>(&self, job: B256, reader: &Reader<'_, S>) -> Result<Vec<u64>> {
        let mut places = self.jobs.get(&job).cloned().unwrap_or_default();
        for place in places.clone() {
            let entry = reader.entry(place).map_err(unreadable)?;
            places.extend(opened(&entry).and_then(|(_, key)| self.bindings.get(&key)));
        }
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }
}

fn opened(entry: &[u8]) -> Option<(Said, Hash)> {
    let (payload, key) = Envelope::from_bytes(entry).ok()?.open().ok()?;
    Some((Said::from_payload(&payload).ok()?, key))
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Job(format!("the market's log can't be read: {error}"))
}

/// One account's voice in the log.
#[derive(Clone)]
pub struct Recorder {
    log: PublicLog,
    key: Arc<RoleKey>,
    account: Address,
    market: MarketId,
}

impl Recorder {
    /// A recorder for an account: logs that its statement key speaks for it, if that is not there yet.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; [`Error::Job`] if the account can't sign.
    pub async fn new(
        log: PublicLog,
        signer: &PrivateKeySigner,
        deployment: &Deployment,
    ) -> Result<Self> {
        let secret = Zeroizing::new(signer.to_bytes().0);
        let key = Arc::new(RoleKey::derive(&secret));
        let (account, market) = (signer.address(), market_id(deployment));
        let text = binding_text(&market, account, key.public());
        let signature = signer.sign_message_sync(text.as_bytes());
        let signature =
            signature.map_err(|error| Error::Job(format!("signing failed: {error}")))?;
        let recorder = Recorder { log, key, account, market };
        let signature = signature.as_bytes().to_vec().into();
        let key = recorder.key.public();
        recorder.say(&Said::Binding(Binding { market, account, key, signature })).await?;
        Ok(recorder)
    }

    /// The log.
    pub fn log(&self) -> &PublicLog {
        &self.log
    }

    /// The account that speaks.
    pub fn account(&self) -> Address {
        self.account
    }

    /// The market that it speaks of.
    pub fn market(&self) -> MarketId {
        self.market
    }

    /// Signs and logs a statement; durable when it returns. Saying it again changes nothing.
    pub(crate) async fn say(&self, said: &Said) -> Result<u64> {
        self.log.add(&Envelope::sign(&said.to_payload(), &self.key)).await
    }

    /// The same where nothing hangs on it: a job goes on when the log is away.
    pub(crate) async fn try_say(&self, said: &Said) {
        if let Err(error) = self.say(said).await {
            tracing::warn!(statement = said.name(), %error, "a statement could not be logged");
        }
    }
}

pub(crate) fn market_id(deployment: &Deployment) -> MarketId {
    MarketId {
        chain_id: deployment.chain_id,
        genesis_hash: deployment.genesis_hash,
        market: deployment.market,
    }
}
