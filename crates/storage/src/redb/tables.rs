//! The book's file: its tables and records.
//!
//! ```text
//! facts            "format" -> tag, "sequence" -> the last number given, u64 big-endian
//! KIND_entries     sequence -> key, 32 bytes | author, 20 bytes | body
//! KIND_places      key, author, part, 32 bytes -> sequence
//! ```
//!
//! Version 1 had three kinds, and an index `KIND_index` of key and author only; opening makes
//! version 2 of it. Kinds that came later are added when a book is opened that lacks them.

use redb::TableDefinition;

use crate::{Entry, Error, Kind, Result};

/// The format's tag: `assay`, a letter, the version, the hash suite (none).
pub(super) const FORMAT: &[u8; 8] = b"assayb\x02\x00";

/// The version before.
pub(super) const FORMAT_1: &[u8; 8] = b"assayb\x01\x00";

pub(super) const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");

pub(super) type Entries = TableDefinition<'static, u64, &'static [u8]>;
/// Key, author, part: who says what about which, and which one of several it is.
pub(super) type Place<'a> = (&'a [u8; 32], &'a [u8; 20], &'a [u8; 32]);
pub(super) type Index = TableDefinition<'static, Place<'static>, u64>;
pub(super) type Index1 = TableDefinition<'static, (&'static [u8; 32], &'static [u8; 20]), u64>;

/// What version 1 had, with its index.
pub(super) const KINDS_1: [(Kind, Index1); 3] = [
    (Kind::Order, TableDefinition::new("order_index")),
    (Kind::Refusal, TableDefinition::new("refusal_index")),
    (Kind::Offer, TableDefinition::new("offer_index")),
];

pub(super) const fn entries(kind: Kind) -> Entries {
    TableDefinition::new(match kind {
        Kind::Order => "order_entries",
        Kind::Refusal => "refusal_entries",
        Kind::Offer => "offer_entries",
        Kind::SealKeys => "seal_keys_entries",
        Kind::Wrap => "wrap_entries",
        Kind::KeyRefusal => "key_refusal_entries",
        Kind::Dataset => "dataset_entries",
        Kind::OwnerDocument => "owner_document_entries",
        Kind::CapabilityRevocation => "capability_revocation_entries",
    })
}

pub(super) const fn index(kind: Kind) -> Index {
    TableDefinition::new(match kind {
        Kind::Order => "order_places",
        Kind::Refusal => "refusal_places",
        Kind::Offer => "offer_places",
        Kind::SealKeys => "seal_keys_places",
        Kind::Wrap => "wrap_places",
        Kind::KeyRefusal => "key_refusal_places",
        Kind::Dataset => "dataset_places",
        Kind::OwnerDocument => "owner_document_places",
        Kind::CapabilityRevocation => "capability_revocation_places",
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
