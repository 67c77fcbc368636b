//! Roles, and capabilities: what an account allows another to do in its name. Each holder may pass
//! on less than it got, never more
//! (spec/access.md#capabilities).

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolStruct;
use assay_contracts::Deployment;
use serde::{Deserialize, Serialize};

use crate::account_key::AccountKey;
use crate::eip712::{self, domain, time};
use crate::limits::{CAPABILITIES_BYTES_MAX, CAPABILITIES_MAX};
use crate::problem::{Problem, ProblemKind};
#[cfg(feature = "openapi")]
use crate::schema;
use crate::signature::{SignError, SignatureError, sign, verify_account};

/// The methods that a capability can name, in the order in which it names them.
const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "PUT"];

/// The role in which an account sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Orders jobs and pays for them.
    #[serde(rename = "requester")]
    Requester,
    /// Runs jobs.
    #[serde(rename = "provider")]
    Provider,
    /// Re-checks claims and challenges wrong ones.
    #[serde(rename = "auditor")]
    Auditor,
    /// Owns data, and runs a key service that releases its keys.
    #[serde(rename = "data owner")]
    DataOwner,
    /// May read the result of a job.
    #[serde(rename = "beneficiary")]
    Beneficiary,
    /// Serves the order book and blobs.
    #[serde(rename = "broker")]
    Broker,
    /// Cosigns the log.
    #[serde(rename = "witness")]
    Witness,
    /// No role in particular; in a capability: any role.
    #[serde(rename = "anyone")]
    Anyone,
}

impl Role {
    /// All roles.
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

    /// The text that is signed for it.
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

    /// Whether a capability for this role allows requests in the other.
    pub fn covers(self, other: Role) -> bool {
        self == Role::Anyone || self == other
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a role; spec/access.md lists the roles")]
pub struct RoleError;

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or(RoleError)
    }
}

/// What one account allows another to do in its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capability {
    /// The account that gives it.
    pub issuer: Address,
    /// The account that may use it.
    pub holder: Address,
    /// The role in which it may be used.
    pub role: Role,
    /// The methods that it allows: some of `GET,HEAD,POST,PUT`, in this order.
    pub methods: String,
    /// The paths that it allows: this one, and those below it.
    pub path_prefix: String,
    /// When it expires, in Unix seconds.
    pub not_after: u64,
    /// The EIP-712 hash of the capability that this one is derived from; zero in the first.
    pub parent: B256,
}

/// A capability and its issuer's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCapability {
    /// What is allowed.
    pub capability: Capability,
    /// The issuer's signature over the EIP-712 struct `Capability`: 65 bytes.
    pub signature: Bytes,
}

/// The revocation of a capability, signed by its issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedRevocation {
    /// The capability, as it was signed.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::capability))]
    pub capability: Capability,
    /// The issuer's signature over the EIP-712 struct `CapabilityRevocation`: 65 bytes.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::signature))]
    pub signature: Bytes,
}

/// One to four capabilities, each derived from the one before: the holder of the last acts in the
/// name of the issuer of the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapabilityChain(Vec<SignedCapability>);

/// What capabilities are checked against: a request, and who signed it when.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// The account that signed it.
    pub signer: Address,
    /// The role that it was signed in.
    pub role: Role,
    /// `GET`, `HEAD`, `POST` or `PUT`.
    pub method: &'a str,
    /// The path without its query.
    pub path: &'a str,
    /// The time, in Unix seconds.
    pub now: u64,
}

