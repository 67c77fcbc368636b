//! The book's file: its tables and records.
//!
//! ```text
//! facts            "format" -> tag, "sequence" -> the last number given, u64 big-endian
//! KIND_entries     sequence -> key, 32 bytes | author, 20 bytes | body
//! KIND_index       key, author -> sequence
//! ```

use redb::TableDefinition;

use super::{Entry, Kind};
use crate::{Error, Result};

/// The format's tag: `assay`, a letter, the version, the hash suite (none).
pub(super) const FORMAT: &[u8; 8] = b"assayb\x01\x00";

pub(super) const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");

pub(super) type Entries = TableDefinition<'static, u64, &'static [u8]>;
pub(super) type Index = TableDefinition<'static, (&'static [u8; 32], &'static [u8; 20]), u64>;

pub(super) const KINDS: [Kind; 3] = [Kind::Order, Kind::Refusal, Kind::Offer];

pub(super) const fn entries(kind: Kind) -> Entries {
    TableDefinition::new(match kind {
        Kind::Order => "order_entries",
        Kind::Refusal => "refusal_entries",
        Kind::Offer => "offer_entries",
    })
}

pub(super) const fn index(kind: Kind) -> Index {
    TableDefinition::new(match kind {
        Kind::Order => "order_index",
        Kind::Refusal => "refusal_index",
        Kind::Offer => "offer_index",
    })
}

pub(super) fn encode(key: &[u8; 32], author: &[u8; 20], body: &[u8]) -> Vec<u8> {
    [key.as_slice(), author, body].concat()
}

pub(super) fn decode(sequence: u64, record: &[u8]) -> Result<Entry> {
    let parts = record.split_first_chunk::<32>().and_then(|(key, rest)| {
        let (author, body) = rest.split_first_chunk::<20>()?;
        Some(Entry { sequence, key: *key, author: *author, body: body.to_vec() })
    });
    parts.ok_or_else(|| Error::corrupt(format!("entry {sequence} is too short")))
}
