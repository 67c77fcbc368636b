//! Blobs: content that is named by its hash. Programs and slots; and reading any blob.

use std::io::SeekFrom;
use std::ops::Range;
use std::time::Duration;

use alloy_primitives::B256;
use assay_protocol::schema::Binary;
use assay_protocol::{BINARY, BlobPut, ProblemKind, check_envelope, check_program, check_slot};
use assay_storage::BlobKind;
use assay_types::{BlobRoot, Hash, ProgramId, sha256};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::stream::try_unfold;
use tokio::io::{AsyncReadExt, AsyncSeekExt, Take};
use tokio::sync::SemaphorePermit;

use super::answer::{Answer, created, json};
use super::parameters::Name;
use crate::body;
use crate::caller::Caller;
use crate::error::{Fail, Failure};
use crate::state::{App, Shared};

/// What is read of a file at once.
const PIECE_BYTES: usize = 256 << 10;

/// Stores a program under its id. Repeating is harmless, whoever does it.
#[utoipa::path(
    put,
    path = "/v1/programs/{id}",
    tag = "blobs",
    params(
        ("id" = String, Path, description = "The program's id: 64 hex digits, with 0x or without"),
    ),
    request_body(content = inline(Binary), content_type = "application/octet-stream", description = "An ELF"),
    responses(
        (status = 201, body = BlobPut, description = "It is stored, durably"),
        (status = 200, body = BlobPut, description = "It was there"),
    )
)]
pub(super) async fn put_program(
    State(app): State<App>,
    caller: Caller,
    name: Name,
    request: Request,
) -> Answer {
    put(app, BlobKind::Program, caller, name, request).await
}

/// Returns a program's ELF.
#[utoipa::path(
    method(get, head),
    path = "/v1/programs/{id}",
    tag = "blobs",
    params(("id" = String, Path, description = "The program's id: 64 hex digits, with 0x or without")),
    responses((status = 200, body = inline(Binary), content_type = "application/octet-stream"))
)]
pub(super) async fn program(
    State(app): State<App>,
    _: Caller,
    method: Method,
    headers: HeaderMap,
    name: Name,
) -> Answer {
    one(app, BlobKind::Program, (method, headers), name).await
}

/// Stores the image of a slot under its root. Repeating is harmless, whoever does it.
#[utoipa::path(
    put,
    path = "/v1/slots/{root}",
    tag = "blobs",
    params(
        ("root" = String, Path, description = "The slot's root: 64 hex digits, with 0x or without"),
    ),
    request_body(content = inline(Binary), content_type = "application/octet-stream", description = "A slot image"),
    responses(
        (status = 201, body = BlobPut, description = "It is stored, durably"),
        (status = 200, body = BlobPut, description = "It was there"),
    )
)]
pub(super) async fn put_slot(
    State(app): State<App>,
    caller: Caller,
    name: Name,
    request: Request,
) -> Answer {
    put(app, BlobKind::Slot, caller, name, request).await
}

/// Returns the image of a slot.
#[utoipa::path(
    method(get, head),
    path = "/v1/slots/{root}",
    tag = "blobs",
    params(("root" = String, Path, description = "The slot's root: 64 hex digits, with 0x or without")),
    responses((status = 200, body = inline(Binary), content_type = "application/octet-stream"))
)]
pub(super) async fn slot(
    State(app): State<App>,
    _: Caller,
    method: Method,
    headers: HeaderMap,
    name: Name,
) -> Answer {
    one(app, BlobKind::Slot, (method, headers), name).await
}

async fn put(
    app: App,
    kind: BlobKind,
    caller: Caller,
    Name(name): Name,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let (_upload, body) = begin_upload(&app, &parts.headers, body).await?;
    let bytes_max = match kind {
        BlobKind::Program => app.limits.program_bytes_max,
        BlobKind::Slot => app.limits.slot_bytes_max,
        BlobKind::Envelope => app.limits.envelope_bytes_max,
    };
    let content = body::read(&app.limits, body, bytes_max).await?;
    let _check = app.blob_checks.acquire().await;
    app.blocking(move |app| store(app, kind, name, &caller, &content)).await?
}

/// A place among those that upload, and the body, if it has the right type.
pub(super) async fn begin_upload<'a>(
    app: &'a App,
    headers: &HeaderMap,
    body: Body,
) -> Result<(SemaphorePermit<'a>, Body), Failure> {
    let place = body::expect_type(headers, BINARY).and_then(|()| {
        let busy = ProblemKind::Busy.fail("too many uploads are under way");
        app.uploads.try_acquire().map_err(|_| busy.after(Duration::from_secs(2)))
    });
    match place {
        Ok(place) => Ok((place, body)),
        Err(problem) => {
            body::drain(body).await;
            Err(problem)
        }
    }
}

