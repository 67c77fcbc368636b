//! Blobs: a file as a slot holds it, and its root (spec/machine.md#blobs).

use assay_types::{BlobRoot, Hash, Salt, sha256_leaf, sha256_pair};
use rayon::prelude::*;

use crate::list::RootBuilder;
use crate::proof::SLOT_HEIGHT;
use crate::zero::zero_subtree;
use crate::{LEAF_SIZE, Leaf, SLOT_SIZE};

/// Size of a blob's header in bytes.
pub const BLOB_HEADER_SIZE: u32 = 32;

/// The most bytes that a blob can hold: 2^29 - 32.
pub const BLOB_BYTES_MAX: u64 = SLOT_SIZE - BLOB_HEADER_SIZE as u64;

/// Height of the subtrees that threads share out: 4,096 leaves, 1 MiB.
const CHUNK_HEIGHT: u32 = 12;

/// A blob's first 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobHeader {
    length: u64,
    salt: Salt,
}

/// Why bytes are not a blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// More bytes than a slot has room for.
    #[error("{0} bytes do not fit: a blob holds at most {BLOB_BYTES_MAX}; split the data")]
    TooLong(u64),
    /// The header's length differs from the number of bytes that came.
    #[error("the header promises {promised} bytes, {came} came")]
    Length {
        /// Bytes by the header.
        promised: u64,
        /// Bytes seen.
        came: u64,
    },
    /// Something other than zeros follows the bytes.
    #[error("the slot is not a blob: byte {0} after the end is not zero")]
    Tail(u64),
}

impl BlobHeader {
    /// The header of a blob of `length` bytes.
    pub fn new(length: u64, salt: Salt) -> Result<Self, BlobError> {
        if length > BLOB_BYTES_MAX {
            return Err(BlobError::TooLong(length));
        }
        Ok(BlobHeader { length, salt })
    }

    /// Reads a slot's first 32 bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BlobError> {
        let (length, salt) = bytes.split_at(8);
        let length = length.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        Self::new(length, Salt(std::array::from_fn(|i| salt[i])))
    }

    /// The header's bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..].copy_from_slice(&self.salt.0);
        bytes
    }

    /// How many bytes follow the header.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The salt.
    pub fn salt(&self) -> Salt {
        self.salt
    }
}

/// The root of a blob whose bytes are at hand.
pub fn blob_root(salt: Salt, bytes: &[u8]) -> Result<BlobRoot, BlobError> {
    let mut hasher = BlobHasher::new(BlobHeader::new(bytes.len() as u64, salt)?);
    hasher.update(bytes)?;
    hasher.finish()
}

/// The root of a blob whose bytes stream by, on all threads of rayon's current pool where a piece
/// is large enough (some MiB). Holds at most one leaf.
#[derive(Debug, Clone)]
pub struct BlobHasher {
    header: BlobHeader,
    came: u64,
    /// The leaf under way, and how much of it is filled.
    leaf: Leaf,
    filled: usize,
    roots: RootBuilder,
}

