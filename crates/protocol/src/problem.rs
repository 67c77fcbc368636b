//! Problems: what a broker answers when it refuses or fails a request, by RFC 9457
//! (spec/broker.md#problems).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The media type of a problem.
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// A problem as JSON, by RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The kind: `/problems/NAME`.
    pub r#type: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What exactly is wrong.
    pub detail: String,
    /// What to try next.
    pub next: String,
    /// When to try again, from the `retry-after` header.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $kind:ident = $status:literal, $name:literal, $title:literal, $next:literal;)*) => {
        /// Every kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemKind {
            $($(#[$doc])* $kind,)*
        }

        impl ProblemKind {
            /// All kinds.
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
    PathUnknown = 404, "path-unknown", "The broker has no such path",
        "see /v1/openapi.json for its paths";
    /// The path has no such method.
    MethodUnknown = 405, "method-unknown", "The path does not take this method",
        "use a method that the allow header names";
    /// A part of the path or the query does not parse.
    ParameterMalformed = 400, "parameter-malformed", "A parameter is malformed",
        "see /v1/openapi.json for its form";
    /// The body has another content type.
    ContentType = 415, "content-type", "The content type of the body is wrong",
        "set the content-type header to the type that the detail names";
    /// The body does not parse.
    BodyMalformed = 400, "body-malformed", "The body is malformed",
        "see /v1/openapi.json for its form";
    /// The body is too large.
    BodyTooLarge = 413, "body-too-large", "The body is too large",
        "send less; /v1/market lists the limits";
    /// The body arrives too slowly.
    BodyTooSlow = 408, "body-too-slow", "The body arrives too slowly",
        "try again over a faster connection";
    /// The request needs headers that sign it.
    RequestUnsigned = 401, "request-unsigned", "The request is not signed",
        "send assay-account, -role, -digest, -nonce, -expires and -signature as spec/access.md says";
    /// The request's signature has expired, or expires too far ahead.
    RequestExpired = 403, "request-expired", "The request's signature has expired, or expires too far ahead",
        "check the clock and sign again, to expire within 15 minutes";
    /// The same request came before.
    RequestReplayed = 403, "request-replayed", "The request was sent before",
        "sign again with a new nonce: repeating a write is harmless";
    /// The nonce was made for another broker, or before this one started.
    NonceStale = 403, "nonce-stale", "The request's nonce is for another broker, or from before this one restarted",
        "sign again with a nonce that begins with the 16 bytes in the assay-epoch header";
    /// The route is for other roles.
    RoleMismatch = 403, "role-mismatch", "This role may not use the route",
        "ask in a role that the detail names, if you have it";
    /// It is for another account.
    NotEntitled = 403, "not-entitled", "This account may not see or change this",
        "ask as the account that owns it, or with a capability from that account";
    /// The operator has banned the account, or takes writes of listed accounts alone.
    AccountUnlisted = 403, "account-unlisted", "This broker does not serve the account",
        "ask the broker's operator to list it, or use another broker";
    /// The capabilities do not parse.
    CapabilityMalformed = 400, "capability-malformed", "The capabilities are malformed",
        "write them as spec/access.md says, byte for byte";
    /// There are more than four capabilities.
    CapabilityTooMany = 400, "capability-too-many", "The chain of capabilities is too long",
        "ask the first issuer for a capability of your own";
    /// A capability was not issued by the holder of the one before.
    CapabilityUnlinked = 403, "capability-unlinked", "The capabilities do not link the first issuer to the signer",
        "send the whole chain, the first issuer's capability first";
    /// A capability is for another role than its parent.
    CapabilityWidensRole = 403, "capability-widens-role", "A capability allows a role that its parent does not",
        "ask its issuer for one in the parent's role";
    /// A capability has a method that its parent does not have.
    CapabilityWidensMethods = 403, "capability-widens-methods", "A capability allows a method that its parent does not",
        "ask its issuer for one with fewer methods";
    /// A capability has a path that is not under its parent's.
    CapabilityWidensPath = 403, "capability-widens-path", "A capability allows paths that its parent does not",
        "ask its issuer for one under the parent's path";
    /// A capability expires later than its parent.
    CapabilityWidensTime = 403, "capability-widens-time", "A capability expires later than its parent",
        "ask its issuer for one that expires no later";
    /// A capability has expired.
    CapabilityExpired = 403, "capability-expired", "A capability has expired",
        "ask its issuer for a new one";
    /// A capability was revoked.
    CapabilityRevoked = 403, "capability-revoked", "A capability was revoked",
        "ask its issuer for a new one";
    /// The request is in another role.
    CapabilityRole = 403, "capability-role", "The capabilities do not allow this role",
        "ask in the role that they name";
    /// The request has another method.
    CapabilityMethod = 403, "capability-method", "The capabilities do not allow this method",
        "use a method that they name";
    /// The request has another path.
    CapabilityPath = 403, "capability-path", "The capabilities do not allow this path",
        "use a path under the one that they name";
    /// A capability was not signed by its issuer.
    CapabilityForged = 403, "capability-forged", "A capability was not signed by its issuer",
        "ask its issuer for one that is signed for this chain and market";
    /// The body is not the one that was signed.
    DigestMismatch = 403, "digest-mismatch", "The body is not the one that was signed",
        "send the signed body, or sign the SHA-256 of this one";
    /// The signature is not the account's.
    SignatureInvalid = 403, "signature-invalid", "The signature is not by the account that must sign",
        "sign exactly this content with that account's key, for this chain and market";
    /// The signature is not by a key: a contract account's, perhaps.
    AccountUnsupported = 422, "account-unsupported", "Contract accounts are not supported yet",
        "use an account with a key of its own, whose signatures have 65 bytes";
    /// The order can no longer be locked.
    OrderExpired = 422, "order-expired", "The order's lock deadline has passed",
        "sign the order again with a later deadline";
    /// The terms are not those that the order was signed with.
    TermsMismatch = 422, "terms-mismatch", "The terms are not those that the order was signed with",
        "send the text whose SHA-256 is the order's termsHash, or no terms if that is zero";
    /// A signed time is too far in the future, or in the past.
    TimeImplausible = 422, "time-implausible", "A signed time is in the past, or too far in the future",
        "check the clock and sign again";
    /// The book has a newer offer of the provider.
    OfferSuperseded = 409, "offer-superseded", "The book has an offer of this provider that expires no earlier",
        "sign the offer again to expire later";
    /// The book has a newer entry.
    Superseded = 409, "superseded", "The book has an entry that is as new, or newer",
        "sign yours again with a higher version, or a later time";
    /// The book has no such entry.
    EntryUnknown = 404, "entry-unknown", "The book has no such entry",
        "check the account and the name";
    /// The book has no such order.
    OrderUnknown = 404, "order-unknown", "The book has no such order",
        "check the job id; orders of finished jobs are removed";
    /// The broker has no such blob.
    BlobUnknown = 404, "blob-unknown", "The broker has no such blob",
        "check the name, or ask another broker";
    /// This broker keeps no log.
    LogAbsent = 404, "log-absent", "This broker keeps no log",
        "ask whoever started the market where its log is";
    /// The log has no such tile yet.
    TileUnknown = 404, "tile-unknown", "The log has no such tile yet",
        "read the checkpoint, and ask for tiles of its size";
    /// The content does not match its name, which is its hash.
    BlobMismatch = 422, "blob-mismatch", "The content does not match its name",
        "put it under its own hash, or send the right content";
    /// The range begins after the end of the blob.
    RangeUnsatisfiable = 416, "range-unsatisfiable", "The range begins after the end of the blob",
        "ask for bytes below the size in the content-range header";
    /// Too many requests.
    RateExceeded = 429, "rate-exceeded", "Too many requests",
        "wait as long as the retry-after header says";
    /// The broker has too much to do.
    Busy = 503, "busy", "The broker is busy",
        "try again shortly: repeating a write is harmless";
    /// The broker's storage, or what it keeps for one account, is full.
    StorageFull = 507, "storage-full", "The broker's storage is full",
        "use another broker, or try again when jobs have finished";
    /// The broker failed.
    Internal = 500, "internal", "The broker failed",
        "try again later: repeating a write is harmless";
    /// No keys exist for the slot.
    WrapSlot = 422, "wrap-slot", "This slot has no key",
        "put keys of the input (slot 2), the dataset (3) or the output (4)";
    /// By the order, the account does not own the key that it gives or refuses.
    KeyOwner = 403, "key-owner", "This account does not own the key",
        "ask as the order's requester, or as the data owner whom its terms name for the slot";
    /// The key of an output is wrapped for another account than the beneficiary.
    WrapRecipient = 422, "wrap-recipient", "Only the order's beneficiary may get the key of the output",
        "wrap it for the beneficiary";
    /// One owner has wrapped one slot's key for too many accounts.
    WrapRecipients = 422, "wrap-recipients", "The owner has wrapped this key for too many accounts",
        "place a new order: a job has at most one provider and 16 auditors";
}

impl ProblemKind {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.parts().0
    }

    /// A problem of this kind; `detail` says what exactly is wrong.
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

    /// The title, and what to try next.
    pub fn advice(self) -> (&'static str, &'static str) {
        let (_, title, next) = self.parts();
        (title, next)
    }

    /// The last part of its type: `order-unknown`.
    pub fn name(self) -> &'static str {
        self.uri().trim_start_matches("/problems/")
    }
}

impl Problem {
    /// The kind, if this version knows it.
    pub fn kind(&self) -> Option<ProblemKind> {
        ProblemKind::ALL.iter().copied().find(|kind| kind.uri() == self.r#type)
    }

    /// True if the same request may succeed later.
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
