//! A witness over HTTP: the side that cosigns (c2sp.org/tlog-witness).

use std::sync::Arc;

use assay_tlog::{Storage, Witness, WitnessError};
use assay_types::Clock;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

/// A request in bytes, at most: 63 hashes and a checkpoint.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// What the body of a 409 is that tells the size to go on from.
const SIZE: &str = "text/x.tlog.size";

/// The routes of a witness: `POST /add-checkpoint`, and `GET /key` for its public key.
pub fn witness_router<S: Storage>(witness: Witness<S>, clock: impl Clock) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint::<S>))
        .route("/key", get(key::<S>))
        .with_state(Arc::new(Cosigner { witness, clock: Box::new(clock) }))
}

/// A witness, and what tells it the time of a cosignature.
struct Cosigner<S> {
    witness: Witness<S>,
    clock: Box<dyn Clock>,
}

async fn key<S: Storage>(State(cosigner): State<Arc<Cosigner<S>>>) -> String {
    cosigner.witness.vkey().to_string()
}

async fn add_checkpoint<S: Storage>(
    State(cosigner): State<Arc<Cosigner<S>>>,
    request: Request,
) -> Response {
    let Ok(body) = to_bytes(request.into_body(), REQUEST_BYTES_MAX).await else {
        return answer_to(&WitnessError::Form);
    };
    let cosign = move || cosigner.witness.add_checkpoint(&body, cosigner.clock.unix_secs());
    match tokio::task::spawn_blocking(cosign).await {
        Ok(Ok(line)) => (StatusCode::OK, line).into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a checkpoint is not cosigned");
            answer_to(&error)
        }
        Err(error) => {
            tracing::error!(%error, "cosigning panicked");
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
