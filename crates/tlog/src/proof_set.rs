//! Many proofs of one tree, with each hash once and none that follows from others
//! (spec/receipt.md#proofs).

use std::collections::BTreeMap;

use assay_types::Hash;

use crate::checkpoint::TREE_SIZE_MAX;
use crate::tree::node_hash;

/// A subtree by the entries below it, `start..end`; of one entry, its leaf. The order is that in
/// which hashes are written: smaller subtrees first, then from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Subtree {
    width: u64,
    start: u64,
}

impl Subtree {
    /// The left and right halves, as RFC 6962 splits a tree: the left's width is the largest power
    /// of two below the whole's.
    fn halves(self) -> Option<(Self, Self)> {
        let width = 1 << self.width.checked_sub(1)?.checked_ilog2()?;
        let right = Subtree { width: self.width - width, start: self.start + width };
        Some((Subtree { width, start: self.start }, right))
    }
}

/// The subtrees whose hashes lead from an entry to the root, from its sibling up (RFC 6962, 2.1.1).
fn inclusion(index: u64, size: u64) -> Vec<Subtree> {
    let mut path = Vec::new();
    let mut at = Subtree { width: size, start: 0 };
    while let Some((left, right)) = at.halves() {
        let is_left = index < right.start;
        path.push(if is_left { right } else { left });
        at = if is_left { left } else { right };
    }
    path.reverse();
    path
}

/// The subtrees whose hashes show that a tree goes on from one of `old_size` entries (RFC 6962,
/// 2.1.2).
fn consistency(old_size: u64, size: u64) -> Vec<Subtree> {
    let mut path = Vec::new();
    let mut at = Subtree { width: size, start: 0 };
    while at.start + at.width != old_size {
        let Some((left, right)) = at.halves() else { break };
        let is_left = old_size <= right.start;
        path.push(if is_left { right } else { left });
        at = if is_left { left } else { right };
    }
    // The old tree's own root is known to who asks.
    if at.start > 0 {
        path.push(at);
    }
    path.reverse();
    path
}

/// Hashes of one tree that prove where entries are, and that it goes on from an older one.
#[derive(Clone, Debug)]
pub struct ProofSet {
    size: u64,
    known: BTreeMap<Subtree, Hash>,
}

impl ProofSet {
    /// The set for entries, by index and leaf hash, and for the tree of `old_size` if there is one,
    /// in a tree of `size`. `given` is asked, in one order, for each hash that does not follow from
    /// the entries and the hashes before. What lies outside the tree is passed over.
    pub fn new(
        size: u64,
        old_size: Option<u64>,
        leaves: &[(u64, Hash)],
        mut given: impl FnMut() -> Hash,
    ) -> Self {
        Self::fill(size, old_size, leaves, |_| given())
    }

    /// The hashes to be given, from the paths of all entries and of the older tree.
    pub fn compact(
        size: u64,
        older: Option<(u64, &[Hash])>,
        entries: &[(u64, Hash, &[Hash])],
    ) -> Vec<Hash> {
        let mut paths = BTreeMap::new();
        for (index, _, path) in entries.iter().filter(|(index, ..)| *index < size) {
            paths.extend(inclusion(*index, size).into_iter().zip(path.iter().copied()));
        }
        if let Some((old_size, path)) = older.filter(|(old_size, _)| (1..=size).contains(old_size))
        {
            paths.extend(consistency(old_size, size).into_iter().zip(path.iter().copied()));
        }
        let leaves: Vec<_> = entries.iter().map(|(index, leaf, _)| (*index, *leaf)).collect();
        let mut hashes = Vec::new();
        Self::fill(size, older.map(|(old_size, _)| old_size), &leaves, |subtree| {
            // A path that is too short proves nothing, with zeros or without.
            hashes.push(paths.get(&subtree).copied().unwrap_or_default());
            hashes[hashes.len() - 1]
        });
        hashes
    }

    fn fill(
        size: u64,
        old_size: Option<u64>,
        leaves: &[(u64, Hash)],
        mut given: impl FnMut(Subtree) -> Hash,
    ) -> Self {
        let size = size.min(TREE_SIZE_MAX);
        let within = leaves.iter().filter(|(index, _)| *index < size);
        let known =
            within.clone().map(|(index, leaf)| (Subtree { width: 1, start: *index }, *leaf));
        let mut set = ProofSet { size, known: known.collect() };
        let mut needed: Vec<_> = within.flat_map(|(index, _)| inclusion(*index, size)).collect();
        let old_size = old_size.filter(|old_size| (1..=size).contains(old_size));
        needed.extend(old_size.into_iter().flat_map(|old_size| consistency(old_size, size)));
        needed.sort_unstable();
        needed.dedup();
        for subtree in needed {
            let hash = set.derived(subtree).unwrap_or_else(|| given(subtree));
            set.known.insert(subtree, hash);
        }
        set
    }

    /// A subtree's hash, if it is known or follows from known ones.
    fn derived(&self, subtree: Subtree) -> Option<Hash> {
        if let Some(known) = self.known.get(&subtree) {
            return Some(*known);
        }
        let (left, right) = subtree.halves()?;
        Some(node_hash(self.derived(left)?, self.derived(right)?))
    }

    /// The proof that an entry of the set is in the tree.
    pub fn inclusion(&self, index: u64) -> Vec<Hash> {
        if index < self.size { self.at(&inclusion(index, self.size)) } else { Vec::new() }
    }

    /// The proof that the tree goes on from the older one of the set.
    pub fn consistency(&self, old_size: u64) -> Vec<Hash> {
        let is_within = (1..=self.size).contains(&old_size);
        if is_within { self.at(&consistency(old_size, self.size)) } else { Vec::new() }
    }

    fn at(&self, subtrees: &[Subtree]) -> Vec<Hash> {
        subtrees.iter().filter_map(|subtree| self.known.get(subtree).copied()).collect()
    }
}
