//! The book: small signed entries in the order in which they came, in one file.

mod tables;
mod writer;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTableMetadata};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Error, Result};
use tables::{FACTS, FORMAT, FORMAT_1};
use writer::{Request, Writer};

/// The memory that a book takes for what it has read, in bytes, at most.
pub const BOOK_CACHE_BYTES: usize = 64 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A signed order; the key is its job id. The first body stays.
    Order,
    /// Why a provider declines an order; the key is its job id, the author the provider. The first
    /// body stays.
    Refusal,
    /// What a provider offers; the key is its account behind twelve zeros. The newest body stays.
    Offer,
    /// The keys to which an account wants things sealed; the key is its account behind twelve
    /// zeros. The newest body stays.
    SealKeys,
    /// A content key, wrapped; the key is its job id, the author its owner, the part recipient,
    /// slot and zeros. The first body stays.
    Wrap,
    /// Why an owner's key service gave no key; the key is its job id, the author its owner, the
    /// part the recipient and zeros. The first body stays.
    KeyRefusal,
    /// A dataset that an owner publishes; the key is its account behind twelve zeros, the part the
    /// hash of its name. The newest body stays.
    Dataset,
    /// A grant, a revocation and what else an owner says; the key is its account behind twelve
    /// zeros, the part its hash. The first body stays.
    OwnerDocument,
    /// That a capability is taken back; the key is its issuer's account behind twelve zeros, the
    /// part when it would have ended and its hash. The first body stays.
    CapabilityRevocation,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Order,
        Self::Refusal,
        Self::Offer,
        Self::SealKeys,
        Self::Wrap,
        Self::KeyRefusal,
        Self::Dataset,
        Self::OwnerDocument,
        Self::CapabilityRevocation,
    ];

    /// What goes with an order when it is removed.
    const OF_ORDERS: [Self; 3] = [Self::Refusal, Self::Wrap, Self::KeyRefusal];

    /// Whether a newer body takes the older one's place.
    fn is_replaced(self) -> bool {
        matches!(self, Kind::Offer | Kind::SealKeys | Kind::Dataset)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Order => "order",
            Kind::Refusal => "refusal",
            Kind::Offer => "offer",
            Kind::SealKeys => "seal keys",
            Kind::Wrap => "wrap",
            Kind::KeyRefusal => "key refusal",
            Kind::Dataset => "dataset",
            Kind::OwnerDocument => "owner's document",
            Kind::CapabilityRevocation => "capability revocation",
        })
    }
}

/// What a book holds at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookLimits {
    /// Entries that wait to be written.
    pub waiting_max: usize,
    /// Orders.
    pub orders_max: u64,
    /// Refusals of all orders.
    pub refusals_max: u64,
    /// Refusals of one order.
    pub refusals_per_order_max: u64,
    /// Offers, one an account.
    pub offers_max: u64,
    /// Seal keys, one an account.
    pub seal_keys_max: u64,
    /// Wraps of all orders.
    pub wraps_max: u64,
    /// Wraps of one order by one owner: others can't use up what an owner needs.
    pub wraps_per_owner_max: u64,
    /// Refusals by key services of all orders.
    pub key_refusals_max: u64,
    /// Refusals of one order by one owner.
    pub key_refusals_per_owner_max: u64,
    /// Datasets.
    pub datasets_max: u64,
    /// Datasets of one owner.
    pub datasets_per_owner_max: u64,
    /// Documents of owners.
    pub documents_max: u64,
    /// Documents of one owner.
    pub documents_per_owner_max: u64,
    /// Capabilities that were taken back.
    pub capability_revocations_max: u64,
    /// Those of one issuer.
    pub capability_revocations_per_issuer_max: u64,
}

impl Default for BookLimits {
    fn default() -> Self {
        Self {
            waiting_max: 4096,
            orders_max: 1_000_000,
            refusals_max: 1_000_000,
            refusals_per_order_max: 256,
            offers_max: 10_000,
            seal_keys_max: 100_000,
            wraps_max: 1_000_000,
            wraps_per_owner_max: 256,
            key_refusals_max: 1_000_000,
            key_refusals_per_owner_max: 64,
            datasets_max: 10_000,
            datasets_per_owner_max: 256,
            documents_max: 100_000,
            documents_per_owner_max: 4_096,
            capability_revocations_max: 100_000,
            capability_revocations_per_issuer_max: 4_096,
        }
    }
}

