//! The one thread that changes the book.
//!
//! What arrives while a commit is being made durable goes into the next one together, so under load
//! one sync serves many. Nothing is acknowledged before the sync, and a crash at any line leaves
//! the last commit: opening the book again is the whole of recovery.

use std::sync::Arc;

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, WriteTransaction,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::tables::{self, FACTS, FORMAT, KINDS_1};
use crate::book::account_key;
use crate::{BookLimits, Error, Kind, Put, Result};

/// What the writer is asked to do.
pub(super) enum Request {
    Put {
        kind: Kind,
        key: [u8; 32],
        author: [u8; 20],
        part: [u8; 32],
        body: Vec<u8>,
        reply: Reply<Put>,
    },
    RemoveOrder {
        key: [u8; 32],
        reply: Reply<bool>,
    },
    RemoveOffer {
        author: [u8; 20],
        reply: Reply<bool>,
    },
    RemovePartsBelow {
        kind: Kind,
        below: [u8; 32],
        reply: Reply<bool>,
    },
    Probe {
        reply: Reply<bool>,
    },
}

pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

pub(super) struct Writer {
    pub(super) database: Arc<Database>,
    pub(super) limits: BookLimits,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) newest: watch::Sender<u64>,
}

impl Writer {
    /// Commits what comes until every book is dropped or storage fails.
    pub(super) fn run(mut self) {
        let mut batch = Vec::new();
        let most = self.limits.waiting_max;
        while self.requests.blocking_recv_many(&mut batch, most) > 0 {
            if let Err(error) = self.commit(std::mem::take(&mut batch)) {
                tracing::error!(%error, "the book stops: a commit could not be stored");
                return;
            }
        }
    }

    /// All that waits in one durable transaction, then the answers.
    fn commit(&self, batch: Vec<Request>) -> Result<()> {
        let transaction = begin(&self.database)?;
        let mut draft =
            Draft { transaction: &transaction, limits: &self.limits, last: 0, changed: false };
        draft.last = stored_sequence(&transaction)?;
        let answers =
            batch.into_iter().map(|request| draft.apply(request)).collect::<Result<Vec<_>>>()?;
        let (last, changed) = (draft.last, draft.changed);
        if changed {
            set_fact(&transaction, "sequence", &last.to_be_bytes())?;
            transaction.commit()?;
            self.newest.send_replace(last);
        } else {
            // What repeats an earlier commit is durable already.
            transaction.abort()?;
        }
        for answer in answers {
            answer.send();
        }
        Ok(())
    }
}

/// Makes a fresh file a book.
pub(super) fn begin_book(database: &Database) -> Result<()> {
    let transaction = begin(database)?;
    set_fact(&transaction, "sequence", &0u64.to_be_bytes())?;
    make_tables(&transaction)?;
    Ok(transaction.commit()?)
}

/// Makes a book of version 1 one of this version, all or nothing.
pub(super) fn upgrade_book(database: &Database) -> Result<()> {
    let transaction = begin(database)?;
    make_tables(&transaction)?;
    for (kind, old) in KINDS_1 {
        let mut index = transaction.open_table(tables::index(kind))?;
        let known = transaction.open_table(old)?;
        for place in known.iter()? {
            let (place, sequence) = place?;
            let (key, author) = place.value();
            index.insert((key, author, &[0; 32]), sequence.value())?;
        }
        drop(known);
        transaction.delete_table(old)?;
    }
    Ok(transaction.commit()?)
}

/// Gives a book the tables of kinds that came after it was begun.
pub(super) fn complete_book(database: &Database) -> Result<()> {
    let known = database.begin_read()?.list_tables()?.count();
    // Two a kind, and the facts.
    if known == 2 * Kind::ALL.len() + 1 {
        return Ok(());
    }
    let transaction = begin(database)?;
    make_tables(&transaction)?;
    Ok(transaction.commit()?)
}

fn make_tables(transaction: &WriteTransaction) -> Result<()> {
    set_fact(transaction, "format", FORMAT)?;
    for kind in Kind::ALL {
        transaction.open_table(tables::entries(kind))?;
        transaction.open_table(tables::index(kind))?;
    }
    Ok(())
}

fn begin(database: &Database) -> Result<WriteTransaction> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // Two phases, and a start after a crash reads no more than a start after a close.
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn set_fact(transaction: &WriteTransaction, name: &str, value: &[u8]) -> Result<()> {
    transaction.open_table(FACTS)?.insert(name, value)?;
    Ok(())
}

