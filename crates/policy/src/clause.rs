//! What a policy can refuse, one clause each, and in which words (spec/policy.md#clauses).

use assay_types::{Account, BlobRoot, Hash, ProgramId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::document::{Word, shown};

macro_rules! clauses {
    ($($(#[$doc:meta])* $name:ident $code:literal)*) => {
        /// One condition on a release. Each is refused for itself, under its own code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Clause {
            $($(#[$doc])* $name,)*
            /// One of a newer version.
            Other,
        }

        impl Clause {
            /// All that are known, in the order of the specification.
            pub const ALL: &'static [Clause] = &[$(Clause::$name,)*];

            /// Its name: where it stands in the documents. Also its policy's id in Cedar, and
            /// `clause` in JSON.
            pub fn code(self) -> &'static str {
                match self {
                    $(Clause::$name => $code,)*
                    Clause::Other => "other",
                }
            }

            pub(super) fn from_code(code: &str) -> Option<Self> {
                match code {
                    $($code => Some(Clause::$name),)*
                    _ => None,
                }
            }
        }
    };
}

clauses! {
    /// The order is about this dataset.
    Dataset "dataset"
    /// The order pays the owner's fee.
    Fee "fee"
    /// The dataset is not revoked.
    RevokedAll "revoked.all"
    /// This version is not.
    RevokedVersion "revoked.version"
    /// The requester is not.
    RevokedRequester "revoked.requester"
    /// The requester's grant is not.
    RevokedGrant "revoked.grant"
    /// The program is listed.
    Programs "programs"
    /// It runs on behalf of groups that are large enough.
    GroupMin "output.group_min"
    /// Its output is small enough.
    OutputSize "output.size_max"
    /// Its steps and exit code tell nothing.
    StepsConstant "output.steps_constant"
    /// The order's step limit is low enough.
    StepLimit "output.step_limit_max"
    /// The result is sealed.
    OutputClass "output.class"
    /// The provider is listed.
    Providers "providers.accounts"
    /// It has enough at stake.
    StakeMin "providers.stake_min"
    /// It attests to run what is listed.
    Measurements "providers.measurements"
    /// The requester is listed, or has a grant.
    Requesters "requesters"
    /// The grant is for this purpose.
    GrantPurposes "grant.purposes"
    /// The grant has uses left.
    GrantUses "grant.uses_max"
    /// The grant still counts.
    GrantExpiry "grant.expires_at"
    /// The beneficiary is listed, and the requester too where the result is sealed, since it can
    /// read that as well.
    Beneficiaries "beneficiaries"
    /// The purpose is listed.
    Purposes "purposes"
    /// The verifier is listed.
    Verifiers "verifiers"
    /// All auditors are listed.
    Auditors "auditors.accounts"
    /// There are enough of them.
    AuditorsLeast "auditors.least"
    /// The policy still counts.
    Expiry "expires_at"
    /// The dataset has uses left.
    Uses "uses_max"
    /// The budget covers another use.
    Budget "budget"
    /// The policy is no laxer than that of any dataset that the data was made of.
    SourcesPolicy "sources.policy"
    /// None of them is revoked.
    SourcesRevoked "sources.revoked"
    /// Each lets the requester order.
    SourcesRequesters "sources.requesters"
    /// Each has uses and budget left.
    SourcesSpent "sources.spent"
    /// Their texts in Cedar permit it.
    SourcesCedar "sources.cedar"
    /// The owner's texts in Cedar permit it.
    Cedar "cedar"
}

/// Why a key does not go out: a clause, with what the asker could have known. Displayed as a
/// sentence that says what to do.
///
/// What others have used is not shown: that an account's jobs have spent a budget is nothing that a
/// stranger need learn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "clause", deny_unknown_fields, remote = "Self")]
#[allow(
    missing_docs,
    reason = "a variant is its clause, and its fields are the order's or the policy's"
)]
pub enum ClauseReason {
    #[error("dataset {root} is another one: order over the root that its owner published")]
    #[serde(rename = "dataset")]
    Dataset { root: BlobRoot },
    #[error("the owner {owner} asks a fee of {fee}: name both in the order")]
    #[serde(rename = "fee")]
    Fee {
        owner: Account,
        #[serde(deserialize_with = "digits")]
        fee: String,
    },
    #[error("the owner has revoked the dataset: ask the owner")]
    #[serde(rename = "revoked.all")]
    RevokedAll {},
    #[error("the owner has revoked version {version}: order over a later one")]
    #[serde(rename = "revoked.version")]
    RevokedVersion { version: u64 },
    #[error("the owner no longer lets {requester} order: ask the owner")]
    #[serde(rename = "revoked.requester")]
    RevokedRequester { requester: Account },
    #[error("the owner has revoked grant {grant}: ask the owner for another")]
    #[serde(rename = "revoked.grant")]
    RevokedGrant { grant: Hash },
    #[error(
        "program {program} is not allowed: order one that the policy lists, or ask the owner to look at it"
    )]
    #[serde(rename = "programs")]
    Programs { program: ProgramId },
    #[error("program {program} does not guarantee groups of {least}: order one that does")]
    #[serde(rename = "output.group_min")]
    GroupMin { program: ProgramId, least: u64 },
    #[error("program {program} may write more than {most} bytes: order one that writes less")]
    #[serde(rename = "output.size_max")]
    OutputSize { program: ProgramId, most: u64 },
    #[error(
        "program {program} may tell something by its step count or exit code: order one whose steps are constant"
    )]
    #[serde(rename = "output.steps_constant")]
    StepsConstant { program: ProgramId },
    #[error("a step limit of {step_limit} is above {most}: lower stepLimit")]
    #[serde(rename = "output.step_limit_max")]
    StepLimit { step_limit: u64, most: u64 },
    #[error("the result would be public: order with a sealed result")]
    #[serde(rename = "output.class")]
    OutputClass {},
    #[error("provider {provider} may not hold the data: name one that the policy lists")]
    #[serde(rename = "providers.accounts")]
    Providers { provider: Account },
    #[error("the provider must have {least} at stake: raise the order's stake")]
    #[serde(rename = "providers.stake_min")]
    StakeMin {
        #[serde(deserialize_with = "digits")]
        least: String,
    },
    #[error("the provider does not attest to run what the policy lists: name one that does")]
    #[serde(rename = "providers.measurements")]
    Measurements {},
    #[error("{requester} is not listed and has no grant: ask the owner for one")]
    #[serde(rename = "requesters")]
    Requesters { requester: Account },
    #[error("grant {grant} is for other purposes: state one of them, or ask the owner")]
    #[serde(rename = "grant.purposes")]
    GrantPurposes { grant: Hash },
    #[error("grant {grant} has no uses left: ask the owner for another")]
    #[serde(rename = "grant.uses_max")]
    GrantUses { grant: Hash },
    #[error("grant {grant} counted until {expires_at}: ask the owner for another")]
    #[serde(rename = "grant.expires_at")]
    GrantExpiry { grant: Hash, expires_at: u64 },
    #[error(
        "{beneficiary} may not read results, as a job's requester and its beneficiary can: order as one, and for one, that the policy lists"
    )]
    #[serde(rename = "beneficiaries")]
    Beneficiaries { beneficiary: Account },
    #[error("the policy does not list this purpose: state one that it lists, if it is true")]
    #[serde(rename = "purposes")]
    Purposes { purpose: Option<Word> },
    #[error("verifier {verifier} is not allowed: order under one that the policy lists")]
    #[serde(rename = "verifiers")]
    Verifiers { verifier: u16 },
    #[error("an auditor may not hold the data: name only those that the policy lists")]
    #[serde(rename = "auditors.accounts")]
    Auditors { auditors: Vec<Account> },
    #[error("the order names {found} auditors and needs {least}: name more")]
    #[serde(rename = "auditors.least")]
    AuditorsLeast { found: u64, least: u64 },
    #[error("the policy counted until {expires_at}: wait for a new version")]
    #[serde(rename = "expires_at")]
    Expiry { expires_at: u64 },
    #[error("the dataset has no uses left: ask the owner")]
    #[serde(rename = "uses_max")]
    Uses {},
    #[error("the dataset's privacy budget does not cover another use: ask the owner")]
    #[serde(rename = "budget")]
    Budget {},
    #[error(
        "the policy permits more than that of {owner}/{name}, which the data was made of: wait for a version that does not"
    )]
    #[serde(rename = "sources.policy")]
    SourcesPolicy { owner: Account, name: Word },
    #[error("{owner}/{name}, which the data was made of, is revoked: ask its owner")]
    #[serde(rename = "sources.revoked")]
    SourcesRevoked { owner: Account, name: Word },
    #[error(
        "{owner}/{name}, which the data was made of, does not let the requester order: ask its owner for a grant"
    )]
    #[serde(rename = "sources.requesters")]
    SourcesRequesters { owner: Account, name: Word },
    #[error(
        "{owner}/{name}, which the data was made of, has too little left of its uses or its privacy budget: ask its owner"
    )]
    #[serde(rename = "sources.spent")]
    SourcesSpent { owner: Account, name: Word },
    #[error(
        "a text in cedar of {owner}/{name}, which the data was made of, does not permit it: read its policy, or ask its owner"
    )]
    #[serde(rename = "sources.cedar")]
    SourcesCedar { owner: Account, name: Word },
    #[error(
        "the owner's text {text} in cedar does not permit it: read the policy, or ask the owner"
    )]
    #[serde(rename = "cedar")]
    Cedar { text: u64 },
    #[error(
        "a clause that this program does not know refuses ({name}): use a newer version, or ask the owner"
    )]
    #[serde(rename = "other", skip_deserializing)]
    Other { name: String },
}

