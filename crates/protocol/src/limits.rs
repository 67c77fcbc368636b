//! What a broker takes at most (spec/broker.md#limits).

use std::time::Duration;

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

/// Nonces that a broker remembers at once; more requests wait.
pub const NONCES_MAX: usize = 1 << 20;

/// Capabilities in a chain.
pub const CAPABILITIES_MAX: usize = 4;

/// A chain of capabilities as a header, in bytes.
pub const CAPABILITIES_BYTES_MAX: usize = 4_096;

/// How often a broker looks for revocations to forget, in seconds at the least.
pub const REVOCATIONS_SWEEP_SECS: u64 = 60;

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

/// So many at once, then so many a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_sec: u32,
    /// After a rest.
    pub burst: u32,
}

/// A broker's own bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The body of an order, a refusal, an offer, a wrap or seal keys.
    pub json_bytes_max: u64,
    /// A program's ELF.
    pub program_bytes_max: u64,
    /// A slot's image. A full slot's takes some more than 512 MiB.
    pub slot_bytes_max: u64,
    /// An envelope. It goes to the disk as it comes.
    pub envelope_bytes_max: u64,
    /// Blobs that come in at once; each program and slot is held in memory until it is checked.
    pub uploads_max: usize,
    /// Event streams at once.
    pub followers_max: usize,
    /// Requests of one address (IPv4) or network (IPv6, 64 bits).
    pub rate_per_address: Rate,
    /// Signed writes of one account.
    pub rate_per_account: Rate,
    /// How long a body may take to begin.
    pub body_grace: Duration,
    /// And how fast it must come from then on, in bytes a second.
    pub body_bytes_per_sec: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            json_bytes_max: 16 << 10,
            program_bytes_max: (64 << 20) + (64 << 10),
            slot_bytes_max: 64 << 20,
            envelope_bytes_max: 640 << 20,
            uploads_max: 8,
            followers_max: 256,
            rate_per_address: Rate { per_sec: 200, burst: 2_000 },
            rate_per_account: Rate { per_sec: 20, burst: 400 },
            body_grace: Duration::from_secs(10),
            body_bytes_per_sec: 256 << 10,
        }
    }
}
