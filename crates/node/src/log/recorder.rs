//! What roles say of a job, signed and put into the market's log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_primitives::{Address, B256, Bytes};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use assay_broker::HostedLog;
use assay_broker_client::BrokerClient;
use assay_chain::Client;
use assay_contracts::Deployment;
use assay_receipt::{
    Binding, Envelope, LoggedStatement, MarketId, Operator, ReceiptAnchor, ReceiptLog, RoleKey,
    Statement, binding_text, operator_text,
};
use assay_storage::{LogFiles, Sequencer};
use assay_tlog::{
    CHECKPOINT, COSIGNED, Checkpoint, KeyKind, NoteKey, Policy, Reader, Storage, StorageError,
    Vkey, check_consistency,
};
use assay_types::{Hash, sha256};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::base::blocking::blocking;
use crate::base::env::Env;
use crate::base::files;
use crate::base::ids::market_id;
use crate::log::anchored::{self, AnchoredTree};
use crate::log::objects::open_objects;
use crate::{Error, Home, Result};

/// A market's log, in this process or at a broker. Clones share it.
#[derive(Clone)]
pub struct PublicLog {
    place: Place,
    key: Vkey,
    index: Arc<Mutex<Index>>,
    /// Where what is known of it is kept.
    known: Option<PathBuf>,
}

#[derive(Clone)]
enum Place {
    Here(Sequencer, Arc<dyn Storage>, Arc<RoleKey>),
    There(Box<BrokerClient>),
}

/// Which entries speak of what, as far as the log was read.
#[derive(Default)]
struct Index {
    read: u64,
    /// The newest tree that is known of the log.
    seen: Option<Checkpoint>,
    /// Of which key, on which market: a key has the same bindings on all, and anyone may carry one
    /// from log to log.
    bindings: BTreeMap<(Hash, MarketId), u64>,
    /// Who anchors the log, by statements of its own key.
    operators: Vec<(u64, Operator)>,
    jobs: BTreeMap<B256, Vec<u64>>,
    /// What datasets came of, by their slots' roots.
    masked: BTreeMap<B256, Vec<u64>>,
}

impl PublicLog {
    /// Opens the log of a market under a home, or begins one there. Its key is derived from a seed
    /// of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], for instance if another process has it open; [`Error::File`],
    /// [`Error::Damaged`], [`Error::Randomness`].
    pub fn open(home: &Home, deployment: &Deployment) -> Result<Self> {
        let read = Arc::new(LogFiles::read_only(home.log()));
        Self::begin(home, deployment, LogFiles::open(home.log())?, read)
    }

    /// The same in an object store (`s3://BUCKET/PREFIX`, with what the environment says of keys
    /// and endpoint); the home has only the key. Takes the log over from whoever wrote it before.
    ///
    /// # Errors
    ///
    /// As [`PublicLog::open`].
    pub fn open_at(env: &Env, url: &str, home: &Home, deployment: &Deployment) -> Result<Self> {
        let objects = open_objects(env, url)?;
        Self::begin(home, deployment, objects.clone(), objects)
    }

    fn begin(
        home: &Home,
        deployment: &Deployment,
        storage: impl Storage,
        read: Arc<dyn Storage>,
    ) -> Result<Self> {
        let seed = files::seed(&home.log_seed())?;
        let origin = format!("assay/{}/{}", deployment.chain_id, deployment.market);
        let key = NoteKey::new(&origin, KeyKind::Log, &seed)?;
        let vkey = key.vkey().clone();
        let sequencer = Sequencer::open(storage, key)?;
        let place = Place::Here(sequencer, read, Arc::new(RoleKey::of_log(&seed)));
        Ok(PublicLog { place, key: vkey, index: Arc::default(), known: None })
    }

    /// The log that a broker keeps; `None` if it keeps none. Its key is whatever the broker says:
    /// who relies on statements pins the key.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`]; [`Error::LogUnreadable`] for a key that is none.
    pub async fn at(broker: &BrokerClient) -> Result<Option<Self>> {
        let Some(key) = broker.log_object("key").await? else { return Ok(None) };
        let key = String::from_utf8(key).map_err(unreadable)?;
        let key = key.parse().map_err(unreadable)?;
        let place = Place::There(Box::new(broker.clone()));
        Ok(Some(PublicLog { place, key, index: Arc::default(), known: None }))
    }