/// An amount as a stranger writes it: shown as it is, so nothing but digits.
fn digits<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let is_amount = (1..=78).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    is_amount.then_some(text).ok_or_else(|| D::Error::custom("an amount is decimal digits"))
}

/// The longest unknown clause that is shown, in characters.
const NAME_LENGTH_MAX: usize = 64;

impl Serialize for ClauseReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ClauseReason::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for ClauseReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = Map::<String, Value>::deserialize(deserializer)?;
        let clause = said.get("clause").and_then(Value::as_str).map(str::to_owned);
        match (ClauseReason::deserialize(Value::Object(said)), clause) {
            (Ok(known), _) => Ok(known),
            // A newer key service's refusal is one all the same, with its other reasons.
            (Err(_), Some(clause)) => {
                let name = shown(&clause).chars().take(NAME_LENGTH_MAX).collect();
                Ok(ClauseReason::Other { name })
            }
            (Err(error), None) => Err(D::Error::custom(error)),
        }
    }
}

impl Clause {
    /// Whether what it asks is known before an order is signed. What the data was made of only its
    /// key service has, and a text in Cedar may ask what comes later.
    pub(super) fn shows_before(self) -> bool {
        !matches!(
            self,
            Clause::SourcesPolicy
                | Clause::SourcesRevoked
                | Clause::SourcesRequesters
                | Clause::SourcesSpent
                | Clause::SourcesCedar
                | Clause::Cedar
        )
    }
}

