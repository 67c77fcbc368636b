//! Reading the bodies of requests, within bounds on their size and on the time they take.

use std::time::Duration;

use assay_protocol::{JSON, ProblemKind};
use assay_types::{Hash, sha256};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use crate::caller::Caller;
use crate::error::{Fail, Failure};
use crate::limits::Limits;

/// What is read of a refused body and thrown away: who is still sending would not read the answer.
const DRAIN_BYTES_MAX: u64 = 1 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// A JSON body.
pub(crate) async fn json<T: DeserializeOwned>(
    limits: &Limits,
    request: Request,
) -> Result<T, Failure> {
    json_within(limits, request, limits.json_bytes_max).await
}

/// A JSON body of at most `bytes_max`.
pub(crate) async fn json_within<T: DeserializeOwned>(
    limits: &Limits,
    request: Request,
    bytes_max: u64,
) -> Result<T, Failure> {
    let body = whole(limits, request, JSON, bytes_max).await?;
    serde_json::from_slice(&body).map_err(|error| ProblemKind::BodyMalformed.fail(error))
}

/// A whole body of the type that the route takes: the one that was signed, if the request is.
pub(crate) async fn whole(
    limits: &Limits,
    request: Request,
    expected: &str,
    bytes_max: u64,
) -> Result<Vec<u8>, Failure> {
    let (parts, body) = request.into_parts();
    let body = match expect_type(&parts.headers, expected) {
        Ok(()) => read(limits, body, bytes_max).await?,
        Err(problem) => {
            drain(body).await;
            return Err(problem);
        }
    };
    if let Some(caller) = parts.extensions.get::<Caller>() {
        expect_digest(caller, sha256(&body))?;
    }
    Ok(body)
}

/// The body is the one that was signed.
pub(crate) fn expect_digest(caller: &Caller, found: Hash) -> Result<(), Failure> {
    if caller.digest.0 == found.0 {
        return Ok(());
    }
    Err(ProblemKind::DigestMismatch.fail("the SHA-256 of the body is not the signed one"))
}

/// The body has the type that the route takes.
pub(crate) fn expect_type(headers: &HeaderMap, expected: &str) -> Result<(), Failure> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).map(str::trim);
    if kind.is_some_and(|kind| kind.eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    Err(ProblemKind::ContentType.fail(format_args!("the content type must be {expected}")))
}

/// A whole body of at most `bytes_max`.
pub(crate) async fn read(limits: &Limits, body: Body, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let declared = body.size_hint().lower();
    let mut pieces = Pieces::new(body, bytes_max);
    pieces.expect_room(declared).await?;
    let mut content = Vec::with_capacity(usize::try_from(declared).unwrap_or(0));
    while let Some(piece) = pieces.next(limits).await? {
        content.extend_from_slice(&piece);
    }
    Ok(content)
}

/// A body as it comes.
pub(crate) struct Pieces {
    body: Body,
    started: Instant,
    bytes: u64,
    bytes_max: u64,
}

impl Pieces {
    pub(crate) fn new(body: Body, bytes_max: u64) -> Self {
        Pieces { body, started: Instant::now(), bytes: 0, bytes_max }
    }

    /// Refuses a body that says that it is too large.
    pub(crate) async fn expect_room(&mut self, declared: u64) -> Result<(), Failure> {
        if declared > self.bytes_max { Err(self.too_large().await) } else { Ok(()) }
    }

    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self, limits: &Limits) -> Result<Option<Bytes>, Failure> {
        loop {
            let earned = self.bytes * 1000 / limits.body_bytes_per_sec.max(1);
            let deadline = self.started + limits.body_grace + Duration::from_millis(earned);
            let frame = timeout_at(deadline, self.body.frame()).await.map_err(|_| {
                ProblemKind::BodyTooSlow
                    .fail(format_args!("only {} bytes arrived in time", self.bytes))
            })?;
            let Some(frame) = frame else { return Ok(None) };
            let frame =
                frame.map_err(|_| ProblemKind::BodyMalformed.fail("the body ended too early"))?;
            let Ok(data) = frame.into_data() else { continue };
            self.bytes += data.len() as u64;
            if self.bytes > self.bytes_max {
                return Err(self.too_large().await);
            }
            return Ok(Some(data));
        }
    }

    async fn too_large(&mut self) -> Failure {
        drain(std::mem::take(&mut self.body)).await;
        ProblemKind::BodyTooLarge.fail(format_args!("the limit is {} bytes", self.bytes_max))
    }
}

/// Reads on for a little, so that the other side gets to read why its body is refused.
pub(crate) async fn drain(mut body: Body) {
    let drained = async {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(rest) = left.checked_sub(size) else { return };
            left = rest;
        }
    };
    let _ = timeout(DRAIN_TIME_MAX, drained).await;
}