/// Why capabilities do not allow a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// The text is malformed, or not byte for byte what [`CapabilityChain`] writes.
    #[error("the capabilities do not parse; write them as spec/access.md says")]
    Form,
    /// There are more than four.
    #[error(
        "there are more than {CAPABILITIES_MAX} capabilities; ask the first issuer for one of your own"
    )]
    Length,
    /// A capability was not issued by the holder of the one before, does not name that one as its
    /// parent, or is not for the account that signed the request.
    #[error(
        "capability {0} does not link to the one before, or to the signer; send the whole chain, in order"
    )]
    Link(usize),
    /// A capability is for another role than its parent.
    #[error("capability {0} allows a role that its parent does not")]
    WiderRole(usize),
    /// A capability allows a method that its parent does not.
    #[error("capability {0} allows methods that its parent does not")]
    WiderMethods(usize),
    /// A capability allows a path that is not under its parent's.
    #[error("capability {0} allows paths that its parent does not")]
    WiderPath(usize),
    /// A capability expires later than its parent.
    #[error("capability {0} expires later than its parent")]
    WiderTime(usize),
    /// A capability has expired.
    #[error("capability {0} has expired; ask its issuer for a new one")]
    Ended(usize),
    /// The request was signed in a role that they do not allow.
    #[error("the capabilities do not allow this role")]
    Role,
    /// The request has a method that they do not allow.
    #[error("the capabilities do not allow this method")]
    Method,
    /// The request has a path that they do not allow.
    #[error("the capabilities do not allow this path")]
    Path,
    /// A capability was not signed by its issuer.
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
        let signature = sign(signer, capability.hash(deployment)?)?;
        Ok(SignedCapability { capability, signature })
    }

    fn verify(&self, deployment: &Deployment) -> Result<(), SignatureError> {
        let hash = self.capability.hash(deployment)?;
        verify_account(hash, &self.signature, self.capability.issuer)
    }
}

impl Capability {
    /// The hash that its issuer signs. A capability derived from it, and a request that uses it,
    /// name it by this hash.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Time`].
    pub fn hash(&self, deployment: &Deployment) -> Result<B256, SignatureError> {
        let signed = eip712::Capability {
            issuer: self.issuer,
            holder: self.holder,
            role: self.role.as_str().to_owned(),
            methods: self.methods.clone(),
            pathPrefix: self.path_prefix.clone(),
            notAfter: time(self.not_after)?,
            parent: self.parent,
        };
        Ok(signed.eip712_signing_hash(&domain(deployment)))
    }

    /// Whether its methods and its path are well-formed.
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

    /// Whether it allows a method and a path (without the query).
    pub fn covers(&self, method: &str, path: &str) -> bool {
        self.allows_method(method) && self.allows_path(path)
    }

    /// Checks that this capability, `place` in its chain, allows nothing that its parent does not.
    ///
    /// # Errors
    ///
    /// [`CapabilityError`]: what it allows beyond its parent.
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

impl SignedRevocation {
    /// Revokes a capability with its issuer's key.
    ///
    /// # Errors
    ///
    /// [`SignError::Signer`]; [`SignError::Signature`] if the key is not the issuer's, or for a
    /// time beyond 40 bits.
    pub fn sign(
        capability: Capability,
        deployment: &Deployment,
        signer: &impl AccountKey,
    ) -> Result<Self, SignError> {
        let hash = revocation_hash(&capability, deployment)?;
        let signed = SignedRevocation { signature: sign(signer, hash)?, capability };
        signed.verify(deployment)?;
        Ok(signed)
    }

    /// Checks that the capability's issuer signed it for a market, and gives the capability's hash.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(&self, deployment: &Deployment) -> Result<B256, SignatureError> {
        let hash = revocation_hash(&self.capability, deployment)?;
        verify_account(hash, &self.signature, self.capability.issuer)?;
        self.capability.hash(deployment)
    }
}

fn revocation_hash(
    capability: &Capability,
    deployment: &Deployment,
) -> Result<B256, SignatureError> {
    let (issuer, capability) = (capability.issuer, capability.hash(deployment)?);
    let signed = eip712::CapabilityRevocation { issuer, capability };
    Ok(signed.eip712_signing_hash(&domain(deployment)))
}

impl CapabilityChain {
    /// A chain of capabilities, the first issuer's first.
    ///
    /// # Errors
    ///
    /// [`CapabilityError::Form`], [`CapabilityError::Length`]; [`CapabilityChain::check`] checks
    /// the rest.
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

    /// All capabilities, in order.
    pub fn capabilities(&self) -> &[SignedCapability] {
        &self.0
    }

    /// The last capability: what its holder may do.
    pub fn last(&self) -> &Capability {
        &self.0[self.0.len() - 1].capability
    }

    /// The account in whose name the last holder acts.
    pub fn issuer(&self) -> Address {
        self.0[0].capability.issuer
    }

    /// The hash of the last capability, which a request names.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Time`].
    pub fn hash(&self, deployment: &Deployment) -> Result<B256, SignatureError> {
        self.last().hash(deployment)
    }

    /// Checks that the chain allows a request, and returns the account in whose name. Checks
    /// signatures last: they cost most.
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

    /// Reads the header `assay-capabilities`: only what [`fmt::Display`] writes is accepted.
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
    /// The problem by which a broker reports it.
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
