//! What can go wrong in a node.

use std::path::{Path, PathBuf};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The chain, or a contract on it.
    #[error(transparent)]
    Chain(#[from] assay_chain::Error),
    /// A file of the home folder can't be read or written.
    #[error("{verb} {path}")]
    File {
        /// What was being done, such as "reading".
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file of the home folder is not what it should be.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The operating system has no randomness to give.
    #[error("the operating system gave no randomness: {0}")]
    Randomness(getrandom::Error),
}

impl Error {
    pub(crate) fn file(verb: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { verb, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, what: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.to_string() }
    }
}
