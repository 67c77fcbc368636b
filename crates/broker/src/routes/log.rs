//! The market's log: one route that adds entries, and those of c2sp.org/tlog-tiles, under
//! `/v1/log`.

use assay_protocol::schema::Binary;
use assay_protocol::{BINARY, LogAdded, ProblemKind};
use assay_storage::Error;
use assay_tlog::{CHECKPOINT, COSIGNED, ENTRY_BYTES_MAX, Policy, Storage, TileName};
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::answer::{Answer, created, json};
use crate::body;
use crate::caller::Caller;
use crate::error::{Fail, Failure};
use crate::state::{App, HostedLog};

const TEXT: &str = "text/plain; charset=utf-8";

/// Adds an entry: a statement in a DSSE envelope, as JSON. The same bytes again keep their index.
#[utoipa::path(
    post,
    path = "/v1/log/add",
    operation_id = "log_add",
    tag = "log",
    request_body(content = inline(Binary), content_type = "application/octet-stream", description = "A DSSE envelope, 65,535 bytes at most"),
    responses(
        (status = 201, body = LogAdded, description = "It is in the log, durably, under a signed checkpoint"),
        (status = 200, body = LogAdded, description = "It was in the log"),
    )
)]
pub(super) async fn add(State(app): State<App>, _: Caller, request: Request) -> Answer {
    if let Err(problem) = hosted(&app) {
        body::drain(request.into_body()).await;
        return Err(problem);
    }
    let entry = body::whole(&app.limits, request, BINARY, ENTRY_BYTES_MAX as u64).await?;
    if !is_envelope(&entry) {
        return Err(
            ProblemKind::BodyMalformed.fail("an entry must be a statement in a DSSE envelope")
        );
    }
    let added = hosted(&app)?.sequencer.add(entry).await?;
    Ok(json(created(added.is_new), &LogAdded { index: added.index }))
}

/// Returns the log's public key: a verifier key for signed notes. Pin it; don't ask for it each
/// time.
#[utoipa::path(
    get,
    path = "/v1/log/key",
    operation_id = "log_key",
    tag = "log",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn key(State(app): State<App>) -> Answer {
    let key = hosted(&app)?.key.to_string();
    Ok(([(header::CONTENT_TYPE, TEXT)], key).into_response())
}

/// Returns the newest checkpoint, signed by the log.
#[utoipa::path(
    get,
    path = "/v1/log/checkpoint",
    operation_id = "log_checkpoint",
    tag = "log",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn checkpoint(State(app): State<App>) -> Answer {
    object(&app, CHECKPOINT.to_owned(), TEXT, "no-cache").await
}

/// Returns the newest checkpoint that witnesses have cosigned, which may lag behind.
#[utoipa::path(
    get,
    path = "/v1/log/cosigned",
    operation_id = "log_cosigned",
    tag = "log",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn cosigned(State(app): State<App>) -> Answer {
    object(&app, COSIGNED.to_owned(), TEXT, "no-cache").await
}

/// A tile of hashes or a bundle of entries (c2sp.org/tlog-tiles). What no checkpoint speaks of yet
/// is not there.
pub(super) async fn tile(State(app): State<App>, Path(path): Path<String>) -> Answer {
    let log = hosted(&app)?;
    let unknown = || ProblemKind::TileUnknown.fail("no checkpoint covers this tile");
    let name = TileName::from_path(&format!("tile/{path}")).ok_or_else(unknown)?;
    let note = log.sequencer.checkpoint().borrow().clone();
    let policy = Policy::of_log(log.key.clone());
    let opened = policy.and_then(|policy| policy.open(&note)).map_err(|error| {
        tracing::error!(%error, "the log's own checkpoint does not open");
        ProblemKind::Internal.fail("the log's own checkpoint does not open")
    })?;
    if !name.is_within(opened.checkpoint.size) {
        return Err(unknown());
    }
    object(&app, name.to_string(), BINARY, "public, max-age=31536000, immutable").await
}

fn hosted(app: &App) -> Result<&HostedLog, Failure> {
    app.log.as_ref().ok_or_else(|| ProblemKind::LogAbsent.fail("this broker keeps no log"))
}

async fn object(app: &App, name: String, kind: &'static str, caching: &'static str) -> Answer {
    let files = hosted(app)?.files.clone();
    let found = app.blocking(move |_| files.get(&name)).await?;
    let found = found.map_err(|error| Error::Log { what: error.to_string() })?;
    let bytes =
        found.ok_or_else(|| ProblemKind::TileUnknown.fail("the log does not have it yet"))?;
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, caching)];
    let response: Response = (StatusCode::OK, headers, bytes).into_response();
    Ok(response)
}

/// Whether an entry has the form of a signed statement: the log is no free disk. Who signed, and
/// whether the signature holds, is for readers to check.
fn is_envelope(entry: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Envelope {
        payload: String,
        payload_type: String,
        signatures: Vec<Signature>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Signature {
        keyid: String,
        sig: String,
    }
    serde_json::from_slice::<Envelope>(entry).is_ok_and(|envelope| {
        envelope.payload_type == "application/vnd.in-toto+json"
            && !envelope.payload.is_empty()
            && !envelope.signatures.is_empty()
            && envelope.signatures.iter().all(|one| !one.keyid.is_empty() && !one.sig.is_empty())
    })
}
