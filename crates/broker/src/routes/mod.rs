//! The routes (spec/broker.md#routes).

mod answer;
mod blobs;
mod checks;
mod datasets;
#[cfg(feature = "openapi")]
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
use axum::Router;
use axum::http::{Method, Uri};
use axum::routing::{get, post, put};

use crate::error::{Fail, Failure};
use crate::state::App;

/// All routes.
pub(crate) fn all() -> Router<App> {
    Router::new()
        .route("/v1/market", get(market::market))
        .route("/v1/health", get(market::health))
        .route("/v1/openapi.json", get(market::openapi))
        .route("/v1/orders", get(orders::list).post(orders::post))
        .route("/v1/orders/events", get(events::follow))
        .route("/v1/orders/{job_id}", get(orders::one))
        .route("/v1/orders/{job_id}/refusals", get(refusals::list))
        .route("/v1/refusals", post(refusals::post))
        .route("/v1/offers", get(offers::list))
        .route("/v1/offers/{provider}", put(offers::put))
        .route("/v1/programs/{id}", get(blobs::program).put(blobs::put_program))
        .route("/v1/slots/{root}", get(blobs::slot).put(blobs::put_slot))
        .route("/v1/envelopes/{sha256}", get(envelopes::one).put(envelopes::put))
        .route("/v1/seal-keys/{account}", get(seal_keys::one).put(seal_keys::put))
        .route("/v1/wraps/{job_id}/{recipient}", get(wraps::list))
        .route("/v1/wraps/{job_id}/{recipient}/{slot}", put(wraps::put))
        .route("/v1/key-refusals", post(key_refusals::post))
        .route("/v1/orders/{job_id}/key-refusals", get(key_refusals::list))
        .route("/v1/datasets", get(datasets::list))
        .route("/v1/datasets/{owner}/{name}", get(datasets::one).put(datasets::put))
        .route("/v1/owners/{owner}/documents", get(documents::list).post(documents::post))
        .route("/v1/capability-revocations", post(revocations::post))
        .route("/v1/log/add", post(log::add))
        .route("/v1/log/key", get(log::key))
        .route("/v1/log/checkpoint", get(log::checkpoint))
        .route("/v1/log/cosigned", get(log::cosigned))
        .route("/v1/log/tile/{*path}", get(log::tile))
}

pub(crate) async fn unknown_path(uri: Uri) -> Failure {
    let path: String = uri.path().chars().take(100).collect();
    ProblemKind::PathUnknown.fail(format_args!("the broker has no path {path:?}"))
}

pub(crate) async fn unknown_method(method: Method) -> Failure {
    ProblemKind::MethodUnknown.fail(format_args!("the path does not take {method}"))
}
