//! Programs and slots, by what they are.

use std::str::FromStr;
use std::time::Duration;

use alloy_primitives::B256;
use assay_store::BlobKind;
use assay_types::{BlobRoot, Hash, ProgramId, sha256};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::IntoResponse;
use bytes::BytesMut;
use futures_util::stream::try_unfold;
use tokio::io::AsyncReadExt;

use super::parameters::Name;
use super::schema::Binary;
use super::{Answer, created, json};
use crate::broker::{App, Shared};
use crate::limits::REQUEST_SECS_MAX;
use crate::signing::header as signed;
use crate::{BlobPut, Problem, ProblemKind, SignedRequest, body, check_program, check_slot};

/// What is read of a file at once.
const PIECE_BYTES: usize = 256 << 10;

/// Puts a program under its id. The same again is harmless, also by someone else who saw the request.
#[utoipa::path(
    put,
    path = "/v1/programs/{id}",
    tag = "blobs",
    params(
        ("id" = String, Path, description = "The program's id: 64 hex digits, with 0x or without"),
        ("assay-account" = String, Header, description = "Who signs the request"),
        ("assay-digest" = String, Header, description = "SHA-256 of the body"),
        ("assay-expires" = u64, Header, description = "When the signature ends, in Unix seconds"),
        ("assay-signature" = String, Header, description = "Over the EIP-712 struct `Request`"),
    ),
    request_body(content = inline(Binary), content_type = "application/octet-stream", description = "An ELF"),
    responses(
        (status = 201, body = BlobPut, description = "It is stored, durably"),
        (status = 200, body = BlobPut, description = "It was there"),
    )
)]
pub(super) async fn put_program(State(app): State<App>, name: Name, request: Request) -> Answer {
    put(app, BlobKind::Program, name, request).await
}

/// A program's ELF.
#[utoipa::path(
    method(get, head),
    path = "/v1/programs/{id}",
    tag = "blobs",
    params(("id" = String, Path, description = "The program's id: 64 hex digits, with 0x or without")),
    responses((status = 200, body = inline(Binary), content_type = "application/octet-stream"))
)]
pub(super) async fn program(State(app): State<App>, method: Method, name: Name) -> Answer {
    one(app, BlobKind::Program, method, name).await
}

/// Puts a slot's image under its root. The same again is harmless, also by someone else who saw the request.
#[utoipa::path(
    put,
    path = "/v1/slots/{root}",
    tag = "blobs",
    params(
        ("root" = String, Path, description = "The slot's root: 64 hex digits, with 0x or without"),
        ("assay-account" = String, Header, description = "Who signs the request"),
        ("assay-digest" = String, Header, description = "SHA-256 of the body"),
        ("assay-expires" = u64, Header, description = "When the signature ends, in Unix seconds"),
        ("assay-signature" = String, Header, description = "Over the EIP-712 struct `Request`"),
    ),
    request_body(content = inline(Binary), content_type = "application/octet-stream", description = "A slot image"),
    responses(
        (status = 201, body = BlobPut, description = "It is stored, durably"),
        (status = 200, body = BlobPut, description = "It was there"),
    )
)]
pub(super) async fn put_slot(State(app): State<App>, name: Name, request: Request) -> Answer {
    put(app, BlobKind::Slot, name, request).await
}

/// A slot's image.
#[utoipa::path(
    method(get, head),
    path = "/v1/slots/{root}",
    tag = "blobs",
    params(("root" = String, Path, description = "The slot's root: 64 hex digits, with 0x or without")),
    responses((status = 200, body = inline(Binary), content_type = "application/octet-stream"))
)]
pub(super) async fn slot(State(app): State<App>, method: Method, name: Name) -> Answer {
    one(app, BlobKind::Slot, method, name).await
}

async fn put(app: App, kind: BlobKind, Name(name): Name, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    // Who it is comes before what it is: strangers send no megabytes.
    let digest = match admit(&app, &parts).await {
        Ok(digest) => digest,
        Err(problem) => {
            body::drain(body).await;
            return Err(problem);
        }
    };
    let Ok(_upload) = app.uploads.try_acquire() else {
        body::drain(body).await;
        let busy = ProblemKind::Busy.with("too many blobs come in already");
        return Err(busy.after(Duration::from_secs(2)));
    };
    let bytes_max = match kind {
        BlobKind::Program => app.limits.program_bytes_max,
        BlobKind::Slot => app.limits.slot_bytes_max,
    };
    let content = body::read(&app.limits, body, bytes_max).await?;
    let _check = app.blob_checks.acquire().await;
    app.blocking(move |app| store(app, kind, name, digest, &content)).await?
}

/// Whether the headers sign this request; gives the body's digest.
async fn admit(app: &App, parts: &Parts) -> Result<B256, Problem> {
    body::expect_type(&parts.headers, body::BINARY)?;
    let request = SignedRequest {
        account: named(&parts.headers, signed::ACCOUNT)?,
        digest: named(&parts.headers, signed::DIGEST)?,
        expires: named(&parts.headers, signed::EXPIRES)?,
        signature: named(&parts.headers, signed::SIGNATURE)?,
    };
    let (digest, now) = (request.digest, app.now());
    if request.expires < now || request.expires > now + REQUEST_SECS_MAX {
        let detail = format_args!("it ends at {}, and it is {now}", request.expires);
        return Err(ProblemKind::RequestExpired.with(detail));
    }
    let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
    app.verify(request.account, move |deployment| request.verify(&method, &path, deployment))
        .await?;
    Ok(digest)
}

fn named<T: FromStr>(headers: &HeaderMap, name: &str) -> Result<T, Problem> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let value = value.and_then(|value| value.parse().ok());
    value.ok_or_else(|| {
        ProblemKind::RequestUnsigned.with(format_args!("{name} is missing or does not parse"))
    })
}

fn store(app: &Shared, kind: BlobKind, name: B256, digest: B256, content: &[u8]) -> Answer {
    let found = B256::new(sha256(content).0);
    if found != digest {
        let detail = format_args!("the body's SHA-256 is {found}, signed was {digest}");
        return Err(ProblemKind::DigestMismatch.with(detail));
    }
    let checked = match kind {
        BlobKind::Program => check_program(ProgramId(Hash(name.0)), content),
        BlobKind::Slot => check_slot(BlobRoot(Hash(name.0)), content),
    };
    checked.map_err(|what| ProblemKind::BlobMismatch.with(what))?;
    let is_new = app.blobs.put(kind, name.0, content)?;
    Ok(json(created(is_new), &BlobPut { bytes: content.len() as u64 }))
}

async fn one(app: App, kind: BlobKind, method: Method, Name(name): Name) -> Answer {
    let found = app.blocking(move |app| app.blobs.open_blob(kind, name.0)).await??;
    let unknown = || ProblemKind::BlobUnknown.with(format_args!("nothing is stored as {name}"));
    let (file, size) = found.ok_or_else(unknown)?;
    let headers = [
        (header::CONTENT_TYPE, body::BINARY.to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::ETAG, format!("\"{name}\"")),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
    ];
    let body = match method {
        Method::HEAD => Body::empty(),
        _ => Body::from_stream(try_unfold(tokio::fs::File::from_std(file), piece)),
    };
    Ok((StatusCode::OK, headers, body).into_response())
}

async fn piece(mut file: tokio::fs::File) -> std::io::Result<Option<(Bytes, tokio::fs::File)>> {
    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
    let read = file.read_buf(&mut piece).await?;
    Ok((read > 0).then(|| (piece.freeze(), file)))
}
