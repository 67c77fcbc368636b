//! Statements: what each role says of a job's steps (spec/statements.md).

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes};
use assay_contracts::{Market, RunOutcome};
use assay_mask::MaskStatement;
use assay_types::{Hash, sha256};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What every statement is.
const TYPE: &str = "https://in-toto.io/Statement/v1";

/// How a job is run, for SLSA: on the machine of spec/machine.md.
const BUILD_TYPE: &str = "urn:assay:run:v1";

/// What a job's id follows in the name of its run.
const INVOCATION: &str = "urn:assay:job:";

/// A market, wherever it is: what an order is signed for, and the chain's first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarketId {
    /// The chain.
    pub chain_id: u64,
    /// Its first block's hash.
    pub genesis_hash: B256,
    /// The market's contract.
    pub market: Address,
}

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockRef {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
}

/// An in-toto Statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InToto<P> {
    #[serde(rename = "_type")]
    type_: String,
    subject: Vec<Resource>,
    predicate_type: String,
    predicate: P,
}

/// An in-toto ResourceDescriptor: a name and digests by algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    name: String,
    digest: BTreeMap<String, String>,
}

/// What a statement can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A key signs for an account.
    Binding(Binding),
    /// An account anchors the log.
    Operated(Operator),
    /// A requester has ordered a job.
    Ordered(Ordered),
    /// A provider has locked it.
    Locked(Locked),
    /// A provider has run it, in the words of SLSA.
    Ran(Box<Ran>),
    /// A provider has claimed what it came to.
    Claimed(Claimed),
    /// An auditor has run it again.
    Judged(Verdict),
    /// A party to a dispute about the claim has moved.
    Moved(Moved),
    /// A data owner has let its provider open the data.
    Released(Released),
    /// A data owner has masked a table and sealed what came of it as a dataset.
    Masked(Box<Masked>),
    /// It is settled, as somebody has seen it on the chain.
    Settled(Settled),
}

/// That a key signs statements for an account: the envelope is signed by the key, `signature` is
/// the account's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Binding {
    /// Where the account acts.
    pub market: MarketId,
    /// The account.
    pub account: Address,
    /// The key, Ed25519.
    pub key: Hash,
    /// The account's signature over [`binding_text`] (EIP-191), 65 bytes.
    pub signature: Bytes,
}

/// An order, by what it commits to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ordered {
    /// The market.
    pub market: MarketId,
    /// The job.
    pub job: B256,
    /// Who orders and pays.
    pub requester: Address,
    /// Who may read the result.
    pub beneficiary: Address,
    /// The program's id.
    pub program: B256,
    /// The input slot's root: a salted commitment where the input is private.
    pub input_root: B256,
    /// The dataset slot's root, likewise.
    pub dataset_root: B256,
    /// The most steps.
    pub step_limit: u64,
    /// The verifier's number.
    pub verifier: u16,
    /// How long a claim may be challenged, in seconds.
    pub window_secs: u32,
    /// The most that is paid, in the token's smallest unit, in decimal.
    pub price_max: String,
    /// What the provider puts at stake, likewise.
    pub stake: String,
    /// What a data owner earns beside the price if the job is paid; none if nobody does.
    pub data_fee: Option<DataFee>,
}

/// What a data owner earns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataFee {
    /// The account.
    pub owner: Address,
    /// How much, in the token's smallest unit, in decimal.
    pub amount: String,
}

/// A lock, as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Locked {
    /// The job.
    pub job: B256,
    /// The statements that it follows, by the SHA-256 of their payloads: the order's.
    pub after: Vec<Hash>,
    /// Who locks.
    pub provider: Address,
    /// What is in escrow, in the token's smallest unit, in decimal.
    pub price: String,
    /// Until when it must be claimed, in Unix seconds.
    pub deadline: u64,
    /// Whether another had missed it before.
    pub late: bool,
    /// The lock's block.
    pub block: BlockRef,
}

