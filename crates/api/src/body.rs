//! Reading bodies: no more than is asked for, no slower than is bearable.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{Limits, Problem, ProblemKind};

pub(crate) const JSON: &str = "application/json";
pub(crate) const BINARY: &str = "application/octet-stream";

/// What is read of a refused body and thrown away: who is still sending would not read the answer.
const DRAIN_BYTES_MAX: u64 = 1 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// A JSON body.
pub(crate) async fn json<T: DeserializeOwned>(
    limits: &Limits,
    request: Request,
) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    let body = match expect_type(&parts.headers, JSON) {
        Ok(()) => read(limits, body, limits.json_bytes_max).await?,
        Err(problem) => {
            drain(body).await;
            return Err(problem);
        }
    };
    serde_json::from_slice(&body).map_err(|error| ProblemKind::BodyMalformed.with(error))
}

/// The body has the type that the route takes.
pub(crate) fn expect_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).map(str::trim);
    if kind.is_some_and(|kind| kind.eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    Err(ProblemKind::ContentType.with(format_args!("the content type must be {expected}")))
}

/// A whole body of at most `bytes_max`.
pub(crate) async fn read(
    limits: &Limits,
    mut body: Body,
    bytes_max: u64,
) -> Result<Vec<u8>, Problem> {
    let too_large =
        || ProblemKind::BodyTooLarge.with(format_args!("the limit is {bytes_max} bytes"));
    let declared = body.size_hint().lower();
    if declared > bytes_max {
        drain(body).await;
        return Err(too_large());
    }
    let started = Instant::now();
    let mut content = Vec::with_capacity(usize::try_from(declared).unwrap_or(0));
    loop {
        let earned = content.len() as u64 * 1000 / limits.body_bytes_per_sec.max(1);
        let deadline = started + limits.body_grace + Duration::from_millis(earned);
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| {
            ProblemKind::BodyTooSlow.with(format_args!("{} bytes came in time", content.len()))
        })?;
        match frame {
            None => return Ok(content),
            Some(Err(_)) => return Err(ProblemKind::BodyMalformed.with("the body broke off")),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if (content.len() + data.len()) as u64 > bytes_max {
                    drain(body).await;
                    return Err(too_large());
                }
                content.extend_from_slice(&data);
            }
        }
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
