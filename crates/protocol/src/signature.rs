//! Signatures of accounts that have a key (spec/broker.md#signing).

use alloy_primitives::{Address, B256, Bytes, Signature};
use alloy_signer::{Signer, SignerSync};

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key could not sign.
    #[error("the key can't sign: {0}")]
    Signer(#[from] alloy_signer::Error),
    /// What would be signed does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// Why a signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not 65 bytes: a contract account's, perhaps, which only its chain can check.
    #[error(
        "a signature is 65 bytes, this has {0}; contract accounts are not taken yet, use a key's own account"
    )]
    Length(usize),
    /// The last byte is not 27 or 28, or `s` is in the upper half: the contracts refuse both.
    #[error("the signature is not in its one form (v 27 or 28, s in the lower half)")]
    Form,
    /// It leads to another account: another signer, other content, or another chain or market in
    /// the domain.
    #[error("the signature leads to {found}, not {expected}; sign this content for this market")]
    Signer {
        /// Who should have signed.
        expected: Address,
        /// Who did, if the content and the domain are right.
        found: Address,
    },
    /// It leads to no account.
    #[error("the signature leads to no account; sign again")]
    NoSigner,
    /// The terms are not those whose digest the order names.
    #[error(
        "the terms are not those that the order names; send the text whose SHA-256 is its termsHash, none if that is zero"
    )]
    Terms,
    /// A time beyond 40 bits.
    #[error("{0} is no time in Unix seconds")]
    Time(u64),
}

/// Signs a hash with an account's key: 65 bytes.
///
/// # Errors
///
/// [`SignError::Signer`].
pub fn sign(signer: &(impl Signer + SignerSync), hash: B256) -> Result<Bytes, SignError> {
    Ok(Bytes::copy_from_slice(&signer.sign_hash_sync(&hash)?.as_bytes()))
}

/// Checks that an account has signed a hash, in the one form that the contracts take: who passes
/// here passes OpenZeppelin's ECDSA.
///
/// # Errors
///
/// [`SignatureError`].
pub fn verify_account(
    hash: B256,
    signature: &[u8],
    expected: Address,
) -> Result<(), SignatureError> {
    let bytes: &[u8; 65] =
        signature.try_into().map_err(|_| SignatureError::Length(signature.len()))?;
    if !matches!(bytes[64], 27 | 28) {
        return Err(SignatureError::Form);
    }
    let signature = Signature::from_raw_array(bytes).map_err(|_| SignatureError::Form)?;
    if signature.normalize_s().is_some() {
        return Err(SignatureError::Form);
    }
    let found = signature.recover_address_from_prehash(&hash);
    let found = found.map_err(|_| SignatureError::NoSigner)?;
    if found == expected { Ok(()) } else { Err(SignatureError::Signer { expected, found }) }
}
