//! Receipts: one file for a job (spec/receipt.md).

use std::collections::BTreeSet;

use alloy_primitives::B256;
use assay_api::SignedOrder;
use assay_chain::EventProof;
use assay_tlog::LogProof;
use assay_types::{Hash, sha256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

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
    /// The hashes of all paths, each once, in the order of their first use.
    hashes: Vec<Hash>,
    /// The statements of the job, the bindings of the keys that signed them, and who anchors the log if there is an anchor; in the
    /// log's order.
    statements: Vec<LoggedStatement>,
    /// What of the log is anchored; none where nothing was, or not yet.
    pub anchor: Option<ReceiptAnchor>,
}

/// A tree of the log that its operator has anchored on the chain, and that the checkpoint goes on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptAnchor {
    /// The event `CheckpointAnchored`, proved.
    pub event: EventProof,
    /// That the checkpoint goes on from the anchored tree (RFC 6962): places in the receipt's hashes.
    consistency: Vec<u16>,
}

/// A statement and its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedStatement {
    /// Its index.
    pub index: u64,
    /// From its sibling to the root's (RFC 6962): places in the receipt's hashes.
    path: Vec<u16>,
    /// The statement, signed.
    pub envelope: Envelope,
}

/// A log's part as it is written: what envelopes repeat is there once, and payloads are text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLog {
    checkpoint: String,
    /// The keys that signed, each once, in the order of their first use.
    keys: Vec<Hash>,
    /// In base64.
    hashes: Vec<String>,
    statements: Vec<WrittenStatement>,
    anchor: Option<ReceiptAnchor>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStatement {
    index: u64,
    path: Vec<u16>,
    /// The key's place among the keys.
    key: u16,
    payload: String,
    /// In base64.
    signature: String,
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
        if let Some(log) = &receipt.log {
            log.check().map_err(|what| form(&what))?;
        }
        if receipt.digest != receipt.expected_digest() {
            return Err(ReceiptError::Digest);
        }
        Ok(receipt)
    }
}

impl From<ReceiptLog> for WrittenLog {
    fn from(log: ReceiptLog) -> Self {
        let mut keys: Vec<Hash> = Vec::new();
        let statements = log.statements.iter().map(|logged| {
            let (payload, key, signature) = logged.envelope.parts();
            let key = place_of(&mut keys, key);
            let path = logged.path.clone();
            WrittenStatement { index: logged.index, path, key, payload, signature }
        });
        let statements = statements.collect();
        let hashes = log.hashes.iter().map(|hash| BASE64_STANDARD.encode(hash.0)).collect();
        WrittenLog { checkpoint: log.checkpoint, keys, hashes, statements, anchor: log.anchor }
    }
}

impl TryFrom<WrittenLog> for ReceiptLog {
    type Error = &'static str;

    fn try_from(written: WrittenLog) -> Result<Self, Self::Error> {
        let hash = |text: &String| {
            let bytes = BASE64_STANDARD.decode(text).ok()?;
            Some(Hash(bytes.try_into().ok()?))
        };
        let hashes: Option<Vec<Hash>> = written.hashes.iter().map(hash).collect();
        let hashes = hashes.ok_or("a hash is not 32 bytes in base64")?;
        let mut statements = Vec::new();
        for one in written.statements {
            let key = written.keys.get(usize::from(one.key));
            let key = key.ok_or("a statement names a key that is not there")?;
            let envelope = Envelope::from_parts(&one.payload, *key, one.signature);
            statements.push(LoggedStatement { index: one.index, path: one.path, envelope });
        }
        let (checkpoint, anchor) = (written.checkpoint, written.anchor);
        Ok(ReceiptLog { checkpoint, hashes, statements, anchor })
    }
}

/// Where something is in a list, at its end if it was not there.
fn place_of(all: &mut Vec<Hash>, hash: Hash) -> u16 {
    let place = all.iter().position(|known| *known == hash).unwrap_or_else(|| {
        all.push(hash);
        all.len() - 1
    });
    // 256 statements have paths of 48 hashes at most, and an anchor has 63.
    u16::try_from(place).unwrap_or(u16::MAX)
}

impl ReceiptLog {
    /// Statements with their paths, under a checkpoint, and an anchor with the proof that the checkpoint goes on from it.
    pub fn new(
        checkpoint: String,
        logged: Vec<(u64, Vec<Hash>, Envelope)>,
        anchor: Option<(EventProof, Vec<Hash>)>,
    ) -> Self {
        let (hashes, statements) = (Vec::new(), Vec::new());
        let mut log = ReceiptLog { checkpoint, hashes, statements, anchor: None };
        for (index, path, envelope) in logged {
            let path = path.into_iter().map(|hash| place_of(&mut log.hashes, hash)).collect();
            log.statements.push(LoggedStatement { index, path, envelope });
        }
        log.anchor = anchor.map(|(event, path)| {
            let consistency =
                path.into_iter().map(|hash| place_of(&mut log.hashes, hash)).collect();
            ReceiptAnchor { event, consistency }
        });
        log
    }

    /// The same without some of its statements.
    #[must_use]
    pub fn without(&self, indices: &BTreeSet<u64>) -> Self {
        let kept = self.statements.iter().filter(|one| !indices.contains(&one.index));
        let logged = kept.map(|one| (one.index, self.path_of(one), one.envelope.clone()));
        let anchor = self.anchor.as_ref();
        let anchor = anchor.map(|anchor| (anchor.event.clone(), self.consistency_of(anchor)));
        ReceiptLog::new(self.checkpoint.clone(), logged.collect(), anchor)
    }

    /// The statements, in the log's order.
    pub fn statements(&self) -> &[LoggedStatement] {
        &self.statements
    }

    /// The path of one of the statements.
    pub fn path_of(&self, statement: &LoggedStatement) -> Vec<Hash> {
        self.hashes_at(&statement.path)
    }

    /// The proof that the checkpoint goes on from the anchor.
    pub fn consistency_of(&self, anchor: &ReceiptAnchor) -> Vec<Hash> {
        self.hashes_at(&anchor.consistency)
    }

    fn hashes_at(&self, places: &[u16]) -> Vec<Hash> {
        let hash = |place: &u16| self.hashes.get(usize::from(*place)).copied();
        places.iter().filter_map(hash).collect()
    }

    /// A statement's proof as a file that others' tools read (c2sp.org/tlog-proof).
    pub fn proof_of(&self, statement: &LoggedStatement) -> LogProof {
        LogProof {
            index: statement.index,
            path: self.path_of(statement),
            checkpoint: self.checkpoint.clone().into_bytes(),
        }
    }

    /// Bounds, and that the hashes are written in their one way.
    fn check(&self) -> Result<(), String> {
        if self.statements.len() > STATEMENTS_MAX {
            return Err(format!("more than {STATEMENTS_MAX} statements"));
        }
        let mut used = 0;
        let paths = self.statements.iter().map(|statement| &statement.path);
        let consistency = self.anchor.iter().map(|anchor| &anchor.consistency);
        for place in paths.chain(consistency).flatten() {
            if usize::from(*place) > used || usize::from(*place) >= self.hashes.len() {
                return Err("a path names a hash out of order".into());
            }
            used = used.max(usize::from(*place) + 1);
        }
        let distinct: BTreeSet<_> = self.hashes.iter().collect();
        if used != self.hashes.len() || distinct.len() != used {
            return Err("a hash is there twice, or for nothing".into());
        }
        Ok(())
    }
}
