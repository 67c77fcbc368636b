//! What can go wrong with a log.

use crate::{CheckpointError, StorageError};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A log that can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk or the object store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The stored checkpoint is not one of this log's key.
    #[error("the stored checkpoint is not this log's; check the key and the folder")]
    Checkpoint(#[from] CheckpointError),
    /// There are tiles, and no checkpoint: a log was here, and another one must not begin under its
    /// key.
    #[error(
        "the log has tiles and no checkpoint; restore the newest `checkpoint` that it has signed, from a copy or a mirror: begun again it would fork"
    )]
    CheckpointLost,
    /// A tile or a bundle that the checkpoint speaks of is not there.
    #[error("{name} is missing from the log; restore it from a copy or a mirror")]
    Missing {
        /// The object.
        name: String,
    },
    /// A tile or a bundle is not what the checkpoint's root says.
    #[error("{name} is damaged ({why}); restore it from a copy or a mirror")]
    Damaged {
        /// The object.
        name: String,
        /// Which check failed.
        why: &'static str,
    },
    /// Another process has written a checkpoint meanwhile.
    #[error("another process writes this log; stop one of the two")]
    OtherWriter,
    /// An entry is longer than a bundle can say.
    #[error("an entry of {length} bytes is longer than {max}; log a digest of it instead")]
    EntryLong {
        /// Its length in bytes.
        length: usize,
        /// The most.
        max: usize,
    },
    /// There is no such entry, or no tree of such a size.
    #[error("the log has {size} entries and none at {index}")]
    NoEntry {
        /// What was asked for.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// The tree would be larger than its bound.
    #[error("the log is full; begin another under a new origin")]
    Full,
}
