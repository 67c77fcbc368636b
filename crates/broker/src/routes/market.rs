//! The broker itself: its market, its health, its OpenAPI document.

use assay_protocol::{
    BROKER_SCHEMA, DOCUMENTS_LIMIT_MAX, Health, JSON, LIMIT_MAX, MarketInfo, MarketLimits,
    OFFER_SECS_MAX, REQUEST_SECS_MAX,
};
use assay_storage::BlobKind;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::answer::{Answer, json};
use crate::state::App;

/// How long a broker that was found to work is taken to, in seconds.
const CHECKED_SECS: u64 = 5;

/// The document, which a test holds to the routes.
const OPENAPI: &str = include_str!("../../../../spec/openapi.json");

/// Returns the market that this broker serves, and the broker's limits.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/market", tag = "broker", responses((status = 200, body = MarketInfo))))]
pub(super) async fn market(State(app): State<App>) -> Answer {
    let limits = &app.limits;
    let limits = MarketLimits {
        json_bytes_max: limits.json_bytes_max,
        program_bytes_max: limits.program_bytes_max,
        slot_bytes_max: limits.slot_bytes_max,
        envelope_bytes_max: limits.envelope_bytes_max,
        page_entries_max: LIMIT_MAX,
        page_documents_max: DOCUMENTS_LIMIT_MAX,
        request_secs_max: REQUEST_SECS_MAX,
        offer_secs_max: OFFER_SECS_MAX,
        requests_per_address_per_sec: limits.rate_per_address.per_sec,
        writes_per_account_per_sec: limits.rate_per_account.per_sec,
    };
    let (schema, deployment) = (BROKER_SCHEMA.to_owned(), app.deployment.clone());
    let info = MarketInfo { schema, deployment, epoch: app.nonces.epoch(), limits };
    Ok(json(StatusCode::OK, &info))
}

/// Answers if the broker works: for the answer its book is read and written.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/health", tag = "broker", responses((status = 200, body = Health))))]
pub(super) async fn health(State(app): State<App>) -> Answer {
    let newest = *app.book.newest().borrow();
    let mut checked = app.checked.lock().await;
    let now = app.now();
    if checked.is_none_or(|at| now.abs_diff(at) >= CHECKED_SECS) {
        app.blocking(|app| app.book.orders(0, 1)).await??;
        app.book.probe().await?;
        // Dropped without a name, it leaves nothing.
        app.blocking(|app| app.blobs.begin(BlobKind::Envelope)?.write(&[0])).await??;
        *checked = Some(now);
    }
    Ok(json(StatusCode::OK, &Health { status: "ok".to_owned(), newest }))
}

/// Returns this document.
#[cfg_attr(feature = "openapi", utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "broker",
    responses((status = 200, body = Object, content_type = "application/json"))
))]
pub(super) async fn openapi() -> Answer {
    Ok(([(header::CONTENT_TYPE, JSON)], OPENAPI).into_response())
}
