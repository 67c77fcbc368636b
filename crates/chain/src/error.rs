//! What can go wrong, and what to do about it.

use std::path::PathBuf;

use alloy_primitives::{Address, B256};
use alloy_transport::TransportError;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of this crate.
///
/// [`Error::is_retryable`] tells what may succeed if it is tried again unchanged from what needs
/// someone to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process, or another handle in this one, has the chain's file open.
    #[error("the chain at {path} is already open; stop the other process or choose another path")]
    AlreadyOpen {
        /// The chain's file.
        path: PathBuf,
    },
    /// The chain's file can't be opened or created: permissions, a full disk, or not a redb file.
    #[error(
        "cannot open the chain at {path}; check permissions, space and that it is a chain file"
    )]
    Open {
        /// The chain's file.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: Box<redb::DatabaseError>,
    },
    /// The file is a database, but not a chain of a format that this version knows.
    #[error(
        "{path} holds format {found:?}, not a chain this version can read; upgrade, or choose another path"
    )]
    Format {
        /// The chain's file.
        path: PathBuf,
        /// The tag found.
        found: String,
    },
    /// The file's chain is not the one that the configuration names.
    #[error(
        "the file holds chain {found}, the configuration says {expected}; choose another path or remove the setting"
    )]
    OtherChain {
        /// The configured chain id.
        expected: u64,
        /// The chain id found.
        found: u64,
    },
    /// What is stored contradicts itself: the disk or another program changed it.
    #[error("the stored chain is damaged ({what}); restore the file from a backup")]
    Corrupt {
        /// Which check failed.
        what: String,
    },
    /// Reading or writing the file failed. After a failed write the chain stops: open it again.
    #[error("the chain's storage failed; check the disk, then open the chain again")]
    Storage(#[source] Box<redb::Error>),
    /// The chain was closed, or stopped after [`Error::Storage`].
    #[error("the chain has stopped; open it again (an earlier error says why it stopped)")]
    Stopped,
    /// The operating system has no randomness to give.
    #[error("the operating system gave no randomness: {0}")]
    Randomness(getrandom::Error),
    /// A file or socket failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A setting that can't work.
    #[error("bad setting: {0}")]
    Config(String),
    /// A transaction was refused; it is not, and will not be, in a block.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The endpoint's answer, or the lack of one.
    #[error("the chain's endpoint failed: {0}")]
    Transport(#[from] TransportError),
    /// The endpoint answered something that makes no sense.
    #[error("the endpoint gave a wrong answer ({what}); use another endpoint")]
    BadAnswer {
        /// What was wrong.
        what: String,
    },
    /// The endpoint serves another chain than expected: signing for it would be a mistake.
    #[error("the endpoint serves chain {found}, expected {expected}; check the URL")]
    WrongChain {
        /// The chain id asked for.
        expected: u64,
        /// The chain id found.
        found: u64,
    },
    /// A contract refused, or could not be asked.
    #[error("a contract call failed: {0}")]
    Contract(alloy_contract::Error),
    /// The transaction was mined and reverted.
    #[error("transaction {0} reverted")]
    Reverted(B256),
    /// The chain dropped blocks that were taken for final: events already delivered may be gone.
    #[error(
        "block {number} ({hash}) was delivered as final and has been reorganised away; rewind to a block you trust and wait for more confirmations"
    )]
    Reorganised {
        /// The number of the block that is gone.
        number: u64,
        /// Its hash.
        hash: B256,
    },
    /// The stored cursor is unreadable or belongs to another chain or filter.
    #[error(
        "the stored cursor does not fit ({what}); remove it to start again from the start block"
    )]
    Cursor {
        /// What does not fit.
        what: String,
    },
    /// A keystore can't be written or opened: a wrong password, or not a keystore.
    #[error("keystore {path}: {why}")]
    Keystore {
        /// The keystore file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: crate::keystore::KeystoreError,
    },
}

