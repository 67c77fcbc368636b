//! What can go wrong in a node.

use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use assay_market::{Account, UnknownStatus};
use assay_policy::{ClauseReason, DatasetName};
use assay_types::{BlobRoot, ProgramId};

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
    /// A plan or a table that is not masked.
    #[error("the table cannot be masked: {0}")]
    Mask(#[from] assay_mask::MaskError),
    /// The board's store.
    #[error(transparent)]
    Store(#[from] assay_storage::Error),
    /// The broker, or its client.
    #[error(transparent)]
    Broker(#[from] assay_broker_client::Error),
    /// The board could not be served.
    #[error(transparent)]
    Serve(#[from] assay_broker::Error),
    /// Something could not be signed for the board.
    #[error(transparent)]
    Sign(#[from] assay_protocol::SignError),
    /// A program that is not there, or not what its name says.
    #[error("program {id} cannot be run: {cause}")]
    Program {
        /// What was asked for.
        id: ProgramId,
        /// What is wrong with it.
        cause: String,
    },
    /// An input or dataset that nobody has published.
    #[error("nobody has published the blob of root {root}")]
    InputMissing {
        /// What was asked for.
        root: BlobRoot,
    },
    /// What was published is another blob.
    #[error("what was published as the blob of root {root} has root {found}")]
    InputMismatch {
        /// What was asked for.
        root: BlobRoot,
        /// What was found.
        found: BlobRoot,
    },
    /// A sealed input whose key was not released to this account.
    #[error(
        "the blob of root {root} is sealed, and its owner {owner} has released no key to this account"
    )]
    KeyMissing {
        /// What is sealed.
        root: BlobRoot,
        /// Who decides.
        owner: Account,
    },
    /// A key was released that opens nothing: the owner's mistake, or a change on the way.
    #[error("the key that {owner} released can't be used: {cause}")]
    KeyUnusable {
        /// Who released it.
        owner: Address,
        /// Why.
        cause: String,
    },
    /// A sealed input that its key does not open.
    #[error("the sealed blob of root {root} does not open: {cause}")]
    SealBroken {
        /// What is sealed.
        root: BlobRoot,
        /// Why.
        cause: String,
    },
    /// The market is of another version.
    #[error(transparent)]
    Status(#[from] UnknownStatus),
    /// An account can't pay.
    #[error("account {account} holds {has} of the token's smallest unit and needs {needed}")]
    Funds {
        /// Whose.
        account: Address,
        /// What it holds.
        has: u128,
        /// What it needs.
        needed: u128,
    },
    /// A contract refused a call.
    #[error("the contract refused: {0}")]
    Refused(String),
    /// A job that can't be ordered, run or checked.
    #[error("{0}")]
    Job(String),
    /// An order that the key service of the data would refuse. Nothing was posted or paid.
    #[error("the owner's policy does not let {dataset} be used so: {}", sentences(reasons))]
    Policy {
        /// The dataset.
        dataset: DatasetName,
        /// By clause, each with what to do.
        reasons: Vec<ClauseReason>,
    },
    /// A document that has no place in the rules of a dataset.
    #[error(transparent)]
    Rules(#[from] assay_policy::RulesError),
    /// A privacy budget is spent, or its ledger is no good.
    #[error("the ledger {path}: {source}")]
    Budget {
        /// The ledger.
        path: PathBuf,
        /// Why.
        source: assay_disclosure::statistics::BudgetError,
    },
    /// Statistics that can't be made.
    #[error(transparent)]
    Statistics(#[from] assay_disclosure::statistics::StatisticsError),
    /// The operating system has no randomness to give.
    #[error("the operating system gave no randomness: {0}")]
    Randomness(getrandom::Error),
}

/// Reasons, one after the other.
pub(crate) fn sentences(reasons: &[ClauseReason]) -> String {
    let reasons: Vec<_> = reasons.iter().map(ClauseReason::to_string).collect();
    reasons.join("; ")
}

impl Error {
    pub(crate) fn file(verb: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { verb, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, what: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.to_string() }
    }
}
