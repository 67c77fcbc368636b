//! The broker itself: its market, its health, its OpenAPI document.

use assay_protocol::{
    BROKER_SCHEMA, DOCUMENTS_LIMIT_MAX, Health, JSON, LIMIT_MAX, MarketInfo, MarketLimits,
    OFFER_SECS_MAX, REQUEST_SECS_MAX,
};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::answer::{Answer, json};
use crate::state::App;

/// Returns the market that this broker serves, and the broker's limits.
#[utoipa::path(get, path = "/v1/market", tag = "broker", responses((status = 200, body = MarketInfo)))]
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

/// Answers if the broker works: its book is read for the answer.
#[utoipa::path(get, path = "/v1/health", tag = "broker", responses((status = 200, body = Health)))]
pub(super) async fn health(State(app): State<App>) -> Answer {
    let newest = *app.book.newest().borrow();
    app.blocking(|app| app.book.orders(0, 1)).await??;
    Ok(json(StatusCode::OK, &Health { status: "ok".to_owned(), newest }))
}

/// Returns this document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "broker",
    responses((status = 200, body = Object, content_type = "application/json"))
)]
pub(super) async fn openapi(State(app): State<App>) -> Answer {
    Ok(([(header::CONTENT_TYPE, JSON)], app.openapi.clone()).into_response())
}