fn store(app: &Shared, kind: BlobKind, name: B256, caller: &Caller, content: &[u8]) -> Answer {
    let found = sha256(content);
    body::expect_digest(caller, found)?;
    let checked = match kind {
        BlobKind::Program => check_program(ProgramId(Hash(name.0)), content),
        BlobKind::Slot => check_slot(BlobRoot(Hash(name.0)), content),
        BlobKind::Envelope => check_envelope(name, content),
    };
    checked.map_err(|what| ProblemKind::BlobMismatch.fail(what))?;
    let is_new = app.blobs.put(kind, name.0, content)?;
    Ok(json(created(is_new), &BlobPut { bytes: content.len() as u64 }))
}

/// A blob, or the range of it that the headers ask for (RFC 9110, 14).
pub(super) async fn one(
    app: App,
    kind: BlobKind,
    (method, headers): (Method, HeaderMap),
    Name(name): Name,
) -> Answer {
    let is_head = method == Method::HEAD;
    let found = app.blocking(move |app| {
        // Who asks whether it is there does not put it again: it must not be removed before it is
        // named.
        if is_head {
            app.blobs.touch(kind, name.0)?;
        }
        app.blobs.open_blob(kind, name.0)
    });
    let found = found.await??;
    let unknown = || ProblemKind::BlobUnknown.fail(format_args!("the broker has no blob {name}"));
    let (file, size) = found.ok_or_else(unknown)?;
    let asked = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let range = match asked.map_or(Asked::All, |range| asked_range(range, size)) {
        Asked::All => None,
        Asked::Range(range) => Some(range),
        Asked::Nothing => return Ok(unsatisfiable(size)),
    };
    let Range { start, end } = range.clone().unwrap_or(0..size);
    let mut headers = HeaderMap::new();
    let mut set = |name, value: String| {
        headers.extend(value.parse().ok().map(|value: HeaderValue| (name, value)));
    };
    set(header::CONTENT_TYPE, BINARY.to_owned());
    set(header::CONTENT_LENGTH, (end - start).to_string());
    set(header::ETAG, format!("\"{name}\""));
    set(header::ACCEPT_RANGES, "bytes".to_owned());
    // Private: whoever asks a cache has not signed for it.
    set(header::CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned());
    let status = match range {
        None => StatusCode::OK,
        Some(_) => {
            set(header::CONTENT_RANGE, format!("bytes {start}-{}/{size}", end - 1));
            StatusCode::PARTIAL_CONTENT
        }
    };
    let body = match method {
        Method::HEAD => Body::empty(),
        _ => Body::from_stream(try_unfold(at(file, start, end - start).await?, piece)),
    };
    Ok((status, headers, body).into_response())
}

/// What a range header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// All: also where it does not parse, or asks for several ranges (RFC 9110, 14.2).
    All,
    Range(Range<u64>),
    /// What begins after the end.
    Nothing,
}

fn asked_range(header: &str, size: u64) -> Asked {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let bounds = header.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'));
    let range = match bounds.map(|(first, last)| (first, last, number(first), number(last))) {
        Some((_, "", Some(first), None)) => first..size,
        Some((_, _, Some(first), Some(last))) if first <= last => {
            first..last.saturating_add(1).min(size)
        }
        Some(("", _, None, Some(count))) => size - count.min(size)..size,
        _ => return Asked::All,
    };
    if range.is_empty() { Asked::Nothing } else { Asked::Range(range) }
}

fn unsatisfiable(size: u64) -> Response {
    let problem = ProblemKind::RangeUnsatisfiable.fail(format_args!("the blob has {size} bytes"));
    ([(header::CONTENT_RANGE, format!("bytes */{size}"))], problem).into_response()
}

/// A file from a place on, for so many bytes.
async fn at(file: std::fs::File, start: u64, count: u64) -> Result<Take<tokio::fs::File>, Failure> {
    let mut file = tokio::fs::File::from_std(file);
    file.seek(SeekFrom::Start(start)).await.map_err(|error| {
        tracing::error!(%error, "a blob could not be read");
        ProblemKind::Internal
            .fail("the broker's storage failed; its operator finds the cause in its log")
    })?;
    Ok(file.take(count))
}

async fn piece(
    mut file: Take<tokio::fs::File>,
) -> std::io::Result<Option<(Bytes, Take<tokio::fs::File>)>> {
    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
    let read = file.read_buf(&mut piece).await?;
    Ok((read > 0).then(|| (piece.freeze(), file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_what_rfc_9110_says() {
        let range = |text| asked_range(text, 100);
        assert_eq!(range("bytes=0-9"), Asked::Range(0..10));
        assert_eq!(range("bytes=90-"), Asked::Range(90..100));
        assert_eq!(range("bytes=90-1000"), Asked::Range(90..100));
        assert_eq!(range("bytes=-7"), Asked::Range(93..100));
        assert_eq!(range("bytes=-700"), Asked::Range(0..100));
        assert_eq!(range("bytes=0-99999999999999999999999"), Asked::Range(0..100));
        for none in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(range(none), Asked::Nothing, "{none}");
        }
        for ignored in
            ["bytes=5-4", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=+1-2"]
        {
            assert_eq!(range(ignored), Asked::All, "{ignored}");
        }
        assert_eq!(asked_range("bytes=0-", 0), Asked::Nothing, "nothing has no first byte");
    }
}
