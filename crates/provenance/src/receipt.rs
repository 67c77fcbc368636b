//! Receipts: one file for a job (spec/receipt.md).

use alloy_primitives::B256;
use assay_api::SignedOrder;
use assay_chain::EventProof;
use assay_tlog::LogProof;
use assay_types::{Hash, sha256};
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
const STATEMENTS_MAX: usize = 256;

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
#[serde(deny_unknown_fields)]
pub struct ReceiptLog {
    /// The checkpoint that all statements are proved to be under, a signed note.
    pub checkpoint: String,
    /// The hashes of all paths, each once, in the order of their first use.
    hashes: Vec<Hash>,
    /// The statements of the job and the bindings of the keys that signed them, in the log's order.
    statements: Vec<LoggedStatement>,
}

/// A statement and its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedStatement {
    /// Its index.
    pub index: u64,
    /// From its sibling to the root's (RFC 6962): places in the receipt's hashes.
    path: Vec<u16>,
    /// The statement, signed.
    pub envelope: Envelope,
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

impl ReceiptLog {
    /// Statements with their paths, under a checkpoint.
    pub fn new(checkpoint: String, logged: Vec<(u64, Vec<Hash>, Envelope)>) -> Self {
        let mut log = ReceiptLog { checkpoint, hashes: Vec::new(), statements: Vec::new() };
        for (index, path, envelope) in logged {
            let path = path.into_iter().map(|hash| log.place_of(hash)).collect();
            log.statements.push(LoggedStatement { index, path, envelope });
        }
        log
    }

    fn place_of(&mut self, hash: Hash) -> u16 {
        let place = self.hashes.iter().position(|known| *known == hash).unwrap_or_else(|| {
            self.hashes.push(hash);
            self.hashes.len() - 1
        });
        // 256 statements have paths of 48 hashes at most.
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    /// The statements, in the log's order.
    pub fn statements(&self) -> &[LoggedStatement] {
        &self.statements
    }

    /// The path of one of the statements.
    pub fn path_of(&self, statement: &LoggedStatement) -> Vec<Hash> {
        let hash = |place: &u16| self.hashes.get(usize::from(*place)).copied();
        statement.path.iter().filter_map(hash).collect()
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
        for place in self.statements.iter().flat_map(|statement| &statement.path) {
            if usize::from(*place) > used || usize::from(*place) >= self.hashes.len() {
                return Err("a path names a hash out of order".into());
            }
            used = used.max(usize::from(*place) + 1);
        }
        let distinct: std::collections::BTreeSet<_> = self.hashes.iter().collect();
        if used != self.hashes.len() || distinct.len() != used {
            return Err("a hash is there twice, or for nothing".into());
        }
        Ok(())
    }
}