/// A claim, as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claimed {
    /// The job.
    pub job: B256,
    /// The statements that it follows: the lock's.
    pub after: Vec<Hash>,
    /// Who claims.
    pub provider: Address,
    /// The final state's hash.
    pub final_state: B256,
    /// The root of the top trace, which the intermediate states hang on.
    pub trace_root: B256,
    /// The output slot's root.
    pub output_root: B256,
    /// How many steps it took.
    pub steps: u64,
    /// How it ended, by the machine's number.
    pub status: u8,
    /// The exit code, where it exited.
    pub exit_code: u32,
    /// The claim's block.
    pub block: BlockRef,
}

impl Claimed {
    /// How the run ended.
    pub fn outcome(&self) -> RunOutcome {
        RunOutcome::new(self.status, self.exit_code)
    }
}

/// What an auditor found by running the job again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verdict {
    /// The job.
    pub job: B256,
    /// The statements that it follows: the claim's.
    pub after: Vec<Hash>,
    /// The account that judges.
    pub auditor: Address,
    /// The trace root that was claimed.
    pub trace_root: B256,
    /// What it found.
    pub verdict: Judgement,
}

/// Whether a claim is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Every state is as claimed.
    Agrees,
    /// Some state is not.
    Disagrees,
}

/// A move in a dispute, as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Moved {
    /// The job.
    pub job: B256,
    /// The statements that it follows: the move before it about the same claim, in the chain's
    /// order, or else the claim's; and for a commitment the challenger's verdict.
    pub after: Vec<Hash>,
    /// Whose move it is.
    pub account: Address,
    /// The move.
    #[serde(rename = "move")]
    pub made: Move,
    /// Its block.
    pub block: BlockRef,
}

/// What a move in a dispute says (spec/dispute.md). All but `Answer` and `Reveal`, which are for
/// all games about the claim, are in the game of their number, and its challenger's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Move {
    /// The challenger commits to a first move, and opens the game.
    Commit {
        /// The game.
        game: u64,
        /// What the first move and its salt hash to.
        commitment: B256,
    },
    /// The challenger points at the first leaf that is not its own run's.
    Point {
        /// The game.
        game: u64,
        /// The tree's level: 0 for the claim's own.
        level: u8,
        /// The segment's number on the next finer level.
        position: u32,
        /// The state before the leaf, on which both agree.
        start: B256,
        /// The leaf: the state that the claim says follows.
        leaf: B256,
    },
    /// The challenger asks for what lies under a node.
    Demand {
        /// The game.
        game: u64,
        /// The tree's level.
        level: u8,
        /// The node's depth.
        depth: u8,
        /// Its index on that depth.
        index: u32,
        /// The node.
        node: B256,
    },
    /// The claimant shows it.
    Reveal {
        /// The node.
        node: B256,
    },
    /// The claimant gives the next finer tree.
    Answer {
        /// The tree's level.
        level: u8,
        /// Which segment it refines.
        position: u32,
        /// Its root.
        root: B256,
    },
    /// The contract has executed the one step in question, on what the challenger gave it.
    Step {
        /// The game.
        game: u64,
        /// The state that was claimed.
        claimed: B256,
        /// The state that the step leads to.
        actual: B256,
    },
    /// The game has ended.
    End {
        /// The game.
        game: u64,
        /// How, by the contract's number: 5 the claim is false, 6 the challenger lost, 7 the game
        /// came to be pointless.
        outcome: u8,
    },
}

/// That a data owner has let accounts open a job's sealed data: what was handed over, to whom, and
/// under which policy. Holds no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Released {
    /// The job.
    pub job: B256,
    /// The statements that it follows: the lock's.
    pub after: Vec<Hash>,
    /// The account that owns the data.
    pub owner: Address,
    /// Which of the job's slots the data is in.
    pub slot: ReleasedSlot,
    /// The digest of the sealed data.
    pub envelope: B256,
    /// The hash of the policy that allowed it; none for what the requester itself brings.
    pub policy: Option<B256>,
    /// The newest digest in the owner's ledger of uses, this one's entries within; none where there
    /// is no policy.
    pub ledger: Option<Hash>,
    /// Who may open it from now on.
    pub given: Vec<GivenKey>,
}

/// An account that was given a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GivenKey {
    /// The account: who holds the lock, or an auditor that the order names.
    pub recipient: Address,
    /// The digest of the key's wrap for the account.
    pub wrap: B256,
}

