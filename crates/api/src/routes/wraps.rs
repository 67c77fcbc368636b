//! Content keys, wrapped for who may have them.

use alloy_primitives::{Address, B256};
use assay_store::{Entry, Kind};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::orders::page;
use super::parameters::{JobAndRecipient, Name, Range, WrapPlace};
use super::refusals::require_order;
use super::{Answer, json, posted, stored, written};
use crate::broker::App;
use crate::gate::{Caller, not_entitled};
use crate::limits::WRAP_BYTES_MAX;
use crate::places::{KeptWrap, is_for, recipient_part};
use crate::{Posted, Problem, ProblemKind, SignedWrap, WrapEntry, WrapsPage, body};

/// Puts a wrapped key into the book. An owner's first for a job, recipient and slot stays.
#[utoipa::path(
    put,
    path = "/v1/wraps/{job_id}/{recipient}/{slot}",
    operation_id = "put_wrap",
    tag = "sealing",
    params(
        ("job_id" = String, Path, description = "64 hex digits, with 0x or without"),
        ("recipient" = String, Path, description = "An address"),
        ("slot" = u8, Path, description = "The slot that the key is for"),
    ),
    request_body = SignedWrap,
    responses(
        (status = 201, body = Posted, description = "It is in the book, durably"),
        (status = 200, body = Posted, description = "The owner has put one before"),
    )
)]
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    WrapPlace(job_id, recipient, slot): WrapPlace,
    request: Request,
) -> Answer {
    let signed: SignedWrap = body::json(&app.limits, request).await?;
    let owner = signed.owner;
    caller.must_be(owner)?;
    if !(1..=WRAP_BYTES_MAX).contains(&signed.wrap.len()) {
        let detail = format_args!("a wrap has 1 to {WRAP_BYTES_MAX} bytes");
        return Err(ProblemKind::BodyMalformed.with(detail));
    }
    let checked = app.verify(move |deployment| {
        signed.verify((job_id, recipient, slot), deployment)?;
        Ok(signed)
    });
    let signed = checked.await?;
    require_order(&app, Name(job_id)).await?;
    let (part, body) = (recipient_part(recipient, slot), written(&KeptWrap { slot, signed }));
    let put = app.book.put_part(Kind::Wrap, job_id.0, owner.into_array(), part, body).await?;
    Ok(posted(job_id, put))
}

/// A recipient's wrapped keys of a job. An owner sees what it has written; who is neither is refused, whatever there is.
#[utoipa::path(
    get,
    path = "/v1/wraps/{job_id}/{recipient}",
    operation_id = "wraps",
    tag = "sealing",
    params(
        ("job_id" = String, Path, description = "64 hex digits, with 0x or without"),
        ("recipient" = String, Path, description = "An address"),
        ("after" = Option<u64>, Query, description = "The last sequence seen; 0 if unset"),
        ("limit" = Option<u64>, Query, description = "1 to 500; 100 if unset", minimum = 1, maximum = 500),
    ),
    responses((status = 200, body = WrapsPage))
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    JobAndRecipient(job_id, recipient): JobAndRecipient,
    range: Range,
) -> Answer {
    let account = caller.account;
    let found = app.blocking(move |app| {
        let wanted = |author: &[u8; 20], part: &[u8; 32]| {
            is_for(recipient, part) && (account == recipient || author[..] == account[..])
        };
        page(range, |after, limit| {
            app.book.entries_about(Kind::Wrap, job_id.0, (after, limit), wanted)
        })
    });
    let (entries, next) = found.await??;
    if account != recipient && entries.is_empty() {
        return Err(not_entitled());
    }
    let wraps = entries.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(json(StatusCode::OK, &WrapsPage { wraps, next }))
}

fn entry(entry: Entry) -> Result<WrapEntry, Problem> {
    let KeptWrap { slot, signed: SignedWrap { owner, wrap, signature } } = stored(&entry.body)?;
    Ok(WrapEntry { sequence: entry.sequence, owner, slot, wrap, signature })
}

/// Who ordered a job; `None` if the book has no such order.
pub(super) async fn requester_of(app: &App, job_id: B256) -> Result<Option<Address>, Problem> {
    let found = app.blocking(move |app| app.book.order(job_id.0)).await??;
    Ok(found.map(|order| Address::new(order.author)))
}
