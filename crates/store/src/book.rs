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
use tables::{FACTS, FORMAT};
use writer::{Request, Writer};

/// The memory that a book takes for what it has read, in bytes, at most.
pub const BOOK_CACHE_BYTES: usize = 64 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A signed order; the key is its job id. The first body stays.
    Order,
    /// Why a provider declines an order; the key is its job id, the author the provider. The first body stays.
    Refusal,
    /// What a provider offers; the key is its account behind twelve zeros. The newest body stays.
    Offer,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Order => "order",
            Kind::Refusal => "refusal",
            Kind::Offer => "offer",
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
}

impl Default for BookLimits {
    fn default() -> Self {
        Self {
            waiting_max: 4096,
            orders_max: 1_000_000,
            refusals_max: 1_000_000,
            refusals_per_order_max: 256,
            offers_max: 10_000,
        }
    }
}

impl BookLimits {
    fn max(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Order => self.orders_max,
            Kind::Refusal => self.refusals_max,
            Kind::Offer => self.offers_max,
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

/// A book. Clones share it; the file is released when the last one is dropped, which waits for the last commit.
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
    /// Opens the book at `path`, or begins one there. It is the same after a crash as after a close.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyOpen`], [`Error::Open`], [`Error::Format`], [`Error::Corrupt`], [`Error::Storage`].
    pub fn open(path: impl AsRef<Path>, limits: BookLimits) -> Result<Self> {
        let database = Arc::new(open_database(path.as_ref())?);
        if !is_begun(&database, path.as_ref())? {
            writer::begin_book(&database)?;
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

    /// Puts an entry; durable when it returns. The same kind, key and author again is harmless: the answer is the first put's
    /// sequence, and the first body stays, but for an [`Kind::Offer`] with another body, which takes the older one's place.
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
        self.ask(|reply| Request::Put { kind, key, author, body, reply }).await
    }

    /// Removes an order that is final, with its refusals. Its sequence is not given again. False if there is none.
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

    fn entries(&self, kind: Kind, after: u64, limit: usize) -> Result<Vec<Entry>> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let table = self.shared.database.begin_read()?.open_table(tables::entries(kind))?;
        let mut found = Vec::new();
        for entry in table.range(first..)?.take(limit) {
            let (sequence, record) = entry?;
            found.push(tables::decode(sequence.value(), record.value())?);
        }
        Ok(found)
    }

    fn about(&self, kind: Kind, key: &[u8; 32]) -> Result<Vec<Entry>> {
        let transaction = self.shared.database.begin_read()?;
        let index = transaction.open_table(tables::index(kind))?;
        let entries = transaction.open_table(tables::entries(kind))?;
        let mut found = Vec::new();
        for place in index.range(all_of(key))? {
            let sequence = place?.1.value();
            let lost = || Error::corrupt(format!("entry {sequence} is in the index only"));
            let record = entries.get(sequence)?.ok_or_else(lost)?;
            found.push(tables::decode(sequence, record.value())?);
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

/// The places in an index of all that is about a key, whoever says it.
fn all_of(key: &[u8; 32]) -> RangeInclusive<(&[u8; 32], &[u8; 20])> {
    (key, &[0; 20])..=(key, &[0xff; 20])
}

fn open_database(path: &Path) -> Result<Database> {
    let created = Builder::new().set_cache_size(BOOK_CACHE_BYTES).create(path);
    created.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => Error::AlreadyOpen { path: path.into() },
        source => Error::Open { path: path.into(), source: Box::new(source) },
    })
}

/// False for a fresh file, and for one whose first transaction never committed.
fn is_begun(database: &Database, path: &Path) -> Result<bool> {
    let format = |found: &[u8]| Error::Format {
        path: path.into(),
        found: String::from_utf8_lossy(found).into_owned(),
    };
    let transaction = database.begin_read()?;
    let facts = match transaction.open_table(FACTS) {
        Ok(facts) => facts,
        Err(redb::TableError::TableDoesNotExist(_)) => {
            let foreign = transaction.list_tables()?.next().is_some();
            return if foreign { Err(format(b"none")) } else { Ok(false) };
        }
        Err(redb::TableError::TableTypeMismatch { .. }) => return Err(format(b"none")),
        Err(error) => return Err(error.into()),
    };
    match facts.get("format")? {
        Some(tag) if tag.value() == FORMAT => Ok(true),
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
