//! Refusals of keys: why key services do not release them.

use assay_protocol::{
    KeyRefusalEntry, KeyRefusalsPage, Posted, SignedKeyRefusal, is_for, recipient_part,
};
use assay_storage::{Book, Entry, Kind};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::answer::{Answer, json, posted, stored, written};
use super::checks::{check_past, check_reason};
use super::page::page;
use super::parameters::{Name, Range};
use super::wraps::{requester_of, require_key_owner};
use crate::body;
use crate::caller::Caller;
use crate::error::Failure;
use crate::state::App;

/// Puts a key service's refusal into the book, if by the order the owner has a key of the job. The
/// owner's first refusal for a job and recipient stays; later ones are ignored.
#[utoipa::path(
    post,
    path = "/v1/key-refusals",
    operation_id = "post_key_refusal",
    tag = "sealing",
    request_body = SignedKeyRefusal,
    responses(
        (status = 201, body = Posted, description = "It is in the book, durably"),
        (status = 200, body = Posted, description = "The owner has refused this recipient before"),
    )
)]
pub(super) async fn post(State(app): State<App>, caller: Caller, request: Request) -> Answer {
    let signed: SignedKeyRefusal = body::json(&app.limits, request).await?;
    let (job_id, owner) = (signed.refusal.job_id, signed.refusal.owner);
    caller.must_be(owner)?;
    check_reason(&signed.refusal.reason)?;
    check_past(&app, signed.refusal.at)?;
    require_key_owner(&app, job_id, owner).await?;
    let (signed, ()) = app.verify(signed, SignedKeyRefusal::verify).await?;
    let (part, body) = (recipient_part(signed.refusal.recipient, 0), written(&signed));
    let put = app.book.put_part(Kind::KeyRefusal, job_id.0, owner.into_array(), part, body).await?;
    Ok(posted(job_id, put))
}

/// Lists why key services released no key of a job. Its requester sees all refusals, a recipient
/// and an owner those to and by them, and others none.
#[utoipa::path(
    get,
    path = "/v1/orders/{job_id}/key-refusals",
    operation_id = "key_refusals",
    tag = "sealing",
    params(
        ("job_id" = String, Path, description = "64 hex digits, with 0x or without"),
        ("after" = Option<u64>, Query, description = "The last sequence seen; 0 if unset"),
        ("limit" = Option<u64>, Query, description = "1 to 500; 100 if unset", minimum = 1, maximum = 500),
    ),
    responses((status = 200, body = KeyRefusalsPage))
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Name(job_id): Name,
    range: Range,
) -> Answer {
    let account = caller.account;
    let sees_all = requester_of(&app, job_id).await? == Some(account);
    let wanted = move |author: &[u8; 20], part: &[u8; 32]| {
        sees_all || author[..] == account[..] || is_for(account, part)
    };
    let read =
        move |book: &Book, page| book.entries_about(Kind::KeyRefusal, job_id.0, page, wanted);
    let (refusals, next) = page(&app, range, read, entry).await?;
    Ok(json(StatusCode::OK, &KeyRefusalsPage { refusals, next }))
}

fn entry(entry: Entry) -> Result<KeyRefusalEntry, Failure> {
    let SignedKeyRefusal { refusal, signature } = stored(&entry.body)?;
    Ok(KeyRefusalEntry { sequence: entry.sequence, refusal, signature })
}
