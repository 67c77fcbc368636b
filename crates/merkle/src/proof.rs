//! Inclusion proofs of constant height.

use assay_types::{Hash, sha256_pair};

/// Height of a slot's tree: 2^21 leaves of 256 bytes.
pub const SLOT_HEIGHT: u32 = 21;

/// Height of the memory's tree: eight slots.
pub const MEMORY_HEIGHT: u32 = 24;

/// Height of a trace's tree: 2^15 state hashes.
pub const TRACE_HEIGHT: u32 = 15;

/// The siblings of a leaf, its own first, in a tree of height `N`: `32 N` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof<const N: usize>(pub [Hash; N]);

/// Proof of a leaf in a memory root: 768 bytes.
pub type MemoryProof = Proof<{ MEMORY_HEIGHT as usize }>;

/// Proof of a state in a trace root: 480 bytes.
pub type TraceProof = Proof<{ TRACE_HEIGHT as usize }>;

impl<const N: usize> Proof<N> {
    /// Size in bytes.
    pub const SIZE: usize = 32 * N;

    /// The root of the tree in which `leaf` stands at `index`. Only the index's low `N` bits count.
    pub fn root(&self, leaf: Hash, index: u32) -> Hash {
        self.0.iter().enumerate().fold(leaf, |node, (height, sibling)| {
            if index >> height & 1 == 0 {
                sha256_pair(&node, sibling)
            } else {
                sha256_pair(sibling, &node)
            }
        })
    }

    /// The siblings' bytes, the leaf's own first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|hash| hash.0).collect()
    }

    /// Reads `SIZE` bytes; any other size gives `None`.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<32>();
        let hashes: &[[u8; 32]; N] = chunks.try_into().ok()?;
        rest.is_empty().then(|| Proof(hashes.map(Hash)))
    }
}