fn stored_sequence(transaction: &WriteTransaction) -> Result<u64> {
    super::sequence_of(
        transaction.open_table(FACTS)?.get("sequence")?.map(|fact| fact.value().to_vec()),
    )
}

/// An answer that may be given once the batch is durable.
enum Answer {
    Put(Reply<Put>, Result<Put>),
    Removed(Reply<bool>, bool),
}

impl Answer {
    fn send(self) {
        // Who no longer listens may ask again.
        match self {
            Answer::Put(reply, put) => drop(reply.send(put)),
            Answer::Removed(reply, removed) => drop(reply.send(Ok(removed))),
        }
    }
}

/// A batch on its way into the tables.
struct Draft<'a> {
    transaction: &'a WriteTransaction,
    limits: &'a BookLimits,
    last: u64,
    changed: bool,
}

impl Draft<'_> {
    /// Fails only where storage does; what is refused is refused in the answer.
    fn apply(&mut self, request: Request) -> Result<Answer> {
        Ok(match request {
            Request::Put { kind, key, author, part, body, reply } => {
                let put = match self.put(kind, (&key, &author, &part), &body) {
                    Err(error) if !matches!(error, Error::Full { .. }) => return Err(error),
                    put => put,
                };
                Answer::Put(reply, put)
            }
            Request::RemoveOrder { key, reply } => {
                let removed = self.remove(Kind::Order, &key)?;
                for kind in Kind::OF_ORDERS {
                    self.remove(kind, &key)?;
                }
                Answer::Removed(reply, removed)
            }
            Request::RemoveOffer { author, reply } => {
                let removed = self.remove(Kind::Offer, &account_key(&author))?;
                Answer::Removed(reply, removed)
            }
            Request::RemovePartsBelow { kind, below, reply } => {
                Answer::Removed(reply, self.remove_parts_below(kind, &below)?)
            }
            Request::Probe { reply } => {
                self.changed = true;
                Answer::Removed(reply, true)
            }
        })
    }

    fn put(&mut self, kind: Kind, place: tables::Place<'_>, body: &[u8]) -> Result<Put> {
        let (key, author, _) = place;
        let mut index = self.transaction.open_table(tables::index(kind))?;
        let mut entries = self.transaction.open_table(tables::entries(kind))?;
        let known = index.get(place)?.map(|known| known.value());
        let record = tables::encode(key, author, body);
        if let Some(sequence) = known {
            let same = entries.get(sequence)?.is_some_and(|known| known.value() == record);
            if same || !kind.is_replaced() {
                return Ok(Put { sequence, is_new: false });
            }
            entries.remove(sequence)?;
        } else {
            let max = self.limits.max(kind);
            if index.len()? >= max {
                return Err(Error::Full { kind, max });
            }
            let max = self.limits.refusals_per_order_max;
            if kind == Kind::Refusal && index.range(super::all_of(key))?.count() as u64 >= max {
                return Err(Error::Full { kind, max });
            }
            let max = self.limits.max_of_author(kind);
            if index.range(super::all_by(key, author))?.count() as u64 >= max {
                return Err(Error::Full { kind, max });
            }
        }
        let sequence = self.last + 1;
        index.insert(place, sequence)?;
        entries.insert(sequence, record.as_slice())?;
        (self.last, self.changed) = (sequence, true);
        Ok(Put { sequence, is_new: true })
    }

    /// True if there was any.
    fn remove(&mut self, kind: Kind, key: &[u8; 32]) -> Result<bool> {
        let mut index = self.transaction.open_table(tables::index(kind))?;
        let mut entries = self.transaction.open_table(tables::entries(kind))?;
        let mut any = false;
        for gone in index.extract_from_if(super::all_of(key), |_, _| true)? {
            entries.remove(gone?.1.value())?;
            any = true;
        }
        self.changed |= any;
        Ok(any)
    }

    /// True if there was any.
    fn remove_parts_below(&mut self, kind: Kind, below: &[u8; 32]) -> Result<bool> {
        let mut index = self.transaction.open_table(tables::index(kind))?;
        let mut entries = self.transaction.open_table(tables::entries(kind))?;
        let mut any = false;
        for gone in index.extract_if(|(_, _, part), _| part < below)? {
            entries.remove(gone?.1.value())?;
            any = true;
        }
        self.changed |= any;
        Ok(any)
    }
}