/// A slot that sealed data can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleasedSlot {
    /// The input.
    Input,
    /// The dataset.
    Dataset,
}

/// That a sealed dataset is a masked table, and what masking has done to it: by salted commitments,
/// of one table's statement (spec/mask.md#statement). Said once, when the dataset is published,
/// whatever jobs there will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Masked {
    /// Where the dataset is published.
    pub market: MarketId,
    /// The account that owns the data.
    pub owner: Address,
    /// The root of the dataset's slot, which orders name: salted.
    pub root: B256,
    /// The digest of the sealed data.
    pub envelope: B256,
    /// What was done.
    pub mask: MaskStatement,
}

/// That an account anchors a log in a contract: the envelope is signed by the log's key,
/// `signature` is the account's. The contract has this statement's digest
/// (spec/contracts.md#anchors).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operator {
    /// The market whose log it is, and its chain.
    pub market: MarketId,
    /// The account.
    pub account: Address,
    /// The contract that it anchors in.
    pub anchors: Address,
    /// The log's origin line.
    pub origin: String,
    /// The log's key, Ed25519.
    pub key: Hash,
    /// The account's signature over [`operator_text`] (EIP-191), 65 bytes.
    pub signature: Bytes,
}

/// How a job ended, as an account has seen it on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settled {
    /// The market, by whose blocks a reader may come to believe in the job's.
    pub market: MarketId,
    /// The job.
    pub job: B256,
    /// The statements that it follows: the claim's and the last move's of a dispute about it, or
    /// where there was none the order's.
    pub after: Vec<Hash>,
    /// The account that has seen it.
    pub observer: Address,
    /// The contract's event: `JobPaid`, `JobSlashed`, `JobLapsed` or `JobUnwound`.
    pub event: String,
    /// What the provider was paid, in the token's smallest unit, in decimal; none if it was not.
    pub paid: Option<String>,
    /// The settlement's block's time, in Unix seconds.
    pub time: u64,
    /// The claim's block, where there was a claim.
    pub claim_block: Option<BlockRef>,
    /// The settlement's block.
    pub block: BlockRef,
    /// The block of the log's newest anchor that the account has seen; none where there was none.
    pub anchor_block: Option<BlockRef>,
}

