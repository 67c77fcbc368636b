//! Roots of subtrees that hold only zeros.

use std::sync::LazyLock;

use assay_types::{BlobRoot, Hash, sha256_leaf, sha256_pair};

use crate::proof::{MEMORY_HEIGHT, SLOT_HEIGHT};

static ZEROS: LazyLock<[Hash; MEMORY_HEIGHT as usize + 1]> = LazyLock::new(|| {
    let mut zeros = [sha256_leaf(&[0; 256]); MEMORY_HEIGHT as usize + 1];
    for height in 1..zeros.len() {
        zeros[height] = sha256_pair(&zeros[height - 1], &zeros[height - 1]);
    }
    zeros
});

/// `Z(height)`: the root of 2^height leaves of zeros, height 0 to 24 (spec/machine.md#roots).
pub fn zero_subtree(height: u32) -> Hash {
    ZEROS[height as usize]
}

/// The root of an empty slot, which is also the root of the empty public blob.
pub fn empty_slot() -> BlobRoot {
    BlobRoot(zero_subtree(SLOT_HEIGHT))
}