impl BlobHasher {
    /// Starts a blob: its length must be known, since it comes first.
    pub fn new(header: BlobHeader) -> Self {
        let mut leaf = [0; LEAF_SIZE as usize];
        leaf[..BLOB_HEADER_SIZE as usize].copy_from_slice(&header.to_bytes());
        let filled = BLOB_HEADER_SIZE as usize;
        BlobHasher { header, came: 0, leaf, filled, roots: RootBuilder::new() }
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) -> Result<(), BlobError> {
        self.came += bytes.len() as u64;
        if self.came > self.header.length {
            return Err(BlobError::Length { promised: self.header.length, came: self.came });
        }
        if self.filled > 0 {
            let taken = bytes.len().min(self.leaf.len() - self.filled);
            self.leaf[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled < self.leaf.len() {
                return Ok(());
            }
            self.roots.push(sha256_leaf(&self.leaf));
        }
        let (leaves, rest) = bytes.as_chunks();
        self.push_leaves(leaves);
        self.leaf[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
        Ok(())
    }

    /// The root, once all the promised bytes came.
    pub fn finish(mut self) -> Result<BlobRoot, BlobError> {
        if self.came != self.header.length {
            return Err(BlobError::Length { promised: self.header.length, came: self.came });
        }
        if self.filled > 0 {
            self.leaf[self.filled..].fill(0);
            self.roots.push(sha256_leaf(&self.leaf));
        }
        Ok(BlobRoot(self.roots.finish(SLOT_HEIGHT, zero_subtree)))
    }

    fn push_leaves(&mut self, leaves: &[Leaf]) {
        let chunk = 1 << CHUNK_HEIGHT;
        let to_boundary = (chunk - self.roots.len() as usize % chunk) % chunk;
        let (head, rest) = leaves.split_at(to_boundary.min(leaves.len()));
        let (middle, tail) = rest.split_at(rest.len() - rest.len() % chunk);
        head.iter().for_each(|leaf| self.roots.push(sha256_leaf(leaf)));
        let subtrees: Vec<Hash> = middle.par_chunks(chunk).map(subtree).collect();
        subtrees.into_iter().for_each(|root| self.roots.push_subtree(CHUNK_HEIGHT, root));
        tail.iter().for_each(|leaf| self.roots.push(sha256_leaf(leaf)));
    }
}

/// The root of a power of two of leaves.
fn subtree(leaves: &[Leaf]) -> Hash {
    let mut level: Vec<Hash> = leaves.iter().map(sha256_leaf).collect();
    while level.len() > 1 {
        for i in 0..level.len() / 2 {
            level[i] = sha256_pair(&level[2 * i], &level[2 * i + 1]);
        }
        level.truncate(level.len() / 2);
    }
    level[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryTree, PAGE_SIZE, Page};
    use proptest::prelude::*;

    /// The root by way of the memory's tree: an independent path to the same definition.
    fn by_tree(salt: Salt, bytes: &[u8]) -> BlobRoot {
        let header = BlobHeader::new(bytes.len() as u64, salt).unwrap();
        let mut slot = [&header.to_bytes()[..], bytes].concat();
        slot.resize(slot.len().next_multiple_of(PAGE_SIZE as usize), 0);
        let pages: &[Page] = slot.as_chunks().0;
        let changes: Vec<_> = (0..).zip(pages).map(|(i, page)| (i, u16::MAX, page)).collect();
        let mut tree = MemoryTree::new();
        tree.update(&changes);
        tree.slot_root(0)
    }

    #[test]
    fn the_empty_public_blob_is_the_empty_slot() {
        assert_eq!(blob_root(Salt::PUBLIC, b""), Ok(crate::empty_slot()));
    }

    #[test]
    fn sizes_around_leaves_and_chunks() {
        let bytes: Vec<u8> = (0..3_200_000u32).map(|i| (i % 251) as u8).collect();
        let chunk = 1 << 20;
        for size in [1, 223, 224, 225, 4064, 4065, chunk - 32, chunk - 31, 2 * chunk, bytes.len()] {
            let salt = Salt([3; 24]);
            let expect = by_tree(salt, &bytes[..size]);
            assert_eq!(blob_root(salt, &bytes[..size]), Ok(expect), "{size} bytes");
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            assert_eq!(one.install(|| blob_root(salt, &bytes[..size])), Ok(expect), "one thread");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn pieces_do_not_matter(
            bytes in prop::collection::vec(any::<u8>(), 0..5000),
            cuts in prop::collection::vec(0usize..5000, 0..8),
        ) {
            let header = BlobHeader::new(bytes.len() as u64, Salt::PUBLIC).unwrap();
            let mut hasher = BlobHasher::new(header);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            for pair in cuts.windows(2) {
                hasher.update(&bytes[pair[0]..pair[1]]).unwrap();
            }
            prop_assert_eq!(hasher.finish(), Ok(by_tree(Salt::PUBLIC, &bytes)));
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let too_long = BLOB_BYTES_MAX + 1;
        assert_eq!(BlobHeader::new(too_long, Salt::PUBLIC), Err(BlobError::TooLong(too_long)));
        let mut hasher = BlobHasher::new(BlobHeader::new(3, Salt::PUBLIC).unwrap());
        assert_eq!(hasher.update(b"four"), Err(BlobError::Length { promised: 3, came: 4 }));
        let short = BlobHasher::new(BlobHeader::new(3, Salt::PUBLIC).unwrap());
        assert_eq!(short.finish(), Err(BlobError::Length { promised: 3, came: 0 }));
    }

    #[test]
    fn headers_travel() {
        let header = BlobHeader::new(0x0102_0304, Salt([9; 24])).unwrap();
        assert_eq!(header.to_bytes()[..8], [4, 3, 2, 1, 0, 0, 0, 0]);
        assert_eq!(BlobHeader::from_bytes(&header.to_bytes()), Ok(header));
        assert!(BlobHeader::from_bytes(&[0xff; 32]).is_err());
    }
}