    /// Its key, which readers pin.
    pub fn vkey(&self) -> &Vkey {
        &self.key
    }

    /// What a broker needs to serve it; `None` for one that is served elsewhere.
    pub fn hosted(&self) -> Option<HostedLog> {
        let Place::Here(sequencer, files, _) = &self.place else { return None };
        let (sequencer, files) = (sequencer.clone(), files.clone());
        Some(HostedLog { sequencer, files, key: self.key.clone() })
    }

    async fn add(&self, envelope: &Envelope) -> Result<u64> {
        match &self.place {
            Place::Here(sequencer, ..) => Ok(sequencer.add(envelope.to_bytes()).await?.index),
            Place::There(broker) => Ok(broker.log_add(envelope.to_bytes()).await?.index),
        }
    }

    /// The newest anchor of the log that the chain has, and that the newest checkpoint goes on
    /// from; none if there is none.
    pub(crate) async fn newest_anchor(
        &self,
        client: &Client,
        deployment: &Deployment,
    ) -> Result<Option<AnchoredTree>> {
        let (log, storage) = (self.clone(), self.storage());
        let read = blocking(move || log.read_new(&storage));
        let (_, tree) = read.await?;
        let operators = self.operators(deployment);
        anchored::newest(client, deployment, self.key.name(), &operators, tree.size).await
    }

    /// What the log has about a job, with the bindings of the keys that signed it, under the newest
    /// checkpoint; and about an anchor, if there is one.
    async fn about(
        &self,
        job: (MarketId, B256),
        anchor: Option<AnchoredTree>,
    ) -> Result<ReceiptLog> {
        let (log, storage) = (self.clone(), self.storage());
        let proving = move || {
            let newest = log.read_new(&storage)?;
            log.prove_about(job, &storage, newest, anchor)
        };
        blocking(proving).await
    }

    /// The accounts that the log's own key says anchor it, as far as it was read.
    pub fn operators(&self, deployment: &Deployment) -> Vec<Address> {
        let operators: Vec<_> = self.index().operators.iter().map(|(_, one)| one.clone()).collect();
        accounts_in(deployment, &operators)
    }

    /// The accounts that a log's own key says, in it, anchor it.
    pub(crate) fn read_operators(
        storage: &Arc<dyn Storage>,
        log: &Vkey,
        deployment: &Deployment,
    ) -> Result<Vec<Address>> {
        let mut index = Index::default();
        index.read_new(storage, log)?;
        let operators: Vec<_> = index.operators.into_iter().map(|(_, one)| one).collect();
        Ok(accounts_in(deployment, &operators))
    }

    /// Says in the log, by its own key, that an account anchors it. Gives the statement's digest,
    /// which the contract is to have.
    pub(crate) async fn say_operator(
        &self,
        signer: &PrivateKeySigner,
        deployment: &Deployment,
    ) -> Result<Hash> {
        let Place::Here(_, _, key) = &self.place else {
            return Err(Error::LogElsewhere("say who anchors it"));
        };
        let (market, account, anchors) =
            (market_id(deployment), signer.address(), deployment.anchors);
        let (origin, public) = (self.key.name().to_owned(), key.public());
        let text = operator_text(&market, account, anchors, &origin, public);
        let signature = sign(signer, &text)?;
        let operator = Operator { market, account, anchors, origin, key: public, signature };
        let said = Statement::Operated(operator);
        self.add(&Envelope::sign(&said.to_payload(), key)).await?;
        Ok(said.digest())
    }

    /// The newest checkpoint, as it is here, if it goes on from a known tree.
    pub(crate) async fn newest_after(
        &self,
        known: (u64, Hash),
        how: &'static str,
    ) -> Result<Checkpoint> {
        let Place::Here(sequencer, storage, _) = &self.place else {
            return Err(Error::LogElsewhere("anchor it"));
        };
        let note = sequencer.checkpoint().borrow().clone();
        let policy = Policy::of_log(self.key.clone()).map_err(unreadable)?;
        let tree = policy.open(&note).map_err(unreadable)?.checkpoint;
        let storage = storage.clone();
        blocking(move || check_goes_on(&storage, &tree, known, how).map(|()| tree)).await
    }

    /// The same, remembering under a home what the log was, in this process and the next: one that
    /// does not go on from there is not read.
    #[must_use]
    pub(crate) fn known_under(self, home: &Home) -> Self {
        let name = sha256(self.key.to_string().as_bytes());
        PublicLog { known: Some(home.known_logs().join(format!("{name}.note"))), ..self }
    }

