//! Blobs: bytes by name, there whole or not at all.

use std::fmt;
use std::io::{Read, Seek};
use std::time::SystemTime;

use crate::Result;

/// What a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlobKind {
    /// A program's ELF, by program id.
    Program,
    /// A slot's image, by slot root.
    Slot,
    /// What someone has sealed, by its SHA-256.
    Envelope,
}

impl BlobKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Program, Self::Slot, Self::Envelope];
}

/// A store of blobs. Clones of its `Arc` share it. All calls may touch a disk or a network and
/// block.
pub trait Blobs: fmt::Debug + Send + Sync + 'static {
    /// Puts a blob; durable when it returns. What has the name already stays, and the answer is
    /// false.
    ///
    /// # Errors
    ///
    /// [`Error::BlobsFull`](crate::Error::BlobsFull), [`Error::Io`](crate::Error::Io).
    fn put(&self, kind: BlobKind, name: [u8; 32], content: &[u8]) -> Result<bool>;

    /// Begins a blob that comes in pieces, and whose name is known only at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io).
    fn begin(&self, kind: BlobKind) -> Result<Box<dyn BlobDraft>>;

    /// A blob's bytes. Whoever reads them checks them against the name.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io).
    fn get(&self, kind: BlobKind, name: [u8; 32]) -> Result<Option<Vec<u8>>>;

    /// A blob to be read piece by piece, and its size in bytes. It can be read to its end though
    /// it is removed meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io).
    fn open_blob(
        &self,
        kind: BlobKind,
        name: [u8; 32],
    ) -> Result<Option<(Box<dyn BlobReader>, u64)>>;

    /// A blob's size in bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io).
    fn size(&self, kind: BlobKind, name: [u8; 32]) -> Result<Option<u64>>;

    /// Removes a blob. False if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io).
    fn remove(&self, kind: BlobKind, name: [u8; 32]) -> Result<bool>;

    /// Says that a blob is wanted: it is as young as if it had been put now. False if there is
    /// none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io).
    fn touch(&self, kind: BlobKind, name: [u8; 32]) -> Result<bool>;

    /// The blobs of a kind that were put and touched before a time, and not since.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io).
    fn older_than(&self, kind: BlobKind, time: SystemTime) -> Result<Vec<[u8; 32]>>;

    /// Removes a blob that was put and touched before a time, and not since. False if there is
    /// none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io).
    fn remove_older(&self, kind: BlobKind, name: [u8; 32], time: SystemTime) -> Result<bool>;

    /// How much room there still is, in bytes: what the place itself has, where that is known, or
    /// what the bound leaves if that is less.
    fn free_size(&self) -> u64;

    /// The size of all blobs in bytes, with those being put.
    fn bytes_total(&self) -> u64;

    /// The bound on the size of all blobs in bytes.
    fn bytes_max(&self) -> u64;

    /// True if there is a blob of that name.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io).
    fn has(&self, kind: BlobKind, name: [u8; 32]) -> Result<bool> {
        Ok(self.size(kind, name)?.is_some())
    }
}

/// A blob that comes in pieces. Dropped without [`BlobDraft::finish`] it leaves nothing. All calls
/// may block.
pub trait BlobDraft: Send {
    /// Adds a piece.
    ///
    /// # Errors
    ///
    /// [`Error::BlobsFull`](crate::Error::BlobsFull), [`Error::Io`](crate::Error::Io).
    fn write(&mut self, piece: &[u8]) -> Result<()>;

    /// Gives it its name; durable when it returns. What has the name already stays, and the answer
    /// is false.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io).
    fn finish(self: Box<Self>, name: [u8; 32]) -> Result<bool>;
}

/// A blob that is read piece by piece, from any place on.
pub trait BlobReader: Read + Seek + Send {}

impl<T: Read + Seek + Send> BlobReader for T {}
