//! Whether who asks may: a signature over each request, checked before anything is read or done for it (spec/access.md).

use std::str::FromStr;

use alloy_primitives::{Address, B256};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::broker::App;
use crate::capability::{CapabilityError, Use};
use crate::limits::REQUEST_SECS_MAX;
use crate::rules::{Who, rule_of};
use crate::signing::{EMPTY_DIGEST, header};
use crate::{Problem, ProblemKind, Role, SignatureError, SignedRequest, body};

/// Who asks, once the signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// In whose name: the signer's own, or that of who gave it its capabilities.
    pub(crate) account: Address,
    /// The digest that the body must have.
    pub(crate) digest: B256,
}

impl Caller {
    /// Refuses all that are not in one account's name.
    pub(crate) fn must_be(&self, account: Address) -> Result<(), Problem> {
        if self.account == account { Ok(()) } else { Err(not_entitled()) }
    }
}

/// The same words whatever is there, so that nobody learns what is.
pub(crate) fn not_entitled() -> Problem {
    ProblemKind::NotEntitled.with("it is for another account, whether it is there or not")
}

/// A handler that asks for its caller is closed to requests that have none, whatever the table says.
impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        parts.extensions.get().copied().ok_or_else(|| {
            ProblemKind::RequestUnsigned.with("this route is for those who sign their requests")
        })
    }
}

/// Lets through what the table lets through.
pub(crate) async fn authorise(State(app): State<App>, request: Request, next: Next) -> Response {
    let rule = rule_of(request.method().as_str(), request.uri().path());
    // What has no row has no handler that would take it without a caller.
    let Some(Who::Signer(roles)) = rule.map(|rule| rule.who) else {
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

async fn admit(app: &App, roles: &[Role], request: &Parts) -> Result<Caller, Problem> {
    let is_write = matches!(request.method.as_str(), "POST" | "PUT");
    let path = request.uri.path();
    let signed = parse(&request.headers)?;
    let now = app.now();
    if signed.expires < now || signed.expires > now + REQUEST_SECS_MAX {
        let detail = format_args!("it ends at {}, and it is {now}", signed.expires);
        return Err(ProblemKind::RequestExpired.with(detail));
    }
    if !app.nonces.is_fresh(&signed.nonce) {
        let detail = "its nonce begins with another epoch than this broker's";
        return Err(ProblemKind::NonceStale.with(detail));
    }
    if !roles.is_empty() && !roles.contains(&signed.role) {
        let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
        return Err(ProblemKind::RoleMismatch.with(format_args!("it is for: {}", roles.join(", "))));
    }
    if !is_write && signed.digest != EMPTY_DIGEST {
        return Err(
            ProblemKind::DigestMismatch.with("a request without a body signs the empty one")
        );
    }
    let target = request.uri.path_and_query().map_or(path, |target| target.as_str()).to_owned();
    let (method, path) = (request.method.to_string(), path.to_owned());
    let place = app.checks.acquire().await;
    let checked = app.blocking(move |app| {
        check(app, &signed, &method, &target, &path, now).map(|account| (account, signed))
    });
    let (account, signed) = checked.await??;
    drop(place);
    app.nonces.spend(signed.account, signed.nonce, signed.expires, now)?;
    if is_write {
        app.take_write(signed.account)?;
    }
    Ok(Caller { account, digest: signed.digest })
}

/// In whose name a request is, if its signatures hold.
fn check(
    app: &crate::broker::Shared,
    signed: &SignedRequest,
    method: &str,
    target: &str,
    path: &str,
    now: u64,
) -> Result<Address, Problem> {
    signed.verify(method, target, &app.deployment).map_err(refused)?;
    let Some(chain) = &signed.capabilities else { return Ok(signed.account) };
    let used = Use { signer: signed.account, role: signed.role, method, path, now };
    chain.check(used, &app.deployment).map_err(beyond)
}

pub(crate) fn refused(error: SignatureError) -> Problem {
    match error {
        SignatureError::Length(_) => ProblemKind::AccountUnsupported.with(error),
        SignatureError::Terms => ProblemKind::TermsMismatch.with(error),
        other => ProblemKind::SignatureInvalid.with(other),
    }
}

fn beyond(error: CapabilityError) -> Problem {
    let kind = match error {
        CapabilityError::Form => ProblemKind::CapabilityMalformed,
        CapabilityError::Length => ProblemKind::CapabilityTooMany,
        CapabilityError::Link(_) => ProblemKind::CapabilityUnlinked,
        CapabilityError::WiderRole(_) => ProblemKind::CapabilityWidensRole,
        CapabilityError::WiderMethods(_) => ProblemKind::CapabilityWidensMethods,
        CapabilityError::WiderPath(_) => ProblemKind::CapabilityWidensPath,
        CapabilityError::WiderTime(_) => ProblemKind::CapabilityWidensTime,
        CapabilityError::Ended(_) => ProblemKind::CapabilityExpired,
        CapabilityError::Role => ProblemKind::CapabilityRole,
        CapabilityError::Method => ProblemKind::CapabilityMethod,
        CapabilityError::Path => ProblemKind::CapabilityPath,
        CapabilityError::Signature(_) => ProblemKind::CapabilityForged,
    };
    kind.with(error)
}

/// The headers that sign a request.
fn parse(headers: &HeaderMap) -> Result<SignedRequest, Problem> {
    let chain = headers.get(header::CAPABILITIES).map(|value| value.to_str().unwrap_or_default());
    Ok(SignedRequest {
        account: named(headers, header::ACCOUNT)?,
        role: named(headers, header::ROLE)?,
        digest: named(headers, header::DIGEST)?,
        nonce: named(headers, header::NONCE)?,
        expires: named(headers, header::EXPIRES)?,
        signature: named(headers, header::SIGNATURE)?,
        capabilities: chain.map(str::parse).transpose().map_err(beyond)?,
    })
}

fn named<T: FromStr>(headers: &HeaderMap, name: &str) -> Result<T, Problem> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.parse().ok()).ok_or_else(|| {
        ProblemKind::RequestUnsigned.with(format_args!("{name} is missing or does not parse"))
    })
}
