//! What is done around every request: logging, counting, and limiting the rate of an address.

use std::net::Ipv4Addr;
use std::time::Instant;

use assay_protocol::{ProblemKind, method_of, shape_of};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::connection::Peer;
use crate::error::{Fail, Failure};
use crate::state::App;

/// One line a request: the route's shape, so no names; no query, no header and no body, which may
/// hold what is nobody's business.
pub(crate) async fn log(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_of(request.method().as_str());
    let route = shape_of(request.uri().path());
    let response = next.run(request).await;
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    let millis = elapsed.as_millis();
    app.served.count(method, route, status, elapsed);
    match response.extensions().get::<ProblemKind>() {
        Some(kind) => {
            app.refused.count(*kind);
            tracing::info!(method, route, status, problem = kind.name(), millis, "refused");
        }
        None => tracing::info!(method, route, status, millis, "request"),
    }
    response
}

/// Refuses requests beyond the address's rate, before anything is read or computed for them.
pub(crate) async fn limit(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    // Without a socket all share one rate.
    let nobody = Peer::new(Ipv4Addr::UNSPECIFIED.into());
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(nobody);
    app.per_address.take(peer).map_err(|wait| {
        ProblemKind::RateExceeded.fail("this address has used up its requests for now").after(wait)
    })?;
    Ok(next.run(request).await)
}