/// A run in the words of SLSA Provenance v1 (<https://slsa.dev/provenance/v1>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ran {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BuildDefinition {
    build_type: String,
    external_parameters: RunParameters,
    internal_parameters: BTreeMap<String, String>,
    resolved_dependencies: Vec<Resource>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RunParameters {
    after: Vec<Hash>,
    step_limit: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunDetails {
    builder: Builder,
    metadata: Metadata,
    byproducts: Vec<Resource>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Builder {
    id: String,
    version: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    invocation_id: String,
}

/// Why a payload is no statement of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// It does not parse, or is not written as it must be.
    #[error("it is no statement of a known form (spec/statements.md)")]
    Form,
    /// Its predicate is of a kind or version that is not known.
    #[error("its predicate {0:?} is not known; a newer version may know it")]
    Unknown(String),
}

/// A predicate's type, and what the statement is about.
pub trait Predicate: Serialize + DeserializeOwned {
    /// Its URI.
    const URI: &'static str;

    #[doc(hidden)]
    fn subject(&self) -> Vec<(String, &'static str, String)>;
}

macro_rules! predicates {
    ($($type:ty: $uri:literal, |$said:ident| $subject:expr;)*) => {$(
        impl Predicate for $type {
            const URI: &'static str = $uri;

            fn subject(&self) -> Vec<(String, &'static str, String)> {
                let $said = self;
                $subject
            }
        }
    )*};
}

predicates! {
    Binding: "urn:assay:binding:v1", |said| vec![(said.account.to_string(), "sha256", sha256(&said.key.0).to_string())];
    Ordered: "urn:assay:order:v1", |said| job(said.job);
    Locked: "urn:assay:lock:v1", |said| job(said.job);
    Ran: "https://slsa.dev/provenance/v1", |said| said.run_details.byproducts.iter().filter(|one| one.name == "output")
        .map(|one| ("output".to_owned(), ROOT, one.digest.get(ROOT).cloned().unwrap_or_default())).collect();
    Claimed: "urn:assay:claim:v1", |said| vec![("output".to_owned(), ROOT, hex(said.output_root))];
    Verdict: "urn:assay:verdict:v1", |said| vec![("trace".to_owned(), ROOT, hex(said.trace_root))];
    Moved: "urn:assay:move:v1", |said| job(said.job);
    Released: "urn:assay:release:v1", |said| job(said.job);
    Masked: "urn:assay:masked:v1", |said| vec![("dataset".to_owned(), ROOT, hex(said.root))];
    Settled: "urn:assay:settlement:v1", |said| job(said.job);
    Operator: "urn:assay:operator:v1", |said| log(&said.origin);
}

/// The digest of a slot or a trace: the root of a SHA-256 tree (spec/machine.md).
const ROOT: &str = "assaySha256Root";

/// A job's id is the Keccak-256 of its order's EIP-712 encoding.
fn job(job: B256) -> Vec<(String, &'static str, String)> {
    vec![("job".to_owned(), "keccak256", hex(job))]
}

/// A log is named by the hash of its origin line, as the contract has it.
fn log(origin: &str) -> Vec<(String, &'static str, String)> {
    vec![("log".to_owned(), "sha256", sha256(origin.as_bytes()).to_string())]
}

fn hex(bytes: B256) -> String {
    hex::encode(bytes)
}

fn resource(name: &str, algorithm: &str, digest: String) -> Resource {
    Resource { name: name.to_owned(), digest: BTreeMap::from([(algorithm.to_owned(), digest)]) }
}

/// The most statements that one follows.
const AFTER_MAX: usize = 8;

impl<P: Predicate> InToto<P> {
    fn read(payload: &[u8]) -> Result<P, StatementError> {
        let read: Self = serde_json::from_slice(payload).map_err(|_| StatementError::Form)?;
        let predicate = read.predicate;
        // One meaning, one form: what is read would be written as the same bytes.
        if payload_of(&predicate) == payload { Ok(predicate) } else { Err(StatementError::Form) }
    }
}

fn payload_of<P: Predicate>(predicate: &P) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Written<'a, P> {
        #[serde(rename = "_type")]
        type_: &'static str,
        subject: Vec<Resource>,
        predicate_type: &'static str,
        predicate: &'a P,
    }
    let subject = predicate.subject().into_iter();
    let written = Written {
        type_: TYPE,
        subject: subject.map(|(name, kind, digest)| resource(&name, kind, digest)).collect(),
        predicate_type: P::URI,
        predicate,
    };
    serde_json::to_vec(&written).unwrap_or_else(|error| unreachable!("plain structs: {error}"))
}

