//! Programs and slots: content that is named by its hash.

use alloy_primitives::B256;
use assay_protocol::{BlobPut, HashedSlot, ProblemKind, SlotHasher, check_program, check_slot};
use assay_types::{BlobRoot, ProgramId, sha256};
use reqwest::{Method, StatusCode};

use super::BrokerClient;
use super::entries::{blocking, or_none};
use super::request::{bounded, json, unreachable_by};
use crate::error::{Error, Result};

impl BrokerClient {
    /// Stores a program's ELF under its id, unless the broker has it; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn put_program(&self, id: ProgramId, elf: Vec<u8>) -> Result<bool> {
        self.put_blob(format!("/v1/programs/{id}"), elf).await
    }

    /// A program's ELF; `None` if the broker does not have it.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another program, and as every call.
    pub async fn program(&self, id: ProgramId) -> Result<Option<Vec<u8>>> {
        self.blob(format!("/v1/programs/{id}"), move |elf| check_program(id, elf)).await
    }

    /// Whether the broker has a program.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn has_program(&self, id: ProgramId) -> Result<bool> {
        self.has(&format!("/v1/programs/{id}")).await
    }

    /// Stores the image of a slot under its root, unless the broker has it; true if it is new
    /// there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn put_slot(&self, root: BlobRoot, image: Vec<u8>) -> Result<bool> {
        self.put_blob(format!("/v1/slots/{root}"), image).await
    }

    /// The image of a slot; `None` if the broker does not have it.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another slot, and as every call.
    pub async fn slot(&self, root: BlobRoot) -> Result<Option<Vec<u8>>> {
        self.blob(format!("/v1/slots/{root}"), move |image| check_slot(root, image)).await
    }

    /// Writes the image of a slot to a sink, piece by piece, and tells what the slot is; `None` if
    /// the broker does not have it. Only once this returns is it known to be the right one.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another slot, [`Error::Io`] if the sink fails, and as every call.
    pub async fn slot_to(
        &self,
        root: BlobRoot,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<Option<HashedSlot>> {
        let call = self.download(format!("/v1/slots/{root}"));
        let sent = self.send(&call, |request| request).await;
        let Some(mut response) = or_none(sent, ProblemKind::BlobUnknown)? else { return Ok(None) };
        let no_image = |error| Error::bad_answer(format!("it is no slot image: {error}"));
        let (mut hasher, mut bytes) = (SlotHasher::new(), 0);
        while let Some(piece) = response.chunk().await.map_err(unreachable_by)? {
            bytes += piece.len() as u64;
            if bytes > self.config.blob_bytes_max {
                return Err(Error::bad_answer("the image is larger than this client accepts"));
            }
            hasher.update(&piece).map_err(no_image)?;
            let failed = |source| Error::Io { what: "keeping a slot's image".into(), source };
            sink(&piece).map_err(failed)?;
        }
        let hashed = hasher.finish().map_err(no_image)?;
        if hashed.root == root {
            Ok(Some(hashed))
        } else {
            Err(Error::bad_answer(format!("it is slot {}", hashed.root)))
        }
    }

    /// Whether the broker has a slot.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn has_slot(&self, root: BlobRoot) -> Result<bool> {
        self.has(&format!("/v1/slots/{root}")).await
    }
}

impl BrokerClient {
    pub(super) async fn put_blob(&self, path: String, content: Vec<u8>) -> Result<bool> {
        // A whole upload for nothing would be a pity.
        if self.has(&path).await? {
            return Ok(false);
        }
        let content = bytes::Bytes::from(content);
        let hashed = content.clone();
        let digest = blocking(move || Ok(B256::new(sha256(&hashed).0))).await?;
        let call = self.upload(path, digest, content.len() as u64);
        let response = self.send(&call, |request| request.body(content.clone())).await?;
        let is_new = response.status() == StatusCode::CREATED;
        let _: BlobPut = json(response).await?;
        Ok(is_new)
    }

    pub(super) async fn blob(
        &self,
        path: String,
        check: impl FnOnce(&[u8]) -> Result<(), String> + Send + 'static,
    ) -> Result<Option<Vec<u8>>> {
        let sent = self.send(&self.download(path), |request| request).await;
        let Some(response) = or_none(sent, ProblemKind::BlobUnknown)? else { return Ok(None) };
        let max = usize::try_from(self.config.blob_bytes_max).unwrap_or(usize::MAX);
        let content = bounded(response, max).await?;
        blocking(move || {
            check(&content).map_err(Error::bad_answer)?;
            Ok(Some(content))
        })
        .await
    }

    pub(super) async fn has(&self, path: &str) -> Result<bool> {
        match self.send(&self.call(Method::HEAD, path), |request| request).await {
            // A HEAD's answer has no body to say which problem it is.
            Err(Error::Refused(problem)) if problem.status == 404 => Ok(false),
            other => other.map(|_| true),
        }
    }
}
