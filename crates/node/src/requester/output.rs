//! Reading a job's output.

use std::path::PathBuf;

use alloy_primitives::B256;
use assay_merkle::empty_slot;
use assay_protocol::check_slot;
use assay_seal::open_output_by;
use assay_types::{BlobRoot, Hash};

use crate::base::blocking::blocking;
use crate::base::files;
use crate::base::ids::account;
use crate::board::terms_of;
use crate::job::executor::InProcess;
use crate::job::images::blob_of;
use crate::job::inputs::{Replay, replayed, start};
use crate::requester::{JobRecord, Requester};
use crate::{Error, Result};

impl Requester {
    /// The output of a claimed job, if it is published and has the claim's root; opened if it is
    /// sealed and this account may read it.
    ///
    /// # Errors
    ///
    /// [`Error::InputMissing`] if nobody has published it; [`Error::KeyMissing`] if it is sealed to
    /// others; [`Error::Output`] if it is no blob.
    pub async fn output(&self, id: B256) -> Result<Vec<u8>> {
        let sealed = self.published_output(id).await?;
        let Some(signed) = self.board.find_order(id).await? else {
            return Err(Error::OrderMissing { job: id });
        };
        let Some(input) = terms_of(&signed)?.input else { return Ok(sealed) };
        // A program that refuses its input leaves an empty output, which there is nothing to seal
        // in.
        if sealed.is_empty() {
            return Ok(sealed);
        }
        let requester = signed.order.requester;
        let key = match self.vault.find(input.envelope)? {
            Some(secret) => Some(secret.output_key()),
            None => self.opener.output_key(&self.board, id, requester).await?,
        };
        let root = BlobRoot(Hash(signed.order.inputRoot.0));
        let key = key.ok_or(Error::KeyMissing { root, owner: account(requester) })?;
        let opened = blocking(move || open_output_by(&key, &sealed)).await;
        let opened = opened.map_err(|error| Error::OutputSealed { cause: error.to_string() })?;
        Ok(opened.to_vec())
    }

    /// Runs a job of this requester's again on this machine, with the keys of what it has sealed
    /// itself or was given.
    ///
    /// # Errors
    ///
    /// As [`replay`](crate::replay).
    pub async fn replay(&self, record: &JobRecord) -> Result<Replay> {
        let opener = self.opener.clone().with(self.vault.clone());
        let run = start(&self.board, &opener, &record.signed, &InProcess::default()).await?;
        Ok(replayed(run).await)
    }

    async fn published_output(&self, id: B256) -> Result<Vec<u8>> {
        let root = self.contracts.job(id).await?.output;
        if root == empty_slot() {
            return Ok(Vec::new());
        }
        let image = self.output_image(root).await?.ok_or(Error::InputMissing { root })?;
        blob_of(root, &image)
    }

    /// The image of an output; `None` if nobody has published it. What was found once is kept, and
    /// not asked for again.
    pub(super) async fn output_image(&self, root: BlobRoot) -> Result<Option<Vec<u8>>> {
        let file = self.output_file(root);
        let kept = files::read(&file)?.filter(|image| check_slot(root, image).is_ok());
        if kept.is_some() {
            return Ok(kept);
        }
        let found = self.board.slot(root).await?;
        let found = found.filter(|image| check_slot(root, image).is_ok());
        if let Some(image) = &found
            && !self.board.has_store()
        {
            self.keep_output(root, image)?;
        }
        Ok(found)
    }

    /// Keeps the image of an output.
    pub(super) fn keep_output(&self, root: BlobRoot, image: &[u8]) -> Result<()> {
        files::write(&self.output_file(root), image)
    }

    fn output_file(&self, root: BlobRoot) -> PathBuf {
        self.outputs.join(format!("{root}.image"))
    }
}