impl BookLimits {
    fn max(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Order => self.orders_max,
            Kind::Refusal => self.refusals_max,
            Kind::Offer => self.offers_max,
            Kind::SealKeys => self.seal_keys_max,
            Kind::Wrap => self.wraps_max,
            Kind::KeyRefusal => self.key_refusals_max,
            Kind::Dataset => self.datasets_max,
            Kind::OwnerDocument => self.documents_max,
            Kind::CapabilityRevocation => self.capability_revocations_max,
        }
    }

    /// Entries of one key by one author.
    fn max_of_author(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Order | Kind::Refusal | Kind::Offer | Kind::SealKeys => 1,
            Kind::Wrap => self.wraps_per_owner_max,
            Kind::KeyRefusal => self.key_refusals_per_owner_max,
            Kind::Dataset => self.datasets_per_owner_max,
            Kind::OwnerDocument => self.documents_per_owner_max,
            Kind::CapabilityRevocation => self.capability_revocations_per_issuer_max,
        }
    }
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// The entry's place in the book: one count for all kinds, from 1, never given twice.
    pub sequence: u64,
    /// False if it was there already.
    pub is_new: bool,
}

/// An entry of the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the book.
    pub sequence: u64,
    /// What it is about.
    pub key: [u8; 32],
    /// Who signed it.
    pub author: [u8; 20],
    /// What it says.
    pub body: Vec<u8>,
}

/// A book. Clones share it; the file is released when the last one is dropped, which waits for the
/// last commit.
///
/// Reads are of what is committed; they touch the disk, if rarely, and do not wait for writes.
#[derive(Clone)]
pub struct Book {
    shared: Arc<Shared>,
}

struct Shared {
    database: Arc<Database>,
    limits: BookLimits,
    /// None only while dropping.
    requests: Option<mpsc::Sender<Request>>,
    newest: watch::Receiver<u64>,
    thread: Option<JoinHandle<()>>,
}

impl Book {
    /// Opens the book at `path`, or begins one there. It is the same after a crash as after a
    /// close.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyOpen`], [`Error::Open`], [`Error::Format`], [`Error::Corrupt`],
    /// [`Error::Storage`].
    pub fn open(path: impl AsRef<Path>, limits: BookLimits) -> Result<Self> {
        let database = Arc::new(open_database(path.as_ref())?);
        match found_format(&database, path.as_ref())? {
            Found::Nothing => writer::begin_book(&database)?,
            Found::Version1 => writer::upgrade_book(&database)?,
            Found::Current => writer::complete_book(&database)?,
        }
        let last = stored_sequence(&database)?;
        let (requests, incoming) = mpsc::channel(limits.waiting_max.max(1));
        let (newest_in, newest) = watch::channel(last);
        let writer = Writer {
            database: database.clone(),
            limits: limits.clone(),
            requests: incoming,
            newest: newest_in,
        };
        let thread = std::thread::Builder::new().name("assay-book".into());
        let thread = thread.spawn(move || writer.run()).map_err(|source| Error::Io {
            what: "starting the book's writer thread".into(),
            source,
        })?;
        let shared =
            Shared { database, limits, requests: Some(requests), newest, thread: Some(thread) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Puts an entry; durable when it returns. The same kind, key and author again is harmless: the
    /// answer is the first put's sequence, and the first body stays, but for kinds of which the
    /// newest stays: there another body takes the older one's place.
    ///
    /// Dropping the future does not take the entry back.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::Full`], [`Error::Stopped`].
    pub async fn put(
        &self,
        kind: Kind,
        key: [u8; 32],
        author: [u8; 20],
        body: Vec<u8>,
    ) -> Result<Put> {
        self.put_part(kind, key, author, [0; 32], body).await
    }

    /// As [`Book::put`], for kinds of which one author has several entries about one key: `part`
    /// tells them apart.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::Full`], [`Error::Stopped`].
    pub async fn put_part(
        &self,
        kind: Kind,
        key: [u8; 32],
        author: [u8; 20],
        part: [u8; 32],
        body: Vec<u8>,
    ) -> Result<Put> {
        self.ask(|reply| Request::Put { kind, key, author, part, body, reply }).await
    }

    /// Removes an order that is final, with its refusals and wraps. Its sequence is not given
    /// again. False if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::Stopped`].
    pub async fn remove_order(&self, key: [u8; 32]) -> Result<bool> {
        self.ask(|reply| Request::RemoveOrder { key, reply }).await
    }

    /// Removes an account's offer. False if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::Stopped`].
    pub async fn remove_offer(&self, author: [u8; 20]) -> Result<bool> {
        self.ask(|reply| Request::RemoveOffer { author, reply }).await
    }

    /// Removes all entries of a kind whose part is below, for kinds whose part begins with when
    /// they end. False if there are none.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::Stopped`].
    pub async fn remove_parts_below(&self, kind: Kind, below: [u8; 32]) -> Result<bool> {
        self.ask(|reply| Request::RemovePartsBelow { kind, below, reply }).await
    }

    /// An order.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn order(&self, key: [u8; 32]) -> Result<Option<Entry>> {
        Ok(self.about(Kind::Order, &key)?.pop())
    }

    /// Orders with a higher sequence, ascending, `limit` of them at most.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn orders(&self, after_sequence: u64, limit: usize) -> Result<Vec<Entry>> {
        self.entries(Kind::Order, after_sequence, limit)
    }

