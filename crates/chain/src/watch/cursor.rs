//! Where a watcher stands, and where that is kept.

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::B256;
use alloy_rpc_types_eth::Log;
use redb::{Database, ReadableDatabase, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{OnReorganisation, WatchConfig, filter_digest};
use crate::{Client, Error, Result};

const CURSORS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("chain_cursors");

/// The cursor format's version.
const VERSION: u32 = 1;

/// What was delivered of one chain's events for one filter.
///
/// Opaque to consumers; JSON at rest (spec/chain.md#cursors).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    version: u32,
    chain_id: u64,
    genesis_hash: B256,
    filter: B256,
    /// The block to begin with while `blocks` is empty.
    next_block: u64,
    /// True once a block has left the window: the blocks before it can't be taken back.
    truncated: bool,
    /// The newest blocks seen, oldest first.
    blocks: Vec<SeenBlock>,
}

/// A block of which events were delivered, or which had none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenBlock {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// How many of its matching events were delivered.
    pub delivered: u64,
    /// Whether those were all.
    pub complete: bool,
    /// The delivered events, where they may have to be taken back.
    pub(crate) logs: Vec<Log>,
}

impl Cursor {
    pub(crate) fn begin(client: &Client, config: &WatchConfig) -> Self {
        Self {
            version: VERSION,
            chain_id: client.chain_id(),
            genesis_hash: client.genesis_hash(),
            filter: filter_digest(&config.filter),
            next_block: config.start_block,
            truncated: false,
            blocks: Vec::new(),
        }
    }

    /// This cursor, if it is about the same chain and filter as `fresh`.
    pub(crate) fn checked_against(self, fresh: &Self) -> Result<Self> {
        let refuse = |what: &str| Err(Error::Cursor { what: what.to_owned() });
        if self.version != VERSION {
            return refuse("another version");
        }
        if (self.chain_id, self.genesis_hash) != (fresh.chain_id, fresh.genesis_hash) {
            return refuse("another chain");
        }
        if self.filter != fresh.filter {
            return refuse("another filter");
        }
        Ok(self)
    }

    /// The newest block seen, if any.
    pub fn last(&self) -> Option<&SeenBlock> {
        self.blocks.last()
    }

    pub(crate) fn next_block(&self) -> u64 {
        self.next_block
    }

    /// Goes to a block, unless it is the one under way.
    pub(crate) fn enter(&mut self, number: u64, hash: B256, mode: OnReorganisation) {
        if self.last().is_some_and(|last| last.hash == hash) {
            return;
        }
        let block = SeenBlock { number, hash, delivered: 0, complete: false, logs: Vec::new() };
        self.blocks.push(block);
        let window = match mode {
            OnReorganisation::Fail => 1,
            OnReorganisation::Retract { window_blocks } => window_blocks.max(1) as usize,
        };
        while self.blocks.len() > window {
            self.blocks.remove(0);
            self.truncated = true;
        }
    }

    pub(crate) fn delivered_in_last(&self) -> usize {
        self.last().map_or(0, |last| usize::try_from(last.delivered).unwrap_or(usize::MAX))
    }

    pub(crate) fn add(&mut self, log: Log, is_last: bool, mode: OnReorganisation) {
        if let Some(block) = self.blocks.last_mut() {
            block.delivered += 1;
            block.complete = is_last;
            if mode != OnReorganisation::Fail {
                block.logs.push(log);
            }
        }
    }

    pub(crate) fn complete_last(&mut self) {
        if let Some(block) = self.blocks.last_mut() {
            block.complete = true;
        }
    }

    /// Removes the last block's last delivered event.
    pub(crate) fn take_back(&mut self) -> Option<Log> {
        let block = self.blocks.last_mut()?;
        let log = block.logs.pop()?;
        block.delivered -= 1;
        block.complete = false;
        Some(log)
    }

    /// Leaves the last block, which must have nothing delivered. None if what came before it is
    /// not known any more.
    pub(crate) fn leave_last(&mut self) -> Option<()> {
        let block = self.blocks.pop()?;
        self.next_block = block.number;
        if block.delivered > 0 || (self.blocks.is_empty() && self.truncated) {
            return None;
        }
        Some(())
    }

    fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::Cursor { what: format!("it does not encode: {error}") })
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|error| Error::Cursor { what: format!("it does not decode: {error}") })
    }
}

/// Keeps a cursor across restarts.
pub trait CursorStore: Send + Sync {
    /// The cursor stored last.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Cursor`].
    fn load(&self) -> Result<Option<Cursor>>;

    /// Stores a cursor durably.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Cursor`].
    fn save(&self, cursor: &Cursor) -> Result<()>;
}

/// Cursors in a redb database, each under a name.
#[derive(Clone)]
pub struct RedbCursors {
    database: Arc<Database>,
    name: String,
}

impl RedbCursors {
    /// The cursor called `name` in `database`, which may hold other tables as well.
    pub fn new(database: Arc<Database>, name: impl Into<String>) -> Self {
        Self { database, name: name.into() }
    }

    /// Stores the cursor in a transaction of the caller's, together with the event's effect.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Cursor`].
    pub fn save_in(&self, transaction: &WriteTransaction, cursor: &Cursor) -> Result<()> {
        let mut table = transaction.open_table(CURSORS)?;
        table.insert(self.name.as_str(), cursor.encode()?.as_slice())?;
        Ok(())
    }
}

impl std::fmt::Debug for RedbCursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbCursors").field("name", &self.name).finish_non_exhaustive()
    }
}

impl CursorStore for RedbCursors {
    fn load(&self) -> Result<Option<Cursor>> {
        let table = match self.database.begin_read()?.open_table(CURSORS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        table.get(self.name.as_str())?.map(|bytes| Cursor::decode(bytes.value())).transpose()
    }

    fn save(&self, cursor: &Cursor) -> Result<()> {
        let transaction = self.database.begin_write()?;
        self.save_in(&transaction, cursor)?;
        Ok(transaction.commit()?)
    }
}

/// A cursor in memory, for tests and for consumers that begin anew each time.
#[derive(Debug, Default)]
pub struct MemoryCursors(Mutex<Option<Cursor>>);

impl CursorStore for MemoryCursors {
    fn load(&self) -> Result<Option<Cursor>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn save(&self, cursor: &Cursor) -> Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(cursor.clone());
        Ok(())
    }
}