impl From<alloy_contract::Error> for Error {
    fn from(error: alloy_contract::Error) -> Self {
        match error {
            alloy_contract::Error::TransportError(error) => error.into(),
            other => Self::Contract(other),
        }
    }
}

impl Error {
    /// True where the same call may succeed later: the network, a busy chain.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(error) => crate::client::is_transient(error),
            Self::Rejected(rejection) => matches!(rejection, Rejection::Busy { .. }),
            _ => false,
        }
    }
}

/// Why a transaction was refused before it reached a block.
///
/// The messages begin as geth's do, because clients recognise them by their text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The bytes are not a signed transaction.
    #[error("rlp: {0}")]
    Malformed(String),
    /// A type that this chain doesn't take: blobs.
    #[error("transaction type not supported")]
    TypeNotSupported,
    /// Longer than [`crate::TRANSACTION_BYTES_MAX`].
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Oversized {
        /// Bytes given.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {found} want {expected}")]
    WrongChain {
        /// The transaction's chain id.
        found: u64,
        /// This chain's id.
        expected: u64,
    },
    /// Signed for no chain in particular, so it could be replayed on any.
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    NotReplayProtected,
    /// The signature gives no sender.
    #[error("invalid sender")]
    Sender,
    /// The nonce was used already.
    #[error("nonce too low: next nonce {expected}, tx nonce {found}")]
    NonceTooLow {
        /// The account's nonce.
        expected: u64,
        /// The transaction's nonce.
        found: u64,
    },
    /// The nonces between were not seen in time, so the transaction could not be mined.
    #[error("nonce too high: next nonce {expected}, tx nonce {found}")]
    NonceTooHigh {
        /// The account's nonce.
        expected: u64,
        /// The transaction's nonce.
        found: u64,
    },
    /// The same transaction is already waiting.
    #[error("already known")]
    AlreadyKnown,
    /// Another transaction waits under this sender and nonce.
    #[error("replacement transaction underpriced")]
    Underpriced,
    /// The balance doesn't cover gas limit times price plus value.
    #[error("insufficient funds for gas * price + value: address {sender}")]
    Funds {
        /// The sender.
        sender: Address,
    },
    /// More gas than a block has.
    #[error("exceeds block gas limit: tx gas {gas}, block limit {limit}")]
    BlockGas {
        /// The transaction's gas limit.
        gas: u64,
        /// The block's gas limit.
        limit: u64,
    },
    /// Less gas than the transaction costs before it runs.
    #[error("intrinsic gas too low: have {gas}, want {needed}")]
    IntrinsicGas {
        /// The transaction's gas limit.
        gas: u64,
        /// The least that it needs.
        needed: u64,
    },
    /// The fee cap is below the base fee.
    #[error("max fee per gas less than block base fee: base fee {base_fee}")]
    FeeCap {
        /// The base fee in wei.
        base_fee: u64,
    },
    /// The tip is above the fee cap.
    #[error("max priority fee per gas higher than max fee per gas")]
    Tip,
    /// Creation code above EIP-3860's limit.
    #[error("max initcode size exceeded")]
    InitCode,
    /// The sender's account has code (EIP-3607).
    #[error("sender not an eoa")]
    SenderHasCode,
    /// Too many transactions wait already; send again later.
    #[error("txpool is full: {waiting} transactions wait")]
    Busy {
        /// The bound that was reached.
        waiting: usize,
    },
    /// Any other rule of the EVM.
    #[error("invalid transaction: {0}")]
    Other(String),
}

macro_rules! storage_errors {
    ($($source:ty),*) => {$(
        impl From<$source> for Error {
            fn from(error: $source) -> Self {
                Self::Storage(Box::new(error.into()))
            }
        }
    )*};
}

storage_errors!(
    redb::Error,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::SetDurabilityError
);

impl Error {
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}

impl revm::database_interface::DBErrorMarker for Error {}
