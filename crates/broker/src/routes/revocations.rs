//! Revocations of capabilities by their issuers.

use std::sync::atomic::Ordering;

use alloy_primitives::B256;
use assay_protocol::{CapabilityError, EntryPut, ProblemKind, SignedRevocation, revocation_part};
use assay_storage::Kind;
use axum::extract::{Request, State};

use super::answer::{Answer, put_by, written};
use crate::body;
use crate::caller::Caller;
use crate::error::{Fail, Failure};
use crate::state::App;

/// How often a broker looks for revocations to forget, in seconds at the least.
const REVOCATIONS_SWEEP_SECS: u64 = 60;

/// Revokes a capability. After the answer no request may use it, or one that is derived from it.
#[utoipa::path(
    post,
    path = "/v1/capability-revocations",
    operation_id = "post_capability_revocation",
    tag = "access",
    request_body = SignedRevocation,
    responses(
        (status = 201, body = EntryPut, description = "It is revoked, durably"),
        (status = 200, body = EntryPut, description = "It was revoked before"),
    )
)]
pub(super) async fn post(State(app): State<App>, caller: Caller, request: Request) -> Answer {
    let signed: SignedRevocation = body::json(&app.limits, request).await?;
    let issuer = signed.capability.issuer;
    caller.must_be(issuer)?;
    if !signed.capability.is_whole() {
        return Err(CapabilityError::Form.into());
    }
    if signed.capability.not_after < app.now() {
        let detail = "it has expired, so there is nothing to revoke";
        return Err(ProblemKind::CapabilityExpired.fail(detail));
    }
    let (signed, hash) = app.verify(signed, SignedRevocation::verify).await?;
    forget_ended(&app).await?;
    let (key, author) = (issuer.into_word().0, issuer.into_array());
    let part = revocation_part(signed.capability.not_after, hash);
    let body = written(&signed);
    let put = app.book.put_part(Kind::CapabilityRevocation, key, author, part, body).await?;
    Ok(put_by(issuer, put))
}

/// Removes revocations of capabilities that have expired: nobody could use them anyway.
async fn forget_ended(app: &App) -> Result<(), Failure> {
    let now = app.now();
    let next = app.next_sweep.load(Ordering::Relaxed);
    let later = now.saturating_add(REVOCATIONS_SWEEP_SECS);
    let is_ours = now >= next
        && app
            .next_sweep
            .compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
    if is_ours {
        let below = revocation_part(now, B256::ZERO);
        app.book.remove_parts_below(Kind::CapabilityRevocation, below).await?;
    }
    Ok(())
}
