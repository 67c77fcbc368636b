//! The identity that a client signs its requests with.

use std::fmt;
use std::sync::Arc;

use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;

use assay_protocol::{CapabilityChain, Role};

/// The identity that a client signs its requests with: an account's key, or none; perhaps in one
/// role only, or in the name of another account.
#[derive(Clone)]
pub struct Access {
    signer: Option<Arc<PrivateKeySigner>>,
    role: Option<Role>,
    capabilities: Option<CapabilityChain>,
    /// Whether requests that the capabilities do not allow are made in the signer's own name.
    or_own: bool,
}

impl Access {
    /// The identity of an account, by its key.
    pub fn new(signer: &PrivateKeySigner) -> Self {
        Access { signer: Some(Arc::new(signer.clone())), ..Access::public() }
    }

    /// No identity: for public routes only.
    pub fn public() -> Self {
        Access { signer: None, role: None, capabilities: None, or_own: false }
    }

    /// The same with one role for all requests. Otherwise each request is in the role of its route.
    #[must_use]
    pub fn in_role(self, role: Role) -> Self {
        Access { role: Some(role), ..self }
    }

    /// The same in the name of the account that issued these capabilities.
    #[must_use]
    pub fn by(self, capabilities: CapabilityChain) -> Self {
        Access { capabilities: Some(capabilities), ..self }
    }

    /// The same in the name of the account that issued these capabilities where they allow the
    /// request, and in its own name otherwise.
    #[must_use]
    pub fn by_or_own(self, capabilities: CapabilityChain) -> Self {
        Access { or_own: true, ..self.by(capabilities) }
    }

    /// The account in whose name requests are made; `None` for public access.
    pub fn account(&self) -> Option<Address> {
        let issuer = self.capabilities.as_ref().map(CapabilityChain::issuer);
        issuer.or_else(|| Some(self.signer.as_ref()?.address()))
    }

    /// The key that signs.
    pub fn signer(&self) -> Option<&PrivateKeySigner> {
        self.signer.as_deref()
    }

    /// The capabilities for another account's name, if there are any.
    pub fn capabilities(&self) -> Option<&CapabilityChain> {
        self.capabilities.as_ref()
    }

    /// The role and the identity for one request, whose route is for `roles`.
    pub(crate) fn for_request(&self, method: &str, path: &str, roles: &[Role]) -> (Role, Self) {
        let is_for = |role: Role| roles.is_empty() || roles.contains(&role);
        let usual = self.role.or(roles.first().copied()).unwrap_or(Role::Anyone);
        let Some(last) = self.capabilities.as_ref().map(CapabilityChain::last) else {
            return (usual, self.clone());
        };
        // Who was lent one role asks in it.
        let lent = (self.role.is_none() && last.role != Role::Anyone).then_some(last.role);
        let role = lent.filter(|role| is_for(*role)).unwrap_or(usual);
        if self.or_own && !(last.covers(method, path) && last.role.covers(role)) {
            return (usual, Access { capabilities: None, ..self.clone() });
        }
        (role, self.clone())
    }
}

impl From<&PrivateKeySigner> for Access {
    fn from(signer: &PrivateKeySigner) -> Self {
        Access::new(signer)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No key.
        f.debug_struct("Access")
            .field("account", &self.account())
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
