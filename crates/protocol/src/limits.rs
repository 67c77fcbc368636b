//! Limits that brokers and their clients agree on (spec/broker.md#limits).

/// The media type of most bodies.
pub const JSON: &str = "application/json";

/// The media type of blobs.
pub const BINARY: &str = "application/octet-stream";

/// Entries in one page, if the query has no `limit`.
pub const LIMIT_DEFAULT: u64 = 100;

/// Entries in one page, at most.
pub const LIMIT_MAX: u64 = 500;

/// How far ahead a signed request may expire, in seconds: the broker remembers its nonce until
/// then.
pub const REQUEST_SECS_MAX: u64 = 900;

/// Capabilities in a chain, at most.
pub const CAPABILITIES_MAX: usize = 4;

/// The header that holds a chain of capabilities, in bytes, at most.
pub const CAPABILITIES_BYTES_MAX: usize = 4_096;

/// How far ahead an offer may expire, in seconds.
pub const OFFER_SECS_MAX: u64 = 30 * 86_400;

/// How far an account's clock may be ahead of the broker's, in seconds.
pub const ACCOUNT_CLOCK_SKEW_SECS_MAX: u64 = 300;

/// A refusal's reason in bytes, at most.
pub const REASON_BYTES_MAX: usize = 2_048;

/// A refusal's code in bytes, at most.
pub const REASON_CODE_BYTES_MAX: usize = 64;

/// An offer's terms in bytes, at most.
pub const TERMS_BYTES_MAX: usize = 8_192;

/// An order's terms in bytes, at most.
pub const ORDER_TERMS_BYTES_MAX: usize = 8_192;

/// An account's seal keys in bytes, at most.
pub const SEAL_KEYS_BYTES_MAX: usize = 8_192;

/// A wrapped key in bytes, at most.
pub const WRAP_BYTES_MAX: usize = 4_096;

/// Accounts for which one owner may wrap the key of one slot of a job. The bound is needed because
/// a broker does not read the chain, so it can't tell who the provider is.
pub const WRAP_RECIPIENTS_MAX: usize = 64;

/// A dataset's document, its policy, or another document of its owner, in bytes each, at most.
pub const DOCUMENT_BYTES_MAX: usize = 65_536;

/// The body of a request that puts a dataset or an owner's document, in bytes, at most.
pub const DOCUMENT_BODY_BYTES_MAX: u64 = 2 * DOCUMENT_BYTES_MAX as u64 + (8 << 10);

/// Datasets or documents in one page, at most.
pub const DOCUMENTS_LIMIT_MAX: u64 = 50;

/// A dataset's name, or a document's kind, in bytes, at most: lower-case letters, digits and `-`.
pub const NAME_BYTES_MAX: usize = 64;
