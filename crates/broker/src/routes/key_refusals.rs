//! Why key services give no key, in their owners' names.

use crate::{Failure, body, error::Fail};
use assay_protocol::{
    ACCOUNT_CLOCK_SKEW_SECS_MAX, KeyRefusalEntry, KeyRefusalsPage, Posted, ProblemKind,
    SignedKeyRefusal, is_for, recipient_part,
};
use assay_storage::{Entry, Kind};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::orders::page;
use super::parameters::{Name, Range};
use super::refusals::check_reason;
use super::wraps::{requester_of, require_key_owner};
use super::{Answer, json, posted, stored, written};
use crate::auth::Caller;
use crate::state::App;

/// Puts a key service's refusal into the book, if by the order the key is its owner's. An owner's first
/// for a job and recipient stays.
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
    if signed.refusal.at > app.now() + ACCOUNT_CLOCK_SKEW_SECS_MAX {
        return Err(ProblemKind::TimeImplausible.fail("the refusal is from the future"));
    }
    require_key_owner(&app, job_id, owner).await?;
    let checked = app.verify(move |deployment| {
        signed.verify(deployment)?;
        Ok(signed)
    });
    let signed = checked.await?;
    let (part, body) = (recipient_part(signed.refusal.recipient, 0), written(&signed));
    let put = app.book.put_part(Kind::KeyRefusal, job_id.0, owner.into_array(), part, body).await?;
    Ok(posted(job_id, put))
}

/// Why key services gave no key for a job. Its requester sees all; a recipient and an owner what is to
/// and by them; others nothing, whatever there is.
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
    let found = app.blocking(move |app| {
        let wanted = |author: &[u8; 20], part: &[u8; 32]| {
            sees_all || author[..] == account[..] || is_for(account, part)
        };
        page(range, |after, limit| {
            app.book.entries_about(Kind::KeyRefusal, job_id.0, (after, limit), &wanted)
        })
    });
    let (entries, next) = found.await??;
    let refusals = entries.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(json(StatusCode::OK, &KeyRefusalsPage { refusals, next }))
}

fn entry(entry: Entry) -> Result<KeyRefusalEntry, Failure> {
    let SignedKeyRefusal { refusal, signature } = stored(&entry.body)?;
    Ok(KeyRefusalEntry { sequence: entry.sequence, refusal, signature })
}
