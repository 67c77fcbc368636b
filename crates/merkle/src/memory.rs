//! The memory's tree: sparse, and refreshed at the cost of what changed.

use assay_types::{BlobRoot, Hash, MemoryRoot, sha256_leaf, sha256_pair};
use rayon::prelude::*;

use crate::proof::{MEMORY_HEIGHT, MemoryProof};
use crate::zero::zero_subtree;
use crate::{PAGE_LEAVES, Page, page_leaf};

/// A block is four levels of the tree in heap order: 1 is its root, 16 to 31 are what it stands on.
const BLOCK_HEIGHT: u32 = 4;

/// Levels of blocks: pages at 0, the block with the memory root at 5.
const LEVELS: u32 = MEMORY_HEIGHT / BLOCK_HEIGHT;

/// Pages hashed before their blocks are stored: bounds what an update holds beside the tree.
const BATCH_PAGES: usize = 4096;

/// A child that is all zeros has no block.
const ABSENT: u32 = u32::MAX;

/// The hashes of the memory's tree (2^24 leaves) over the pages that were ever given to it. It
/// holds no bytes of memory: about a quarter of the size of the pages.
#[derive(Debug, Clone)]
pub struct MemoryTree {
    /// Leaves and what is above them, a block a page.
    pages: Vec<Block>,
    /// Levels 1 to 5; the first is the root's.
    branches: Vec<Branch>,
}

#[derive(Debug, Clone)]
struct Branch {
    block: Block,
    children: [u32; 16],
    /// Children whose roots are newer than this block, a bit each.
    stale: u16,
}

#[derive(Debug, Clone)]
struct Block([Hash; 32]);

impl MemoryTree {
    /// The tree of an empty memory.
    pub fn new() -> Self {
        MemoryTree { pages: Vec::new(), branches: vec![Branch::new(LEVELS - 1)] }
    }

    /// The memory root, 24 levels up.
    pub fn root(&self) -> MemoryRoot {
        MemoryRoot(self.branches[0].block.root())
    }

    /// How many pages it has been given.
    pub fn page_count(&self) -> u64 {
        self.pages.len() as u64
    }

    /// The root of a slot, 0 to 7.
    pub fn slot_root(&self, slot: u32) -> BlobRoot {
        BlobRoot(self.branches[0].block.0[8 + slot as usize])
    }

    /// Takes in changed pages: the page's number (its address / 4096), its changed leaves (a bit
    /// each) and its bytes now. A page that the tree has not seen yet counts as changed from zeros.
    pub fn update(&mut self, changes: &[(u32, u16, &Page)]) {
        for batch in changes.chunks(BATCH_PAGES) {
            let slots: Vec<u32> = batch.iter().map(|change| self.touch(change.0)).collect();
            if let ([(_, leaves, page)], [slot]) = (batch, &slots[..]) {
                self.pages[*slot as usize].hash_page(*leaves, page);
                continue;
            }
            let pages = &self.pages;
            let blocks: Vec<Block> = (batch, &slots)
                .into_par_iter()
                .map(|((_, leaves, page), slot)| {
                    let mut block = pages[*slot as usize].clone();
                    block.hash_page(*leaves, page);
                    block
                })
                .collect();
            for (slot, block) in slots.into_iter().zip(blocks) {
                self.pages[slot as usize] = block;
            }
        }
        self.refresh(0, LEVELS - 1);
    }

    /// The siblings of a leaf (its address / 256).
    pub fn prove(&self, leaf: u32) -> MemoryProof {
        let mut siblings = [Hash::default(); MEMORY_HEIGHT as usize];
        let mut branch = Some(0);
        for level in (0..LEVELS).rev() {
            let place = (leaf >> (BLOCK_HEIGHT * level) & 15) as usize;
            let block = match branch {
                None => None,
                Some(id) if level == 0 => Some(&self.pages[id as usize]),
                Some(id) => Some(&self.branches[id as usize].block),
            };
            for height in 0..BLOCK_HEIGHT {
                let at = BLOCK_HEIGHT * level + height;
                siblings[at as usize] =
                    block.map_or(zero_subtree(at), |block| block.0[((16 + place) >> height) ^ 1]);
            }
            if level > 0 {
                branch = branch
                    .map(|id| self.branches[id as usize].children[place])
                    .filter(|&child| child != ABSENT);
            }
        }
        crate::proof::Proof(siblings)
    }

    /// Finds or makes the block of a page, marking the way down to it as stale.
    fn touch(&mut self, page: u32) -> u32 {
        let mut id = 0;
        for level in (1..LEVELS).rev() {
            let place = (page >> (BLOCK_HEIGHT * (level - 1)) & 15) as usize;
            let branch = &mut self.branches[id as usize];
            branch.stale |= 1 << place;
            let mut child = branch.children[place];
            if child == ABSENT {
                child = if level == 1 {
                    self.pages.push(Block::zero(0));
                    self.pages.len() as u32 - 1
                } else {
                    self.branches.push(Branch::new(level - 1));
                    self.branches.len() as u32 - 1
                };
                self.branches[id as usize].children[place] = child;
            }
            id = child;
        }
        id
    }

