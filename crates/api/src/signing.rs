//! What is signed, and by whom (spec/broker.md#signing).

use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, B256, Bytes, Signature};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain};
use assay_chain::Deployment;
use assay_chain::contracts::{Market, job_id, job_id_on};
use assay_types::sha256;

use crate::{Error, Offer, Refusal, Result, SignedOffer, SignedOrder, SignedRefusal};

/// The headers that sign a request.
pub mod header {
    /// The account that signs: an address.
    pub const ACCOUNT: &str = "assay-account";
    /// The SHA-256 of the body: 0x and 64 hex digits.
    pub const DIGEST: &str = "assay-digest";
    /// When the signature ends, in Unix seconds.
    pub const EXPIRES: &str = "assay-expires";
    /// The signature: 0x and 130 hex digits.
    pub const SIGNATURE: &str = "assay-signature";
}

mod eip712 {
    alloy_sol_types::sol! {
        struct Request {
            address account;
            string method;
            string path;
            bytes32 bodyDigest;
            uint40 expiresAt;
        }
        struct Refusal {
            bytes32 job;
            address provider;
            string reason;
            uint40 at;
        }
        struct Offer {
            address provider;
            string terms;
            uint40 until;
        }
    }
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
    /// It leads to another account: another signer, other content, or another chain or market in the domain.
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
    /// A time beyond 40 bits.
    #[error("{0} is no time in Unix seconds")]
    Time(u64),
}

impl SignedOrder {
    /// Signs an order.
    ///
    /// # Errors
    ///
    /// [`Error::Signer`].
    pub fn sign(
        order: Market::Order,
        deployment: &Deployment,
        signer: &PrivateKeySigner,
    ) -> Result<Self> {
        let signature = sign(signer, job_id(deployment, &order))?;
        Ok(SignedOrder { order, signature })
    }

    /// The order's id on a market.
    pub fn job_id(&self, deployment: &Deployment) -> B256 {
        job_id(deployment, &self.order)
    }

    /// Checks that the requester signed the order for a market, and gives its id there.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(&self, deployment: &Deployment) -> Result<B256, SignatureError> {
        self.verify_on(deployment.chain_id, deployment.market)
    }

    /// The same, by what of a deployment it takes.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify_on(&self, chain_id: u64, market: Address) -> Result<B256, SignatureError> {
        let id = job_id_on(chain_id, market, &self.order);
        verify_account(id, &self.signature, self.order.requester)?;
        Ok(id)
    }
}

impl SignedRefusal {
    /// Signs a refusal with its provider's key.
    ///
    /// # Errors
    ///
    /// [`Error::Signer`], [`Error::Signature`] for a time beyond 40 bits.
    pub fn sign(
        refusal: Refusal,
        deployment: &Deployment,
        signer: &PrivateKeySigner,
    ) -> Result<Self> {
        let signature = sign(signer, refusal.hash(deployment)?)?;
        Ok(SignedRefusal { refusal, signature })
    }

    /// Checks that the provider signed it for a market.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(&self, deployment: &Deployment) -> Result<(), SignatureError> {
        verify_account(self.refusal.hash(deployment)?, &self.signature, self.refusal.provider)
    }
}

impl Refusal {
    fn hash(&self, deployment: &Deployment) -> Result<B256, SignatureError> {
        let signed = eip712::Refusal {
            job: self.job_id,
            provider: self.provider,
            reason: self.reason.as_str().to_owned(),
            at: time(self.at)?,
        };
        Ok(signed.eip712_signing_hash(&domain(deployment)))
    }
}

impl SignedOffer {
    /// Signs an offer with its provider's key.
    ///
    /// # Errors
    ///
    /// [`Error::Signer`], [`Error::Signature`] for a time beyond 40 bits.
    pub fn sign(offer: Offer, deployment: &Deployment, signer: &PrivateKeySigner) -> Result<Self> {
        let signature = sign(signer, offer.hash(signer.address(), deployment)?)?;
        Ok(SignedOffer { offer: offer.offer, until: offer.until, signature })
    }

    /// Checks that a provider signed it for a market.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(&self, provider: Address, deployment: &Deployment) -> Result<(), SignatureError> {
        let offer = Offer { offer: self.offer.clone(), until: self.until };
        verify_account(offer.hash(provider, deployment)?, &self.signature, provider)
    }
}

impl Offer {
    fn hash(&self, provider: Address, deployment: &Deployment) -> Result<B256, SignatureError> {
        let signed = eip712::Offer {
            provider,
            terms: self.offer.as_str().to_owned(),
            until: time(self.until)?,
        };
        Ok(signed.eip712_signing_hash(&domain(deployment)))
    }
}

/// A request that an account answers for, as its headers say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// Who asks.
    pub account: Address,
    /// SHA-256 of the body.
    pub digest: B256,
    /// When the signature ends, in Unix seconds.
    pub expires: u64,
    /// 65 bytes.
    pub signature: Bytes,
}

impl SignedRequest {
    /// Signs a request; the path begins with `/v1/` and has no query.
    ///
    /// # Errors
    ///
    /// [`Error::Signer`], [`Error::Signature`] for a time beyond 40 bits.
    pub fn sign(
        (method, path): (&str, &str),
        body: &[u8],
        expires: u64,
        deployment: &Deployment,
        signer: &PrivateKeySigner,
    ) -> Result<Self> {
        let mut request = SignedRequest {
            account: signer.address(),
            digest: B256::new(sha256(body).0),
            expires,
            signature: Bytes::new(),
        };
        request.signature = sign(signer, request.hash(method, path, deployment)?)?;
        Ok(request)
    }

    /// Checks that the account signed it for a market.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(
        &self,
        method: &str,
        path: &str,
        deployment: &Deployment,
    ) -> Result<(), SignatureError> {
        verify_account(self.hash(method, path, deployment)?, &self.signature, self.account)
    }

    /// The headers that say so.
    pub fn headers(&self) -> [(&'static str, String); 4] {
        [
            (header::ACCOUNT, self.account.to_string()),
            (header::DIGEST, self.digest.to_string()),
            (header::EXPIRES, self.expires.to_string()),
            (header::SIGNATURE, self.signature.to_string()),
        ]
    }

    fn hash(
        &self,
        method: &str,
        path: &str,
        deployment: &Deployment,
    ) -> Result<B256, SignatureError> {
        let signed = eip712::Request {
            account: self.account,
            method: method.to_owned(),
            path: path.to_owned(),
            bodyDigest: self.digest,
            expiresAt: time(self.expires)?,
        };
        Ok(signed.eip712_signing_hash(&domain(deployment)))
    }
}

fn domain(deployment: &Deployment) -> Eip712Domain {
    eip712_domain! {
        name: "Assay Broker",
        version: "1",
        chain_id: deployment.chain_id,
        verifying_contract: deployment.market,
    }
}

fn time(unix_secs: u64) -> Result<U40, SignatureError> {
    U40::try_from(unix_secs).map_err(|_| SignatureError::Time(unix_secs))
}

fn sign(signer: &PrivateKeySigner, hash: B256) -> Result<Bytes, Error> {
    Ok(Bytes::copy_from_slice(&signer.sign_hash_sync(&hash)?.as_bytes()))
}

/// As OpenZeppelin's ECDSA does it: who passes here passes in the contracts.
/// Checks that an account has signed a hash, in the one form that the contracts take.
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
