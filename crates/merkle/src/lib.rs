//! Merkle trees over slots and traces, and what is built on them: proofs, blobs, slot images.
//!
//! Pure: no I/O, no clock, no randomness. Threads (rayon) change speed, never a result.

mod blob;
mod image;
mod list;
mod memory;
mod proof;
mod zero;

pub use blob::{BLOB_BYTES_MAX, BLOB_HEADER_SIZE, BlobError, BlobHasher, BlobHeader, blob_root};
pub use image::{ImageError, ImageReader, read_image, write_image};
pub use list::{PaddedTree, RootBuilder};
pub use memory::MemoryTree;
pub use proof::{MEMORY_HEIGHT, MemoryProof, Proof, SLOT_HEIGHT, TRACE_HEIGHT, TraceProof};
pub use zero::{empty_slot, zero_subtree};

/// Size of a leaf in bytes.
pub const LEAF_SIZE: u32 = 256;

/// Size of a page in bytes: the unit in which memory is allocated and changes are told.
pub const PAGE_SIZE: u32 = 4096;

/// Leaves in a page.
pub const PAGE_LEAVES: u32 = PAGE_SIZE / LEAF_SIZE;

/// Size of a slot in bytes.
pub const SLOT_SIZE: u64 = 1 << 29;

/// Pages in a slot.
pub const SLOT_PAGES: u32 = 1 << 17;

/// A page's bytes.
pub type Page = [u8; PAGE_SIZE as usize];

/// A leaf's bytes.
pub type Leaf = [u8; LEAF_SIZE as usize];

/// The leaf of a page by its number, 0 to 15.
pub fn page_leaf(page: &Page, leaf: u32) -> &Leaf {
    &page.as_chunks().0[leaf as usize]
}
