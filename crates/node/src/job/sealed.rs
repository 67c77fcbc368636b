//! Sealing what a job reads, and opening it where a key was released.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use assay_machine::slot;
use assay_market::SealedSlot;
use assay_merkle::blob_root;
use assay_protocol::SignedOrder;
use assay_seal::envelope::{open, seal};
use assay_seal::{ContentKey, SealKeys, SealPublic, Wrap, WrapContext as Context};
use assay_types::{BlobRoot, Hash, Salt, sha256};
use zeroize::Zeroizing;

use crate::base::blocking::blocking;
use crate::base::env::Env;
use crate::board::{Board, terms_of};
use crate::job::images::{blob_bytes, image_of};
use crate::job::vault::{Secret, Vault};
use crate::{Error, Home, Result};

/// What an account opens what was sealed to it by.
#[derive(Clone)]
pub(crate) struct Opener {
    account: Address,
    keys: Arc<SealKeys>,
    /// What the account has sealed itself needs nobody's release.
    own: Option<Vault>,
}

impl Opener {
    /// The account's own, which follows from its secret.
    pub(crate) fn of(signer: &PrivateKeySigner) -> Self {
        let secret = Zeroizing::new(signer.to_bytes().0);
        Opener { account: signer.address(), keys: Arc::new(SealKeys::derive(&secret)), own: None }
    }

    /// The same, with the keys of what was sealed under a home.
    pub(crate) fn with(self, vault: Vault) -> Self {
        Opener { own: Some(vault), ..self }
    }

    /// What others wrap keys to.
    pub(crate) fn public(&self) -> SealPublic {
        self.keys.public()
    }

    /// The key of a job's sealed slot, if its owner has released it to this account.
    pub(crate) async fn key(
        &self,
        board: &Board,
        job: B256,
        slot: u8,
        sealed: &SealedSlot,
    ) -> Result<Option<ContentKey>> {
        let own = self.own.as_ref().map(|vault| vault.find(sealed.envelope)).transpose()?;
        if let Some(secret) = own.flatten() {
            return Ok(Some(secret.key));
        }
        let owner = Address::from(sealed.owner.0);
        let policy = sealed.policy.unwrap_or_default();
        self.open(board, job, slot, owner, sealed.envelope, policy).await
    }

    /// The key of a job's sealed output, if its requester has released it to this account.
    pub(crate) async fn output_key(
        &self,
        board: &Board,
        job: B256,
        requester: Address,
    ) -> Result<Option<ContentKey>> {
        self.open(board, job, OUTPUT_SLOT, requester, Hash::default(), Hash::default()).await
    }

    async fn open(
        &self,
        board: &Board,
        job: B256,
        slot: u8,
        owner: Address,
        envelope: Hash,
        policy: Hash,
    ) -> Result<Option<ContentKey>> {
        let found = board.wrap(job, self.account, (owner, slot)).await?;
        let Some(found) = found else { return Ok(None) };
        let recipient = self.account.into_array();
        let owner = owner.into_array();
        let context = Context { job: Hash(job.0), slot, envelope, policy, owner, recipient };
        let unusable = |error: assay_seal::WrapError| Error::KeyUnusable {
            owner: owner.into(),
            cause: error.to_string(),
        };
        let wrap = Wrap::from_bytes(&found).map_err(unusable)?;
        wrap.open(&self.keys, &context).map(Some).map_err(unusable)
    }
}

/// The number of the output slot.
pub(crate) const OUTPUT_SLOT: u8 = slot::OUTPUT as u8;

/// Bytes under seal: what opens them, and the envelope.
pub(crate) async fn seal_bytes(env: &Env, bytes: Vec<u8>) -> Result<(Secret, Vec<u8>)> {
    let (env, bytes) = (env.clone(), Zeroizing::new(bytes));
    blocking(move || {
        let salt = Salt(env.random()?);
        let root = blob_root(salt, &bytes)?;
        let blob = blob_bytes(salt, &bytes)?;
        let mut rng = env.rng();
        let key = ContentKey::draw(&mut rng);
        let envelope = seal(&key, &blob, Hash::default(), &mut rng)?;
        let secret =
            Secret { envelope: sha256(&envelope), bytes: envelope.len() as u64, root, key, salt };
        Ok((secret, envelope))
    })
    .await
}

/// The image of the slot whose blob an envelope holds.
pub(crate) async fn open_image(
    board: &Board,
    root: BlobRoot,
    digest: Hash,
    key: ContentKey,
) -> Result<Zeroizing<Vec<u8>>> {
    let envelope = board.envelope(digest).await?.ok_or(Error::InputMissing { root })?;
    let broken = move |cause: String| Error::SealBroken { root, cause };
    blocking(move || {
        let blob = open(&key, &envelope).map_err(|error| broken(error.to_string()))?;
        if blob.len() as u64 > 1 << 29 {
            return Err(broken("it does not fit a slot".to_owned()));
        }
        Ok(Zeroizing::new(image_of(&blob)))
    })
    .await
}

/// The key of a job's sealed output, if its input was sealed under a home.
///
/// # Errors
///
/// [`Error::Damaged`], [`Error::File`]; [`Error::Terms`].
pub fn kept_output_key(home: &Home, signed: &SignedOrder) -> Result<Option<ContentKey>> {
    let Some(input) = terms_of(signed)?.input else { return Ok(None) };
    let secret = Vault::at(home.vault()).find(input.envelope)?;
    Ok(secret.map(|secret| secret.output_key()))
}
