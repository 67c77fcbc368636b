//! Checking content against its name, which is its hash.

use alloy_primitives::B256;
use assay_machine::Program;
use assay_merkle::{ImageError, ImageReader, PAGE_LEAVES, RootBuilder, SLOT_HEIGHT, zero_subtree};
use assay_types::{BlobRoot, ProgramId, sha256, sha256_leaf};

/// Checks that an ELF is the program with that id.
///
/// # Errors
///
/// What it is instead, in words.
pub fn check_program(id: ProgramId, elf: &[u8]) -> Result<(), String> {
    let program = Program::from_elf(elf).map_err(|error| format!("it is no program: {error}"))?;
    let found = program.id();
    if found == id { Ok(()) } else { Err(format!("it is program {found}")) }
}

/// Checks that an envelope has that SHA-256.
///
/// # Errors
///
/// What it is instead, in words.
pub fn check_envelope(name: B256, envelope: &[u8]) -> Result<(), String> {
    let found = sha256(envelope);
    if found.0 == name.0 { Ok(()) } else { Err(format!("its SHA-256 is {found}")) }
}

/// Checks that an image is that of the slot with that root.
///
/// # Errors
///
/// What it is instead, in words.
pub fn check_slot(root: BlobRoot, image: &[u8]) -> Result<(), String> {
    let found = slot_root(image).map_err(|error| format!("it is no slot image: {error}"))?;
    if found == root { Ok(()) } else { Err(format!("it is slot {found}")) }
}

/// The root of an image's slot.
fn slot_root(image: &[u8]) -> Result<BlobRoot, ImageError> {
    let mut hasher = SlotHasher::new();
    hasher.update(image)?;
    Ok(hasher.finish()?.root)
}

/// Roots the image of a slot that comes in pieces: memory does not grow with the slot.
#[derive(Clone, Debug, Default)]
pub struct SlotHasher {
    image: ImageReader,
    tree: RootBuilder,
    pages: u32,
    /// One above the page of the last leaf.
    page_end: u32,
}

/// A slot whose image was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedSlot {
    /// Its root.
    pub root: BlobRoot,
    /// How many of its pages hold something.
    pub pages: u32,
}

impl SlotHasher {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    ///
    /// [`ImageError`].
    pub fn update(&mut self, piece: &[u8]) -> Result<(), ImageError> {
        let Self { image, tree, pages, page_end } = self;
        image.update(piece, |index, leaf| {
            let page = index / PAGE_LEAVES;
            if page >= *page_end {
                *pages += 1;
                *page_end = page + 1;
            }
            fill(tree, u64::from(index));
            tree.push(sha256_leaf(leaf));
        })
    }

    /// Nothing comes any more.
    ///
    /// # Errors
    ///
    /// [`ImageError`].
    pub fn finish(self) -> Result<HashedSlot, ImageError> {
        self.image.finish()?;
        let root = BlobRoot(self.tree.finish(SLOT_HEIGHT, zero_subtree));
        Ok(HashedSlot { root, pages: self.pages })
    }
}

/// Zero leaves up to an index, in subtrees as large as fit.
fn fill(tree: &mut RootBuilder, to: u64) {
    while tree.len() < to {
        let aligned = tree.len().trailing_zeros();
        let room = (to - tree.len()).ilog2();
        let height = aligned.min(room);
        tree.push_subtree(height, zero_subtree(height));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;
    use assay_merkle::{MemoryTree, Page, SLOT_PAGES, empty_slot, write_image};

    #[test]
    fn an_image_has_the_root_that_the_memory_tree_finds() {
        let leaves = [0, 1, 7, 16, 4096, 4097, (1 << 20) + 3, (1 << 21) - 1];
        for count in 0..=leaves.len() {
            let mut pages: BTreeMap<u32, Page> = BTreeMap::new();
            for leaf in &leaves[..count] {
                let page = pages.entry(leaf / PAGE_LEAVES).or_insert([0; 4096]);
                page[(leaf % PAGE_LEAVES * 256 + leaf % 251) as usize] = 7;
            }
            let mut tree = MemoryTree::new();
            for (number, page) in &pages {
                tree.update(&[(2 * SLOT_PAGES + number, u16::MAX, page)]);
            }
            let mut image = Vec::new();
            let Ok(()) = write_image(pages.iter().map(|(n, p)| (*n, p)), |bytes| {
                image.extend(bytes);
                Ok::<_, Infallible>(())
            });
            assert_eq!(check_slot(tree.slot_root(2), &image), Ok(()), "{count} leaves");
            let mut hasher = SlotHasher::new();
            image.chunks(1_000).for_each(|piece| hasher.update(piece).expect("an image"));
            let hashed = hasher.finish().expect("an image");
            assert_eq!((hashed.root, hashed.pages), (tree.slot_root(2), pages.len() as u32));
            let other = check_slot(empty_slot(), &image);
            assert_eq!(other.is_err(), count > 0, "{other:?}");
        }
        assert!(check_slot(empty_slot(), b"no image").is_err());
    }
}
