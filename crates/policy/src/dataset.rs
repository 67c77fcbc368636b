//! What an owner publishes of a dataset, and what it signs later about it
//! (spec/policy.md#datasets).

use std::collections::BTreeSet;
use std::fmt;

use assay_types::{Account, BlobRoot, Hash};
use serde::{Deserialize, Serialize};

use super::document::{DocumentError, Form, Word, amount, number};
use super::terms::{Allowed, LIST_MAX};

/// The most datasets that one is made of, those that its sources are made of included.
pub const SOURCES_MAX: usize = 16;

/// A dataset: all its versions, for which uses and budget are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatasetName {
    /// Whose it is.
    pub owner: Account,
    /// What its owner calls it.
    pub name: Word,
}

/// A dataset that another was made of. That it was is its owner's word: nobody sees it in
/// ciphertext.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Whose it is.
    pub owner: Account,
    /// What its owner calls it.
    pub name: Word,
    /// The version that the data was taken from.
    #[serde(with = "number")]
    pub version: u64,
    /// The policy, by digest, than which that of the combination is no laxer: the source's newest
    /// when it was published.
    pub policy: Hash,
}

/// A version of a dataset: where its ciphertext is, and the policy for its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// Whose it is, and who signs this.
    pub owner: Account,
    /// What its owner calls it.
    pub name: Word,
    /// The owner's count.
    #[serde(with = "number")]
    pub version: u64,
    /// The dataset slot's root: what an order names.
    pub root: BlobRoot,
    /// The SHA-256 of the ciphertext.
    pub envelope_digest: Hash,
    /// The ciphertext's size, in bytes.
    #[serde(with = "number")]
    pub envelope_size: u64,
    /// The policy's digest.
    pub policy: Hash,
    /// What a job pays the owner, in the token's smallest unit.
    #[serde(with = "amount")]
    pub fee: u128,
    /// What it was made of, each dataset once, with what those were made of; none for data of its
    /// owner's own.
    pub sources: BTreeSet<Source>,
}

/// An owner's word that an account may order within its policy, beyond those that the policy lists.
/// An account that has a grant is bound by its grants, whatever the policy lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Whose data, and who signs this.
    pub owner: Account,
    /// The dataset, all versions.
    pub name: Word,
    /// The owner's number for it: two grants that say the same differ here.
    #[serde(with = "number")]
    pub number: u64,
    /// Who may order.
    pub requester: Account,
    /// For what, among the policy's purposes.
    pub purposes: Allowed<Word>,
    /// The most jobs under this grant.
    #[serde(with = "number")]
    pub uses_max: u64,
    /// The last second in which it counts, Unix time.
    #[serde(with = "number")]
    pub expires_at: u64,
}

/// An owner's word that keys no longer go out. It holds at once and for good: what it stops can be
/// had again only by another grant, version or name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Whose data, and who signs this.
    pub owner: Account,
    /// The dataset.
    pub name: Word,
    /// What ends.
    pub revokes: Revoked,
}

/// What a revocation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revoked {
    /// The dataset, all versions.
    All,
    /// One version.
    Version(#[serde(with = "number")] u64),
    /// Whatever an account was allowed.
    Requester(Account),
    /// A grant, by its digest.
    Grant(Hash),
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl Source {
    /// All versions of it.
    pub fn dataset(&self) -> DatasetName {
        DatasetName { owner: self.owner, name: self.name.clone() }
    }
}

impl Publication {
    /// All versions of it.
    pub fn dataset(&self) -> DatasetName {
        DatasetName { owner: self.owner, name: self.name.clone() }
    }
}

impl Form for Publication {
    const SCHEMA: &'static str = "assay.dataset/1";

    fn check(&self) -> Result<(), DocumentError> {
        if self.envelope_size == 0 {
            return Err(DocumentError::EnvelopeEmpty);
        }
        if self.sources.len() > SOURCES_MAX {
            return Err(DocumentError::SourcesMany(self.sources.len()));
        }
        let mut named = BTreeSet::from([self.dataset()]);
        if self.sources.iter().all(|source| named.insert(source.dataset())) {
            Ok(())
        } else {
            Err(DocumentError::SourceTwice)
        }
    }
}

impl Form for Grant {
    const SCHEMA: &'static str = "assay.grant/1";

    fn check(&self) -> Result<(), DocumentError> {
        match &self.purposes {
            Allowed::Only(listed) if listed.len() > LIST_MAX => Err(DocumentError::ListLong {
                list: "purposes",
                found: listed.len(),
                most: LIST_MAX,
            }),
            _ => Ok(()),
        }
    }
}

impl Form for Revocation {
    const SCHEMA: &'static str = "assay.revocation/1";

    fn check(&self) -> Result<(), DocumentError> {
        Ok(())
    }
}
