//! What a reader trusts: a file that it keeps, so that no receipt chooses its own judges.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use assay_tlog::{CheckpointError, KeyError, Policy, Vkey};
use serde::{Deserialize, Serialize};

use crate::statement::MarketId;

/// What a trust file begins with.
pub const TRUST_SCHEMA: &str = "assay.trust/1";

/// Whom a reader trusts for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trust {
    /// [`TRUST_SCHEMA`].
    pub schema: String,
    /// The only market whose receipts are taken; any, if none.
    #[serde(default)]
    pub market: Option<MarketId>,
    /// The log's key, and its witnesses'.
    #[serde(default)]
    pub log: Option<TrustedLog>,
    /// Accounts that are believed about what the chain shows.
    #[serde(default)]
    pub observers: BTreeSet<Address>,
    /// How many of them must agree on a block: 1 if unset.
    #[serde(default = "one")]
    pub observer_quorum: usize,
    /// Hashes of blocks that the reader knows to be the chain's.
    #[serde(default)]
    pub headers: BTreeSet<B256>,
    /// The verifiers, by their numbers in the market's registry, whose finality is taken: 1 if
    /// unset, the first that a market is deployed with.
    #[serde(default = "first_verifier")]
    pub verifiers: BTreeSet<u16>,
}

/// A log, and who must have seen it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedLog {
    /// Its key: `NAME+ID+BASE64` (c2sp.org/signed-note).
    pub key: String,
    /// Keys of witnesses, likewise.
    #[serde(default)]
    pub witnesses: Vec<String>,
    /// How many of them must have cosigned.
    #[serde(default)]
    pub quorum: usize,
    /// The account that anchors it, for fsck: a log that was rolled back may have forgotten who
    /// does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Address>,
}

/// Why a trust file is no good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// It does not parse.
    #[error("the trust file does not parse: {0}")]
    Form(String),
    /// It is of another version, or no trust file.
    #[error("the trust file is {0:?}, not {TRUST_SCHEMA:?}")]
    Version(String),
    /// A key in it is none.
    #[error("the trust file's key {0:?} is none: {1}")]
    Key(String, KeyError),
    /// Its log and witnesses do not fit together.
    #[error("the trust file's log is no good: {0}")]
    Log(CheckpointError),
    /// Its quorum of observers can't be reached, or asks for nobody.
    #[error("the trust file asks for {quorum} of {observers} observers")]
    Quorum {
        /// How many must agree.
        quorum: usize,
        /// How many there are.
        observers: usize,
    },
}

fn one() -> usize {
    1
}

fn first_verifier() -> BTreeSet<u16> {
    [1].into()
}

impl Trust {
    /// Reads a trust file: JSON.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TrustError> {
        let trust: Trust =
            serde_json::from_slice(bytes).map_err(|error| TrustError::Form(error.to_string()))?;
        if trust.schema != TRUST_SCHEMA {
            return Err(TrustError::Version(trust.schema));
        }
        trust.policy()?;
        let (quorum, observers) = (trust.observer_quorum, trust.observers.len());
        if quorum == 0 || (observers > 0 && quorum > observers) {
            return Err(TrustError::Quorum { quorum, observers });
        }
        Ok(trust)
    }

    /// The file, for people to read.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = serde_json::to_vec_pretty(self);
        let mut bytes = text.unwrap_or_else(|error| unreachable!("plain structs: {error}"));
        bytes.push(b'\n');
        bytes
    }

    /// Those of its observers who say that they have seen something, if they are enough.
    pub(crate) fn believed(&self, vouching: &BTreeSet<Address>) -> Option<String> {
        let believed: Vec<_> = self.observers.intersection(vouching).collect();
        let names: Vec<_> = believed.iter().map(ToString::to_string).collect();
        (believed.len() >= self.observer_quorum).then(|| names.join(", "))
    }

    /// Who must have signed the log's checkpoint.
    ///
    /// # Errors
    ///
    /// [`TrustError::Key`], [`TrustError::Log`].
    pub fn policy(&self) -> Result<Option<Policy>, TrustError> {
        let Some(log) = &self.log else { return Ok(None) };
        let read = |text: &String| -> Result<Vkey, TrustError> {
            text.parse().map_err(|error| TrustError::Key(text.clone(), error))
        };
        let witnesses = log.witnesses.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let policy = Policy::new(read(&log.key)?, witnesses, log.quorum);
        Ok(Some(policy.map_err(TrustError::Log)?))
    }
}
