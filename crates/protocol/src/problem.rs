//! What a broker answers when it does not do what was asked: RFC 9457 problems
//! (spec/broker.md#problems).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a problem.
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// A problem, as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Which it is: `/problems/NAME`.
    pub r#type: String,
    /// What it is, in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What it is in this case.
    pub detail: String,
    /// What to try.
    pub next: String,
    /// When to try again.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $kind:ident = $status:literal, $name:literal, $title:literal, $next:literal;)*) => {
        /// Every problem that a broker knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemKind {
            $($(#[$doc])* $kind,)*
        }

        impl ProblemKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Its type: `/problems/NAME`.
            pub fn uri(self) -> &'static str {
                match self { $(Self::$kind => concat!("/problems/", $name),)* }
            }

            fn parts(self) -> (u16, &'static str, &'static str) {
                match self { $(Self::$kind => ($status, $title, $next),)* }
            }
        }
    };
}

problems! {
    /// No route has this path.
    PathUnknown = 404, "path-unknown", "There is nothing at this path",
        "see /v1/openapi.json for what there is";
    /// The path has no such method.
    MethodUnknown = 405, "method-unknown", "The path does not know this method",
        "use a method that the allow header names";
    /// A part of the path or the query does not parse.
    ParameterMalformed = 400, "parameter-malformed", "A parameter does not parse",
        "see /v1/openapi.json for its form";
    /// The body has another content type.
    ContentType = 415, "content-type", "The body has another content type than the route takes",
        "set the content-type header to what the detail names";
    /// The body does not parse.
    BodyMalformed = 400, "body-malformed", "The body does not parse",
        "see /v1/openapi.json for its form";
    /// The body is too large.
    BodyTooLarge = 413, "body-too-large", "The body is too large",
        "send less; /v1/market tells the limits";
    /// The body comes too slowly.
    BodyTooSlow = 408, "body-too-slow", "The body comes too slowly",
        "try again over a faster connection";
    /// The request needs headers that sign it.
    RequestUnsigned = 401, "request-unsigned", "The request needs a signature in its headers",
        "send assay-account, -role, -digest, -nonce, -expires and -signature as spec/access.md says";
    /// The request's signature has ended, or ends too late.
    RequestExpired = 403, "request-expired", "The request's signature is not for this time",
        "check the clock and sign again, with an end within 15 minutes";
    /// The same request came before.
    RequestReplayed = 403, "request-replayed", "The request was answered before",
        "sign again with a new nonce: repeating a write is harmless";
    /// The nonce was made for another broker, or before this one started.
    NonceStale = 403, "nonce-stale", "The request's nonce is not for this start of this broker",
        "sign again with a nonce that begins with the 16 bytes of the assay-epoch header";
    /// The route is for other roles.
    RoleMismatch = 403, "role-mismatch", "The route is not for this role",
        "ask in a role that the detail names, if it is yours";
    /// It is somebody else's business.
    NotEntitled = 403, "not-entitled", "This is not for the account that asks",
        "ask with the account whose it is, or with a capability of that account";
    /// Capabilities that do not parse.
    CapabilityMalformed = 400, "capability-malformed", "The capabilities do not parse",
        "write them as spec/access.md says, byte for byte";
    /// More than four.
    CapabilityTooMany = 400, "capability-too-many", "There are too many capabilities",
        "ask the first issuer for a capability of your own";
    /// One does not follow from the one before.
    CapabilityUnlinked = 403, "capability-unlinked", "The capabilities are no chain that ends at who signs",
        "send the whole chain, the first issuer's first";
    /// One is for another role than its parent.
    CapabilityWidensRole = 403, "capability-widens-role", "A capability is for a role that its parent is not for",
        "ask for one in the parent's role";
    /// One has a method more than its parent.
    CapabilityWidensMethods = 403, "capability-widens-methods", "A capability is for a method that its parent is not for",
        "ask for one with fewer methods";
    /// One is for paths that its parent is not for.
    CapabilityWidensPath = 403, "capability-widens-path", "A capability is for paths that its parent is not for",
        "ask for one under the parent's path";
    /// One ends later than its parent.
    CapabilityWidensTime = 403, "capability-widens-time", "A capability ends later than its parent",
        "ask for one that ends no later";
    /// One has ended.
    CapabilityExpired = 403, "capability-expired", "A capability has ended",
        "ask its issuer for a new one";
    /// One was taken back.
    CapabilityRevoked = 403, "capability-revoked", "A capability was taken back",
        "ask its issuer for a new one";
    /// The request is in another role.
    CapabilityRole = 403, "capability-role", "The capabilities are for another role",
        "ask in the role that they name";
    /// The request has another method.
    CapabilityMethod = 403, "capability-method", "The capabilities are for other methods",
        "use a method that they name";
    /// The request has another path.
    CapabilityPath = 403, "capability-path", "The capabilities are for other paths",
        "use a path under the one that they name";
    /// One is not its issuer's.
    CapabilityForged = 403, "capability-forged", "A capability was not signed by its issuer",
        "ask its issuer for one for this chain and market";
    /// The body has another digest than was signed.
    DigestMismatch = 403, "digest-mismatch", "The body has another digest than the signed one",
        "send the body that was signed";
    /// The signature does not lead to the account.
    SignatureInvalid = 403, "signature-invalid", "The signature does not lead to the account that must sign",
        "sign this content with the account's key, for this chain and market";
    /// The signature is not a key's.
    AccountUnsupported = 422, "account-unsupported", "Only accounts with a key of their own are taken for now",
        "use an account with a key, which signs 65 bytes";
    /// The order can't be locked any more.
    OrderExpired = 422, "order-expired", "The order's lock deadline has passed",
        "sign the order again with a later deadline";
    /// The terms are not those that the order names.
    TermsMismatch = 422, "terms-mismatch", "The terms are not those that the order names",
        "send the text whose SHA-256 is the order's termsHash, or none if that is zero";
    /// A time lies too far ahead, or in the past.
    TimeImplausible = 422, "time-implausible", "A signed time is not plausible now",
        "check the clock and sign again";
    /// The offer is older than the one in the book.
    OfferSuperseded = 409, "offer-superseded", "The book has an offer that ends later, or as late",
        "sign the offer again with a later end";
    /// What is in the book is newer.
    Superseded = 409, "superseded", "The book has a newer one, or another one as new",
        "sign it again with a higher version, or a later time";
    /// There is nothing of that name.
    EntryUnknown = 404, "entry-unknown", "The book has nothing of this name",
        "check the account and the name";
    /// There is no such order.
    OrderUnknown = 404, "order-unknown", "The book has no such order",
        "check the job id; what is final is removed";
    /// There is no such blob.
    BlobUnknown = 404, "blob-unknown", "Nobody has put a blob of this name",
        "check the name, or ask another broker";
    /// This broker keeps no log.
    LogAbsent = 404, "log-absent", "This broker keeps no log",
        "ask the market's founder where its log is";
    /// No checkpoint speaks of such a tile.
    TileUnknown = 404, "tile-unknown", "The log has no such tile",
        "read the checkpoint, and ask for what it speaks of";
    /// The content is not what its name says.
    BlobMismatch = 422, "blob-mismatch", "The content is not what its name says",
        "put it under its own name, or send the right content";
    /// The range begins after the end.
    RangeUnsatisfiable = 416, "range-unsatisfiable", "The blob has no such bytes",
        "ask for bytes below the size that the content-range header tells";
    /// Too many requests.
    RateExceeded = 429, "rate-exceeded", "Too many requests",
        "wait as long as the retry-after header says";
    /// Too much is going on.
    Busy = 503, "busy", "The broker has too much to do",
        "try again shortly: repeating a write is harmless";
    /// A bound of what is stored is reached.
    StorageFull = 507, "storage-full", "The broker has no room for this",
        "use another broker, or try again when jobs have ended";
    /// The broker's fault.
    Internal = 500, "internal", "The broker failed",
        "try again later: repeating a write is harmless";
    /// The slot has no key.
    WrapSlot = 422, "wrap-slot", "No keys are given for this slot",
        "put keys of the input (2), the dataset (3) or the output (4)";
    /// Who would give or refuse a key has none, by the order.
    KeyOwner = 403, "key-owner", "By the order, the key is not this account's to give or to refuse",
        "ask as the order's requester, or as the owner whom its terms name for the slot";
    /// An output's key for somebody else than the beneficiary.
    WrapRecipient = 422, "wrap-recipient", "The output's key is for the order's beneficiary alone",
        "wrap it for the beneficiary";
    /// One owner's wraps of one slot.
    WrapRecipients = 422, "wrap-recipients", "The owner has given this key to as many accounts as may have it",
        "order again: a job has one provider and 16 auditors at most";
}

impl ProblemKind {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.parts().0
    }

    /// The problem in a certain case.
    pub fn with(self, detail: impl fmt::Display) -> Problem {
        let (status, title, next) = self.parts();
        Problem {
            r#type: self.uri().to_owned(),
            title: title.to_owned(),
            status,
            detail: detail.to_string(),
            next: next.to_owned(),
            retry_after: None,
        }
    }

    /// Its place in [`ProblemKind::ALL`].
    pub fn place(self) -> usize {
        self as usize
    }

    /// The title, and what to try.
    pub fn advice(self) -> (&'static str, &'static str) {
        let (_, title, next) = self.parts();
        (title, next)
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        self.uri().trim_start_matches("/problems/")
    }
}

impl Problem {
    /// Which it is, if it is one that this version knows.
    pub fn kind(&self) -> Option<ProblemKind> {
        ProblemKind::ALL.iter().copied().find(|kind| kind.uri() == self.r#type)
    }

    /// True where the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
    }

    /// The same, with when to try again.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Problem { retry_after: Some(wait), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}); {}", self.title, self.detail, self.status, self.next)
    }
}
