//! What is kept: an [`OrderBook`] of small signed entries, [`Blobs`] by name, and a log's files or
//! objects with the [`Sequencer`] that appends to them; all durable before they are acknowledged.
//!
//! Each is a trait, and a folder for each way to keep it: `redb` (a book in a file), `fs` (blobs
//! and logs in folders), `s3` (logs in an object store). The first and the last are features.
//!
//! Keys, names, authors and bodies are bytes to this crate: whether they are what they say is for
//! the caller to check.

mod blobs;
mod book;
mod error;
mod fs;
mod log;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "s3")]
mod s3;

#[cfg(feature = "redb")]
pub use self::redb::{BOOK_CACHE_BYTES, RedbBook};
pub use blobs::{BlobDraft, BlobKind, BlobReader, Blobs};
pub use book::{BookLimits, Durable, Entry, Kind, OrderBook, Put};
pub use error::{Error, Result};
pub use fs::{FileBlobs, LogFiles, free_size, write_new};
pub use log::{Sequencer, WAITING_MAX};
#[cfg(feature = "s3")]
pub use s3::LogObjects;
