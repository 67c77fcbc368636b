//! Where in a book entries lie that are about more than one account. A broker and whoever shares
//! its book agree on these places.

use alloy_primitives::{Address, B256};
use assay_types::sha256;
use serde::{Deserialize, Serialize};

use crate::types::SignedWrap;

/// A wrap as a book holds it: job and recipient are in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptWrap {
    /// The slot that the key is for.
    pub slot: u8,
    /// The wrap and its owner's signature.
    pub signed: SignedWrap,
}

/// The part of an entry for a recipient and a slot: recipient (20 bytes), slot (1), zeros (11).
pub fn recipient_part(recipient: Address, slot: u8) -> [u8; 32] {
    let mut part = [0; 32];
    part[..20].copy_from_slice(&recipient[..]);
    part[20] = slot;
    part
}

/// Whether a part is that of an entry for a recipient.
pub fn is_for(recipient: Address, part: &[u8; 32]) -> bool {
    part[..20] == recipient[..]
}

/// The part of a revoked capability: when it would have expired (8 bytes, big-endian), and the
/// first 24 bytes of its hash.
pub fn revocation_part(not_after: u64, hash: B256) -> [u8; 32] {
    let mut part = [0; 32];
    part[..8].copy_from_slice(&not_after.to_be_bytes());
    part[8..].copy_from_slice(&hash[..24]);
    part
}

/// The part of an owner's dataset: the SHA-256 of its name.
pub fn dataset_part(name: &str) -> [u8; 32] {
    sha256(name.as_bytes()).0
}
