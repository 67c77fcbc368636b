//! Watching a chain's events: each one once, in order, across reorganisations and restarts.
//!
//! A watcher follows the chain block by block. It asks for a block's logs by the block's *hash*, so
//! an answer is about that very block or an error, and it takes a block only if its parent is the
//! block before. A node that lags or jumps between forks can make it wait, never skip or repeat.
//!
//! What was delivered is described by a [`Cursor`]. Give the cursor of the last event whose effect
//! you keep to the next watcher and it goes on exactly there. **Exactly once needs one of two
//! things from the consumer**: it stores an event's effect and cursor in one transaction
//! ([`RedbCursors::save_in`]), or its effects are idempotent and it stores the cursor afterwards.

mod cursor;
mod source;

use std::collections::VecDeque;
use std::time::Duration;

use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, Log};
use tokio::sync::watch;

pub use cursor::{Cursor, CursorStore, MemoryCursors, RedbCursors, SeenBlock};
use source::{Header, Source};

use crate::{Client, Error, Head, Result};

/// Refusals and contradictions in a row before a watcher gives up on its node.
const DOUBTFUL_MAX: u32 = 8;

/// How deep a block must lie before its events are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Under this many blocks; 0 takes the newest. Right for the embedded chain, where every block
    /// is final.
    Confirmations(u64),
    /// As deep as the chain's `finalized` block.
    Finalized,
}

/// What to do when the chain drops a block whose events were delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnReorganisation {
    /// End with [`Error::Reorganised`]. For consumers that can't undo: choose a depth that the
    /// chain never reorganises.
    Fail,
    /// Deliver the lost events again, newest first, as [`Change::Removed`]. For those who want
    /// speed and can undo.
    Retract {
        /// How many blocks back this must work; they are kept in the cursor.
        window_blocks: u32,
    },
}

/// What to watch, and how.
#[derive(Clone, Debug)]
pub struct WatchConfig {
    /// Addresses and topics. Its block range is not used.
    pub filter: Filter,
    /// The first block to look at, if there is no cursor yet.
    pub start_block: u64,
    /// When an event is delivered.
    pub depth: Depth,
    /// What happens when that was too early.
    pub on_reorganisation: OnReorganisation,
    /// The blocks asked for in one batch.
    pub page_blocks: u64,
    /// The pause when there is nothing new. The embedded chain wakes the watcher sooner.
    pub poll: Duration,
    /// The longest pause after failures; pauses double up to here.
    pub pause_max: Duration,
    /// Ask for a block's logs only if its bloom admits them. Off for chains with empty blooms.
    pub use_blooms: bool,
}

impl WatchConfig {
    /// Final events only: at once on the embedded chain, under 12 blocks elsewhere.
    pub fn new(client: &Client, filter: Filter) -> Self {
        let embedded = client.heads().is_some();
        Self {
            filter,
            start_block: 0,
            depth: Depth::Confirmations(if embedded { 0 } else { 12 }),
            on_reorganisation: OnReorganisation::Fail,
            page_blocks: 32,
            poll: Duration::from_secs(1),
            pause_max: Duration::from_secs(30),
            use_blooms: true,
        }
    }
}

/// Whether an event came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The event is part of the chain.
    Added,
    /// The event, added before, is not part of the chain any more.
    Removed,
}

/// One delivery.
#[derive(Clone, Debug)]
pub struct Event {
    /// Came or went.
    pub change: Change,
    /// The log, with its place in the chain.
    pub log: Log,
    /// Where a watcher goes on once this event's effect is kept.
    pub cursor: Cursor,
}

/// Follows one chain for one filter.
#[derive(Debug)]
pub struct Watcher {
    source: Source,
    config: WatchConfig,
    heads: Option<watch::Receiver<Head>>,
    /// Where the chain has been read up to; everything before it was delivered or is in `ready`.
    position: Cursor,
    ready: VecDeque<Event>,
    failures: u32,
}

impl Watcher {
    /// A watcher that goes on at `cursor`, or begins at [`WatchConfig::start_block`].
    ///
    /// # Errors
    ///
    /// [`Error::Cursor`] if the cursor belongs to another chain or filter.
    pub fn new(client: &Client, config: WatchConfig, cursor: Option<Cursor>) -> Result<Self> {
        let fresh = Cursor::begin(client, &config);
        let position = match cursor {
            Some(cursor) => cursor.checked_against(&fresh)?,
            None => fresh,
        };
        let source = Source::new(client.provider().clone(), &config);
        let heads = client.heads();
        Ok(Self { source, config, heads, position, ready: VecDeque::new(), failures: 0 })
    }

    /// The next event; waits until there is one.
    ///
    /// Dropping the future loses nothing. Failures that may pass are retried for ever.
    ///
    /// # Errors
    ///
    /// [`Error::Reorganised`], after which this watcher is of no more use, and endpoint errors
    /// that trying again can't mend.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            match self.advance().await {
                Ok(true) => self.failures = 0,
                Ok(false) => {
                    self.failures = 0;
                    self.wait().await;
                }
                Err(error) if self.may_pass(&error) => self.back_off(&error).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// The cursor of all that was handed out by [`Watcher::next`], past blocks without events. None
    /// while events are ready but not handed out: use the last event's cursor then.
    ///
    /// Storing it now and then spares a restart the blocks in which nothing happened.
    pub fn position(&self) -> Option<&Cursor> {
        self.ready.is_empty().then_some(&self.position)
    }

