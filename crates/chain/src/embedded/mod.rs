//! The embedded chain: an EVM chain of one node, in this process, in one file.

mod block;
mod config;
pub(crate) mod evm;
pub(crate) mod tables;
mod trie;
mod write;
pub(crate) mod writer;

use std::fmt;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use alloy_consensus::transaction::{Recovered, SignerRecoverable};
use alloy_consensus::{Header, Transaction, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, U256};
use redb::{Database, DatabaseError, ReadableDatabase};
use tokio::sync::{Semaphore, oneshot, watch};

pub use config::{
    CHAIN_ID_END, CHAIN_ID_MIN, Config, GenesisAccount, Identity, TRANSACTION_BYTES_MAX,
    WAITING_MAX,
};
use tables::{FORMAT, KnownCode, META, View};
use trie::StateTrie;
use writer::{Job, Proof, Queue, Submission, TimeControls, Writer};

use crate::{Error, Rejection, Result};

/// The last block: number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The block's number; the first block is 0.
    pub number: u64,
    /// The block's hash.
    pub hash: B256,
}

/// A running embedded chain. Clones share it; the file is released when the last one is dropped.
///
/// Every block is final: there is one writer, and it never takes a block back.
#[derive(Clone)]
pub struct EmbeddedChain {
    shared: Arc<Shared>,
}

