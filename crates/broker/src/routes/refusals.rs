//! Why orders are not locked, in their providers' words.

use assay_protocol::{
    ACCOUNT_CLOCK_SKEW_SECS_MAX, JsonObject, Posted, ProblemKind, REASON_BYTES_MAX,
    REASON_CODE_BYTES_MAX, RefusalEntry, Refusals, SignedRefusal,
};
use assay_storage::{Entry, Kind};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::answer::{Answer, json, posted, stored, written};
use super::parameters::Name;
use crate::body;
use crate::caller::Caller;
use crate::error::{Fail, Failure};
use crate::state::App;

/// Puts a provider's refusal of an order into the book. A provider's first refusal of an order
/// stays.
#[utoipa::path(
    post,
    path = "/v1/refusals",
    operation_id = "post_refusal",
    tag = "refusals",
    request_body = SignedRefusal,
    responses(
        (status = 201, body = Posted, description = "It is in the book, durably"),
        (status = 200, body = Posted, description = "The provider has refused the order before"),
    )
)]
pub(super) async fn post(State(app): State<App>, caller: Caller, request: Request) -> Answer {
    let signed: SignedRefusal = body::json(&app.limits, request).await?;
    check_reason(&signed.refusal.reason)?;
    if signed.refusal.at > app.now() + ACCOUNT_CLOCK_SKEW_SECS_MAX {
        return Err(ProblemKind::TimeImplausible.fail("the refusal is from the future"));
    }
    let (id, provider) = (signed.refusal.job_id, signed.refusal.provider);
    caller.must_be(provider)?;
    let checked = app.verify(move |deployment| {
        signed.verify(deployment)?;
        Ok(signed)
    });
    let signed = checked.await?;
    require_order(&app, Name(id)).await?;
    let body = written(&signed);
    let put = app.book.put(Kind::Refusal, id.0, provider.into_array(), body).await?;
    Ok(posted(id, put))
}

/// Why providers declined an order.
#[utoipa::path(
    get,
    path = "/v1/orders/{job_id}/refusals",
    operation_id = "refusals",
    tag = "refusals",
    params(("job_id" = String, Path, description = "64 hex digits, with 0x or without")),
    responses((status = 200, body = Refusals))
)]
pub(super) async fn list(State(app): State<App>, _: Caller, Name(id): Name) -> Answer {
    require_order(&app, Name(id)).await?;
    let found = app.blocking(move |app| app.book.refusals(id.0)).await??;
    let refusals = found.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(json(StatusCode::OK, &Refusals { refusals }))
}

pub(super) async fn require_order(app: &App, Name(id): Name) -> Result<(), Failure> {
    let found = app.blocking(move |app| app.book.order(id.0)).await??;
    found.map(drop).ok_or_else(|| ProblemKind::OrderUnknown.fail(format_args!("no order {id}")))
}

pub(super) fn check_reason(reason: &JsonObject) -> Result<(), Failure> {
    let malformed = |detail: String| Err(ProblemKind::BodyMalformed.fail(detail));
    if reason.as_str().len() > REASON_BYTES_MAX {
        return malformed(format!("a reason has {REASON_BYTES_MAX} bytes at most"));
    }
    match reason.members().get("code").and_then(|code| code.as_str()) {
        Some(code) if (1..=REASON_CODE_BYTES_MAX).contains(&code.len()) => Ok(()),
        _ => malformed(format!(
            "a reason has a code, a string of 1 to {REASON_CODE_BYTES_MAX} bytes"
        )),
    }
}

fn entry(entry: Entry) -> Result<RefusalEntry, Failure> {
    let SignedRefusal { refusal, signature } = stored(&entry.body)?;
    Ok(RefusalEntry { sequence: entry.sequence, refusal, signature })
}
