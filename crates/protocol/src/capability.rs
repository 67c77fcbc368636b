//! Roles, and powers that an account gives to another: narrowed at each step, never widened
//! (spec/access.md#capabilities).

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{Address, B256, Bytes};
use assay_contracts::Deployment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::limits::{CAPABILITIES_BYTES_MAX, CAPABILITIES_MAX};
use crate::schema;
use crate::{AccountKey, Problem, ProblemKind, SignError, SignatureError};

/// The methods that a capability can name, in the order in which it names them.
const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "PUT"];

/// In which role an account asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Orders and pays.
    #[serde(rename = "requester")]
    Requester,
    /// Runs.
    #[serde(rename = "provider")]
    Provider,
    /// Re-checks and challenges.
    #[serde(rename = "auditor")]
    Auditor,
    /// Has data, and a key service that gives keys out.
    #[serde(rename = "data owner")]
    DataOwner,
    /// May read a result.
    #[serde(rename = "beneficiary")]
    Beneficiary,
    /// Serves the order book and blobs.
    #[serde(rename = "broker")]
    Broker,
    /// Cosigns the log.
    #[serde(rename = "witness")]
    Witness,
    /// None of them in particular; in a capability: any of them.
    #[serde(rename = "anyone")]
    Anyone,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Requester,
        Self::Provider,
        Self::Auditor,
        Self::DataOwner,
        Self::Beneficiary,
        Self::Broker,
        Self::Witness,
        Self::Anyone,
    ];

    /// As it is signed.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Requester => "requester",
            Role::Provider => "provider",
            Role::Auditor => "auditor",
            Role::DataOwner => "data owner",
            Role::Beneficiary => "beneficiary",
            Role::Broker => "broker",
            Role::Witness => "witness",
            Role::Anyone => "anyone",
        }
    }

    /// Whether who was given this role may act in the other.
    pub fn covers(self, other: Role) -> bool {
        self == Role::Anyone || self == other
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why text is no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a role; see spec/access.md for those there are")]
pub struct RoleError;

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or(RoleError)
    }
}

/// What one account lets another do in its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capability {
    /// Who gives it.
    pub issuer: Address,
    /// Who gets it.
    pub holder: Address,
    /// In which role it may be used.
    pub role: Role,
    /// For which methods: some of `GET,HEAD,POST,PUT`, in this order.
    pub methods: String,
    /// Under which path: this one, and those that go on after it with a `/`.
    pub path_prefix: String,
    /// Until when, in Unix seconds.
    pub not_after: u64,
    /// The EIP-712 hash of the capability that this one narrows; zero in the first.
    pub parent: B256,
}

/// A capability and its issuer's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCapability {
    /// What is allowed.
    pub capability: Capability,
    /// The issuer's, over the EIP-712 struct `Capability`: 65 bytes.
    pub signature: Bytes,
}

/// That a capability is taken back, signed by its issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedRevocation {
    /// What is taken back, as it was signed.
    #[schema(schema_with = schema::capability)]
    pub capability: Capability,
    /// The issuer's, over the EIP-712 struct `CapabilityRevocation`: 65 bytes.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// One to four capabilities, each narrowing the one before: who signs last acts in the name of who
/// signed first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapabilityChain(Vec<SignedCapability>);

/// What a request is, as far as a capability goes.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// Who signs it.
    pub signer: Address,
    /// In which role.
    pub role: Role,
    /// `GET`, `HEAD`, `POST` or `PUT`.
    pub method: &'a str,
    /// The path without its query.
    pub path: &'a str,
    /// When, in Unix seconds.
    pub now: u64,
}

