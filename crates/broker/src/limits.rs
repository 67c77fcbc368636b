//! A broker's own bounds, which its operator may set.

use std::collections::BTreeSet;
use std::time::Duration;

use alloy_primitives::Address;

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many a second in the long run.
    pub per_sec: u32,
    /// How many at once after a pause.
    pub burst: u32,
}

/// Whom a broker serves: all, if nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// The only accounts in whose names it takes writes.
    pub listed: Option<BTreeSet<Address>>,
    /// Accounts that neither read nor write what must be signed.
    pub banned: BTreeSet<Address>,
}

impl Accounts {
    /// Whether a request by one account in the name of another is served.
    pub(crate) fn admit(&self, signer: Address, name: Address, is_write: bool) -> bool {
        let is_banned = self.banned.contains(&signer) || self.banned.contains(&name);
        let is_listed = self.listed.as_ref().is_none_or(|listed| listed.contains(&name));
        !is_banned && (is_listed || !is_write)
    }
}

/// What a broker takes at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The body of an order, a refusal, an offer, a wrap or seal keys, in bytes.
    pub json_bytes_max: u64,
    /// A program's ELF, in bytes.
    pub program_bytes_max: u64,
    /// The image of a slot, in bytes. That of a full slot takes some more than 512 MiB.
    pub slot_bytes_max: u64,
    /// An envelope, in bytes. It is written to the disk as it arrives.
    pub envelope_bytes_max: u64,
    /// Uploads at once; each program and slot is held in memory until it is checked.
    pub uploads_max: usize,
    /// Event streams at once.
    pub followers_max: usize,
    /// Requests from one IPv4 address, or from one IPv6 network of 64 bits.
    pub rate_per_address: Rate,
    /// Signed writes by one account.
    pub rate_per_account: Rate,
    /// Whom it serves.
    pub accounts: Accounts,
    /// How long a body may take to arrive, besides what its size earns it.
    pub body_grace: Duration,
    /// The slowest that a body may arrive after that, in bytes a second.
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
            accounts: Accounts::default(),
            body_grace: Duration::from_secs(10),
            body_bytes_per_sec: 256 << 10,
        }
    }
}