    /// Whether to ask again. A node that lags or reorganises between two questions may refuse or
    /// contradict itself a few times; one that keeps doing so can't be watched.
    fn may_pass(&self, error: &Error) -> bool {
        let doubtful = match error {
            Error::Transport(error) => error.is_error_resp(),
            Error::BadAnswer { .. } => true,
            _ => false,
        };
        error.is_retryable() || (doubtful && self.failures < DOUBTFUL_MAX)
    }

    async fn wait(&mut self) {
        match &mut self.heads {
            None => tokio::time::sleep(self.config.poll).await,
            Some(heads) => {
                let timeout = tokio::time::timeout(self.config.poll, heads.changed());
                if let Ok(Err(_)) = timeout.await {
                    // The chain has stopped; the next question will say so.
                    tokio::time::sleep(self.config.poll).await;
                }
            }
        }
    }

    async fn back_off(&mut self, error: &Error) {
        self.failures = self.failures.saturating_add(1);
        let pause = Duration::from_millis(100).saturating_mul(1 << self.failures.min(16));
        let pause = pause.min(self.config.pause_max);
        tracing::warn!(%error, ?pause, "watching pauses");
        tokio::time::sleep(pause).await;
    }

    /// Reads on, or takes back one block. False: there is nothing to do yet.
    async fn advance(&mut self) -> Result<bool> {
        let Some(target) = self.source.target(self.config.depth).await? else { return Ok(false) };
        let last = self.position.last().cloned();
        let first = match &last {
            Some(block) if block.complete => block.number + 1,
            Some(block) => block.number,
            None => self.position.next_block(),
        };
        let mut headers =
            self.source.headers(last.as_ref().map(|b| b.number), first, target).await?;
        if let Some(last) = &last {
            // The first header is the last block's own: is it still part of the chain?
            let Some(now) = headers.pop_front() else { return Ok(false) };
            if now.hash != last.hash {
                return self.retract(last).map(|()| true);
            }
            if !last.complete {
                headers.push_front(now);
            }
        }
        let offered = headers.front().map(|header| header.number);
        self.keep_chain(last.as_ref(), &mut headers);
        if let (Some(number), None) = (offered, headers.front()) {
            // Most likely the chain changed between two answers; if it stays so, the node is
            // broken.
            let what = format!("block {number} does not follow from the block before");
            return Err(Error::BadAnswer { what });
        }
        self.deliver(headers).await
    }

    /// Drops what does not follow on from the block before; the next round will see clearer.
    fn keep_chain(&self, last: Option<&SeenBlock>, headers: &mut VecDeque<Header>) {
        let mut parent =
            last.filter(|block| block.complete).map(|block| (block.number, block.hash));
        let linked = headers
            .iter()
            .take_while(|header| {
                let follows = parent.is_none_or(|(number, hash)| {
                    header.number == number + 1 && header.parent_hash == hash
                });
                parent = Some((header.number, header.hash));
                follows
            })
            .count();
        headers.truncate(linked);
    }

    async fn deliver(&mut self, headers: VecDeque<Header>) -> Result<bool> {
        let Some(end) = headers.back().cloned() else { return Ok(false) };
        let logs = self.source.logs(&headers).await?;
        // If the page's last block has gone meanwhile, some answers may be about nothing.
        if self.source.hash_at(end.number).await? != Some(end.hash) {
            return Ok(false);
        }
        let mut position = self.position.clone();
        let mut events = Vec::new();
        for (header, logs) in headers.iter().zip(logs) {
            position.enter(header.number, header.hash, self.config.on_reorganisation);
            let skip = position.delivered_in_last();
            let count = logs.len();
            if count < skip {
                let what = format!("fewer logs in block {} than before", header.number);
                return Err(Error::BadAnswer { what });
            }
            for (index, log) in logs.into_iter().enumerate().skip(skip) {
                position.add(log.clone(), index + 1 == count, self.config.on_reorganisation);
                events.push(Event { change: Change::Added, log, cursor: position.clone() });
            }
            position.complete_last();
        }
        self.position = position;
        self.ready.extend(events);
        Ok(true)
    }

    /// Takes the last block back.
    fn retract(&mut self, last: &SeenBlock) -> Result<()> {
        let gone = || Error::Reorganised { number: last.number, hash: last.hash };
        if self.config.on_reorganisation == OnReorganisation::Fail && last.delivered > 0 {
            return Err(gone());
        }
        let mut position = self.position.clone();
        let mut events = Vec::new();
        while let Some(mut log) = position.take_back() {
            log.removed = true;
            events.push(Event { change: Change::Removed, log, cursor: position.clone() });
        }
        position.leave_last().ok_or_else(gone)?;
        self.position = position;
        self.ready.extend(events);
        Ok(())
    }
}

/// The digest of a filter: what a cursor is bound to besides the chain.
fn filter_digest(filter: &Filter) -> B256 {
    let mut bytes = Vec::new();
    let mut addresses: Vec<_> = filter.address.iter().collect();
    addresses.sort_unstable();
    bytes.extend(u32::try_from(addresses.len()).unwrap_or(u32::MAX).to_be_bytes());
    addresses.iter().for_each(|address| bytes.extend(address.as_slice()));
    for topic in &filter.topics {
        let mut values: Vec<_> = topic.iter().collect();
        values.sort_unstable();
        bytes.extend(u32::try_from(values.len()).unwrap_or(u32::MAX).to_be_bytes());
        values.iter().for_each(|value| bytes.extend(value.as_slice()));
    }
    alloy_primitives::keccak256(bytes)
}
