//! Authorisation: each request is signed, and its signature is checked before anything is read or
//! done for it (spec/access.md).

use alloy_primitives::{Address, B256};
use assay_protocol::{
    Capability, EMPTY_DIGEST, ProblemKind, REQUEST_SECS_MAX, Role, SignedCapability, SignedRequest,
    Use, Who, header, permission_of, revocation_part,
};
use assay_storage::Kind;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::body;
use crate::caller::Caller;
use crate::error::{Fail, Failure};
use crate::state::{App, Shared};

/// Lets through what the table of permissions lets through.
pub(crate) async fn authorise(State(app): State<App>, request: Request, next: Next) -> Response {
    let row = permission_of(request.method().as_str(), request.uri().path());
    // What has no row has no handler that would take it without a caller.
    let Some(Who::Signer(roles)) = row.map(|row| row.who) else {
        return next.run(request).await;
    };
    let (mut parts, body) = request.into_parts();
    match admit(&app, roles, &parts).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => {
            body::drain(body).await;
            let is_stale = problem.kind() == Some(ProblemKind::NonceStale);
            let mut response = problem.into_response();
            if let (true, Ok(epoch)) = (is_stale, app.nonces.epoch().to_string().parse()) {
                response.headers_mut().insert(header::EPOCH, epoch);
            }
            response
        }
    }
}

async fn admit(app: &App, roles: &[Role], request: &Parts) -> Result<Caller, Failure> {
    let is_write = matches!(request.method.as_str(), "POST" | "PUT");
    let path = request.uri.path();
    // Text that is no ASCII is as good as none, and a chain that is none is refused as one.
    let signed = SignedRequest::from_headers(|name| {
        request.headers.get(name).map(|value| value.to_str().unwrap_or_default())
    })?;
    let now = app.now();
    if signed.expires < now || signed.expires > now + REQUEST_SECS_MAX {
        let detail = format_args!("it expires at {}, and the time is {now}", signed.expires);
        return Err(ProblemKind::RequestExpired.fail(detail));
    }
    if !app.nonces.is_fresh(&signed.nonce) {
        let detail = "its nonce does not begin with this broker's epoch";
        return Err(ProblemKind::NonceStale.fail(detail));
    }
    if !roles.is_empty() && !roles.contains(&signed.role) {
        let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
        return Err(
            ProblemKind::RoleMismatch.fail(format_args!("the route is for: {}", roles.join(", ")))
        );
    }
    if !is_write && signed.digest != EMPTY_DIGEST {
        return Err(ProblemKind::DigestMismatch
            .fail("a request without a body must sign the SHA-256 of no bytes"));
    }
    let target = request.uri.path_and_query().map_or(path, |target| target.as_str()).to_owned();
    let (method, path) = (request.method.to_string(), path.to_owned());
    let place = app.checks.acquire().await;
    let checked = app.blocking(move |app| {
        check(app, &signed, &method, &target, &path, now).map(|account| (account, signed))
    });
    let (account, signed) = checked.await??;
    drop(place);
    app.admit(signed.account, account, is_write)?;
    app.nonces.spend(signed.account, signed.nonce, signed.expires, now)?;
    if is_write {
        app.take_write(signed.account)?;
    }
    Ok(Caller { account, digest: signed.digest })
}

/// In whose name a request is, if its signatures hold.
fn check(
    app: &Shared,
    signed: &SignedRequest,
    method: &str,
    target: &str,
    path: &str,
    now: u64,
) -> Result<Address, Failure> {
    signed.verify(method, target, &app.deployment)?;
    let Some(chain) = &signed.capabilities else { return Ok(signed.account) };
    let used = Use { signer: signed.account, role: signed.role, method, path, now };
    let issuer = chain.check(used, &app.deployment)?;
    for (place, SignedCapability { capability, .. }) in chain.capabilities().iter().enumerate() {
        let hash = capability.hash(&app.deployment)?;
        if is_revoked(app, capability, hash)? {
            let detail = format_args!("capability {place} was revoked by its issuer");
            return Err(ProblemKind::CapabilityRevoked.fail(detail));
        }
    }
    Ok(issuer)
}

/// Whether a capability was revoked by its issuer.
fn is_revoked(app: &Shared, capability: &Capability, hash: B256) -> Result<bool, Failure> {
    let issuer = capability.issuer;
    let part = revocation_part(capability.not_after, hash);
    let (key, author) = (issuer.into_word().0, issuer.into_array());
    Ok(app.book.entry(Kind::CapabilityRevocation, key, author, part)?.is_some())
}
