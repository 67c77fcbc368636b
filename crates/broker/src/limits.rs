//! A broker's own bounds, which its operator may set.

use std::time::Duration;

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
