//! Publishing what a job reads, under seal or in the clear.

use alloy_primitives::Address;
use assay_market::{SealedSlot, Terms};
use assay_merkle::empty_slot;
use assay_types::{BlobRoot, Hash};

use crate::base::ids::account;
use crate::job::images::public_blob;
use crate::job::sealed::seal_bytes;
use crate::requester::Requester;
use crate::requester::terms::{DatasetTerms, JobTerms};
use crate::{Error, Result};

/// What a job reads, published.
pub(super) struct Reads {
    pub(super) input: BlobRoot,
    pub(super) dataset: BlobRoot,
    pub(super) agreed: Terms,
}

impl Requester {
    /// Publishes what a job reads: sealed, or in the clear if the terms say so.
    pub(super) async fn publish(&self, terms: &JobTerms) -> Result<Reads> {
        let own = match &terms.dataset {
            DatasetTerms::Own(bytes) => Some(&bytes[..]),
            DatasetTerms::None | DatasetTerms::Of(_) => None,
        };
        let mut reads = match &terms.sealing {
            None => Reads {
                input: self.publish_clear(terms.input.as_deref()).await?,
                dataset: self.publish_clear(own).await?,
                agreed: Terms::open(),
            },
            Some(sealing) => {
                if let Some(beneficiary) = sealing.beneficiary {
                    self.require_keys(beneficiary).await?;
                }
                // An empty input is sealed too: the output's key follows from its salt.
                let input = self.publish_sealed(terms.input.as_deref().unwrap_or_default()).await?;
                let dataset = match own {
                    Some(bytes) => Some(self.publish_sealed(bytes).await?),
                    None => None,
                };
                let auditors = sealing.auditors.iter().map(|auditor| account(*auditor)).collect();
                Reads {
                    input: input.0,
                    dataset: dataset.as_ref().map_or_else(empty_slot, |(root, _)| *root),
                    agreed: Terms {
                        input: Some(input.1),
                        dataset: dataset.map(|(_, sealed)| sealed),
                        auditors,
                        ..Terms::open()
                    },
                }
            }
        };
        if let DatasetTerms::Of(of) = &terms.dataset {
            if terms.sealing.is_none() {
                return Err(Error::SealingMissing);
            }
            reads.dataset = of.publication.root;
            reads.agreed.dataset = Some(SealedSlot {
                envelope: of.publication.envelope_digest,
                bytes: of.publication.envelope_size,
                owner: of.publication.owner,
                policy: Some(of.publication.policy),
                purpose: Some(of.purpose.clone()),
            });
        }
        reads.agreed.input_of = terms.input_of.map(|job| Hash(job.0));
        reads.agreed.reputation_min = terms.reputation_min;
        Ok(reads)
    }

    /// A result that is sealed to nobody's keys could be read by nobody.
    async fn require_keys(&self, beneficiary: Address) -> Result<()> {
        if beneficiary == self.contracts.account()
            || self.board.seal_keys(beneficiary).await?.is_some()
        {
            return Ok(());
        }
        Err(Error::BeneficiaryKeysMissing { beneficiary })
    }

    async fn publish_clear(&self, bytes: Option<&[u8]>) -> Result<BlobRoot> {
        let Some(bytes) = bytes else { return Ok(empty_slot()) };
        let (root, image) = public_blob(bytes)?;
        self.board.put_slot(root, image).await?;
        Ok(root)
    }

    async fn publish_sealed(&self, bytes: &[u8]) -> Result<(BlobRoot, SealedSlot)> {
        let (secret, envelope) = seal_bytes(self.contracts.env(), bytes.to_vec()).await?;
        // A key that was lost would leave an envelope that nobody can open; an envelope that was
        // lost leaves an idle key.
        self.vault.put(&secret)?;
        let sealed = SealedSlot {
            envelope: secret.envelope,
            bytes: secret.bytes,
            owner: account(self.contracts.account()),
            policy: None,
            purpose: None,
        };
        self.board.put_envelope(secret.envelope, envelope).await?;
        Ok((secret.root, sealed))
    }

    /// Publishes the keys to which this account wants things sealed: what a beneficiary does before
    /// it is named.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Broker`].
    pub async fn publish_seal_keys(&self) -> Result<()> {
        let (signer, now) = (self.contracts.signer(), self.contracts.now());
        self.board.put_seal_keys(signer, &self.opener.public(), now).await
    }
}
