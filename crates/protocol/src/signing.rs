//! What is signed, and by whom (spec/broker.md#signing).

use std::str::FromStr;

use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, B256, Bytes, FixedBytes, Signature, b256};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain};
use assay_contracts::Deployment;
use assay_contracts::{Market, job_id, job_id_on};
use assay_types::sha256;

use crate::account_key::{AccountKey, AccountKeyError};
use crate::capability::{Capability, CapabilityChain, Role, SignedRevocation};
use crate::{
    JsonObject, KeyRefusal, Offer, OwnerDocument, Problem, ProblemKind, Refusal, SealKeys,
    SignedDataset, SignedKeyRefusal, SignedOffer, SignedOrder, SignedOwnerDocument, SignedRefusal,
    SignedSealKeys, SignedWrap, Wrap,
};

/// The SHA-256 of no bytes, which a request without a body signs.
pub const EMPTY_DIGEST: B256 =
    b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

/// What the nonces of a broker begin with: another at each of its starts, so that what was sent
/// before a restart, or to another broker, is of no use.
pub type Epoch = FixedBytes<16>;

/// The headers that sign a request, and the one that tells how.
pub mod header {
    /// The account that signs: an address.
    pub const ACCOUNT: &str = "assay-account";
    /// In which role: one of those that spec/access.md lists.
    pub const ROLE: &str = "assay-role";
    /// The SHA-256 of the body: 0x and 64 hex digits.
    pub const DIGEST: &str = "assay-digest";
    /// Used once: 0x and 64 hex digits, of which the first 32 are the broker's epoch.
    pub const NONCE: &str = "assay-nonce";
    /// When the signature ends, in Unix seconds.
    pub const EXPIRES: &str = "assay-expires";
    /// The signature: 0x and 130 hex digits.
    pub const SIGNATURE: &str = "assay-signature";
    /// A chain of capabilities, if the request is in another's name: JSON.
    pub const CAPABILITIES: &str = "assay-capabilities";
    /// In an answer: what nonces must begin with, 0x and 32 hex digits.
    pub const EPOCH: &str = "assay-epoch";
}

