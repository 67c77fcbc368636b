//! What signs in an account's name.

use std::error::Error;

use alloy_primitives::{Address, B256, Signature};

/// An account's key, wherever it is kept. The feature `signers` makes one of each of alloy's
/// signers; who only verifies needs none.
pub trait AccountKey {
    /// The account.
    fn address(&self) -> Address;

    /// Signs a hash.
    ///
    /// # Errors
    ///
    /// [`AccountKeyError`] if the key does not answer, or refuses.
    fn sign_hash(&self, hash: &B256) -> Result<Signature, AccountKeyError>;
}

/// Why a key did not sign: its keeper's own words.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct AccountKeyError(Box<dyn Error + Send + Sync>);

impl AccountKeyError {
    /// Of whatever went wrong.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        AccountKeyError(cause.into())
    }
}

#[cfg(feature = "signers")]
impl<T: alloy_signer::Signer + alloy_signer::SignerSync> AccountKey for T {
    fn address(&self) -> Address {
        alloy_signer::Signer::address(self)
    }

    fn sign_hash(&self, hash: &B256) -> Result<Signature, AccountKeyError> {
        self.sign_hash_sync(hash).map_err(AccountKeyError::new)
    }
}
