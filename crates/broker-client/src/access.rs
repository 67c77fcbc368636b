//! Who a client is.

use std::fmt;
use std::sync::Arc;

use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;

use assay_protocol::{CapabilityChain, Role};

/// What a client signs its requests with: an account's key, or nothing; perhaps in one role only,
/// or in another's name.
#[derive(Clone)]
pub struct Access {
    signer: Option<Arc<PrivateKeySigner>>,
    role: Option<Role>,
    capabilities: Option<CapabilityChain>,
    /// What the capabilities do not cover is asked in the signer's own name.
    or_own: bool,
}

impl Access {
    /// An account's own.
    pub fn new(signer: &PrivateKeySigner) -> Self {
        Access { signer: Some(Arc::new(signer.clone())), ..Access::public() }
    }

    /// None: for what is public.
    pub fn public() -> Self {
        Access { signer: None, role: None, capabilities: None, or_own: false }
    }

    /// The same, in one role for all requests. Otherwise each is in the role that its route is for.
    #[must_use]
    pub fn in_role(self, role: Role) -> Self {
        Access { role: Some(role), ..self }
    }

    /// The same, in the name of who gave it capabilities.
    #[must_use]
    pub fn by(self, capabilities: CapabilityChain) -> Self {
        Access { capabilities: Some(capabilities), ..self }
    }

    /// The same, in the name of who gave it capabilities where they are for what is asked, and
    /// otherwise in its own: for who does more than what was delegated.
    #[must_use]
    pub fn by_or_own(self, capabilities: CapabilityChain) -> Self {
        Access { or_own: true, ..self.by(capabilities) }
    }

    /// The account in whose name it asks; `None` without one.
    pub fn account(&self) -> Option<Address> {
        let issuer = self.capabilities.as_ref().map(CapabilityChain::issuer);
        issuer.or_else(|| Some(self.signer.as_ref()?.address()))
    }

    /// What it signs with.
    pub fn signer(&self) -> Option<&PrivateKeySigner> {
        self.signer.as_deref()
    }

    /// In whose name it asks, if not in its own.
    pub fn capabilities(&self) -> Option<&CapabilityChain> {
        self.capabilities.as_ref()
    }

    /// In which role a request to a route for these is made, and with which capabilities.
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