    /// Reads what is new in the log, if it goes on from what is known of it.
    fn read_new(&self, storage: &Arc<dyn Storage>) -> Result<(Vec<u8>, Checkpoint)> {
        let mut index = self.index();
        if let (None, Some(path)) = (&index.seen, &self.known)
            && let Some(note) = files::read(path)?
        {
            let policy = Policy::of_log(self.key.clone()).map_err(unreadable)?;
            let known = policy.open(&note).map_err(|error| Error::damaged(path, error))?;
            index.seen = Some(known.checkpoint);
        }
        let before = index.seen.clone();
        let (note, tree) = index.read_new(storage, &self.key)?;
        if let Some(path) = self.known.as_ref().filter(|_| before.as_ref() != Some(&tree)) {
            files::write(path, &note)?;
        }
        Ok((note, tree))
    }

    fn storage(&self) -> Arc<dyn Storage> {
        match &self.place {
            Place::Here(_, storage, _) => storage.clone(),
            Place::There(broker) => {
                let runtime = tokio::runtime::Handle::current();
                Arc::new(Served { broker: (**broker).clone(), runtime, read: Mutex::default() })
            }
        }
    }

    fn prove_about(
        &self,
        job: (MarketId, B256),
        storage: &Arc<dyn Storage>,
        (newest, tree): (Vec<u8>, Checkpoint),
        anchor: Option<AnchoredTree>,
    ) -> Result<ReceiptLog> {
        let reader = Reader::new(storage, &tree);
        let indices = self.index().about(job, anchor.as_ref(), &reader)?;
        let anchor = match anchor {
            Some(anchor) => Some(prove_anchor(&reader, &tree, anchor)?),
            None => None,
        };
        let mut statements = Vec::new();
        for index in indices.into_iter().filter(|index| *index < tree.size) {
            let entry = reader.entry(index).map_err(unreadable)?;
            let path = reader.prove_inclusion(index).map_err(unreadable)?;
            let envelope = Envelope::from_bytes(&entry).map_err(unreadable)?;
            statements.push(LoggedStatement { index, path, envelope });
        }
        // The same checkpoint as its witnesses have cosigned it, if they have by now.
        let policy = Policy::of_log(self.key.clone()).map_err(unreadable)?;
        let cosigned = storage.get(COSIGNED).ok().flatten();
        let same = |note: &Vec<u8>| policy.open(note).is_ok_and(|opened| opened.checkpoint == tree);
        let checkpoint = cosigned.filter(same).unwrap_or(newest);
        let checkpoint = String::from_utf8(checkpoint).map_err(unreadable)?;
        Ok(ReceiptLog { checkpoint, statements, anchor })
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // Each entry is noted whole or not at all, so a panic elsewhere spoils nothing.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A log that a broker serves, as a storage to read; what was read once is not asked for again.
/// Calls must come from threads that may block.
struct Served {
    broker: BrokerClient,
    runtime: tokio::runtime::Handle,
    read: Mutex<BTreeMap<String, Option<Vec<u8>>>>,
}

impl Storage for Served {
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(name) {
            return Ok(known.clone());
        }
        let found = self.runtime.block_on(self.broker.log_object(name));
        let found = found.map_err(|error| StorageError(Box::new(error)))?;
        read.insert(name.to_owned(), found.clone());
        Ok(found)
    }

    fn has_any(&self, _: &str) -> Result<bool, StorageError> {
        Err(StorageError("a log elsewhere is only read by name".into()))
    }

    fn put_all(&self, _: &[(String, Vec<u8>)]) -> Result<(), StorageError> {
        Err(StorageError("a log elsewhere is only read".into()))
    }

    fn replace(&self, _: &str, _: Option<&[u8]>, _: &[u8]) -> Result<bool, StorageError> {
        Err(StorageError("a log elsewhere is only read".into()))
    }

    fn remove_all(&self, _: &str) -> Result<(), StorageError> {
        Err(StorageError("a log elsewhere is only read".into()))
    }
}

impl Index {
    /// Reads what is new in a log, and gives the checkpoint that it was read under.
    fn read_new(
        &mut self,
        storage: &Arc<dyn Storage>,
        log: &Vkey,
    ) -> Result<(Vec<u8>, Checkpoint)> {
        let newest = storage.get(CHECKPOINT).map_err(unreadable)?;
        let newest = newest.ok_or_else(|| unreadable("it has no checkpoint"))?;
        let policy = Policy::of_log(log.clone()).map_err(unreadable)?;
        let tree = policy.open(&newest).map_err(unreadable)?.checkpoint;
        if let Some(seen) = &self.seen {
            check_goes_on(storage, &tree, (seen.size, seen.root), "known here")?;
        }
        let reader = Reader::new(storage, &tree);
        while self.read < tree.size {
            let entry = reader.entry(self.read).map_err(unreadable)?;
            self.note(&entry, Hash(log.bytes()));
        }
        self.seen = Some(tree.clone());
        Ok((newest, tree))
    }