impl Statement {
    /// The payload: JSON without white space, fields in the order of the specification.
    pub fn to_payload(&self) -> Vec<u8> {
        match self {
            Statement::Binding(said) => payload_of(said),
            Statement::Ordered(said) => payload_of(said),
            Statement::Locked(said) => payload_of(said),
            Statement::Ran(said) => payload_of(&**said),
            Statement::Claimed(said) => payload_of(said),
            Statement::Judged(said) => payload_of(said),
            Statement::Moved(said) => payload_of(said),
            Statement::Released(said) => payload_of(said),
            Statement::Masked(said) => payload_of(&**said),
            Statement::Operated(said) => payload_of(said),
            Statement::Settled(said) => payload_of(said),
        }
    }

    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`StatementError`].
    pub fn from_payload(payload: &[u8]) -> Result<Self, StatementError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            predicate_type: String,
        }
        let kind: Kind = serde_json::from_slice(payload).map_err(|_| StatementError::Form)?;
        let said = match kind.predicate_type.as_str() {
            Binding::URI => InToto::read(payload).map(Statement::Binding),
            Ordered::URI => InToto::read(payload).map(Statement::Ordered),
            Locked::URI => InToto::read(payload).map(Statement::Locked),
            Ran::URI => InToto::read(payload).map(|ran| Statement::Ran(Box::new(ran))),
            Claimed::URI => InToto::read(payload).map(Statement::Claimed),
            Verdict::URI => InToto::read(payload).map(Statement::Judged),
            Moved::URI => InToto::read(payload).map(Statement::Moved),
            Released::URI => InToto::read(payload).map(Statement::Released),
            Masked::URI => InToto::read(payload).map(|said| Statement::Masked(Box::new(said))),
            Settled::URI => InToto::read(payload).map(Statement::Settled),
            Operator::URI => InToto::read(payload).map(Statement::Operated),
            _ => Err(StatementError::Unknown(kind.predicate_type)),
        }?;
        if said.after().len() > AFTER_MAX { Err(StatementError::Form) } else { Ok(said) }
    }

    /// What others name it by: the SHA-256 of its payload.
    pub fn digest(&self) -> Hash {
        sha256(&self.to_payload())
    }

    /// The job that it is about; `None` for what is said of keys, of datasets and of the log.
    pub fn job(&self) -> Option<B256> {
        match self {
            Statement::Binding(_) | Statement::Operated(_) | Statement::Masked(_) => None,
            Statement::Moved(said) => Some(said.job),
            Statement::Released(said) => Some(said.job),
            Statement::Ordered(said) => Some(said.job),
            Statement::Locked(said) => Some(said.job),
            Statement::Ran(said) => Some(said.job().unwrap_or_default()),
            Statement::Claimed(said) => Some(said.job),
            Statement::Judged(said) => Some(said.job),
            Statement::Settled(said) => Some(said.job),
        }
    }

    /// The market that it names. Other statements follow an order's, which names it.
    pub fn market(&self) -> Option<MarketId> {
        match self {
            Statement::Binding(said) => Some(said.market),
            Statement::Ordered(said) => Some(said.market),
            Statement::Operated(said) => Some(said.market),
            Statement::Settled(said) => Some(said.market),
            Statement::Masked(said) => Some(said.market),
            _ => None,
        }
    }

    /// The account that speaks.
    pub fn speaker(&self) -> Address {
        match self {
            Statement::Binding(said) => said.account,
            Statement::Ordered(said) => said.requester,
            Statement::Locked(said) => said.provider,
            Statement::Ran(said) => said.provider().unwrap_or_default(),
            Statement::Claimed(said) => said.provider,
            Statement::Judged(said) => said.auditor,
            Statement::Moved(said) => said.account,
            Statement::Released(said) => said.owner,
            Statement::Masked(said) => said.owner,
            Statement::Operated(said) => said.account,
            Statement::Settled(said) => said.observer,
        }
    }

    /// The statements that it follows, by digest.
    pub fn after(&self) -> &[Hash] {
        match self {
            Statement::Binding(_)
            | Statement::Operated(_)
            | Statement::Masked(_)
            | Statement::Ordered(_) => &[],
            Statement::Moved(said) => &said.after,
            Statement::Released(said) => &said.after,
            Statement::Locked(said) => &said.after,
            Statement::Ran(said) => &said.build_definition.external_parameters.after,
            Statement::Claimed(said) => &said.after,
            Statement::Judged(said) => &said.after,
            Statement::Settled(said) => &said.after,
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Statement::Binding(_) => "binding",
            Statement::Ordered(_) => "order",
            Statement::Locked(_) => "lock",
            Statement::Ran(_) => "run",
            Statement::Claimed(_) => "claim",
            Statement::Judged(_) => "verdict",
            Statement::Moved(said) => said.made.name(),
            Statement::Released(_) => "release",
            Statement::Masked(_) => "mask",
            Statement::Operated(_) => "operator",
            Statement::Settled(_) => "settlement",
        }
    }
}

impl Ordered {
    /// What an order says, which anyone who has the order can tell.
    pub fn of(market: MarketId, job: B256, order: &Market::Order) -> Self {
        Ordered {
            market,
            job,
            requester: order.requester,
            beneficiary: order.beneficiary,
            program: order.programId,
            input_root: order.inputRoot,
            dataset_root: order.datasetRoot,
            step_limit: order.stepLimit,
            verifier: order.verifierId,
            window_secs: order.windowSecs,
            price_max: order.price.max.to_string(),
            stake: order.stake.to_string(),
            data_fee: (!order.dataOwner.is_zero())
                .then(|| DataFee { owner: order.dataOwner, amount: order.dataFee.to_string() }),
        }
    }
}