impl ClauseReason {
    /// What refuses.
    pub fn clause(&self) -> Clause {
        match self {
            ClauseReason::Dataset { .. } => Clause::Dataset,
            ClauseReason::Fee { .. } => Clause::Fee,
            ClauseReason::RevokedAll {} => Clause::RevokedAll,
            ClauseReason::RevokedVersion { .. } => Clause::RevokedVersion,
            ClauseReason::RevokedRequester { .. } => Clause::RevokedRequester,
            ClauseReason::RevokedGrant { .. } => Clause::RevokedGrant,
            ClauseReason::Programs { .. } => Clause::Programs,
            ClauseReason::GroupMin { .. } => Clause::GroupMin,
            ClauseReason::OutputSize { .. } => Clause::OutputSize,
            ClauseReason::StepsConstant { .. } => Clause::StepsConstant,
            ClauseReason::StepLimit { .. } => Clause::StepLimit,
            ClauseReason::OutputClass {} => Clause::OutputClass,
            ClauseReason::Providers { .. } => Clause::Providers,
            ClauseReason::StakeMin { .. } => Clause::StakeMin,
            ClauseReason::Measurements {} => Clause::Measurements,
            ClauseReason::Requesters { .. } => Clause::Requesters,
            ClauseReason::GrantPurposes { .. } => Clause::GrantPurposes,
            ClauseReason::GrantUses { .. } => Clause::GrantUses,
            ClauseReason::GrantExpiry { .. } => Clause::GrantExpiry,
            ClauseReason::Beneficiaries { .. } => Clause::Beneficiaries,
            ClauseReason::Purposes { .. } => Clause::Purposes,
            ClauseReason::Verifiers { .. } => Clause::Verifiers,
            ClauseReason::Auditors { .. } => Clause::Auditors,
            ClauseReason::AuditorsLeast { .. } => Clause::AuditorsLeast,
            ClauseReason::Expiry { .. } => Clause::Expiry,
            ClauseReason::Uses {} => Clause::Uses,
            ClauseReason::Budget {} => Clause::Budget,
            ClauseReason::SourcesPolicy { .. } => Clause::SourcesPolicy,
            ClauseReason::SourcesRevoked { .. } => Clause::SourcesRevoked,
            ClauseReason::SourcesRequesters { .. } => Clause::SourcesRequesters,
            ClauseReason::SourcesSpent { .. } => Clause::SourcesSpent,
            ClauseReason::SourcesCedar { .. } => Clause::SourcesCedar,
            ClauseReason::Cedar { .. } => Clause::Cedar,
            ClauseReason::Other { .. } => Clause::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_key_services_clause_is_shown_as_another() {
        let page = r#"[{"clause":"moon","phase":[1]},{"clause":"uses_max"},{"clause":"a\n\u001b"},{"clause":"providers.stake_min","least":"\u001b[2J"}]"#;
        let reasons: Vec<ClauseReason> = serde_json::from_str(page).unwrap();
        let other = |name: &str| ClauseReason::Other { name: name.into() };
        assert_eq!(
            reasons,
            [other("moon"), ClauseReason::Uses {}, other("a??"), other("providers.stake_min")]
        );
        assert_eq!(reasons[0].clause().code(), "other");
        assert!(reasons[0].to_string().contains("moon"));
        for bad in ["{}", r#"{"clause":1}"#, "[]"] {
            assert!(serde_json::from_str::<ClauseReason>(bad).is_err(), "{bad}");
        }
    }
}