    /// Takes note of the next entry. What is no statement of ours is anybody's, and says nothing.
    fn note(&mut self, entry: &[u8], log_key: Hash) {
        let place = self.read;
        self.read += 1;
        let Some((said, key)) = opened(entry) else { return };
        match said {
            Statement::Operated(operator) if key == log_key => {
                self.operators.push((place, operator))
            }
            Statement::Operated(_) => {}
            Statement::Binding(said) => {
                self.bindings.entry((key, said.market)).or_insert(place);
            }
            Statement::Masked(said) => self.masked.entry(said.root).or_default().push(place),
            _ => self.jobs.entry(said.job().unwrap_or_default()).or_default().push(place),
        }
    }

    /// The entries about a job, its dataset and who anchors the log, and the bindings of their
    /// keys, in the log's order.
    fn about<S: Storage>(
        &self,
        (market, job): (MarketId, B256),
        anchor: Option<&AnchoredTree>,
        reader: &Reader<'_, S>,
    ) -> Result<Vec<u64>> {
        let mut places = self.jobs.get(&job).cloned().unwrap_or_default();
        if let Some(anchor) = anchor {
            let by = self.operators.iter().filter(|(_, one)| one.account == anchor.operator);
            places.extend(by.map(|(place, _)| *place));
        }
        let mut all = BTreeSet::new();
        while let Some(place) = places.pop() {
            if !all.insert(place) {
                continue;
            }
            let entry = reader.entry(place).map_err(unreadable)?;
            let Some((said, key)) = opened(&entry) else { continue };
            all.extend(self.bindings.get(&(key, market)));
            if let Statement::Ordered(order) = said {
                places.extend(self.masked.get(&order.dataset_root).into_iter().flatten());
            }
        }
        Ok(all.into_iter().collect())
    }
}

fn opened(entry: &[u8]) -> Option<(Statement, Hash)> {
    Envelope::from_bytes(entry).ok()?.statement()
}

pub(crate) fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::LogUnreadable(error.to_string())
}

/// One account's voice in the log.
#[derive(Clone)]
pub struct Recorder {
    env: Env,
    log: Log,
    key: Arc<RoleKey>,
    account: Address,
    market: MarketId,
}

/// The log that an account speaks in.
#[derive(Clone)]
enum Log {
    Known(Box<PublicLog>),
    /// The log of a broker that was away. What binds the account's key to it is said before
    /// anything else.
    Later {
        broker: Box<BrokerClient>,
        binding: Arc<Binding>,
        begun: Arc<OnceCell<()>>,
    },
}

impl Recorder {
    /// A recorder for an account: logs that its statement key speaks for it, if that is not there
    /// yet.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; [`Error::Signing`].
    pub async fn new(
        env: &Env,
        log: PublicLog,
        signer: &PrivateKeySigner,
        deployment: &Deployment,
    ) -> Result<Self> {
        let (account, market) = (signer.address(), market_id(deployment));
        let (key, binding) = bound_key(signer, market)?;
        let (env, log) = (env.clone(), Log::Known(Box::new(log)));
        let recorder = Recorder { env, log, key: Arc::new(key), account, market };
        recorder.say(&Statement::Binding(binding)).await?;
        Ok(recorder)
    }

    /// A recorder for an account at a broker that can't be asked now: it speaks once it can.
    ///
    /// # Errors
    ///
    /// [`Error::Signing`].
    pub(crate) fn later(
        env: &Env,
        broker: BrokerClient,
        signer: &PrivateKeySigner,
        deployment: &Deployment,
    ) -> Result<Self> {
        let (account, market) = (signer.address(), market_id(deployment));
        let (key, binding) = bound_key(signer, market)?;
        let (broker, binding) = (Box::new(broker), Arc::new(binding));
        let (env, log) = (env.clone(), Log::Later { broker, binding, begun: Arc::default() });
        Ok(Recorder { env, log, key: Arc::new(key), account, market })
    }

