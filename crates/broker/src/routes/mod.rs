//! The routes (spec/broker.md#routes).

use crate::{Failure, error::Fail};
use assay_protocol::{EntryPut, JSON, Posted, ProblemKind};
mod blobs;
mod datasets;
pub(crate) mod document;
mod documents;
mod envelopes;
mod events;
mod key_refusals;
mod log;
mod market;
mod offers;
mod orders;
mod parameters;
mod refusals;
mod revocations;
mod seal_keys;
mod wraps;

use alloy_primitives::{Address, B256};
use assay_storage::Put;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use events::Stopping;

use crate::state::App;

type Answer = Result<Response, Failure>;

/// All routes with their documents.
pub(crate) fn all() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(document::Document::openapi())
        .routes(routes!(market::market))
        .routes(routes!(market::health))
        .routes(routes!(market::openapi))
        .routes(routes!(orders::post, orders::list))
        .routes(routes!(events::follow))
        .routes(routes!(orders::one))
        .routes(routes!(refusals::list))
        .routes(routes!(refusals::post))
        .routes(routes!(offers::list))
        .routes(routes!(offers::put))
        .routes(routes!(blobs::put_program, blobs::program))
        .routes(routes!(blobs::put_slot, blobs::slot))
        .routes(routes!(envelopes::put, envelopes::one))
        .routes(routes!(seal_keys::put, seal_keys::one))
        .routes(routes!(wraps::put))
        .routes(routes!(wraps::list))
        .routes(routes!(key_refusals::post))
        .routes(routes!(key_refusals::list))
        .routes(routes!(datasets::list))
        .routes(routes!(datasets::put, datasets::one))
        .routes(routes!(documents::post, documents::list))
        .routes(routes!(revocations::post))
        .routes(routes!(log::add))
        .routes(routes!(log::key))
        .routes(routes!(log::checkpoint))
        .routes(routes!(log::cosigned))
        // OpenAPI has no parameter that spans several segments.
        .route("/v1/log/tile/{*path}", get(log::tile))
}

pub(crate) async fn unknown_path(uri: Uri) -> Failure {
    let path: String = uri.path().chars().take(100).collect();
    ProblemKind::PathUnknown.fail(format_args!("{path:?} is no path of this broker"))
}

pub(crate) async fn unknown_method(method: Method) -> Failure {
    ProblemKind::MethodUnknown.fail(format_args!("this path does not know {method}"))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], written(value)).into_response()
}

fn written(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| unreachable!("plain structs: {error}"))
}

/// 201 for what is new, 200 for what was there.
fn posted(job_id: B256, put: Put) -> Response {
    json(created(put.is_new), &Posted { job_id, sequence: put.sequence })
}

/// The same for what an account says.
fn put_by(account: Address, put: Put) -> Response {
    json(created(put.is_new), &EntryPut { account, sequence: put.sequence })
}

fn created(is_new: bool) -> StatusCode {
    if is_new { StatusCode::CREATED } else { StatusCode::OK }
}

/// What the book holds was written by this crate.
fn stored<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        tracing::error!(%error, "an entry of the book does not parse");
        ProblemKind::Internal.fail("an entry of the book does not parse")
    })
}
