//! Why a key service gave no key, as it is said on the board.

use assay_policy::ClauseReason;
use serde::{Deserialize, Serialize};

/// Why a key stays: a code, and for `policy` the clauses that refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyReasons {
    /// `policy`, `other_requester` or `version_unknown`.
    pub code: String,
    /// By clause.
    pub reasons: Vec<ClauseReason>,
}

impl std::fmt::Display for KeyReasons {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code.as_str() {
            "other_requester" => f.write_str("the sealed data is another's to order with"),
            "version_unknown" => {
                f.write_str("this version is not in force: order over the newest one")
            }
            _ => f.write_str(&crate::base::error::sentences(&self.reasons)),
        }
    }
}

impl KeyReasons {
    /// Nothing to say: another key service decides.
    pub(crate) fn silent() -> Self {
        KeyReasons { code: String::new(), reasons: Vec::new() }
    }
}
