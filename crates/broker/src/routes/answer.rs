//! Answers of the routes.

use alloy_primitives::{Address, B256};
use assay_protocol::{EntryPut, JSON, Posted, ProblemKind};
use assay_storage::Put;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Fail, Failure};

pub(super) type Answer = Result<Response, Failure>;

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], written(value)).into_response()
}

pub(super) fn written(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| unreachable!("plain structs: {error}"))
}

/// 201 for what is new, 200 for what was there.
pub(super) fn posted(job_id: B256, put: Put) -> Response {
    json(created(put.is_new), &Posted { job_id, sequence: put.sequence })
}

/// The same for what an account says.
pub(super) fn put_by(account: Address, put: Put) -> Response {
    json(created(put.is_new), &EntryPut { account, sequence: put.sequence })
}

pub(super) fn created(is_new: bool) -> StatusCode {
    if is_new { StatusCode::CREATED } else { StatusCode::OK }
}

/// What the book holds was written by this crate, if not by this version of it. What can't be read
/// any more is reported here.
pub(super) fn stored<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        tracing::error!(%error, "an entry of the book does not parse");
        ProblemKind::Internal.fail("an entry of the book does not parse")
    })
}