    /// The log; none while its broker has not been asked.
    pub fn log(&self) -> Option<&PublicLog> {
        match &self.log {
            Log::Known(log) => Some(&**log),
            Log::Later { .. } => None,
        }
    }

    /// What the log has about a job of the market, as a part of its receipt.
    pub(crate) async fn about(
        &self,
        job: B256,
        anchor: Option<AnchoredTree>,
    ) -> Result<Option<ReceiptLog>> {
        match self.log() {
            Some(log) => log.about((self.market, job), anchor).await.map(Some),
            None => Ok(None),
        }
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
    pub(crate) async fn say(&self, said: &Statement) -> Result<u64> {
        let envelope = Envelope::sign(&said.to_payload(), &self.key);
        let (broker, binding, begun) = match &self.log {
            Log::Known(log) => return log.add(&envelope).await,
            Log::Later { broker, binding, begun } => (broker, binding, begun),
        };
        let bind = || async {
            let binding = Statement::Binding(Binding::clone(binding));
            let envelope = Envelope::sign(&binding.to_payload(), &self.key);
            broker.log_add(envelope.to_bytes()).await.map(drop)
        };
        begun.get_or_try_init(bind).await?;
        Ok(broker.log_add(envelope.to_bytes()).await?.index)
    }

    /// The same where nothing hangs on it: a job goes on, and a claim is defended, while a broker
    /// with a log is away.
    pub(crate) async fn try_say(&self, said: Statement) {
        let recorder = self.clone();
        let saying = async move {
            if let Err(error) = recorder.say(&said).await {
                tracing::warn!(statement = said.name(), %error, "a statement could not be logged");
            }
        };
        match self.log().map(|log| &log.place) {
            // Awaited, so that nothing holds the log when its role has ended.
            Some(Place::Here(..)) => saying.await,
            Some(Place::There(_)) | None => self.env.spawn(saying),
        }
    }
}

fn sign(signer: &PrivateKeySigner, text: &str) -> Result<Bytes> {
    Ok(signer.sign_message_sync(text.as_bytes())?.as_bytes().to_vec().into())
}

/// Who of the operators anchors in a deployment's contract.
fn accounts_in(deployment: &Deployment, operators: &[Operator]) -> Vec<Address> {
    let here = operators.iter().filter(|one| one.anchors == deployment.anchors);
    here.map(|one| one.account).collect()
}

/// Whether a log's tree goes on from one that is known of it, by its size and root.
pub(crate) fn check_goes_on(
    storage: &Arc<dyn Storage>,
    tree: &Checkpoint,
    (known, root): (u64, Hash),
    how: &'static str,
) -> Result<()> {
    if known == 0 {
        return Ok(());
    }
    if known > tree.size {
        return Err(Error::LogRolledBack { how, seen: known, size: tree.size });
    }
    let forked = Error::LogForked { how, size: known };
    if known == tree.size {
        return if root == tree.root { Ok(()) } else { Err(forked) };
    }
    let proof = Reader::new(storage, tree).prove_consistency(known).map_err(unreadable)?;
    check_consistency(&proof, tree.size, tree.root, known, root).map_err(|_| forked)
}

/// That a checkpoint goes on from what was anchored.
fn prove_anchor(
    reader: &Reader<'_, Arc<dyn Storage>>,
    tree: &Checkpoint,
    anchor: AnchoredTree,
) -> Result<ReceiptAnchor> {
    let consistency = reader.prove_consistency(anchor.size).map_err(unreadable)?;
    check_consistency(&consistency, tree.size, tree.root, anchor.size, anchor.root).map_err(
        |_| {
            let size = anchor.size;
            unreadable(format!(
                "it does not go on from the {size} entries that were anchored: it has forked"
            ))
        },
    )?;
    Ok(ReceiptAnchor { event: anchor.event, size: anchor.size, consistency })
}

/// The key of an account's statements on a market, and what binds the two.
///
/// # Errors
///
/// [`Error::Signing`].
pub(crate) fn bound_key(signer: &PrivateKeySigner, market: MarketId) -> Result<(RoleKey, Binding)> {
    let secret = Zeroizing::new(signer.to_bytes().0);
    let role = RoleKey::derive(&secret);
    let (account, key) = (signer.address(), role.public());
    let text = binding_text(&market, account, key);
    let signature = sign(signer, &text)?;
    Ok((role, Binding { market, account, key, signature }))
}

#[cfg(test)]
mod tests {
    use assay_tlog::Log;

