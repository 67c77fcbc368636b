//! The routes (spec/broker.md#routes).

mod answer;
mod blobs;
mod checks;
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
mod page;
mod parameters;
mod refusals;
mod revocations;
mod seal_keys;
mod wraps;

use assay_protocol::ProblemKind;
use axum::http::{Method, Uri};
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{Fail, Failure};
use crate::state::App;

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
    ProblemKind::PathUnknown.fail(format_args!("the broker has no path {path:?}"))
}

pub(crate) async fn unknown_method(method: Method) -> Failure {
    ProblemKind::MethodUnknown.fail(format_args!("the path does not take {method}"))
}
