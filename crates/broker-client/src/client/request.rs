//! Requests to the broker: signed, sent again where that may help, and their answers read within
//! bounds.

use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::B256;
use assay_protocol::{
    BINARY, EMPTY_DIGEST, Epoch, Problem, SignedRequest, Who, header, permission_of,
};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;

use super::BrokerClient;
use crate::error::{Error, Result};
use crate::nonce;

/// A JSON answer in bytes, at most: a page of the largest orders is below it.
pub(super) const ANSWER_BYTES_MAX: usize = 32 << 20;

/// A problem in bytes, at most.
const PROBLEM_BYTES_MAX: usize = 64 << 10;

/// How long a signed request holds, in seconds: a clock may be as much behind the broker's.
const REQUEST_SECS: u64 = 120;

/// How often a call learns the broker's epoch anew: a broker that starts again and again is not to
/// be followed for ever.
const EPOCHS_MAX: u32 = 3;

/// The slowest upload that is waited for, in bytes a second.
const UPLOAD_BYTES_PER_SEC: u64 = 256 << 10;

/// A request to be signed and sent.
pub(super) struct Call {
    pub(super) method: Method,
    /// With its query.
    pub(super) path: String,
    pub(super) digest: B256,
    pub(super) content_type: Option<&'static str>,
    pub(super) timeout: Duration,
}

impl BrokerClient {
    /// A request without a body.
    pub(super) fn call(&self, method: Method, path: &str) -> Call {
        let (path, timeout) = (path.to_owned(), self.config.request_timeout);
        Call { method, path, digest: EMPTY_DIGEST, content_type: None, timeout }
    }

    /// A request with so many bytes, which may take their time.
    pub(super) fn upload(&self, path: String, digest: B256, size: u64) -> Call {
        let patience = Duration::from_secs(size / UPLOAD_BYTES_PER_SEC);
        let timeout = self.config.request_timeout + patience;
        Call { method: Method::PUT, path, digest, content_type: Some(BINARY), timeout }
    }

    /// A request whose answer may take its time.
    pub(super) fn download(&self, path: String) -> Call {
        let patience = Duration::from_secs(self.config.blob_bytes_max / UPLOAD_BYTES_PER_SEC);
        Call { timeout: self.config.request_timeout + patience, ..self.call(Method::GET, &path) }
    }

    /// Sends a request. Retries transient failures; every attempt gets a fresh nonce.
    pub(super) async fn send(
        &self,
        call: &Call,
        finish: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        let mut attempt = 0;
        loop {
            let error = match self.attempt(call, &finish).await {
                Err(error) if error.is_retryable() && attempt < self.config.retries => error,
                other => return other,
            };
            tokio::time::sleep(self.pause(attempt, &error)).await;
            attempt += 1;
        }
    }

    /// Sends once, and again only if the broker says that its nonces begin with another epoch.
    pub(super) async fn attempt(
        &self,
        call: &Call,
        finish: &impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        for _ in 0..EPOCHS_MAX {
            let sent = finish(self.request(call)?).send().await.map_err(unreachable_by)?;
            let told = sent.headers().get(header::EPOCH).and_then(|epoch| epoch.to_str().ok());
            match told.and_then(|epoch| epoch.parse().ok()) {
                Some(epoch) if !sent.status().is_success() => {
                    *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = epoch;
                }
                _ => return answer(sent).await,
            }
        }
        Err(Error::bad_answer("it names another epoch each time"))
    }

    /// A request to a path under the broker's URL, signed where the route wants it.
    pub(super) fn request(&self, call: &Call) -> Result<RequestBuilder> {
        let mut url = self.url.clone();
        let (path, query) = call
            .path
            .split_once('?')
            .map_or((call.path.as_str(), None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url.set_query(query);
        let mut request = self.http.request(call.method.clone(), url).timeout(call.timeout);
        if let Some(kind) = call.content_type {
            request = request.header("content-type", kind);
        }
        let row = permission_of(call.method.as_str(), path);
        let Some(Who::Signer(roles)) = row.map(|row| row.who) else { return Ok(request) };
        let (role, access) = self.access.for_request(call.method.as_str(), path, roles);
        let nonce = nonce::fresh(self.epoch())?;
        let terms = (role, nonce, self.clock.unix_secs() + REQUEST_SECS);
        let target = (call.method.as_str(), call.path.as_str());
        let signer = access.signer().ok_or_else(|| {
            Error::Config("this request must be signed: give the client an account's key".into())
        })?;
        let by = (signer, access.capabilities().cloned());
        let signed = SignedRequest::sign(target, call.digest, terms, &self.deployment, by)?;
        Ok(signed
            .headers()
            .into_iter()
            .fold(request, |request, (name, value)| request.header(name, value)))
    }

    pub(super) fn epoch(&self) -> Epoch {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Doubling, with a little randomness, so that those whom one failure struck do not come back
    /// together.
    pub(super) fn pause(&self, attempt: u32, error: &Error) -> Duration {
        let asked = match error {
            Error::Refused(problem) => problem.retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let doubled = self.config.retry_pause.saturating_mul(1 << attempt.min(16));
        let pause = doubled.max(asked).min(self.config.retry_pause_max);
        let spread =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
        pause + pause.mul_f64(f64::from(spread % 1000) / 2000.0)
    }
}

/// An answer, if it is not a problem.
pub(super) async fn answer(response: Response) -> Result<Response> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let after = after.and_then(|secs| secs.parse().ok()).map(Duration::from_secs);
    let body = bounded(response, PROBLEM_BYTES_MAX).await.unwrap_or_default();
    // A proxy before the broker, or a HEAD, says less.
    let mut problem = serde_json::from_slice(&body).unwrap_or_else(|_| Problem {
        r#type: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("no answer").to_owned(),
        status: status.as_u16(),
        detail: "the answer has no further details".to_owned(),
        next: "check the broker's URL".to_owned(),
        retry_after: None,
    });
    (problem.status, problem.retry_after) = (status.as_u16(), after);
    Err(Error::Refused(Box::new(problem)))
}

pub(super) async fn json<T: DeserializeOwned>(response: Response) -> Result<T> {
    let body = bounded(response, ANSWER_BYTES_MAX).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Error::bad_answer(format!("it does not parse: {error}")))
}

pub(super) async fn bounded(mut response: Response, bytes_max: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable_by)? {
        if body.len() + piece.len() > bytes_max {
            return Err(Error::bad_answer(format!("it has more than {bytes_max} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Without the URL, which may hold a secret.
pub(super) fn unreachable_by(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let mut what = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        what = format!("{what}: {error}");
        cause = error.source();
    }
    Error::Unreachable { what }
}