impl Move {
    /// Its name, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Move::Commit { .. } => "challenge",
            Move::Point { .. } => "opening",
            Move::Demand { .. } => "demand",
            Move::Reveal { .. } => "reveal",
            Move::Answer { .. } => "answer",
            Move::Step { .. } => "step",
            Move::End { .. } => "end of game",
        }
    }

    /// Whether it is for the claimant to make; a challenger makes the others.
    pub fn is_claimants(&self) -> bool {
        matches!(self, Move::Answer { .. } | Move::Reveal { .. })
    }
}

impl Ran {
    fn job(&self) -> Option<B256> {
        self.run_details.metadata.invocation_id.strip_prefix(INVOCATION)?.parse().ok()
    }

    fn provider(&self) -> Option<Address> {
        self.run_details.builder.id.strip_prefix("urn:assay:provider:")?.parse().ok()
    }

    /// The root of the trace that it says the run had.
    pub fn trace_root(&self) -> Option<&str> {
        let mut products = self.run_details.byproducts.iter();
        Some(products.find(|one| one.name == "trace")?.digest.get(ROOT)?.as_str())
    }

    /// Whether it is what the claim says in the words of SLSA. What it follows, what it says of the
    /// provider's machine and the provider's version are its own.
    pub(crate) fn fits(&self, order: &Market::Order, claim: &Claimed) -> bool {
        let mut expected = run_statement(order, claim, Hash::default(), self.host_facts().clone());
        expected.build_definition.external_parameters =
            self.build_definition.external_parameters.clone();
        expected.build_definition.external_parameters.step_limit = order.stepLimit;
        expected.run_details.builder.version = self.run_details.builder.version.clone();
        expected == *self
    }

    /// What the provider chose to say of its machine.
    pub fn host_facts(&self) -> &BTreeMap<String, String> {
        &self.build_definition.internal_parameters
    }
}

/// What a provider says of a run: the claim in the words of SLSA, with the engine and what else of
/// its machine it chooses to disclose.
pub fn run_statement(
    order: &Market::Order,
    claim: &Claimed,
    lock: Hash,
    host_facts: BTreeMap<String, String>,
) -> Ran {
    let input = |name, root| resource(name, ROOT, hex(root));
    Ran {
        build_definition: BuildDefinition {
            build_type: BUILD_TYPE.to_owned(),
            external_parameters: RunParameters { after: vec![lock], step_limit: order.stepLimit },
            internal_parameters: host_facts,
            resolved_dependencies: vec![
                resource("program", "assayProgramId", hex(order.programId)),
                input("input", order.inputRoot),
                input("dataset", order.datasetRoot),
            ],
        },
        run_details: RunDetails {
            builder: Builder {
                id: format!("urn:assay:provider:{}", claim.provider),
                version: BTreeMap::from([("assay".into(), env!("CARGO_PKG_VERSION").into())]),
            },
            metadata: Metadata { invocation_id: format!("{INVOCATION}{}", hex(claim.job)) },
            byproducts: vec![
                input("output", claim.output_root),
                input("trace", claim.trace_root),
                resource("final state", "sha256", hex(claim.final_state)),
            ],
        },
    }
}

/// What an account signs to let a key speak for it. A wallet shows it as it is.
pub fn binding_text(market: &MarketId, account: Address, key: Hash) -> String {
    format!(
        "Assay: key {key} signs statements for account {account} on market {} of chain {} with genesis {}.",
        market.market, market.chain_id, market.genesis_hash
    )
}

/// What an account signs to take on a log's anchors.
pub fn operator_text(
    market: &MarketId,
    account: Address,
    anchors: Address,
    origin: &str,
    key: Hash,
) -> String {
    format!(
        "Assay: account {account} anchors log {origin}, key {key}, in contract {anchors} of chain {} with genesis {}.",
        market.chain_id, market.genesis_hash
    )
}
