//! What can go wrong, and what to do about it.

use std::path::{Path, PathBuf};

use crate::Kind;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process, or another handle in this one, has the book's file open.
    #[error("the book at {path} is already open; stop the other process or choose another path")]
    AlreadyOpen {
        /// The book's file.
        path: PathBuf,
    },
    /// The book's file can't be opened or created: permissions, a full disk, or not a redb file.
    #[cfg(feature = "redb")]
    #[error("cannot open the book at {path}; check permissions, space and that it is a book")]
    Open {
        /// The book's file.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: Box<redb::DatabaseError>,
    },
    /// The file is a database, but not a book of a format that this version knows.
    #[error(
        "{path} holds format {found:?}, not a book this version can read; upgrade, or choose another path"
    )]
    Format {
        /// The book's file.
        path: PathBuf,
        /// The tag found.
        found: String,
    },
    /// What is stored contradicts itself: the disk or another program changed it.
    #[error("the stored book is damaged ({what}); restore the file from a backup")]
    Corrupt {
        /// Which check failed.
        what: String,
    },
    /// Reading or writing the book failed. After a failed write it takes no more: open it again.
    #[cfg(feature = "redb")]
    #[error("the book's storage failed; check the disk, then open the book again")]
    Storage(#[source] Box<redb::Error>),
    /// The book stopped after a write failed. What was not acknowledged may be there or not;
    /// putting it again is harmless.
    #[error("the book has stopped; open it again (an earlier error says why it stopped)")]
    Stopped,
    /// Another process writes the log in that folder.
    #[error("the log at {path} is already open; stop the other process or choose another folder")]
    LogOpen {
        /// The log's folder.
        path: PathBuf,
    },
    /// The log refuses an entry or could not store it. What was not acknowledged may be there or
    /// not; adding it again is harmless.
    #[error("the log could not take an entry: {what}")]
    Log {
        /// Why.
        what: String,
    },
    /// An object store can't be used.
    #[error("the object store can't be used: {what}; check the URL, and AWS_* in the environment")]
    Objects {
        /// Why.
        what: String,
    },
    /// Too many entries wait to be written.
    #[error("{waiting} entries wait to be written already; try again shortly")]
    Busy {
        /// The bound that was reached.
        waiting: usize,
    },
    /// The book holds as many entries of the kind as it may.
    #[error(
        "the book holds {max} {kind} entries, its most; remove what is final, or raise the bound"
    )]
    Full {
        /// The kind.
        kind: Kind,
        /// The bound that was reached.
        max: u64,
    },
    /// The blobs would take more room than they may.
    #[error(
        "the blobs may take {bytes_max} bytes, and this would pass it; remove some, or raise the bound"
    )]
    BlobsFull {
        /// The bound that would be passed.
        bytes_max: u64,
    },
    /// A file or folder failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// True where the same call may succeed shortly.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }

    #[cfg(feature = "redb")]
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    pub(crate) fn io(doing: &str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { what: format!("{doing} {}", path.display()), source }
    }
}

#[cfg(feature = "redb")]
macro_rules! storage_errors {
    ($($source:ty),*) => {$(
        impl From<$source> for Error {
            fn from(error: $source) -> Self {
                Self::Storage(Box::new(error.into()))
            }
        }
    )*};
}

#[cfg(feature = "redb")]
storage_errors!(
    redb::Error,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::SetDurabilityError
);
