//! What can go wrong for a client. What a broker answers is a [`Problem`].

use assay_protocol::{AccountKeyError, Problem, SignError, SignatureError};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting can't work.
    #[error("bad setting: {0}")]
    Config(String),
    /// The broker refused the request, or failed.
    #[error("the broker refused: {0}")]
    Refused(Box<Problem>),
    /// The broker can't be reached, or the connection broke. The URL may hold a secret, so it is
    /// not shown.
    #[error("the broker can't be reached ({what}); check the URL, or use another broker")]
    Unreachable {
        /// What happened.
        what: String,
    },
    /// The broker's answer is not what was asked for: the broker is broken, or lies.
    #[error("the broker gave a wrong answer ({what}); use another broker")]
    BadAnswer {
        /// What was wrong.
        what: String,
    },
    /// An order of the broker's book that can't be read: it is passed over, and those after it
    /// come.
    #[error("order {sequence} of the broker's book can't be read ({what}); it is passed over")]
    EntryUnreadable {
        /// Its place in the book.
        sequence: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The key could not sign.
    #[error("the key can't sign: {0}")]
    Signer(#[from] AccountKeyError),
    /// A file could not be read or written.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A signature does not verify.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl From<SignError> for Error {
    fn from(error: SignError) -> Self {
        match error {
            SignError::Signer(error) => Error::Signer(error),
            SignError::Signature(error) => Error::Signature(error),
            other => Error::Config(other.to_string()),
        }
    }
}

impl Error {
    /// True if the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(problem) => problem.is_retryable(),
            _ => false,
        }
    }

    pub(crate) fn bad_answer(what: impl Into<String>) -> Self {
        Self::BadAnswer { what: what.into() }
    }
}