struct Shared {
    /// None once closed: whoever still has a clone must not keep the file locked.
    database: RwLock<Option<Arc<Database>>>,
    config: Arc<Config>,
    chain_id: u64,
    genesis_hash: B256,
    jobs: Sender<Job>,
    heads: watch::Receiver<Head>,
    time: Arc<Mutex<TimeControls>>,
    known_code: KnownCode,
    places: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedChain {
    /// Opens the chain at `path`, or creates one there.
    ///
    /// Opening rebuilds the state tries and compares their root with the last header's, so it
    /// takes time and memory in proportion to the state. It is the same after a crash as after
    /// [`EmbeddedChain::close`].
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyOpen`], [`Error::Open`], [`Error::Format`], [`Error::OtherChain`],
    /// [`Error::Corrupt`], [`Error::Config`], [`Error::Randomness`].
    pub fn open(path: impl AsRef<Path>, config: Config) -> Result<Self> {
        check_config(&config)?;
        let path = path.as_ref();
        let database = open_database(path)?;
        if !is_begun(&database, path)? {
            write::genesis(&database, &config, identity(&config)?)?;
        }
        let chain_id = stored_chain_id(&database, &config)?;
        let view = View::open(database.begin_read()?, KnownCode::default())?;
        let trie = checked_trie(&view)?;
        let genesis =
            view.header(0)?.ok_or_else(|| Error::corrupt("the first block is missing"))?;
        let last = view.head()?;
        drop(view);
        let head = Head { number: last.header.number, hash: last.hash };
        Self::start(database, config, chain_id, genesis.hash, head, trie)
    }

    fn start(
        database: Database,
        config: Config,
        chain_id: u64,
        genesis_hash: B256,
        head: Head,
        trie: StateTrie,
    ) -> Result<Self> {
        let (database, config) = (Arc::new(database), Arc::new(config));
        let time = Arc::<Mutex<TimeControls>>::default();
        let (jobs, incoming) = channel();
        let (heads_in, heads) = watch::channel(head);
        let known_code = KnownCode::default();
        let writer = Writer {
            database: database.clone(),
            config: config.clone(),
            chain_id,
            trie,
            time: time.clone(),
            jobs: incoming,
            heads: heads_in,
            queue: Queue::default(),
            known_code: known_code.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("assay-chain".into())
            .spawn(move || writer.run())
            .map_err(|source| Error::io("starting the chain's writer thread", source))?;
        let places = Arc::new(Semaphore::new(WAITING_MAX));
        let thread = Mutex::new(Some(thread));
        let database = RwLock::new(Some(database));
        let shared = Shared {
            database,
            config,
            chain_id,
            genesis_hash,
            jobs,
            heads,
            time,
            known_code,
            places,
            thread,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The chain id that transactions must be signed for.
    pub fn chain_id(&self) -> u64 {
        self.shared.chain_id
    }

    /// The first block's hash; no two instances share it.
    pub fn genesis_hash(&self) -> B256 {
        self.shared.genesis_hash
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The last block.
    pub fn head(&self) -> Head {
        *self.shared.heads.borrow()
    }

    /// Tells of each new last block; slow readers see only the newest.
    pub fn heads(&self) -> watch::Receiver<Head> {
        self.shared.heads.clone()
    }

    /// Puts a signed transaction (EIP-2718 bytes) on the chain and answers its hash once the block
    /// that holds it is on disk.
    ///
    /// A transaction whose sender has skipped a nonce waits for [`Config::nonce_gap_wait`].
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] if it breaks a rule, [`Error::Stopped`].
    pub async fn submit(&self, raw: &[u8]) -> Result<B256> {
        let transaction = self.admit(raw)?;
        let permit = self.shared.places.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Rejection::Busy { waiting: WAITING_MAX })?;
        let (reply, answer) = oneshot::channel();
        self.send(Job::Submit(Box::new(Submission { transaction, reply, permit })))?;
        Ok(answer.await.map_err(|_| Error::Stopped)??)
    }

    /// Makes a block now, with whatever waits, and answers it once it is on disk.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn mine(&self) -> Result<Head> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Mine(reply))?;
        answer.await.map_err(|_| Error::Stopped)
    }

    /// Moves this chain's time ahead of its clock, for good; answers the whole offset in seconds.
    pub fn advance_time(&self, secs: u64) -> u64 {
        let mut time = self.time();
        time.offset_secs = time.offset_secs.saturating_add(secs);
        time.offset_secs
    }

    /// Sets the next block's timestamp.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it lies before the last block's.
    pub fn set_next_timestamp(&self, unix_secs: u64) -> Result<()> {
        let last = self.view()?.head()?.header.timestamp;
        if unix_secs < last {
            return Err(Error::Config(format!(
                "timestamp {unix_secs} is before the last block's, {last}"
            )));
        }
        self.time().next_timestamp = Some(unix_secs);
        Ok(())
    }

    /// Finishes the block under way, stops the writer and releases the file's lock.
    ///
    /// Other clones answer [`Error::Stopped`] from then on. Dropping the last clone does the same.
    pub fn close(self) {
        self.shared.stop();
    }

    pub(crate) fn view(&self) -> Result<View> {
        let database = self.shared.database.read().unwrap_or_else(PoisonError::into_inner);
        let transaction = database.as_ref().ok_or(Error::Stopped)?.begin_read()?;
        View::open(transaction, self.shared.known_code.clone())
    }

    /// The header that a block made now would start from: what simulations run in.
    pub(crate) fn next_header(&self, view: &View) -> Result<Header> {
        let head = view.head()?;
        let offset = self.time().offset_secs;
        let now = self.shared.config.clock.unix_secs().saturating_add(offset);
        Ok(block::next_header(&head, now, &self.shared.config))
    }

    pub(crate) async fn prove(&self, address: Address, slots: Vec<U256>) -> Result<Proof> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Prove { address, slots, reply })?;
        answer.await.map_err(|_| Error::Stopped)
    }

    /// Checks what needs no state, and finds the sender.
    fn admit(&self, raw: &[u8]) -> Result<Recovered<TxEnvelope>, Rejection> {
        if raw.len() > TRANSACTION_BYTES_MAX {
            return Err(Rejection::Oversized { size: raw.len(), limit: TRANSACTION_BYTES_MAX });
        }
        let envelope = TxEnvelope::decode_2718_exact(raw)
            .map_err(|error| Rejection::Malformed(error.to_string()))?;
        if envelope.is_eip4844() {
            return Err(Rejection::TypeNotSupported);
        }
        let expected = self.shared.chain_id;
        match envelope.chain_id() {
            None => return Err(Rejection::NotReplayProtected),
            Some(found) if found != expected => {
                return Err(Rejection::WrongChain { found, expected });
            }
            Some(_) => {}
        }
        let (gas, limit) = (envelope.gas_limit(), self.shared.config.block_gas_limit);
        if gas > limit {
            return Err(Rejection::BlockGas { gas, limit });
        }
        envelope.try_into_recovered().map_err(|_| Rejection::Sender)
    }

    fn send(&self, job: Job) -> Result<()> {
        self.shared.jobs.send(job).map_err(|_| Error::Stopped)
    }

    fn time(&self) -> MutexGuard<'_, TimeControls> {
        self.shared.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EmbeddedChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedChain")
            .field("chain_id", &self.shared.chain_id)
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn stop(&self) {
        let _ = self.jobs.send(Job::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        self.database.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop();
    }
}

fn check_config(config: &Config) -> Result<()> {
    if config.block_gas_limit < 1_000_000 {
        return Err(Error::Config("block_gas_limit must be at least 1000000".into()));
    }
    match config.identity {
        Some(identity) if identity.chain_id == 0 || identity.chain_id >= CHAIN_ID_END => {
            Err(Error::Config(format!("the chain id must be in 1..{CHAIN_ID_END}")))
        }
        _ => Ok(()),
    }
}

fn open_database(path: &Path) -> Result<Database> {
    Database::create(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => Error::AlreadyOpen { path: path.into() },
        source => Error::Open { path: path.into(), source: Box::new(source) },
    })
}

/// False for a fresh file, and for one whose first transaction never committed.
fn is_begun(database: &Database, path: &Path) -> Result<bool> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(redb::TableError::TableDoesNotExist(_)) => {
            let foreign = transaction.list_tables()?.next().is_some();
            return if foreign { Err(wrong_format(path, b"none")) } else { Ok(false) };
        }
        Err(error) => return Err(error.into()),
    };
    match meta.get("format")? {
        Some(tag) if tag.value() == FORMAT => Ok(true),
        Some(tag) => Err(wrong_format(path, tag.value())),
        None => Err(wrong_format(path, b"none")),
    }
}

fn wrong_format(path: &Path, found: &[u8]) -> Error {
    Error::Format { path: path.into(), found: String::from_utf8_lossy(found).into_owned() }
}

fn stored_chain_id(database: &Database, config: &Config) -> Result<u64> {
    let meta = database.begin_read()?.open_table(META)?;
    let record = meta.get("chain_id")?.ok_or_else(|| Error::corrupt("the chain id is missing"))?;
    let bytes = record.value().try_into();
    let found = u64::from_be_bytes(bytes.map_err(|_| Error::corrupt("the chain id's length"))?);
    match config.identity {
        Some(identity) if identity.chain_id != found => {
            Err(Error::OtherChain { expected: identity.chain_id, found })
        }
        _ => Ok(found),
    }
}

fn identity(config: &Config) -> Result<Identity> {
    if let Some(identity) = config.identity {
        return Ok(identity);
    }
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(Error::Randomness)?;
    let random = getrandom::u64().map_err(Error::Randomness)?;
    let chain_id = CHAIN_ID_MIN + random % (CHAIN_ID_END - CHAIN_ID_MIN);
    Ok(Identity { chain_id, salt: B256::from(salt) })
}

/// The state's tries from the flat tables, whose root the last header must name.
fn checked_trie(view: &View) -> Result<StateTrie> {
    let trie = std::cell::RefCell::new(StateTrie::default());
    view.walk(
        |address, slot, value| trie.borrow_mut().set_slot(address, slot, value),
        |address, info| {
            trie.borrow_mut().set_account(address, info.nonce, info.balance, info.code_hash);
        },
    )?;
    let mut trie = trie.into_inner();
    if trie.root() != view.head()?.header.state_root {
        return Err(Error::corrupt("the state does not have the last header's root"));
    }
    Ok(trie)
}