/// Why capabilities allow nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// The text is not what a writer of capabilities writes.
    #[error("the capabilities do not parse; write them as the specification says")]
    Form,
    /// More than four.
    #[error(
        "there are more than {CAPABILITIES_MAX} capabilities; ask the first issuer for a nearer one"
    )]
    Length,
    /// One was not given by the holder of the one before, does not name it, or was not given to who
    /// signs the request.
    #[error(
        "capability {0} does not follow from what is before it; send the whole chain, in order"
    )]
    Link(usize),
    /// Another role than its parent's.
    #[error("capability {0} is for a role that its parent is not for")]
    WiderRole(usize),
    /// A method that its parent does not have.
    #[error("capability {0} is for methods that its parent is not for")]
    WiderMethods(usize),
    /// A path that is not under its parent's.
    #[error("capability {0} is for paths that its parent is not for")]
    WiderPath(usize),
    /// A later end than its parent's.
    #[error("capability {0} ends later than its parent")]
    WiderTime(usize),
    /// One has ended.
    #[error("capability {0} has ended; ask its issuer for a new one")]
    Ended(usize),
    /// The request is in another role.
    #[error("the capabilities are not for this role")]
    Role,
    /// The request has another method.
    #[error("the capabilities are not for this method")]
    Method,
    /// The request has another path.
    #[error("the capabilities are not for this path")]
    Path,
    /// A signature does not hold.
    #[error("capability {0} was not signed by its issuer for this market")]
    Signature(usize),
}

impl SignedCapability {
    /// Signs a capability with its issuer's key.
    ///
    /// # Errors
    ///
    /// [`SignError::Signer`], [`SignError::Signature`] for a time beyond 40 bits.
    pub fn sign(
        capability: Capability,
        deployment: &Deployment,
        signer: &impl AccountKey,
    ) -> Result<Self, SignError> {
        let signature = crate::signing::sign(signer, capability.hash(deployment)?)?;
        Ok(SignedCapability { capability, signature })
    }

    fn verify(&self, deployment: &Deployment) -> Result<(), SignatureError> {
        let hash = self.capability.hash(deployment)?;
        crate::verify_account(hash, &self.signature, self.capability.issuer)
    }
}

impl Capability {
    /// Whether its methods and its path are written as they must be.
    pub fn is_whole(&self) -> bool {
        let mut left = METHODS.iter();
        let in_order = self.methods.split(',').all(|method| left.any(|known| *known == method));
        let visible = self.path_prefix.bytes().all(|byte| byte.is_ascii_graphic());
        in_order
            && visible
            && self.path_prefix.starts_with("/v1/")
            && !self.path_prefix.contains('?')
    }

    fn allows_method(&self, method: &str) -> bool {
        self.methods.split(',').any(|known| known == method)
    }

    fn allows_path(&self, path: &str) -> bool {
        path.strip_prefix(&self.path_prefix).is_some_and(|rest| {
            rest.is_empty() || self.path_prefix.ends_with('/') || rest.starts_with('/')
        })
    }

    /// Whether it is for a request to a path, without the query.
    pub fn covers(&self, method: &str, path: &str) -> bool {
        self.allows_method(method) && self.allows_path(path)
    }

    /// Whether this one, `place` in its chain, gives nothing that its parent does not.
    ///
    /// # Errors
    ///
    /// [`CapabilityError`]: what it widens.
    pub fn narrows(&self, parent: &Capability, place: usize) -> Result<(), CapabilityError> {
        if !parent.role.covers(self.role) {
            return Err(CapabilityError::WiderRole(place));
        }
        if !self.methods.split(',').all(|method| parent.allows_method(method)) {
            return Err(CapabilityError::WiderMethods(place));
        }
        if !parent.allows_path(&self.path_prefix) {
            return Err(CapabilityError::WiderPath(place));
        }
        if self.not_after > parent.not_after {
            return Err(CapabilityError::WiderTime(place));
        }
        Ok(())
    }
}

impl CapabilityChain {
    /// A chain, the first issuer's capability first.
    ///
    /// # Errors
    ///
    /// [`CapabilityError::Form`], [`CapabilityError::Length`]; whether it holds is seen in its use.
    pub fn new(capabilities: Vec<SignedCapability>) -> Result<Self, CapabilityError> {
        if capabilities.len() > CAPABILITIES_MAX {
            return Err(CapabilityError::Length);
        }
        let whole = capabilities.iter().all(|signed| signed.capability.is_whole());
        if capabilities.is_empty() || !whole {
            return Err(CapabilityError::Form);
        }
        Ok(CapabilityChain(capabilities))
    }

    /// All of them, in order.
    pub fn capabilities(&self) -> &[SignedCapability] {
        &self.0
    }

