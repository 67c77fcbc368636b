//! Refusals of orders: why providers do not lock them.

use assay_protocol::{RefusalEntry, Refusals, SignedRefusal};
use assay_storage::{Entry, Kind};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::answer::{Answer, json, posted, stored, written};
use super::checks::{check_past, check_reason};
use super::orders;
use super::parameters::Name;
use crate::body;
use crate::caller::Caller;
use crate::error::Failure;
use crate::state::App;

/// Puts a provider's refusal of an order into the book. The first refusal of a provider stays;
/// later ones are ignored.
#[cfg_attr(feature = "openapi", utoipa::path(
    post,
    path = "/v1/refusals",
    operation_id = "post_refusal",
    tag = "refusals",
    request_body = SignedRefusal,
    responses(
        (status = 201, body = assay_protocol::Posted, description = "It is in the book, durably"),
        (status = 200, body = assay_protocol::Posted, description = "The provider has refused the order before"),
    )
))]
pub(super) async fn post(State(app): State<App>, caller: Caller, request: Request) -> Answer {
    let signed: SignedRefusal = body::json(&app.limits, request).await?;
    check_reason(&signed.refusal.reason)?;
    check_past(&app, signed.refusal.at)?;
    let (id, provider) = (signed.refusal.job_id, signed.refusal.provider);
    caller.must_be(provider)?;
    let (signed, ()) = app.verify(signed, SignedRefusal::verify).await?;
    orders::known(&app, id).await?;
    let body = written(&signed);
    let put = app.book.put(Kind::Refusal, id.0, provider.into_array(), body).await?;
    Ok(posted(id, put))
}

/// Lists why providers declined an order.
#[cfg_attr(feature = "openapi", utoipa::path(
    get,
    path = "/v1/orders/{job_id}/refusals",
    operation_id = "refusals",
    tag = "refusals",
    params(("job_id" = String, Path, description = "64 hex digits, with 0x or without")),
    responses((status = 200, body = Refusals))
))]
pub(super) async fn list(State(app): State<App>, _: Caller, Name(id): Name) -> Answer {
    orders::known(&app, id).await?;
    let found = app.blocking(move |app| app.book.refusals(id.0)).await??;
    let refusals = found.into_iter().filter_map(|found| entry(found).ok()).collect();
    Ok(json(StatusCode::OK, &Refusals { refusals }))
}

fn entry(entry: Entry) -> Result<RefusalEntry, Failure> {
    let SignedRefusal { refusal, signature } = stored(&entry.body)?;
    Ok(RefusalEntry { sequence: entry.sequence, refusal, signature })
}
