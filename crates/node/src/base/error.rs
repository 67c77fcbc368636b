//! What can go wrong in a node.

use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use assay_contracts::{ContractError, EvidenceError, UnknownStage};
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
    Refused(Box<ContractError>),
    /// A transaction that was tried out before it was sent, and came after another's move.
    #[error("the contract refused: transaction {transaction} came too late and changed nothing")]
    TooLate {
        /// The transaction.
        transaction: B256,
    },
    /// The disputes are of another version.
    #[error(transparent)]
    Stage(#[from] UnknownStage),
    /// A game about a part of a run that there is not: the disputes are of another version.
    #[error("a game is at level {level}, position {position}")]
    GameSegment {
        /// The tree's level.
        level: u8,
        /// The segment's number on it.
        position: u32,
    },
    /// A claim that the market has and the disputes were not told of.
    #[error("job {job} is claimed, and its claim has no event")]
    ClaimMissing {
        /// The job.
        job: B256,
    },
    /// A verifier that stands for no kind of assurance that this version knows.
    #[error("verifier {verifier} is not known here; a newer version may know it")]
    VerifierUnknown {
        /// Its number in the registry.
        verifier: u16,
    },
    /// A step limit whose shortest window is longer than an order can say.
    #[error("a window of {window_secs} s is longer than an order can have; lower the step limit")]
    WindowLarge {
        /// The window.
        window_secs: u64,
    },
    /// A claim of another trace than the auditor's own run, in which no leaf differs.
    #[error("the claim of job {job} is false and has no differing leaf")]
    NoDifference {
        /// The job.
        job: B256,
    },
    /// An auditor's run, lost to a failure beside it.
    #[error("the run of job {job}, whose claim is false, is lost and will be made again")]
    RunLost {
        /// The job.
        job: B256,
    },
    /// The file of a program that no machine takes.
    #[error("the program: {0}")]
    ProgramFile(#[source] assay_machine::ProgramError),
    /// An order that was locked before it was taken back.
    #[error("the order is locked and runs its course")]
    OrderLocked,
    /// A job that still runs its course.
    #[error("the job has not ended yet, so it has no receipt")]
    NotEnded,
    /// An event that the chain's own proof does not prove.
    #[error(transparent)]
    Evidence(EvidenceError),
    /// An order that was never posted here.
    #[error("the board does not have the order of job {job}")]
    OrderMissing {
        /// The job.
        job: B256,
    },
    /// A sealed output that its key does not open.
    #[error("the output does not open: {cause}")]
    OutputSealed {
        /// Why.
        cause: String,
    },
    /// An order of the account's own that says nothing of sealing and reads another's sealed data.
    #[error("a job over somebody's sealed data is sealed itself: its output would tell of it")]
    SealingMissing,
    /// A result that nobody could read.
    #[error(
        "{beneficiary} has published no keys to seal its result to; `assay job receive` does, by that account"
    )]
    BeneficiaryKeysMissing {
        /// Who was to read it.
        beneficiary: Address,
    },
    /// A data fee for nobody.
    #[error("a data fee needs a data owner's account")]
    DataOwnerMissing,
    /// A document of an owner that has no form.
    #[error(transparent)]
    DocumentInvalid(assay_policy::DocumentError),
    /// Terms that are no JSON object.
    #[error(transparent)]
    TermsForm(assay_protocol::JsonObjectError),
    /// An amount that the contracts can't hold.
    #[error("an amount of {amount} is above 2^96 - 1")]
    AmountLarge {
        /// The amount.
        amount: u128,
    },
    /// What a release would cost has no place in the owner's ledger.
    #[error(transparent)]
    Ledger(#[from] assay_policy::LedgerError),
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