    /// The one that says what its holder may.
    pub fn last(&self) -> &Capability {
        &self.0[self.0.len() - 1].capability
    }

    /// In whose name who holds the last one acts.
    pub fn issuer(&self) -> Address {
        self.0[0].capability.issuer
    }

    /// The hash of the last one, which a request names.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Time`].
    pub fn hash(&self, deployment: &Deployment) -> Result<B256, SignatureError> {
        self.last().hash(deployment)
    }

    /// Checks that the chain allows a use, and tells in whose name. Signatures are checked last:
    /// they cost most.
    ///
    /// # Errors
    ///
    /// [`CapabilityError`].
    pub fn check(
        &self,
        used: Use<'_>,
        deployment: &Deployment,
    ) -> Result<Address, CapabilityError> {
        let (mut parent, mut parent_hash): (Option<&Capability>, B256) = (None, B256::ZERO);
        for (place, SignedCapability { capability, .. }) in self.0.iter().enumerate() {
            let follows = parent.is_none_or(|parent| parent.holder == capability.issuer);
            if !follows || capability.parent != parent_hash {
                return Err(CapabilityError::Link(place));
            }
            if let Some(parent) = parent {
                capability.narrows(parent, place)?;
            }
            if capability.not_after < used.now {
                return Err(CapabilityError::Ended(place));
            }
            parent_hash = capability.hash(deployment).map_err(|_| CapabilityError::Form)?;
            parent = Some(capability);
        }
        // What the last allows, all before it allow.
        let last = parent.unwrap_or_else(|| unreachable!("a chain has one at least"));
        if last.holder != used.signer {
            return Err(CapabilityError::Link(self.0.len()));
        }
        if !last.role.covers(used.role) {
            return Err(CapabilityError::Role);
        }
        if !last.allows_method(used.method) {
            return Err(CapabilityError::Method);
        }
        if !last.allows_path(used.path) {
            return Err(CapabilityError::Path);
        }
        for (place, signed) in self.0.iter().enumerate() {
            signed.verify(deployment).map_err(|_| CapabilityError::Signature(place))?;
        }
        Ok(self.issuer())
    }
}

impl FromStr for CapabilityChain {
    type Err = CapabilityError;

    /// Of the header `assay-capabilities`. Only what [`fmt::Display`] writes is read.
    fn from_str(text: &str) -> Result<Self, CapabilityError> {
        if text.len() > CAPABILITIES_BYTES_MAX {
            return Err(CapabilityError::Form);
        }
        let parsed: Vec<SignedCapability> =
            serde_json::from_str(text).map_err(|_| CapabilityError::Form)?;
        let chain = CapabilityChain::new(parsed)?;
        if chain.to_string() == text { Ok(chain) } else { Err(CapabilityError::Form) }
    }
}

impl fmt::Display for CapabilityChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(&self.0);
        f.write_str(&text.unwrap_or_else(|error| unreachable!("plain structs: {error}")))
    }
}

impl From<CapabilityError> for Problem {
    fn from(error: CapabilityError) -> Self {
        error.kind().with(error)
    }
}

impl CapabilityError {
    /// As which problem a broker tells it.
    pub fn kind(&self) -> ProblemKind {
        match self {
            CapabilityError::Form => ProblemKind::CapabilityMalformed,
            CapabilityError::Length => ProblemKind::CapabilityTooMany,
            CapabilityError::Link(_) => ProblemKind::CapabilityUnlinked,
            CapabilityError::WiderRole(_) => ProblemKind::CapabilityWidensRole,
            CapabilityError::WiderMethods(_) => ProblemKind::CapabilityWidensMethods,
            CapabilityError::WiderPath(_) => ProblemKind::CapabilityWidensPath,
            CapabilityError::WiderTime(_) => ProblemKind::CapabilityWidensTime,
            CapabilityError::Ended(_) => ProblemKind::CapabilityExpired,
            CapabilityError::Role => ProblemKind::CapabilityRole,
            CapabilityError::Method => ProblemKind::CapabilityMethod,
            CapabilityError::Path => ProblemKind::CapabilityPath,
            CapabilityError::Signature(_) => ProblemKind::CapabilityForged,
        }
    }
}
