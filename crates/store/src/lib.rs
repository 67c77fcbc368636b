//! What a broker keeps: a [`Book`] of small signed entries and [`Blobs`] by name, durable before they are acknowledged.
//!
//! Keys, names, authors and bodies are bytes to this crate: whether they are what they say is for the caller to check.

mod blobs;
mod book;
mod error;

pub use blobs::{BlobKind, Blobs, write_new};
pub use book::{BOOK_CACHE_BYTES, Book, BookLimits, Entry, Kind, Put};
pub use error::{Error, Result};
