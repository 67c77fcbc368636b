//! What is kept: a [`Book`] of small signed entries, [`Blobs`] by name, and a log's [`LogFiles`] or
//! [`LogObjects`] with the [`Sequencer`] that appends to them; all durable before they are
//! acknowledged.
//!
//! Keys, names, authors and bodies are bytes to this crate: whether they are what they say is for
//! the caller to check.

mod blobs;
mod book;
mod error;
mod files;
mod log;
mod objects;

pub use blobs::{BlobDraft, BlobKind, Blobs};
pub use book::{BOOK_CACHE_BYTES, Book, BookLimits, Entry, Kind, Put};
pub use error::{Error, Result};
pub use files::{free_size, write_new};
pub use log::{LogFiles, Sequencer, WAITING_MAX};
pub use objects::LogObjects;
