//! From where: the log of requests and what was refused of them, and how many one address may send.

use crate::{Failure, error::Fail};
use assay_protocol::{ProblemKind, method_of, shape_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::state::App;

/// Where a request comes from, as far as limits go: an IPv4 address, or an IPv6 network of 64 bits,
/// of which one customer has every address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer(IpAddr);

impl Peer {
    pub(crate) fn of(address: IpAddr) -> Self {
        Peer(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        })
    }
}

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

/// How often each problem was answered.
pub(crate) struct Refused([AtomicU64; ProblemKind::ALL.len()]);

impl Refused {
    pub(crate) fn new() -> Self {
        Refused(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    fn count(&self, kind: ProblemKind) {
        self.0[kind.place()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, kind: ProblemKind) -> u64 {
        self.0[kind.place()].load(Ordering::Relaxed)
    }
}

/// Refuses what passes the address's rate, before anything is read or computed for it.
pub(crate) async fn limit(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    // Without a socket all share one rate.
    let nobody = Peer(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(nobody);
    app.per_address.take(peer).map_err(|wait| {
        ProblemKind::RateExceeded.fail("this address sends too many requests").after(wait)
    })?;
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_customer_is_one_peer() {
        let peer = |text: &str| Peer::of(text.parse().expect("an address"));
        assert_eq!(peer("2001:db8:1:2:3::4"), peer("2001:db8:1:2:ffff::1"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
    }
}
