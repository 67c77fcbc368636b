//! Who a client is.

use std::fmt;
use std::sync::Arc;

use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;

use crate::{CapabilityChain, Role};

/// What a client signs its requests with: an account's key, or nothing; perhaps in one role only, or in another's name.
#[derive(Clone)]
pub struct Access {
    signer: Option<Arc<PrivateKeySigner>>,
    role: Option<Role>,
    capabilities: Option<CapabilityChain>,
}

impl Access {
    /// An account's own.
    pub fn of(signer: &PrivateKeySigner) -> Self {
        Access { signer: Some(Arc::new(signer.clone())), role: None, capabilities: None }
    }

    /// None: for what is public.
    pub fn public() -> Self {
        Access { signer: None, role: None, capabilities: None }
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

    /// The account in whose name it asks; `None` without one.
    pub fn account(&self) -> Option<Address> {
        let issuer = self.capabilities.as_ref().map(CapabilityChain::issuer);
        issuer.or_else(|| Some(self.signer.as_ref()?.address()))
    }

    pub(crate) fn signer(&self) -> Option<&PrivateKeySigner> {
        self.signer.as_deref()
    }

    pub(crate) fn capabilities(&self) -> Option<&CapabilityChain> {
        self.capabilities.as_ref()
    }

    /// The role for a request, whose route is for that one.
    pub(crate) fn role_or(&self, usual: Role) -> Role {
        self.role.unwrap_or(usual)
    }
}

impl From<&PrivateKeySigner> for Access {
    fn from(signer: &PrivateKeySigner) -> Self {
        Access::of(signer)
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