    /// What providers said of an order, by provider.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn refusals(&self, key: [u8; 32]) -> Result<Vec<Entry>> {
        self.about(Kind::Refusal, &key)
    }

    /// An account's offer.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn offer(&self, author: [u8; 20]) -> Result<Option<Entry>> {
        Ok(self.about(Kind::Offer, &account_key(&author))?.pop())
    }

    /// All offers, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn offers(&self) -> Result<Vec<Entry>> {
        self.entries(Kind::Offer, 0, usize::MAX)
    }

    /// Offers with a higher sequence, ascending, `limit` of them at most.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn offers_after(&self, after_sequence: u64, limit: usize) -> Result<Vec<Entry>> {
        self.entries(Kind::Offer, after_sequence, limit)
    }

    /// One entry by its place.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn entry(
        &self,
        kind: Kind,
        key: [u8; 32],
        author: [u8; 20],
        part: [u8; 32],
    ) -> Result<Option<Entry>> {
        let transaction = self.shared.database.begin_read()?;
        let index = transaction.open_table(tables::index(kind))?;
        let Some(sequence) = index.get((&key, &author, &part))? else { return Ok(None) };
        let entries = transaction.open_table(tables::entries(kind))?;
        entry_at(&entries, sequence.value()).map(Some)
    }

    /// Entries of a kind with a higher sequence, ascending, `limit` of them at most.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn entries(&self, kind: Kind, after: u64, limit: usize) -> Result<Vec<Entry>> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let table = self.shared.database.begin_read()?.open_table(tables::entries(kind))?;
        let mut found = Vec::new();
        for entry in table.range(first..)?.take(limit) {
            let (sequence, record) = entry?;
            found.push(tables::decode(sequence.value(), record.value())?);
        }
        Ok(found)
    }

    /// What is about a key, with a higher sequence, ascending, `limit` of them at most; only what
    /// `is_wanted` wants by author and part, so that what others wrote costs no more than a look at
    /// its place.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn entries_about(
        &self,
        kind: Kind,
        key: [u8; 32],
        (after, limit): (u64, usize),
        is_wanted: impl Fn(&[u8; 20], &[u8; 32]) -> bool,
    ) -> Result<Vec<Entry>> {
        let transaction = self.shared.database.begin_read()?;
        let index = transaction.open_table(tables::index(kind))?;
        let mut sequences = Vec::new();
        for place in index.range(all_of(&key))? {
            let (place, sequence) = place?;
            let ((_, author, part), sequence) = (place.value(), sequence.value());
            if sequence > after && is_wanted(author, part) {
                sequences.push(sequence);
            }
        }
        sequences.sort_unstable();
        let entries = transaction.open_table(tables::entries(kind))?;
        sequences.into_iter().take(limit).map(|sequence| entry_at(&entries, sequence)).collect()
    }

    /// The highest committed sequence; what it shows can be read.
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.shared.newest.clone()
    }

    /// How many entries of a kind there are.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn len(&self, kind: Kind) -> Result<u64> {
        let transaction = self.shared.database.begin_read()?;
        Ok(transaction.open_table(tables::entries(kind))?.len()?)
    }

    /// True if there is no entry of a kind.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn is_empty(&self, kind: Kind) -> Result<bool> {
        Ok(self.len(kind)? == 0)
    }

    async fn ask<T>(&self, request: impl FnOnce(writer::Reply<T>) -> Request) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let requests = self.shared.requests.as_ref().ok_or(Error::Stopped)?;
        requests.try_send(request(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Error::Busy { waiting: self.shared.limits.waiting_max }
            }
            mpsc::error::TrySendError::Closed(_) => Error::Stopped,
        })?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    fn about(&self, kind: Kind, key: &[u8; 32]) -> Result<Vec<Entry>> {
        let transaction = self.shared.database.begin_read()?;
        let index = transaction.open_table(tables::index(kind))?;
        let entries = transaction.open_table(tables::entries(kind))?;
        let mut found = Vec::new();
        for place in index.range(all_of(key))? {
            let sequence = place?.1.value();
            found.push(entry_at(&entries, sequence)?);
        }
        Ok(found)
    }
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Book")
            .field("newest", &*self.shared.newest.borrow())
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The key of what an account says of itself.
fn account_key(author: &[u8; 20]) -> [u8; 32] {
    let mut key = [0; 32];
    key[12..].copy_from_slice(author);
    key
}

