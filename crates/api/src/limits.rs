//! What a broker takes at most (spec/broker.md#limits).

use std::time::Duration;

/// Orders or offers in one page, if nobody says.
pub const LIMIT_DEFAULT: u64 = 100;

/// Orders or offers in one page, at most.
pub const LIMIT_MAX: u64 = 500;

/// How far ahead a signed request may expire, in seconds.
pub const REQUEST_SECS_MAX: u64 = 3_600;

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
    /// The body of an order, a refusal or an offer.
    pub json_bytes_max: u64,
    /// A program's ELF.
    pub program_bytes_max: u64,
    /// A slot's image. A full slot's takes some more than 512 MiB.
    pub slot_bytes_max: u64,
    /// Blobs that come in at once; each is held in memory until it is checked.
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
            uploads_max: 8,
            followers_max: 256,
            rate_per_address: Rate { per_sec: 200, burst: 2_000 },
            rate_per_account: Rate { per_sec: 20, burst: 400 },
            body_grace: Duration::from_secs(10),
            body_bytes_per_sec: 256 << 10,
        }
    }
}
