//! Envelopes: sealed data, named by its SHA-256; written to the disk as it arrives.

use assay_protocol::schema::Binary;
use assay_protocol::{BlobPut, ProblemKind};
use assay_storage::{BlobDraft, BlobKind};
use assay_types::Hash;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use sha2::{Digest, Sha256};

use super::answer::{Answer, created, json};
use super::blobs::{self, begin_upload};
use super::parameters::Name;
use crate::body;
use crate::body::Pieces;
use crate::caller::Caller;
use crate::error::{Fail, Failure};
use crate::state::App;

/// What is hashed and written at once.
const PIECE_BYTES: usize = 1 << 20;

/// Stores an envelope under its SHA-256. Repeating is harmless.
#[utoipa::path(
    put,
    path = "/v1/envelopes/{sha256}",
    operation_id = "put_envelope",
    tag = "sealing",
    params(("sha256" = String, Path, description = "Its SHA-256: 64 hex digits, with 0x or without")),
    request_body(content = inline(Binary), content_type = "application/octet-stream", description = "Ciphertext"),
    responses(
        (status = 201, body = BlobPut, description = "It is stored, durably"),
        (status = 200, body = BlobPut, description = "It was there"),
    )
)]
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    Name(name): Name,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let (_upload, body) = begin_upload(&app, &parts.headers, body).await?;
    if caller.digest != name {
        body::drain(body).await;
        return Err(
            ProblemKind::BlobMismatch.fail("the signed SHA-256 is not the name in the path")
        );
    }
    let (bytes, draft) = receive(&app, body, &caller).await?;
    let is_new = app.blocking(move |_| draft.finish(name.0)).await??;
    Ok(json(created(is_new), &BlobPut { bytes }))
}

/// Returns an envelope, or a range of it.
#[utoipa::path(
    method(get, head),
    path = "/v1/envelopes/{sha256}",
    operation_id = "envelope",
    tag = "sealing",
    params(
        ("sha256" = String, Path, description = "Its SHA-256: 64 hex digits, with 0x or without"),
        ("range" = Option<String>, Header, description = "One range of bytes"),
    ),
    responses(
        (status = 200, body = inline(Binary), content_type = "application/octet-stream"),
        (status = 206, body = inline(Binary), content_type = "application/octet-stream", description = "The range"),
    )
)]
pub(super) async fn one(
    State(app): State<App>,
    _: Caller,
    method: Method,
    headers: HeaderMap,
    name: Name,
) -> Answer {
    blobs::one(app, BlobKind::Envelope, (method, headers), name).await
}

/// What is taken in: hashed and on the disk, but without a name.
struct Incoming {
    hasher: Sha256,
    draft: BlobDraft,
}

impl Incoming {
    fn take(mut self, piece: &[u8]) -> Result<Self, Failure> {
        self.hasher.update(piece);
        self.draft.write(piece)?;
        Ok(self)
    }
}

/// The body's size, and the body on the disk: the one that was signed.
async fn receive(app: &App, body: Body, caller: &Caller) -> Result<(u64, BlobDraft), Failure> {
    let declared = body.size_hint().lower();
    let mut pieces = Pieces::new(body, app.limits.envelope_bytes_max);
    pieces.expect_room(declared).await?;
    let draft = app.blocking(|app| app.blobs.begin(BlobKind::Envelope)).await??;
    let mut incoming = Incoming { hasher: Sha256::new(), draft };
    let (mut bytes, mut waiting) = (0, Vec::new());
    loop {
        let piece = pieces.next(&app.limits).await?;
        let is_end = piece.is_none();
        bytes += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        waiting.extend_from_slice(&piece.unwrap_or_default());
        if waiting.len() >= PIECE_BYTES || is_end {
            let piece = std::mem::take(&mut waiting);
            incoming = app.blocking(move |_| incoming.take(&piece)).await??;
        }
        if is_end {
            body::expect_digest(caller, Hash(incoming.hasher.finalize().into()))?;
            return Ok((bytes, incoming.draft));
        }
    }
}
