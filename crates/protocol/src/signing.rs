//! Signing what travels, and checking who signed it (spec/broker.md#signing).

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolStruct;
use assay_contracts::{Deployment, Market, job_id, job_id_on};
use assay_types::sha256;

use crate::account_key::AccountKey;
use crate::eip712::{self, domain, time};
use crate::json_text::JsonObject;
use crate::signature::{SignError, SignatureError, sign, verify_account};
use crate::types::{
    KeyRefusal, KeyWrap, Offer, OwnerDocument, Refusal, SealKeys, SignedDataset, SignedKeyRefusal,
    SignedOffer, SignedOrder, SignedOwnerDocument, SignedRefusal, SignedSealKeys, SignedWrap,
};

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

    /// The `termsHash` of an order with these terms: the SHA-256 of their text; zero without terms.
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

    /// Checks that the requester signed the order, with its terms, for a market. Returns its job id
    /// there.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(&self, deployment: &Deployment) -> Result<B256, SignatureError> {
        self.verify_on(deployment.chain_id, deployment.market)
    }

    /// The same by the market's chain and address.
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
        wrap: &KeyWrap,
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
        let wrap = KeyWrap { job_id, owner, recipient, slot, wrap };
        verify_account(wrap.hash(deployment), &self.signature, owner)
    }
}

impl KeyWrap {
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
    /// Signs a dataset's document and its policy with the owner's key.
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

    /// Checks that the owner signed both for a market. Does not check that the document names this
    /// policy.
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

    /// Checks that the owner signed it for a market, and returns its hash.
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