    fn refresh(&mut self, id: u32, level: u32) {
        let stale = std::mem::take(&mut self.branches[id as usize].stale);
        for place in (0..16).filter(|place| stale >> place & 1 == 1) {
            let child = self.branches[id as usize].children[place];
            let root = if level == 1 {
                self.pages[child as usize].root()
            } else {
                self.refresh(child, level - 1);
                self.branches[child as usize].block.root()
            };
            self.branches[id as usize].block.0[16 + place] = root;
        }
        self.branches[id as usize].block.refresh(stale);
    }
}

impl Default for MemoryTree {
    fn default() -> Self {
        Self::new()
    }
}

impl Branch {
    fn new(level: u32) -> Self {
        Branch { block: Block::zero(level), children: [ABSENT; 16], stale: 0 }
    }
}

impl Block {
    /// A block of zeros at a level of blocks.
    fn zero(level: u32) -> Self {
        let top = BLOCK_HEIGHT * (level + 1);
        Block(std::array::from_fn(|place| zero_subtree(top - (place.max(1).ilog2()))))
    }

    fn root(&self) -> Hash {
        self.0[1]
    }

    fn hash_page(&mut self, leaves: u16, page: &Page) {
        for leaf in (0..PAGE_LEAVES).filter(|leaf| leaves >> leaf & 1 == 1) {
            self.0[16 + leaf as usize] = sha256_leaf(page_leaf(page, leaf));
        }
        self.refresh(leaves);
    }

    /// Recomputes what stands above the changed bottom places.
    fn refresh(&mut self, changed: u16) {
        let mut changed = u32::from(changed) << 16;
        for place in (1..16).rev() {
            if changed >> (2 * place) & 3 != 0 {
                self.0[place] = sha256_pair(&self.0[2 * place], &self.0[2 * place + 1]);
                changed |= 1 << place;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LEAF_SIZE, PAGE_SIZE};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// The root by the definition, over a plain map of leaves.
    fn naive(leaves: &BTreeMap<u32, Hash>) -> MemoryRoot {
        let mut level = leaves.clone();
        for height in 0..MEMORY_HEIGHT {
            let zero = zero_subtree(height);
            let parents: Vec<u32> = level.keys().map(|index| index / 2).collect();
            level = parents
                .into_iter()
                .map(|index| {
                    let child = |i| level.get(&i).copied().unwrap_or(zero);
                    (index, sha256_pair(&child(2 * index), &child(2 * index + 1)))
                })
                .collect();
        }
        MemoryRoot(level.get(&0).copied().unwrap_or(zero_subtree(MEMORY_HEIGHT)))
    }

    #[test]
    fn an_empty_memory_is_zeros() {
        let tree = MemoryTree::new();
        assert_eq!(tree.root().0, zero_subtree(MEMORY_HEIGHT));
        assert_eq!(tree.slot_root(5), crate::empty_slot());
        assert_eq!(tree.prove(77).root(zero_subtree(0), 77), tree.root().0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn roots_and_proofs_agree_with_a_plain_map(
            rounds in prop::collection::vec(
                prop::collection::vec((0u32..1 << 20, 0u32..4096, any::<u8>()), 1..20), 1..6)
        ) {
            let mut tree = MemoryTree::new();
            let mut pages: BTreeMap<u32, Page> = BTreeMap::new();
            let mut leaves = BTreeMap::new();
            for writes in rounds {
                let mut changed: BTreeMap<u32, u16> = BTreeMap::new();
                for (page, offset, byte) in writes {
                    // Some pages again and again, some neighbours, some far apart.
                    let page = if page % 3 == 0 { page % 40 } else { page };
                    pages.entry(page).or_insert([0; PAGE_SIZE as usize])[offset as usize] = byte;
                    *changed.entry(page).or_default() |= 1 << (offset / LEAF_SIZE);
                }
                let changes: Vec<_> = changed.iter().map(|(p, l)| (*p, *l, &pages[p])).collect();
                tree.update(&changes);
                for (page, bytes) in &pages {
                    for leaf in 0..PAGE_LEAVES {
                        leaves.insert(page * PAGE_LEAVES + leaf, sha256_leaf(page_leaf(bytes, leaf)));
                    }
                }
                prop_assert_eq!(tree.root(), naive(&leaves));
                for (&index, &leaf) in leaves.iter().take(40) {
                    prop_assert_eq!(tree.prove(index).root(leaf, index), tree.root().0);
                }
            }
        }
    }
}
