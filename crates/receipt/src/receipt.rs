//! Receipts: one file for a job (spec/receipt.md).

use std::collections::BTreeSet;

use alloy_primitives::B256;
use assay_contracts::EventProof;
use assay_market::Terms;
use assay_protocol::{JsonObject, SignedOrder};
use assay_tlog::{Checkpoint, LogProof, ProofSet, leaf_hash};
use assay_types::{Hash, sha256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::dsse::Envelope;
use crate::statement::MarketId;

/// What a receipt begins with.
pub const RECEIPT_SCHEMA: &str = "assay.receipt/1";

/// What the schema of every version begins with.
const SCHEMA_PREFIX: &str = "assay.receipt/";

/// The longest receipt, in bytes.
const RECEIPT_BYTES_MAX: usize = 1 << 20;

/// The most statements in a receipt.
pub(crate) const STATEMENTS_MAX: usize = 256;

/// A job's receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// [`RECEIPT_SCHEMA`].
    pub schema: String,
    /// Where the job was.
    pub market: MarketId,
    /// The job.
    pub job: B256,
    /// The order, with the requester's signature.
    pub order: SignedOrder,
    /// The claim's event; none for a job that nobody claimed.
    pub claim: Option<EventProof>,
    /// The event that ended the job.
    pub settlement: EventProof,
    /// What was said of the job, and logged; none where there was no log.
    pub log: Option<ReceiptLog>,
    /// SHA-256 of the receipt with 32 zero bytes here: finds damage, not forgery.
    digest: Hash,
}

/// A log's part of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenLog", into = "WrittenLog")]
pub struct ReceiptLog {
    /// The checkpoint that all statements are proved to be under, a signed note.
    pub checkpoint: String,
    /// The statements of the job, the bindings of the keys that signed them, and who anchors the
    /// log if there is an anchor; in the log's order.
    pub statements: Vec<LoggedStatement>,
    /// What of the log is anchored; none where nothing was, or not yet.
    pub anchor: Option<ReceiptAnchor>,
}

/// A tree of the log that its operator has anchored on the chain, and that the checkpoint goes on
/// from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptAnchor {
    /// The event `CheckpointAnchored`, proved.
    pub event: EventProof,
    /// How many entries it anchors.
    pub size: u64,
    /// That the checkpoint goes on from them (RFC 6962, 2.1.2).
    pub consistency: Vec<Hash>,
}

/// A statement and its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedStatement {
    /// Its index.
    pub index: u64,
    /// From its sibling to the root's (RFC 6962, 2.1.1).
    pub path: Vec<Hash>,
    /// The statement, signed.
    pub envelope: Envelope,
}

/// A log's part as it is written: what envelopes and paths repeat is there once, what follows from
/// the statements is not, and payloads are the JSON that they are.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLog {
    checkpoint: String,
    /// The keys that signed, each once, in the order of their first use.
    keys: Vec<Hash>,
    /// The hashes of all paths but those that follow, in base64.
    hashes: Vec<String>,
    statements: Vec<WrittenStatement>,
    anchor: Option<WrittenAnchor>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStatement {
    index: u64,
    /// The key's place among the keys.
    key: u16,
    /// An object for what is one, else the text.
    payload: Box<RawValue>,
    /// In base64.
    signature: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAnchor {
    event: EventProof,
    size: u64,
}

/// Why a file is no receipt, before anything in it is judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The file is longer than any receipt.
    #[error("the file has {0} bytes; a receipt has {RECEIPT_BYTES_MAX} at most")]
    Long(usize),
    /// Something else than a receipt.
    #[error("the file is no receipt")]
    Foreign,
    /// A receipt of a version that is not known here.
    #[error("the receipt is {0:?}, of a version that this program does not know; use a newer one")]
    Version(String),
    /// A receipt that does not parse, or is not written as it must be: changed, or truncated.
    #[error("the receipt is not written as a receipt is: it was changed or cut off ({0})")]
    Form(String),
    /// The digest is another.
    #[error("the receipt's digest does not fit its content: it was changed")]
    Digest,
}

