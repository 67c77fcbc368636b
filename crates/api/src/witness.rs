//! Witnesses over HTTP: the side that cosigns, and the side that asks (c2sp.org/tlog-witness).

use std::sync::Arc;
use std::time::Duration;

use assay_chain::{Clock, SystemClock};
use assay_tlog::{AddCheckpoint, Storage, Witness, WitnessError};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::{Error, Result};

/// A request in bytes, at most: 63 hashes and a checkpoint.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// An answer in bytes, at most: signature lines.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How long a witness may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the body of a 409 is that tells the size to go on from.
const SIZE: &str = "text/x.tlog.size";

/// The routes of a witness: `POST /add-checkpoint`, and its key under `GET /key`.
pub fn witness_router<S: Storage>(witness: Witness<S>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint::<S>))
        .route("/key", get(key::<S>))
        .with_state(Arc::new(witness))
}

async fn key<S: Storage>(State(witness): State<Arc<Witness<S>>>) -> String {
    witness.vkey().to_string()
}

async fn add_checkpoint<S: Storage>(
    State(witness): State<Arc<Witness<S>>>,
    request: Request,
) -> Response {
    let Ok(body) = to_bytes(request.into_body(), REQUEST_BYTES_MAX).await else {
        return answer_to(&WitnessError::Form);
    };
    let cosign = move || witness.add_checkpoint(&body, SystemClock.unix_secs());
    match tokio::task::spawn_blocking(cosign).await {
        Ok(Ok(line)) => (StatusCode::OK, line).into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a checkpoint is not cosigned");
            answer_to(&error)
        }
        Err(error) => {
            tracing::error!(%error, "cosigning did not end");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn answer_to(error: &WitnessError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match error {
        WitnessError::Stale { size } => {
            (status, [(header::CONTENT_TYPE, SIZE)], format!("{size}\n")).into_response()
        }
        // A storage's error may name files: for the log only.
        WitnessError::Storage(_) => status.into_response(),
        other => (status, format!("{other}\n")).into_response(),
    }
}

/// What a witness answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cosigned {
    /// Signature lines.
    Lines(Vec<u8>),
    /// It has cosigned another size last.
    Stale(u64),
}

/// A client of one witness.
#[derive(Clone)]
pub struct WitnessClient {
    http: reqwest::Client,
    url: reqwest::Url,
}

impl WitnessClient {
    /// A client of the witness at a URL.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a URL that is none.
    pub fn new(url: &str) -> Result<Self> {
        let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        let url = reqwest::Url::parse(&url)
            .map_err(|error| Error::Config(format!("the witness's URL does not parse: {error}")))?;
        // Fails only if a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Config(format!("no HTTP client: {error}")))?;
        Ok(WitnessClient { http, url })
    }

    /// Asks for a cosignature, once. Whoever uses the lines checks them.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`]; [`Error::BadAnswer`] for a refusal.
    pub async fn add_checkpoint(&self, asked: &AddCheckpoint) -> Result<Cosigned> {
        let unreachable =
            |error: reqwest::Error| Error::Unreachable { what: error.without_url().to_string() };
        let sent = self.http.post(self.url.clone()).body(asked.to_bytes()).send().await;
        let mut response = sent.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            body.extend(piece);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(Error::bad_answer("a witness's answer does not end"));
            }
        }
        let text = String::from_utf8_lossy(&body);
        match status.as_u16() {
            200 => Ok(Cosigned::Lines(body)),
            409 if text.trim().parse::<u64>().is_ok() => {
                Ok(Cosigned::Stale(text.trim().parse().unwrap_or_default()))
            }
            _ => Err(Error::bad_answer(format!("a witness refuses ({status}): {}", text.trim()))),
        }
    }
}
