//! Sealed data, named by its SHA-256.

use std::ops::Range;
use std::path::Path;

use alloy_primitives::B256;
use assay_protocol::{BlobPut, ProblemKind, check_envelope};
use futures_util::stream::try_unfold;
use http_body_util::StreamBody;
use reqwest::StatusCode;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::BrokerClient;
use super::entries::or_none;
use super::request::{bounded, json, unreachable_by};
use crate::error::{Error, Result};

/// What is read of a file at once.
const PIECE_BYTES: usize = 256 << 10;

impl BrokerClient {
    /// Stores an envelope under its SHA-256, unless the broker has it; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn put_envelope(&self, name: B256, envelope: Vec<u8>) -> Result<bool> {
        self.put_blob(format!("/v1/envelopes/{name}"), envelope).await
    }

    /// Stores an envelope from a file, unless the broker has it; true if it is new there. The file
    /// is not read into memory.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file can't be read, and as every call.
    pub async fn put_envelope_file(&self, name: B256, file: &Path) -> Result<bool> {
        let path = format!("/v1/envelopes/{name}");
        if self.has(&path).await? {
            return Ok(false);
        }
        let failed = |source| Error::Io { what: format!("reading {}", file.display()), source };
        let opened = std::fs::File::open(file).map_err(failed)?;
        let size = opened.metadata().map_err(failed)?.len();
        let call = self.upload(path, name, size);
        let response = self.send(&call, |request| {
            // Each attempt reads from the beginning; a file that is gone by now breaks the body
            // off, and the broker refuses.
            let content = std::fs::File::open(file).map(tokio::fs::File::from_std);
            let pieces = try_unfold(content, async |content| {
                let mut content = content?;
                let mut piece = bytes::BytesMut::with_capacity(PIECE_BYTES);
                let read = content.read_buf(&mut piece).await?;
                let frame = hyper::body::Frame::data(piece.freeze());
                Ok::<_, std::io::Error>((read > 0).then_some((frame, Ok(content))))
            });
            let body = reqwest::Body::wrap(StreamBody::new(pieces));
            request.header("content-length", size).body(body)
        });
        let response = response.await?;
        let is_new = response.status() == StatusCode::CREATED;
        let _: BlobPut = json(response).await?;
        Ok(is_new)
    }

    /// An envelope; `None` if the broker does not have it.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another envelope, and as every call.
    pub async fn envelope(&self, name: B256) -> Result<Option<Vec<u8>>> {
        self.blob(format!("/v1/envelopes/{name}"), move |found| check_envelope(name, found)).await
    }

    /// Writes an envelope to a sink, piece by piece, and returns its size; `None` if the broker
    /// does not have it. Only once this returns is the envelope known to be the right one.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another envelope, [`Error::Io`] if the sink fails, and as every
    /// call.
    pub async fn envelope_to(
        &self,
        name: B256,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<Option<u64>> {
        let call = self.download(format!("/v1/envelopes/{name}"));
        let sent = self.send(&call, |request| request).await;
        let Some(mut response) = or_none(sent, ProblemKind::BlobUnknown)? else { return Ok(None) };
        let (mut hasher, mut bytes) = (Sha256::new(), 0);
        while let Some(piece) = response.chunk().await.map_err(unreachable_by)? {
            bytes += piece.len() as u64;
            if bytes > self.config.blob_bytes_max {
                return Err(Error::bad_answer("the envelope is larger than this client accepts"));
            }
            hasher.update(&piece);
            let failed = |source| Error::Io { what: "keeping an envelope".into(), source };
            sink(&piece).map_err(failed)?;
        }
        if hasher.finalize()[..] == name[..] {
            Ok(Some(bytes))
        } else {
            Err(Error::bad_answer("it is another envelope"))
        }
    }

    /// A range of an envelope; `None` if the broker does not have it. A range can't be checked
    /// against the name: opening it shows whether it is right.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another range, and as every call.
    pub async fn envelope_range(&self, name: B256, range: Range<u64>) -> Result<Option<Vec<u8>>> {
        if range.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let size = range.end - range.start;
        let call = self.download(format!("/v1/envelopes/{name}"));
        let asked = format!("bytes={}-{}", range.start, range.end - 1);
        let sent = self.send(&call, |request| request.header("range", &asked)).await;
        let Some(response) = or_none(sent, ProblemKind::BlobUnknown)? else { return Ok(None) };
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        let content = bounded(response, usize::try_from(size).unwrap_or(usize::MAX)).await?;
        if is_part && content.len() as u64 == size {
            Ok(Some(content))
        } else {
            Err(Error::bad_answer("it gave another range"))
        }
    }

    /// Whether the broker has an envelope.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn has_envelope(&self, name: B256) -> Result<bool> {
        self.has(&format!("/v1/envelopes/{name}")).await
    }
}