impl Receipt {
    /// What the order agrees besides the contract's fields, which it binds (spec/pricing.md#terms);
    /// nothing where that can't be read.
    pub(crate) fn terms(&self) -> Terms {
        let text = self.order.terms.as_ref().map(JsonObject::as_str);
        text.and_then(|text| Terms::from_text(text).ok()).unwrap_or_else(Terms::open)
    }

    /// A receipt of its parts.
    pub fn new(
        market: MarketId,
        job: B256,
        order: SignedOrder,
        claim: Option<EventProof>,
        settlement: EventProof,
        log: Option<ReceiptLog>,
    ) -> Self {
        let schema = RECEIPT_SCHEMA.to_owned();
        let digest = Hash::default();
        Receipt { schema, market, job, order, claim, settlement, log, digest }.sealed()
    }

    /// The same with its digest made to fit.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.digest = self.expected_digest();
        self
    }

    /// What names it: the SHA-256 of the file with 32 zero bytes in this place.
    pub fn digest(&self) -> Hash {
        self.digest
    }

    fn expected_digest(&self) -> Hash {
        let blank = Receipt { digest: Hash::default(), ..self.clone() };
        sha256(&blank.to_bytes())
    }

    /// The file: JSON without white space, and a line feed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = serde_json::to_vec(self);
        let mut bytes = text.unwrap_or_else(|error| unreachable!("plain structs: {error}"));
        bytes.push(b'\n');
        bytes
    }

    /// Reads a file. What is read would be written as the same bytes.
    ///
    /// # Errors
    ///
    /// [`ReceiptError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReceiptError> {
        #[derive(Deserialize)]
        struct Begins {
            schema: String,
        }
        if bytes.is_empty() {
            return Err(ReceiptError::Empty);
        }
        if bytes.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::Long(bytes.len()));
        }
        let form = |error: &dyn std::fmt::Display| ReceiptError::Form(error.to_string());
        let receipt: Receipt = match serde_json::from_slice(bytes) {
            Ok(receipt) => receipt,
            Err(error) => {
                let marked = format!("{{\"schema\":\"{SCHEMA_PREFIX}");
                let begins: Option<Begins> = serde_json::from_slice(bytes).ok();
                return Err(match begins {
                    Some(begins) if begins.schema == RECEIPT_SCHEMA => form(&error),
                    Some(begins) if begins.schema.starts_with(SCHEMA_PREFIX) => {
                        ReceiptError::Version(begins.schema)
                    }
                    None if bytes.starts_with(marked.as_bytes()) => form(&error),
                    _ => ReceiptError::Foreign,
                });
            }
        };
        if receipt.schema != RECEIPT_SCHEMA {
            let is_ours = receipt.schema.starts_with(SCHEMA_PREFIX);
            let version = ReceiptError::Version(receipt.schema);
            return Err(if is_ours { version } else { ReceiptError::Foreign });
        }
        if receipt.to_bytes() != bytes {
            return Err(form(&"the same content is written otherwise"));
        }
        if receipt.digest != receipt.expected_digest() {
            return Err(ReceiptError::Digest);
        }
        Ok(receipt)
    }
}

impl From<ReceiptLog> for WrittenLog {
    fn from(log: ReceiptLog) -> Self {
        let leaf = |one: &LoggedStatement| leaf_hash(&one.envelope.to_bytes());
        let entries = log.statements.iter().map(|one| (one.index, leaf(one), &one.path[..]));
        let older = log.anchor.as_ref().map(|anchor| (anchor.size, &anchor.consistency[..]));
        let hashes =
            ProofSet::compact(size_of(&log.checkpoint), older, &entries.collect::<Vec<_>>());
        let mut keys: Vec<Hash> = Vec::new();
        let statements = log.statements.iter().map(|one| {
            let (payload, key, signature) = one.envelope.parts();
            let key = place_of(&mut keys, key);
            WrittenStatement { index: one.index, key, payload: written(&payload), signature }
        });
        WrittenLog {
            statements: statements.collect(),
            keys,
            hashes: hashes.iter().map(|hash| BASE64_STANDARD.encode(hash.0)).collect(),
            checkpoint: log.checkpoint,
            anchor: log
                .anchor
                .map(|ReceiptAnchor { event, size, .. }| WrittenAnchor { event, size }),
        }
    }
}

