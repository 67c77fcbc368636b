//! An order book in one file, on redb.

mod tables;
mod writer;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTableMetadata};
use tokio::sync::{mpsc, oneshot, watch};

use crate::book::Durable;
use crate::{BookLimits, Entry, Error, Kind, OrderBook, Put, Result};
use tables::{FACTS, FORMAT, FORMAT_1};
use writer::{Request, Writer};

/// The memory that a book takes for what it has read, in bytes, at most.
pub const BOOK_CACHE_BYTES: usize = 64 << 20;

/// A book. Clones share it; the file is released when the last one is dropped, which waits for the
/// last commit.
///
/// Reads are of what is committed; they touch the disk, if rarely, and do not wait for writes.
#[derive(Clone)]
pub struct RedbBook {
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

impl RedbBook {
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

    /// Asks the writer; the request is on its way when this returns.
    fn ask<T: Send + 'static>(
        &self,
        request: impl FnOnce(writer::Reply<T>) -> Request,
    ) -> Durable<'_, T> {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(request(reply));
        Box::pin(async move {
            sent?;
            answer.await.map_err(|_| Error::Stopped)?
        })
    }

    fn send(&self, request: Request) -> Result<()> {
        let requests = self.shared.requests.as_ref().ok_or(Error::Stopped)?;
        requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Error::Busy { waiting: self.shared.limits.waiting_max }
            }
            mpsc::error::TrySendError::Closed(_) => Error::Stopped,
        })
    }
}

impl OrderBook for RedbBook {
    fn put_part(
        &self,
        kind: Kind,
        key: [u8; 32],
        author: [u8; 20],
        part: [u8; 32],
        body: Vec<u8>,
    ) -> Durable<'_, Put> {
        self.ask(move |reply| Request::Put { kind, key, author, part, body, reply })
    }

    fn remove_order(&self, key: [u8; 32]) -> Durable<'_, bool> {
        self.ask(move |reply| Request::RemoveOrder { key, reply })
    }

    fn remove_offer(&self, author: [u8; 20]) -> Durable<'_, bool> {
        self.ask(move |reply| Request::RemoveOffer { author, reply })
    }

    fn remove_parts_below(&self, kind: Kind, below: [u8; 32]) -> Durable<'_, bool> {
        self.ask(move |reply| Request::RemovePartsBelow { kind, below, reply })
    }

    fn probe(&self) -> Durable<'_, bool> {
        self.ask(|reply| Request::Probe { reply })
    }

    fn entry(
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

    fn about(&self, kind: Kind, key: [u8; 32]) -> Result<Vec<Entry>> {
        let transaction = self.shared.database.begin_read()?;
        let index = transaction.open_table(tables::index(kind))?;
        let entries = transaction.open_table(tables::entries(kind))?;
        let mut found = Vec::new();
        for place in index.range(all_of(&key))? {
            let sequence = place?.1.value();
            found.push(entry_at(&entries, sequence)?);
        }
        Ok(found)
    }

    fn entries_about(
        &self,
        kind: Kind,
        key: [u8; 32],
        (after, limit): (u64, usize),
        is_wanted: &dyn Fn(&[u8; 20], &[u8; 32]) -> bool,
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

    fn newest(&self) -> watch::Receiver<u64> {
        self.shared.newest.clone()
    }

    fn count(&self, kind: Kind) -> Result<u64> {
        let transaction = self.shared.database.begin_read()?;
        Ok(transaction.open_table(tables::entries(kind))?.len()?)
    }
}

impl From<RedbBook> for Arc<dyn OrderBook> {
    fn from(book: RedbBook) -> Self {
        Arc::new(book)
    }
}

impl fmt::Debug for RedbBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbBook")
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
