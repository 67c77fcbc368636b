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
    /// An input that is kept here, on a disk that fails.
    #[error("the blob of root {root} can't be read: {error}; check the disk")]
    BlobUnreadable {
        /// What was asked for.
        root: BlobRoot,
        /// The cause.
        #[source]
        error: std::io::Error,
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
    /// A market of this machine takes connections and says nothing.
    #[error("the market of this machine hangs: process {pid} does not answer at {url}")]
    MarketHangs {
        /// The process.
        pid: u32,
        /// Its broker.
        url: String,
    },
    /// A provider that would leave the chain less time than it takes, and lose its stakes by that.
    #[error(
        "a margin of {margin_secs} s is too short on this chain, where a block takes {block_secs} s: \
         {confirmations} confirmations and a claim take {needed_secs} s; give `--margin-secs \
         {needed_secs}` or more"
    )]
    MarginShort {
        /// What the provider was to leave, in seconds.
        margin_secs: u64,
        /// What the chain takes, in seconds.
        needed_secs: u64,
        /// What a block takes, in seconds.
        block_secs: u64,
        /// How many blocks are to stand upon a lock's.
        confirmations: u64,
    },
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
    /// The end of a job that the chain could still take back.
    #[error(
        "{depth} of {needed} blocks stand upon the job's end, and no more come: ask for the receipt \
         later, or with fewer confirmations"
    )]
    NotFinal {
        /// How many do.
        depth: u64,
        /// How many are to.
        needed: u64,
    },
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
    /// An order whose terms are damaged, or of another version.
    #[error("the order's terms can't be read: {0}")]
    Terms(#[from] assay_market::TermsError),
    /// An order with a step limit that no machine takes.
    #[error("the job can't run: {0}")]
    StepLimit(#[from] assay_machine::StateError),
    /// Bytes that are no blob, or too long for a slot.
    #[error(transparent)]
    Blob(#[from] assay_merkle::BlobError),
    /// Bytes that stand where a slot's image should.
    #[error("no slot's image: {0}")]
    Image(#[from] assay_merkle::ImageError),
    /// An output that its program wrote wrongly, or that is another than was claimed.
    #[error("the output of root {root} can't be read: {cause}")]
    Output {
        /// The root that was claimed.
        root: BlobRoot,
        /// What does not fit.
        cause: String,
    },
    /// Data that can't be sealed: it is too long.
    #[error(transparent)]
    Seal(#[from] assay_seal::EnvelopeError),
    /// The account's key signs nothing.
    #[error("signing failed: {0}")]
    Signing(#[from] alloy_signer::Error),
    /// A document that can't be made, or is not in the form that its digest needs.
    #[error(transparent)]
    Document(#[from] assay_policy::DocumentError),
    /// Text that should be a JSON object.
    #[error("not a document: {0}")]
    NotObject(String),
    /// An entry of the board that is not what its place says: its storage is damaged.
    #[error("an entry of the board can't be read: {0}; restore the board from a copy")]
    BoardDamaged(#[source] serde_json::Error),
    /// A dataset whose owner's signature or documents do not fit together.
    #[error("dataset {name:?} as it was published can't be used: {cause}")]
    DatasetInvalid {
        /// What its owner calls it.
        name: String,
        /// What does not fit.
        cause: String,
    },
    /// A name of the owner's own under which nothing was sealed.
    #[error("there is no dataset {0:?} here; `assay data list` names those that there are")]
    DatasetUnknown(String),
    /// Another owner's dataset, named where no market is.
    #[error("{0} is another owner's: name a market to read it at")]
    DatasetElsewhere(DatasetName),
    /// Another owner's dataset that the market does not have.
    #[error("nobody publishes {0} here; check the owner's address and the name")]
    DatasetUnpublished(DatasetName),
    /// A dataset of which others are made, whose rules were never taken over.
    #[error("nothing is kept here of {0}; publish what is made of it, and it is taken over")]
    DatasetUnkept(DatasetName),
    /// A policy that permits more than that of what the data is made of.
    #[error(
        "the policy permits more than that of {0} does now: set it again, and it becomes as strict"
    )]
    PolicyLaxer(DatasetName),
    /// A masking that another account has planned.
    #[error(
        "{owner} states the masking, and {account} would seal: seal as the account of the plan"
    )]
    MaskOwner {
        /// Who states the masking.
        owner: String,
        /// Who would seal.
        account: Address,
    },
    /// The market's log is damaged, of another key, or its storage fails.
    #[error("the market's log can't be read: {0}")]
    LogUnreadable(String),
    /// An `s3://` URL in a program that was built without object stores.
    #[error(
        "this program was built without object stores: build it with the feature `s3`, or name a folder"
    )]
    ObjectsAbsent,
    /// The name under a home's seed makes no key of a log or witness.
    #[error("the key of a log or witness can't be made: {0}")]
    LogKey(#[from] assay_tlog::KeyError),
    /// Masked data at a broker without a log.
    #[error(
        "the broker keeps no log, in which the data's masking could be said; publish at one that does"
    )]
    LogAbsent,
    /// What only the node that keeps the log can do, asked of another.
    #[error("the log is kept elsewhere: only the node that keeps it can {0}")]
    LogElsewhere(&'static str),
    /// A log with fewer entries than it once had.
    #[error(
        "{seen} entries of this log are {how} and it has {size}: it was rolled back; restore it from a copy"
    )]
    LogRolledBack {
        /// Where the entries were seen: "anchored", "cosigned" or "known here".
        how: &'static str,
        /// How many were seen.
        seen: u64,
        /// How many there are.
        size: u64,
    },
    /// A log that does not go on from a tree of it that somebody has.
    #[error(
        "this log does not go on from the {size} entries that are {how}: it has forked; stop whoever else writes with its key, and restore it from a copy"
    )]
    LogForked {
        /// Where the tree was seen: "anchored", "cosigned" or "known here".
        how: &'static str,
        /// How many entries it has.
        size: u64,
    },
    /// A log that a witness has seen otherwise.
    #[error(
        "a witness has cosigned another tree of this log: {0}; stop whoever else writes with its key, and restore it from a copy"
    )]
    LogContradicted(String),
    /// An account that anchors by another statement already.
    #[error(
        "account {account} is registered for this log by another statement, {registered}; use another account to anchor"
    )]
    AnchorTaken {
        /// The account.
        account: Address,
        /// The digest of the statement that it is registered for.
        registered: B256,
    },
    /// A witness that does not answer.
    #[error("the witness can't be reached ({0}); it will be asked again")]
    WitnessAway(String),
    /// A witness that another has asked at the same time.
    #[error("it has cosigned another size meanwhile; it will be asked again")]
    WitnessBusy,
    /// A witness whose answer is no cosignature by its key.
    #[error("the witness's answer is no cosignature: {0}; check the key that it is named with")]
    WitnessInvalid(String),
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
    /// Whether a broker can't be asked now, or refuses this account: what does not need it goes on.
    pub(crate) fn is_broker_away(&self) -> bool {
        use assay_broker_client::Error;
        matches!(self, Self::Broker(Error::Unreachable { .. } | Error::Refused(_)))
    }

    pub(crate) fn file(verb: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { verb, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, what: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.to_string() }
    }
}
