//! Trees over a list of hashes that is padded on the right.

use assay_types::{Hash, sha256_pair};

use crate::proof::Proof;

/// The root of a list of hashes, built leaf by leaf in memory that grows with the height only.
#[derive(Debug, Clone, Default)]
pub struct RootBuilder {
    /// Roots of complete subtrees, largest first, with their heights.
    subtrees: Vec<(u32, Hash)>,
    leaves: u64,
}

impl RootBuilder {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves stand in the list.
    pub fn len(&self) -> u64 {
        self.leaves
    }

    /// True if nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.leaves == 0
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.push_subtree(0, leaf);
    }

    /// Appends a complete subtree of 2^height leaves.
    ///
    /// # Panics
    /// If the list so far is not a whole number of such subtrees.
    pub fn push_subtree(&mut self, height: u32, root: Hash) {
        assert_eq!(self.leaves % (1 << height), 0, "a subtree starts at a multiple of its size");
        self.leaves += 1 << height;
        let (mut height, mut root) = (height, root);
        while let Some(&(_, left)) = self.subtrees.last().filter(|last| last.0 == height) {
            self.subtrees.pop();
            root = sha256_pair(&left, &root);
            height += 1;
        }
        self.subtrees.push((height, root));
    }

    /// The root of the tree of the given height, where `padding(k)` stands for a missing subtree of
    /// height k.
    ///
    /// # Panics
    /// If more than 2^height leaves were pushed.
    pub fn finish(mut self, height: u32, mut padding: impl FnMut(u32) -> Hash) -> Hash {
        assert!(self.leaves <= 1 << height, "a tree of height {height} can't hold the list");
        while self.leaves < 1 << height {
            let gap = self.leaves.trailing_zeros().min(height);
            self.push_subtree(gap, padding(gap));
        }
        self.subtrees[0].1
    }
}

/// The tree over a list of at most 2^N hashes, padded on the right with one hash: a trace's tree.
/// Padding costs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaddedTree<const N: usize> {
    /// For each height from 0 to N: the nodes over something of the list, then the node over
    /// padding only.
    levels: Vec<(Vec<Hash>, Hash)>,
}

impl<const N: usize> PaddedTree<N> {
    /// A tree of 2^N leaves: those given, then `padding`.
    ///
    /// # Panics
    /// If there are more than 2^N.
    pub fn new(leaves: Vec<Hash>, padding: Hash) -> Self {
        assert!(leaves.len() <= 1 << N, "a tree of height {N} can't hold the list");
        let mut levels = vec![(leaves, padding)];
        for height in 0..N {
            let above = parents(&levels[height].0, levels[height].1);
            levels.push(above);
        }
        PaddedTree { levels }
    }

    /// The node at a height, 0 to N, and an index below 2^(N - height).
    pub fn node(&self, height: u32, index: u32) -> Hash {
        let (nodes, padding) = &self.levels[height as usize];
        nodes.get(index as usize).copied().unwrap_or(*padding)
    }

    /// The leaf at an index below 2^N.
    pub fn leaf(&self, index: u32) -> Hash {
        self.node(0, index)
    }

    /// The root.
    pub fn root(&self) -> Hash {
        self.node(N as u32, 0)
    }

    /// The siblings of the leaf at an index below 2^N.
    pub fn prove(&self, index: u32) -> Proof<N> {
        Proof(std::array::from_fn(|height| self.node(height as u32, (index >> height) ^ 1)))
    }
}

/// The level above: the parents of the nodes, and of two paddings.
fn parents(level: &[Hash], padding: Hash) -> (Vec<Hash>, Hash) {
    let parent = |pair: &[Hash]| sha256_pair(&pair[0], pair.get(1).unwrap_or(&padding));
    (level.chunks(2).map(parent).collect(), sha256_pair(&padding, &padding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_types::sha256;
    use proptest::prelude::*;

    fn naive(leaves: &[Hash], padding: Hash, height: u32) -> Hash {
        let mut level = leaves.to_vec();
        level.resize(1 << height, padding);
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| sha256_pair(&pair[0], &pair[1])).collect();
        }
        level[0]
    }

    fn leaf(i: u32) -> Hash {
        sha256(&i.to_be_bytes())
    }

    #[test]
    fn every_size_agrees_with_the_definition() {
        let padding = sha256(b"padding");
        for size in 0..=32 {
            let leaves: Vec<Hash> = (0..size).map(leaf).collect();
            let expect = naive(&leaves, padding, 5);
            let list = PaddedTree::<5>::new(leaves.clone(), padding);
            assert_eq!(list.root(), expect, "list of {size}");
            for index in 0..32 {
                let proof = list.prove(index);
                assert_eq!(proof.root(list.leaf(index), index), expect, "{index} of {size}");
            }
            let mut builder = RootBuilder::new();
            leaves.iter().for_each(|&leaf| builder.push(leaf));
            let root = builder.finish(5, |height| naive(&[], padding, height));
            assert_eq!(root, expect, "builder of {size}");
        }
    }

    proptest! {
        #[test]
        fn a_wrong_leaf_index_or_sibling_gives_another_root(
            size in 1u32..33, index in 0u32..32, other in 0u32..32, height in 0usize..5
        ) {
            let list = PaddedTree::<5>::new((0..size).map(leaf).collect(), leaf(99));
            let proof = list.prove(index);
            prop_assume!(list.leaf(index) != list.leaf(other));
            prop_assert_ne!(proof.root(list.leaf(other), index), list.root());
            let mut bent = proof;
            bent.0[height].0[height] ^= 1;
            prop_assert_ne!(bent.root(list.leaf(index), index), list.root());
        }
    }
}