fn entry_at(entries: &redb::ReadOnlyTable<u64, &'static [u8]>, sequence: u64) -> Result<Entry> {
    let lost = || Error::corrupt(format!("entry {sequence} is in the index only"));
    let record = entries.get(sequence)?.ok_or_else(lost)?;
    tables::decode(sequence, record.value())
}

/// The places in an index of all that is about a key, whoever says it.
fn all_of(key: &[u8; 32]) -> RangeInclusive<tables::Place<'_>> {
    (key, &[0; 20], &[0; 32])..=(key, &[0xff; 20], &[0xff; 32])
}

/// The places in an index of all that one author says about a key.
fn all_by<'a>(key: &'a [u8; 32], author: &'a [u8; 20]) -> RangeInclusive<tables::Place<'a>> {
    (key, author, &[0; 32])..=(key, author, &[0xff; 32])
}

/// What a file holds.
enum Found {
    Nothing,
    Version1,
    Current,
}

fn open_database(path: &Path) -> Result<Database> {
    let created = Builder::new().set_cache_size(BOOK_CACHE_BYTES).create(path);
    created.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => Error::AlreadyOpen { path: path.into() },
        source => Error::Open { path: path.into(), source: Box::new(source) },
    })
}

/// Nothing is in a fresh file, and in one whose first transaction never committed.
fn found_format(database: &Database, path: &Path) -> Result<Found> {
    let format = |found: &[u8]| Error::Format {
        path: path.into(),
        found: String::from_utf8_lossy(found).into_owned(),
    };
    let transaction = database.begin_read()?;
    let facts = match transaction.open_table(FACTS) {
        Ok(facts) => facts,
        Err(redb::TableError::TableDoesNotExist(_)) => {
            let foreign = transaction.list_tables()?.next().is_some();
            return if foreign { Err(format(b"none")) } else { Ok(Found::Nothing) };
        }
        Err(redb::TableError::TableTypeMismatch { .. }) => return Err(format(b"none")),
        Err(error) => return Err(error.into()),
    };
    match facts.get("format")? {
        Some(tag) if tag.value() == FORMAT => Ok(Found::Current),
        Some(tag) if tag.value() == FORMAT_1 => Ok(Found::Version1),
        Some(tag) => Err(format(tag.value())),
        None => Err(format(b"none")),
    }
}

fn stored_sequence(database: &Database) -> Result<u64> {
    let facts = database.begin_read()?.open_table(FACTS)?;
    sequence_of(facts.get("sequence")?.map(|fact| fact.value().to_vec()))
}

fn sequence_of(fact: Option<Vec<u8>>) -> Result<u64> {
    let bytes = fact.and_then(|fact| <[u8; 8]>::try_from(fact).ok());
    bytes.map(u64::from_be_bytes).ok_or_else(|| Error::corrupt("the last sequence is missing"))
}