    use super::*;

    /// An account's statement key is the same on all markets, so anyone can carry its binding from
    /// one log to another's.
    #[test]
    fn a_binding_for_another_market_binds_nothing_here() {
        let signer = PrivateKeySigner::random();
        let here = MarketId { chain_id: 1, genesis_hash: B256::ZERO, market: Address::ZERO };
        let elsewhere = MarketId { genesis_hash: B256::repeat_byte(1), ..here };
        let mut index = Index::default();
        for market in [elsewhere, here] {
            let (key, binding) = bound_key(&signer, market).expect("signed");
            let envelope = Envelope::sign(&Statement::Binding(binding).to_payload(), &key);
            index.note(&envelope.to_bytes(), Hash::default());
        }
        let (key, _) = bound_key(&signer, here).expect("signed");
        let place = |market| index.bindings.get(&(key.public(), market)).copied();
        assert_eq!(
            (place(elsewhere), place(here)),
            (Some(0), Some(1)),
            "the first would unbind it"
        );
    }

    /// A log under a key of its own, of so many entries that begin with a letter.
    fn grown(folder: &std::path::Path, letter: char, entries: std::ops::Range<u32>) -> Vkey {
        let key = NoteKey::new("log.example", KeyKind::Log, &[7; 32]).expect("a key");
        let vkey = key.vkey().clone();
        let mut log = Log::open(LogFiles::open(folder).expect("files"), key).expect("a log");
        let entries: Vec<_> = entries.map(|n| format!("{letter}{n}").into_bytes()).collect();
        log.add(&entries).expect("added");
        vkey
    }

    fn copied(from: &std::path::Path, to: &std::path::Path) {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry").path();
            let place = to.join(entry.file_name().expect("a name"));
            match entry.is_dir() {
                true => copied(&entry, &place),
                false => drop(std::fs::copy(&entry, &place).expect("copied")),
            }
        }
    }

    #[test]
    fn a_log_that_goes_back_or_forks_is_not_read_any_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let key = grown(&at("true"), 'a', 0..300);
        copied(&at("true"), &at("early"));
        grown(&at("true"), 'a', 300..700);
        copied(&at("early"), &at("fork"));
        grown(&at("fork"), 'b', 300..900);
        let known = at("known/log.note");
        // What a broker serves is what the files say.
        let read = |index: &Arc<Mutex<Index>>, name: &str| {
            let storage: Arc<dyn Storage> = Arc::new(LogFiles::read_only(at(name)));
            let own = tempfile::tempdir().expect("a folder");
            let sequencer = Sequencer::open(
                LogFiles::open(own.path()).expect("files"),
                NoteKey::new("log.example", KeyKind::Log, &[7; 32]).expect("a key"),
            );
            let role = Arc::new(RoleKey::of_log(&[7; 32]));
            let place = Place::Here(sequencer.expect("a log"), storage.clone(), role);
            let (key, index) = (key.clone(), index.clone());
            let log = PublicLog { place, key, index, known: Some(known.clone()) };
            log.read_new(&storage).map(|(_, tree)| tree.size)
        };
        let index = Arc::default();
        assert_eq!(read(&index, "early").expect("read"), 300);
        assert_eq!(read(&index, "true").expect("it goes on"), 700);
        for index in [index, Arc::default()] {
            // In this process, and in the next.
            let back = read(&index, "early");
            assert!(
                matches!(back, Err(Error::LogRolledBack { seen: 700, size: 300, .. })),
                "{back:?}"
            );
            let forked = read(&index, "fork");
            assert!(matches!(forked, Err(Error::LogForked { size: 700, .. })), "{forked:?}");
            assert_eq!(read(&index, "true").expect("it is as it was"), 700);
        }
        assert_eq!(read(&Arc::default(), "true").expect("read"), 700);
        std::fs::write(&known, "no note").expect("written");
        assert!(matches!(read(&Arc::default(), "true"), Err(Error::Damaged { .. })));
    }
}