mod eip712 {
    alloy_sol_types::sol! {
        struct Request {
            address account;
            string role;
            string method;
            string path;
            bytes32 bodyDigest;
            bytes32 nonce;
            bytes32 capability;
            uint40 expiresAt;
        }
        struct Capability {
            address issuer;
            address holder;
            string role;
            string methods;
            string pathPrefix;
            uint40 notAfter;
            bytes32 parent;
        }
        struct CapabilityRevocation {
            address issuer;
            bytes32 capability;
        }
        struct SealKeys {
            address account;
            string keys;
            uint40 from;
        }
        struct Wrap {
            bytes32 job;
            address owner;
            address recipient;
            uint8 slot;
            bytes wrap;
        }
        struct KeyRefusal {
            bytes32 job;
            address owner;
            address recipient;
            string reason;
            uint40 at;
        }
        struct Dataset {
            address owner;
            string document;
        }
        struct Policy {
            address owner;
            string document;
        }
        struct OwnerDocument {
            address owner;
            string kind;
            string document;
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

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key could not sign.
    #[error("the key can't sign: {0}")]
    Signer(#[from] AccountKeyError),
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

impl SignedOrder {
    /// Signs an order that has no terms.
    ///
    /// # Errors
    ///
    /// [`SignError::Signer`]; [`SignError::Signature`] if the order names terms.
    pub fn sign(
        order: Market::Order,
        deployment: &Deployment,
        signer: &impl AccountKey,
    ) -> Result<Self, SignError> {
        Self::sign_with(order, None, deployment, signer)
    }

    /// Signs an order with its terms: its `termsHash` must be [`SignedOrder::terms_hash`].
    ///
    /// # Errors
    ///
    /// [`SignError::Signer`]; [`SignError::Signature`] if the order names other terms.
    pub fn sign_with(
        order: Market::Order,
        terms: Option<JsonObject>,
        deployment: &Deployment,
        signer: &impl AccountKey,
    ) -> Result<Self, SignError> {
        let signature = sign(signer, job_id(deployment, &order))?;
        let signed = SignedOrder { order, terms, signature };
        signed.check_terms()?;
        Ok(signed)
    }

    /// What an order's `termsHash` is: the SHA-256 of the terms' text; zero without terms.
    pub fn terms_hash(terms: Option<&JsonObject>) -> B256 {
        terms.map_or(B256::ZERO, |terms| B256::new(sha256(terms.as_str().as_bytes()).0))
    }

    fn check_terms(&self) -> Result<(), SignatureError> {
        if Self::terms_hash(self.terms.as_ref()) == self.order.termsHash {
            Ok(())
        } else {
            Err(SignatureError::Terms)
        }
    }

    /// The order's id on a market.
    pub fn job_id(&self, deployment: &Deployment) -> B256 {
        job_id(deployment, &self.order)
    }

    /// Checks that the requester signed the order for a market and that it names its terms, and
    /// gives its id there.
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
        self.check_terms()?;
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
    /// [`SignError::Signer`], [`SignError::Signature`] for a time beyond 40 bits.
    pub fn sign(
        refusal: Refusal,
        deployment: &Deployment,
        signer: &impl AccountKey,
    ) -> Result<Self, SignError> {
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
    /// [`SignError::Signer`], [`SignError::Signature`] for a time beyond 40 bits.
    pub fn sign(
        offer: Offer,
        deployment: &Deployment,
        signer: &impl AccountKey,
    ) -> Result<Self, SignError> {
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

impl SignedSealKeys {
    /// Signs an account's seal keys with its key.
    ///
    /// # Errors
    ///
    /// [`SignError::Signer`], [`SignError::Signature`] for a time beyond 40 bits.
    pub fn sign(
        keys: SealKeys,
        deployment: &Deployment,
        signer: &impl AccountKey,
    ) -> Result<Self, SignError> {
        let signature = sign(signer, keys.hash(signer.address(), deployment)?)?;
        Ok(SignedSealKeys { keys: keys.keys, from: keys.from, signature })
    }

    /// Checks that the account signed them for a market.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(&self, account: Address, deployment: &Deployment) -> Result<(), SignatureError> {
        let keys = SealKeys { keys: self.keys.clone(), from: self.from };
        verify_account(keys.hash(account, deployment)?, &self.signature, account)
    }
}

impl SealKeys {
    fn hash(&self, account: Address, deployment: &Deployment) -> Result<B256, SignatureError> {
        let keys = self.keys.as_str().to_owned();
        let signed = eip712::SealKeys { account, keys, from: time(self.from)? };
        Ok(signed.eip712_signing_hash(&domain(deployment)))
    }
}

impl SignedWrap {
    /// Signs a wrap with its owner's key.
    ///
    /// # Errors
    ///
    /// [`SignError::Signer`].
    pub fn sign(
        wrap: &Wrap,
        deployment: &Deployment,
        signer: &impl AccountKey,
    ) -> Result<Self, SignError> {
        let signature = sign(signer, wrap.hash(deployment))?;
        Ok(SignedWrap { owner: wrap.owner, wrap: wrap.wrap.clone(), signature })
    }

    /// Checks that its owner signed it for this job, recipient and slot of a market.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(
        &self,
        (job_id, recipient, slot): (B256, Address, u8),
        deployment: &Deployment,
    ) -> Result<(), SignatureError> {
        let (owner, wrap) = (self.owner, self.wrap.clone());
        let wrap = Wrap { job_id, owner, recipient, slot, wrap };
        verify_account(wrap.hash(deployment), &self.signature, owner)
    }
}

impl Wrap {
    fn hash(&self, deployment: &Deployment) -> B256 {
        let signed = eip712::Wrap {
            job: self.job_id,
            owner: self.owner,
            recipient: self.recipient,
            slot: self.slot,
            wrap: self.wrap.clone(),
        };
        signed.eip712_signing_hash(&domain(deployment))
    }
}

impl SignedKeyRefusal {
    /// Signs a key service's refusal with its owner's key.
    ///
    /// # Errors
    ///
    /// [`SignError::Signer`], [`SignError::Signature`] for a time beyond 40 bits.
    pub fn sign(
        refusal: KeyRefusal,
        deployment: &Deployment,
        signer: &impl AccountKey,
    ) -> Result<Self, SignError> {
        let signature = sign(signer, refusal.hash(deployment)?)?;
        Ok(SignedKeyRefusal { refusal, signature })
    }

    /// Checks that the owner signed it for a market.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(&self, deployment: &Deployment) -> Result<(), SignatureError> {
        verify_account(self.refusal.hash(deployment)?, &self.signature, self.refusal.owner)
    }
}

impl KeyRefusal {
    fn hash(&self, deployment: &Deployment) -> Result<B256, SignatureError> {
        let signed = eip712::KeyRefusal {
            job: self.job_id,
            owner: self.owner,
            recipient: self.recipient,
            reason: self.reason.as_str().to_owned(),
            at: time(self.at)?,
        };
        Ok(signed.eip712_signing_hash(&domain(deployment)))
    }
}

impl SignedDataset {
    /// Signs what describes a dataset, and its policy, with its owner's key.
    ///
    /// # Errors
    ///
    /// [`SignError::Signer`].
    pub fn sign(
        document: JsonObject,
        policy: JsonObject,
        deployment: &Deployment,
        signer: &impl AccountKey,
    ) -> Result<Self, SignError> {
        let [hash, policy_hash] = dataset_hashes(signer.address(), &document, &policy, deployment);
        let (signature, policy_signature) = (sign(signer, hash)?, sign(signer, policy_hash)?);
        Ok(SignedDataset { document, signature, policy, policy_signature })
    }

    /// Checks that the owner signed both for a market. Which policy the document means is for
    /// readers to compare.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(&self, owner: Address, deployment: &Deployment) -> Result<(), SignatureError> {
        let [hash, policy_hash] = dataset_hashes(owner, &self.document, &self.policy, deployment);
        verify_account(hash, &self.signature, owner)?;
        verify_account(policy_hash, &self.policy_signature, owner)
    }
}

fn dataset_hashes(
    owner: Address,
    document: &JsonObject,
    policy: &JsonObject,
    deployment: &Deployment,
) -> [B256; 2] {
    let dataset = eip712::Dataset { owner, document: document.as_str().to_owned() };
    let policy = eip712::Policy { owner, document: policy.as_str().to_owned() };
    let domain = domain(deployment);
    [dataset.eip712_signing_hash(&domain), policy.eip712_signing_hash(&domain)]
}

impl SignedOwnerDocument {
    /// Signs an owner's document with its key.
    ///
    /// # Errors
    ///
    /// [`SignError::Signer`].
    pub fn sign(
        document: OwnerDocument,
        deployment: &Deployment,
        signer: &impl AccountKey,
    ) -> Result<Self, SignError> {
        let signature = sign(signer, document.hash(signer.address(), deployment))?;
        Ok(SignedOwnerDocument { kind: document.kind, document: document.document, signature })
    }

    /// Checks that the owner signed it for a market, and gives its hash.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(&self, owner: Address, deployment: &Deployment) -> Result<B256, SignatureError> {
        let (kind, document) = (self.kind.clone(), self.document.clone());
        let hash = OwnerDocument { kind, document }.hash(owner, deployment);
        verify_account(hash, &self.signature, owner)?;
        Ok(hash)
    }
}

impl OwnerDocument {
    fn hash(&self, owner: Address, deployment: &Deployment) -> B256 {
        let document = self.document.as_str().to_owned();
        let signed = eip712::OwnerDocument { owner, kind: self.kind.clone(), document };
        signed.eip712_signing_hash(&domain(deployment))
    }
}

impl Capability {
    /// What its issuer signs, and what the next one and a request name.
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
}

impl SignedRevocation {
    /// Takes a capability back with its issuer's key.
    ///
    /// # Errors
    ///
    /// [`SignError::Signer`]; [`SignError::Signature`] for another's key, and for a time beyond 40
    /// bits.
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

/// A request that an account answers for, as its headers say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// Who signs.
    pub account: Address,
    /// In which role.
    pub role: Role,
    /// SHA-256 of the body.
    pub digest: B256,
    /// Used once; the first 16 bytes are the broker's epoch.
    pub nonce: B256,
    /// When the signature ends, in Unix seconds.
    pub expires: u64,
    /// In whose name, if not in the signer's own.
    pub capabilities: Option<CapabilityChain>,
    /// 65 bytes.
    pub signature: Bytes,
}

impl SignedRequest {
    /// Reads the headers that sign a request; `value` gives a header's text.
    ///
    /// # Errors
    ///
    /// [`ProblemKind::RequestUnsigned`], and what a chain of capabilities can have wrong before it
    /// is used.
    pub fn from_headers<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Problem> {
        let chain = value(header::CAPABILITIES).map(str::parse).transpose();
        Ok(SignedRequest {
            account: named(header::ACCOUNT, &value)?,
            role: named(header::ROLE, &value)?,
            digest: named(header::DIGEST, &value)?,
            nonce: named(header::NONCE, &value)?,
            expires: named(header::EXPIRES, &value)?,
            signature: named(header::SIGNATURE, &value)?,
            capabilities: chain.map_err(Problem::from)?,
        })
    }

    /// Signs a request; the path begins with `/v1/` and goes on to the end of the query.
    ///
    /// # Errors
    ///
    /// [`SignError::Signer`], [`SignError::Signature`] for a time beyond 40 bits.
    pub fn sign(
        (method, path): (&str, &str),
        digest: B256,
        (role, nonce, expires): (Role, B256, u64),
        deployment: &Deployment,
        (signer, capabilities): (&impl AccountKey, Option<CapabilityChain>),
    ) -> Result<Self, SignError> {
        let mut request = SignedRequest {
            account: signer.address(),
            role,
            digest,
            nonce,
            expires,
            capabilities,
            signature: Bytes::new(),
        };
        request.signature = sign(signer, request.hash(method, path, deployment)?)?;
        Ok(request)
    }

    /// Checks that the account signed it for a market. Whether it may, and whether its capabilities
    /// hold, is another matter.
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
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (header::ACCOUNT, self.account.to_string()),
            (header::ROLE, self.role.to_string()),
            (header::DIGEST, self.digest.to_string()),
            (header::NONCE, self.nonce.to_string()),
            (header::EXPIRES, self.expires.to_string()),
            (header::SIGNATURE, self.signature.to_string()),
        ];
        if let Some(chain) = &self.capabilities {
            headers.push((header::CAPABILITIES, chain.to_string()));
        }
        headers
    }

    fn hash(
        &self,
        method: &str,
        path: &str,
        deployment: &Deployment,
    ) -> Result<B256, SignatureError> {
        let capability = self.capabilities.as_ref().map(|chain| chain.hash(deployment));
        let signed = eip712::Request {
            account: self.account,
            role: self.role.as_str().to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            bodyDigest: self.digest,
            nonce: self.nonce,
            capability: capability.transpose()?.unwrap_or_default(),
            expiresAt: time(self.expires)?,
        };
        Ok(signed.eip712_signing_hash(&domain(deployment)))
    }
}

fn named<'a, T: FromStr>(
    name: &str,
    value: impl Fn(&str) -> Option<&'a str>,
) -> Result<T, Problem> {
    value(name).and_then(|value| value.parse().ok()).ok_or_else(|| {
        ProblemKind::RequestUnsigned.with(format_args!("{name} is missing or does not parse"))
    })
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

/// Signs a hash with an account's key: 65 bytes.
///
/// # Errors
///
/// [`SignError::Signer`].
pub fn sign(signer: &impl AccountKey, hash: B256) -> Result<Bytes, SignError> {
    Ok(Bytes::copy_from_slice(&signer.sign_hash(&hash)?.as_bytes()))
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
