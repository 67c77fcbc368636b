//! Signatures of accounts that have a key (spec/broker.md#signing).

use alloy_primitives::{Address, B256, Bytes, Signature};

use crate::account_key::{AccountKey, AccountKeyError};

/// Why signing failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key could not sign.
    #[error("the key can't sign: {0}")]
    Signer(#[from] AccountKeyError),
    /// The content would not verify once signed.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// Why a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It does not have 65 bytes: a contract account's, perhaps, which only its chain can check.
    #[error(
        "the signature has {0} bytes, not 65; contract accounts are not supported yet, use an account with a key"
    )]
    Length(usize),
    /// The last byte is not 27 or 28, or `s` is in the upper half: the contracts refuse both.
    #[error("the signature is not in canonical form (v 27 or 28, s in the lower half); sign again")]
    Form,
    /// It is by another account, over other content, or for another chain or market.
    #[error(
        "the signature is by {found}, not {expected}, or over other content; sign exactly this content, for this market"
    )]
    Signer {
        /// The account that should have signed.
        expected: Address,
        /// The account that signed, if the content and the market are right.
        found: Address,
    },
    /// No account can have made it.
    #[error("the signature is no account's; sign again")]
    NoSigner,
    /// The terms are not those whose SHA-256 is the order's `termsHash`.
    #[error(
        "the terms are not those that the order was signed with; send the text whose SHA-256 is its termsHash, or none if that is zero"
    )]
    Terms,
    /// A time beyond 40 bits.
    #[error("{0} is too large for a time in Unix seconds")]
    Time(u64),
}

/// Signs a hash with an account's key: 65 bytes.
///
/// # Errors
///
/// [`SignError::Signer`].
pub fn sign(signer: &impl AccountKey, hash: B256) -> Result<Bytes, SignError> {
    Ok(Bytes::copy_from_slice(&signer.sign_hash(&hash)?.as_bytes()))
}

/// Checks that an account signed a hash. Accepts no other form than the contracts do: what passes
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
