//! Who may do what: one row a route (spec/access.md#routes). What has no row is nobody's.

use crate::capability::Role;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody, without a signature.
    Anybody,
    /// Who brings something signed that carries its own authority.
    Bearer,
    /// An account that signs the request in one of these roles; in any if there is none.
    Signer(&'static [Role]),
}

/// A route, who may use it, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `GET` stands for `HEAD` as well.
    pub method: &'static str,
    /// As in the OpenAPI document; `{*rest}` stands for any number of segments.
    pub path: &'static str,
    /// Who.
    pub who: Who,
    /// Why.
    pub why: &'static str,
}

const ANY: Who = Who::Signer(&[]);
const OWNERS: Who = Who::Signer(&[Role::Requester, Role::DataOwner]);
const OF_DATA: Who = Who::Signer(&[Role::DataOwner]);
const OF_PROVIDERS: Who = Who::Signer(&[Role::Provider]);

/// Every route of a broker.
pub const RULES: &[Rule] = &[
    rule("GET", "/v1/market", Who::Anybody, "a client learns here for which market to sign"),
    rule("GET", "/v1/health", Who::Anybody, "a monitor has no account, and learns a number"),
    rule("GET", "/v1/openapi.json", Who::Anybody, "it is in the source"),
    rule(
        "POST",
        "/v1/orders",
        Who::Bearer,
        "an order is signed, says all that it does, and is the same twice",
    ),
    rule(
        "GET",
        "/v1/orders",
        ANY,
        "the book is the market's, and its terms are for those who take part",
    ),
    rule("GET", "/v1/orders/events", ANY, "the same as it comes"),
    rule("GET", "/v1/orders/{job_id}", ANY, "the same, one order"),
    rule("GET", "/v1/orders/{job_id}/refusals", ANY, "why nobody locks an order moves prices"),
    rule(
        "GET",
        "/v1/orders/{job_id}/key-refusals",
        ANY,
        "only those by, to or about an order of who asks are shown",
    ),
    rule("POST", "/v1/refusals", OF_PROVIDERS, "in the provider's own name"),
    rule("POST", "/v1/key-refusals", OWNERS, "in the name of an owner whom the order knows"),
    rule("GET", "/v1/offers", ANY, "prices are for those who take part"),
    rule("PUT", "/v1/offers/{provider}", OF_PROVIDERS, "in the provider's own name"),
    rule(
        "GET",
        "/v1/seal-keys/{account}",
        ANY,
        "whoever seals for an account needs its public keys",
    ),
    rule("PUT", "/v1/seal-keys/{account}", ANY, "in the account's own name"),
    rule("GET", "/v1/programs/{id}", ANY, "named by its hash; who runs or checks needs it"),
    rule("PUT", "/v1/programs/{id}", ANY, "named by its hash: nobody can put another's wrongly"),
    rule("GET", "/v1/slots/{root}", ANY, "named by its root, public or ciphertext inside"),
    rule("PUT", "/v1/slots/{root}", ANY, "named by its root"),
    rule("GET", "/v1/envelopes/{sha256}", ANY, "ciphertext: who has no key reads nothing"),
    rule("PUT", "/v1/envelopes/{sha256}", ANY, "named by its hash"),
    rule(
        "GET",
        "/v1/wraps/{job_id}/{recipient}",
        ANY,
        "the recipient sees all, an owner its own, others are refused",
    ),
    rule(
        "PUT",
        "/v1/wraps/{job_id}/{recipient}/{slot}",
        OWNERS,
        "in the name of an owner whom the order knows",
    ),
    rule("GET", "/v1/datasets", ANY, "a catalogue for those who take part"),
    rule("GET", "/v1/datasets/{owner}/{name}", ANY, "the same, one dataset"),
    rule("PUT", "/v1/datasets/{owner}/{name}", OF_DATA, "in the owner's own name"),
    rule("GET", "/v1/owners/{owner}/documents", ANY, "grants and revocations count by being known"),
    rule("POST", "/v1/owners/{owner}/documents", OF_DATA, "in the owner's own name"),
    rule("POST", "/v1/capability-revocations", ANY, "in the issuer's own name"),
    rule("POST", "/v1/log/add", ANY, "the log is no free disk: somebody answers for what is added"),
    rule(
        "GET",
        "/v1/log/key",
        Who::Anybody,
        "readers of tlog-tiles can't sign, and an auditor needs no account",
    ),
    rule("GET", "/v1/log/checkpoint", Who::Anybody, "the same"),
    rule("GET", "/v1/log/cosigned", Who::Anybody, "the same"),
    rule(
        "GET",
        "/v1/log/tile/{*path}",
        Who::Anybody,
        "the same; entries hold salted digests, no content",
    ),
];

const fn rule(method: &'static str, path: &'static str, who: Who, why: &'static str) -> Rule {
    Rule { method, path, who, why }
}

/// The row of a request. Of several that fit, the first that has no parameter where others have.
pub fn rule_of(method: &str, path: &str) -> Option<&'static Rule> {
    let method = if method == "HEAD" { "GET" } else { method };
    RULES.iter().filter(|rule| rule.method == method).find(|rule| fits(rule.path, path))
}

/// The method of a request, for logs and counts: one of those that a row can have.
pub fn method_of(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT"].into_iter().find(|known| *known == method).unwrap_or("other")
}

/// The path of a request as its row has it, for logs: without names.
pub fn shape_of(path: &str) -> &'static str {
    RULES.iter().find(|rule| fits(rule.path, path)).map_or("unknown", |rule| rule.path)
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
        let path = |method, path| rule_of(method, path).map(|rule| rule.path);
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
