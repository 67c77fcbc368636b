//! What an account publishes of itself: its seal keys, and capabilities that it revokes.

use alloy_primitives::Address;
use assay_protocol::{EntryPut, ProblemKind, SealKeysEntry, SignedRevocation, SignedSealKeys};
use reqwest::Method;

use super::BrokerClient;
use crate::error::{Error, Result};

impl BrokerClient {
    /// Puts an account's seal keys into the book; true if they are new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn put_seal_keys(
        &self,
        account: Address,
        keys: &SignedSealKeys,
    ) -> Result<(EntryPut, bool)> {
        let path = format!("/v1/seal-keys/{account}");
        self.write(Method::PUT, &path, keys, |put: &EntryPut| put.account == account).await
    }

    /// An account's seal keys; `None` if it has published none.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for keys that it did not sign, and as every call.
    pub async fn seal_keys(&self, account: Address) -> Result<Option<SealKeysEntry>> {
        let path = format!("/v1/seal-keys/{account}");
        self.find(&path, ProblemKind::EntryUnknown, move |found: &SealKeysEntry, market| {
            if found.account != account {
                return Err(Error::bad_answer("they are another account's keys"));
            }
            Ok(found.signed().verify(account, market)?)
        })
        .await
    }

    /// Revokes a capability that the account has issued; true if that is new to the broker.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn revoke_capability(
        &self,
        revocation: &SignedRevocation,
    ) -> Result<(EntryPut, bool)> {
        let issuer = revocation.capability.issuer;
        let is_about_it = |put: &EntryPut| put.account == issuer;
        self.write(Method::POST, "/v1/capability-revocations", revocation, is_about_it).await
    }
}
