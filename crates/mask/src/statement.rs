//! What masking has done, as a statement (spec/mask.md#statement): which table came of which under
//! which plan, by salted commitments, and how anonymous it is. No column is named: names can tell
//! what the data was.

use std::fmt;

use assay_types::{Hash, Tag};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::masker::Effect;
use super::plan::ActionKind;

/// The predicate's type.
pub const MASK_URI: &str = "urn:assay:mask:v1";

/// What the file of salts says that it is.
pub const OPENINGS_SCHEMA: &str = "assay.mask-openings/1";

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The digest's name in the statement's subject.
const COMMITMENT: &str = "assayMaskCommitment";

const TAG: Tag = *b"assayv\x01\x01";

/// What is committed to. The number is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masked {
    /// The table as it was.
    Input = 1,
    /// The table as it became.
    Output = 2,
    /// The plan's bytes, which could be guessed too.
    Plan = 3,
}

/// What keeps a commitment from being guessed, 32 random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct CommitSalt(Zeroizing<[u8; 32]>);

impl CommitSalt {
    /// Takes 32 bytes, which should be random and used once.
    pub fn new(bytes: [u8; 32]) -> Self {
        CommitSalt(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for CommitSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommitSalt(private)")
    }
}

impl Serialize for CommitSalt {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Hash(*self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CommitSalt {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Hash::deserialize(deserializer).map(|hash| CommitSalt::new(hash.0))
    }
}

/// A commitment as its bytes come: SHA-256 of the tag (8 bytes), what it is (1), the salt (32) and
/// the bytes.
pub struct Commit(Sha256);

impl Commit {
    /// Begins one.
    pub fn new(what: Masked, salt: &CommitSalt) -> Self {
        let mut hash = Sha256::new();
        hash.update(TAG);
        hash.update([what as u8]);
        hash.update(*salt.0);
        Commit(hash)
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The commitment.
    pub fn finish(self) -> Hash {
        Hash(self.0.finalize().into())
    }

    /// The commitment to bytes that are at hand.
    pub fn to(what: Masked, salt: &CommitSalt, bytes: &[u8]) -> Hash {
        let mut commit = Commit::new(what, salt);
        commit.update(bytes);
        commit.finish()
    }
}

/// The salts of a statement's commitments: for the owner alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Openings {
    /// [`OPENINGS_SCHEMA`].
    pub schema: String,
    /// The input's.
    pub input: CommitSalt,
    /// The output's.
    pub output: CommitSalt,
    /// The plan's.
    pub plan: CommitSalt,
}

impl Openings {
    /// Takes three salts of 32 random bytes.
    pub fn new([input, output, plan]: [[u8; 32]; 3]) -> Self {
        Openings {
            schema: OPENINGS_SCHEMA.to_owned(),
            input: CommitSalt::new(input),
            output: CommitSalt::new(output),
            plan: CommitSalt::new(plan),
        }
    }
}

/// The predicate `urn:assay:mask:v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MaskStatement {
    /// The account that speaks: `0x` and 40 digits in lower case.
    pub owner: String,
    /// The commitment to the input.
    pub input: Hash,
    /// The commitment to the output, which is also the subject.
    pub output: Hash,
    /// The commitment to the plan.
    pub plan: Hash,
    /// As in [`Effect`].
    pub rows_in: u64,
    /// As in [`Effect`].
    pub rows_out: u64,
    /// As in [`Effect`].
    pub rows_dropped: u64,
    /// As in [`Effect`].
    pub rows_blanked: u64,
    /// For each kind of action that the plan has, in the order of [`ActionKind`].
    pub actions: Vec<ActionCount>,
    /// How anonymous the result is, if the plan names quasi-identifiers.
    pub anonymity: Option<Anonymity>,
}

/// How much of one kind was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionCount {
    /// The kind.
    pub action: ActionKind,
    /// Columns.
    pub columns: u64,
    /// Cells changed, over all of them.
    pub changed: u64,
}

/// What is measured on the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Anonymity {
    /// How many quasi-identifiers there are.
    pub quasi_identifiers: u64,
    /// Different groups.
    pub groups: u64,
    /// The smallest group's size; null if there are no rows.
    pub k: Option<u64>,
    /// For each sensitive column.
    pub diversity: Vec<Diversity>,
}

/// The least diverse group's values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Diversity {
    /// How many different values.
    pub distinct_l: u64,
    /// Two to their entropy, in hundredths.
    pub entropy_l_hundredths: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InToto {
    #[serde(rename = "_type")]
    type_: String,
    subject: [Subject; 1],
    predicate_type: String,
    predicate: MaskStatement,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: std::collections::BTreeMap<String, Hash>,
}

impl MaskStatement {
    /// Says what was done.
    pub fn new(owner: &str, [input, output, plan]: [Hash; 3], effect: &Effect) -> Self {
        let mut actions: Vec<ActionCount> = Vec::new();
        for column in &effect.columns {
            match actions.iter_mut().find(|count| count.action == column.action) {
                Some(count) => {
                    count.columns += 1;
                    count.changed += column.changed;
                }
                None => actions.push(ActionCount {
                    action: column.action,
                    columns: 1,
                    changed: column.changed,
                }),
            }
        }
        actions.sort_by_key(|count| count.action);
        let diversity = |&(distinct_l, entropy_l_hundredths): &(u64, u64)| Diversity {
            distinct_l,
            entropy_l_hundredths,
        };
        let anonymity = effect.measure.as_ref().map(|measure| Anonymity {
            quasi_identifiers: effect.quasi_identifiers.len() as u64,
            groups: measure.groups,
            k: measure.k,
            diversity: measure.diversity.iter().map(diversity).collect(),
        });
        MaskStatement {
            owner: owner.to_owned(),
            input,
            output,
            plan,
            rows_in: effect.rows_in,
            rows_out: effect.rows_out,
            rows_dropped: effect.rows_dropped,
            rows_blanked: effect.rows_blanked,
            actions,
            anonymity,
        }
    }

    /// The in-toto statement: JSON without white space, which an envelope signs.
    pub fn to_payload(&self) -> Vec<u8> {
        let statement = InToto {
            type_: STATEMENT_TYPE.to_owned(),
            subject: [Subject {
                name: "output".to_owned(),
                digest: [(COMMITMENT.to_owned(), self.output)].into(),
            }],
            predicate_type: MASK_URI.to_owned(),
            predicate: self.clone(),
        };
        serde_json::to_vec(&statement)
            .unwrap_or_else(|error| unreachable!("plain structs: {error}"))
    }

    /// Reads a payload; `None` if it is of another kind, or not written as it must be.
    pub fn from_payload(payload: &[u8]) -> Option<Self> {
        let read: InToto = serde_json::from_slice(payload).ok()?;
        // One meaning, one form.
        (read.predicate.to_payload() == payload).then_some(read.predicate)
    }
}
