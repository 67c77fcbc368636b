//! Who sent a request.

use alloy_primitives::{Address, B256};
use assay_protocol::ProblemKind;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::error::{Fail, Failure};

/// Who sent a request, once its signature was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// In whose name: the signer's own, or that of who gave it its capabilities.
    pub(crate) account: Address,
    /// The digest that the body must have.
    pub(crate) digest: B256,
}

impl Caller {
    /// Refuses requests in any other account's name.
    pub(crate) fn must_be(&self, account: Address) -> Result<(), Failure> {
        if self.account == account { Ok(()) } else { Err(not_entitled()) }
    }
}

/// The same words whether the thing exists or not, so that nobody learns which.
pub(crate) fn not_entitled() -> Failure {
    ProblemKind::NotEntitled.fail("it belongs to another account, if it exists at all")
}

/// A handler that asks for its caller is closed to requests that have none, whatever the table of
/// permissions says.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get().copied().ok_or_else(|| {
            ProblemKind::RequestUnsigned.fail("this route takes signed requests only")
        })
    }
}
