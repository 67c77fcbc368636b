//! What a broker takes at most (spec/broker.md#limits).

/// The media type of most bodies.
pub const JSON: &str = "application/json";

/// The media type of blobs.
pub const BINARY: &str = "application/octet-stream";

/// Orders or offers in one page, if nobody says.
pub const LIMIT_DEFAULT: u64 = 100;

/// Orders or offers in one page, at most.
pub const LIMIT_MAX: u64 = 500;

/// How far ahead a signed request may expire, in seconds: so long its nonce is remembered.
pub const REQUEST_SECS_MAX: u64 = 900;

/// Capabilities in a chain.
pub const CAPABILITIES_MAX: usize = 4;

/// A chain of capabilities as a header, in bytes.
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

/// Accounts that one owner gives the key of one slot of a job: a broker that does not read the
/// chain can't tell who is its provider.
pub const WRAP_RECIPIENTS_MAX: usize = 64;

/// What describes a dataset, its policy, and what else an owner says, in bytes each, at most.
pub const DOCUMENT_BYTES_MAX: usize = 65_536;

/// The body of a dataset, or of an owner's document, in bytes, at most.
pub const DOCUMENT_BODY_BYTES_MAX: u64 = 2 * DOCUMENT_BYTES_MAX as u64 + (8 << 10);

/// Datasets or documents in one page, at most.
pub const DOCUMENTS_LIMIT_MAX: u64 = 50;

/// A dataset's name, or a document's kind, in bytes, at most: lower-case letters, digits and `-`.
pub const NAME_BYTES_MAX: usize = 64;