/// What is not as it would be written comes to another log, which [`Receipt::from_bytes`] sees: it
/// writes what it has read.
impl TryFrom<WrittenLog> for ReceiptLog {
    type Error = String;

    fn try_from(written: WrittenLog) -> Result<Self, String> {
        // Before anything is computed of them.
        if written.statements.len() > STATEMENTS_MAX {
            return Err(format!("more than {STATEMENTS_MAX} statements"));
        }
        let envelopes = written.statements.into_iter().map(|one| {
            let key = written.keys.get(usize::from(one.key)).copied().unwrap_or_default();
            (one.index, Envelope::from_parts(&payload_of(&one.payload), key, one.signature))
        });
        let envelopes: Vec<_> = envelopes.collect();
        let leaves = envelopes.iter().map(|(index, one)| (*index, leaf_hash(&one.to_bytes())));
        let leaves: Vec<_> = leaves.collect();
        let mut hashes = written.hashes.iter().map(|text| {
            let bytes = BASE64_STANDARD.decode(text).unwrap_or_default();
            Hash(bytes.try_into().unwrap_or_default())
        });
        let old_size = written.anchor.as_ref().map(|anchor| anchor.size);
        let set = ProofSet::new(size_of(&written.checkpoint), old_size, &leaves, || {
            hashes.next().unwrap_or_default()
        });
        let statements = envelopes.into_iter().map(|(index, envelope)| {
            let path = set.inclusion(index);
            LoggedStatement { index, path, envelope }
        });
        let anchor = written.anchor.map(|WrittenAnchor { event, size }| {
            let consistency = set.consistency(size);
            ReceiptAnchor { event, size, consistency }
        });
        let (checkpoint, statements) = (written.checkpoint, statements.collect());
        Ok(ReceiptLog { checkpoint, statements, anchor })
    }
}

/// The size of a checkpoint's tree; 0 for a note that is none, which verifying refuses.
fn size_of(checkpoint: &str) -> u64 {
    Checkpoint::unverified(checkpoint.as_bytes()).map_or(0, |checkpoint| checkpoint.size)
}

/// A payload as JSON: itself if it is an object, as every statement of ours is.
fn written(payload: &str) -> Box<RawValue> {
    let object = RawValue::from_string(payload.to_owned()).ok();
    let object = object.filter(|raw| payload.starts_with('{') && raw.get() == payload);
    object.unwrap_or_else(|| {
        let text = serde_json::value::to_raw_value(payload);
        text.unwrap_or_else(|error| unreachable!("text: {error}"))
    })
}

fn payload_of(written: &RawValue) -> String {
    serde_json::from_str(written.get()).unwrap_or_else(|_| written.get().to_owned())
}

/// Where something is in a list, at its end if it was not there.
fn place_of(all: &mut Vec<Hash>, hash: Hash) -> u16 {
    let place = all.iter().position(|known| *known == hash).unwrap_or_else(|| {
        all.push(hash);
        all.len() - 1
    });
    // There are as many as statements at most.
    u16::try_from(place).unwrap_or(u16::MAX)
}

impl ReceiptLog {
    /// The same without some of its statements.
    #[must_use]
    pub fn without(&self, indices: &BTreeSet<u64>) -> Self {
        let mut log = self.clone();
        log.statements.retain(|one| !indices.contains(&one.index));
        log
    }

    /// A statement's proof as a file that others' tools read (c2sp.org/tlog-proof).
    pub fn proof_of(&self, statement: &LoggedStatement) -> LogProof {
        LogProof {
            index: statement.index,
            path: statement.path.clone(),
            checkpoint: self.checkpoint.clone().into_bytes(),
        }
    }
}
