//! Who may use which route: one row for each (spec/access.md#routes). A route without a row is
//! closed to all.

use crate::capability::Role;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody, without a signature.
    Anybody,
    /// Whoever brings something signed that carries its own authority.
    Bearer,
    /// An account that signs the request in one of these roles; in any role if the list is empty.
    Signer(&'static [Role]),
}

/// A route: who may use it, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// `GET` stands for `HEAD` as well.
    pub method: &'static str,
    /// As in the OpenAPI document; `{*rest}` stands for any number of segments.
    pub path: &'static str,
    /// Who may use it.
    pub who: Who,
    /// Why they may.
    pub why: &'static str,
}

const ANY: Who = Who::Signer(&[]);
const OWNERS: Who = Who::Signer(&[Role::Requester, Role::DataOwner]);
const OF_DATA: Who = Who::Signer(&[Role::DataOwner]);
const OF_PROVIDERS: Who = Who::Signer(&[Role::Provider]);

/// Every route of a broker.
pub const PERMISSIONS: &[Permission] = &[
    row("GET", "/v1/market", Who::Anybody, "a client learns here for which market to sign"),
    row("GET", "/v1/health", Who::Anybody, "a monitor has no account, and learns a number"),
    row("GET", "/v1/openapi.json", Who::Anybody, "it is in the source"),
    row(
        "POST",
        "/v1/orders",
        Who::Bearer,
        "an order is signed, says all that it does, and is the same twice",
    ),
    row(
        "GET",
        "/v1/orders",
        ANY,
        "the book is the market's, and its terms are for those who take part",
    ),
    row("GET", "/v1/orders/events", ANY, "the same as it comes"),
    row("GET", "/v1/orders/{job_id}", ANY, "the same, one order"),
    row("GET", "/v1/orders/{job_id}/refusals", ANY, "why nobody locks an order moves prices"),
    row(
        "GET",
        "/v1/orders/{job_id}/key-refusals",
        ANY,
        "only those by, to or about an order of who asks are shown",
    ),
    row("POST", "/v1/refusals", OF_PROVIDERS, "in the provider's own name"),
    row("POST", "/v1/key-refusals", OWNERS, "in the name of an owner whom the order knows"),
    row("GET", "/v1/offers", ANY, "prices are for those who take part"),
    row("PUT", "/v1/offers/{provider}", OF_PROVIDERS, "in the provider's own name"),
    row(
        "GET",
        "/v1/seal-keys/{account}",
        ANY,
        "whoever seals for an account needs its public keys",
    ),
    row("PUT", "/v1/seal-keys/{account}", ANY, "in the account's own name"),
    row("GET", "/v1/programs/{id}", ANY, "named by its hash; who runs or checks needs it"),
    row("PUT", "/v1/programs/{id}", ANY, "named by its hash: nobody can put another's wrongly"),
    row("GET", "/v1/slots/{root}", ANY, "named by its root, public or ciphertext inside"),
    row("PUT", "/v1/slots/{root}", ANY, "named by its root"),
    row("GET", "/v1/envelopes/{sha256}", ANY, "ciphertext: who has no key reads nothing"),
    row("PUT", "/v1/envelopes/{sha256}", ANY, "named by its hash"),
    row(
        "GET",
        "/v1/wraps/{job_id}/{recipient}",
        ANY,
        "the recipient sees all, an owner its own, others are refused",
    ),
    row(
        "PUT",
        "/v1/wraps/{job_id}/{recipient}/{slot}",
        OWNERS,
        "in the name of an owner whom the order knows",
    ),
    row("GET", "/v1/datasets", ANY, "a catalogue for those who take part"),
    row("GET", "/v1/datasets/{owner}/{name}", ANY, "the same, one dataset"),
    row("PUT", "/v1/datasets/{owner}/{name}", OF_DATA, "in the owner's own name"),
    row("GET", "/v1/owners/{owner}/documents", ANY, "grants and revocations count by being known"),
    row("POST", "/v1/owners/{owner}/documents", OF_DATA, "in the owner's own name"),
    row("POST", "/v1/capability-revocations", ANY, "in the issuer's own name"),
    row("POST", "/v1/log/add", ANY, "the log is no free disk: somebody answers for what is added"),
    row(
        "GET",
        "/v1/log/key",
        Who::Anybody,
        "readers of tlog-tiles can't sign, and an auditor needs no account",
    ),
    row("GET", "/v1/log/checkpoint", Who::Anybody, "the same"),
    row("GET", "/v1/log/cosigned", Who::Anybody, "the same"),
    row(
        "GET",
        "/v1/log/tile/{*path}",
        Who::Anybody,
        "the same; entries hold salted digests, no content",
    ),
];

const fn row(method: &'static str, path: &'static str, who: Who, why: &'static str) -> Permission {
    Permission { method, path, who, why }
}

/// The permission for a request. Of several rows that fit, the first, which has no parameter where
/// the others have one.
pub fn permission_of(method: &str, path: &str) -> Option<&'static Permission> {
    let method = if method == "HEAD" { "GET" } else { method };
    PERMISSIONS.iter().filter(|row| row.method == method).find(|row| fits(row.path, path))
}

/// A request's method for logs and metrics: one that the table can have, or `other`.
pub fn method_of(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT"].into_iter().find(|known| *known == method).unwrap_or("other")
}

/// A request's path for logs and metrics: the row's pattern, without names; or `unknown`.
pub fn shape_of(path: &str) -> &'static str {
    PERMISSIONS.iter().find(|row| fits(row.path, path)).map_or("unknown", |row| row.path)
}

fn fits(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        let Some(segment) = segments.next() else { return false };
        let fits = match expected.strip_prefix('{') {
            Some(name) if name.starts_with('*') => return !segment.is_empty(),
            Some(_) => !segment.is_empty(),
            None => segment == expected,
        };
        if !fits {
            return false;
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_its_row() {
        let path = |method, path| permission_of(method, path).map(|row| row.path);
        assert_eq!(
            path("GET", "/v1/orders/events"),
            Some("/v1/orders/events"),
            "not an order's id"
        );
        assert_eq!(path("HEAD", "/v1/orders/7"), Some("/v1/orders/{job_id}"));
        assert_eq!(path("GET", "/v1/log/tile/0/x001/067"), Some("/v1/log/tile/{*path}"));
        for (method, other) in [
            ("DELETE", "/v1/orders"),
            ("GET", "/v1/orders/"),
            ("GET", "/v1/wraps/1"),
            ("GET", "//v1/market"),
            ("GET", "/v1/log/tile/"),
            ("GET", ""),
        ] {
            assert_eq!(path(method, other), None, "{method} {other}");
        }
    }
}
