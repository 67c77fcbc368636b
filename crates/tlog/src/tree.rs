//! The tree's right edge: all that appending needs.

use assay_types::Hash;

use crate::tile::{TILE_WIDTH, TileName};

/// The root of no entries: SHA-256 of nothing (RFC 6962, 2.1).
pub const EMPTY_ROOT: Hash = Hash(tlog_tiles::EMPTY_HASH.0);

/// The hash of an entry: SHA-256 of a zero byte and the entry (RFC 6962, 2.1).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(tlog_tiles::record_hash(entry).0)
}

pub(crate) fn node_hash(left: Hash, right: Hash) -> Hash {
    Hash(tlog_tiles::node_hash(tlog_tiles::Hash(left.0), tlog_tiles::Hash(right.0)).0)
}

/// A tree of any size by the last tile of each level: a few kilobytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// For each level the hashes of its last tile while it is not full: 0 to 255 of them.
    levels: Vec<Vec<Hash>>,
}

impl Frontier {
    /// How many entries it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds an entry's hash. Full tiles are handed to `full`, the lowest level first.
    pub fn push(&mut self, leaf: Hash, full: &mut impl FnMut(TileName, &[Hash])) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let tile = &mut self.levels[level];
            tile.push(hash);
            if tile.len() < TILE_WIDTH {
                return;
            }
            let shift = 8 * (level as u32 + 1);
            full(TileName::full(level as u8, (self.size >> shift) - 1), tile);
            hash = subtree(tile);
            tile.clear();
        }
    }

    /// The last tiles that are not full, the lowest level first.
    pub fn partial_tiles(&self) -> impl Iterator<Item = (TileName, &[Hash])> {
        let tiles = self.levels.iter().enumerate().filter(|(_, hashes)| !hashes.is_empty());
        tiles.map(|(level, hashes)| {
            let number = self.size >> (8 * (level as u32 + 1));
            (TileName::partial(level as u8, number, hashes.len() as u16), hashes.as_slice())
        })
    }

    /// The RFC 6962 root.
    pub fn root(&self) -> Hash {
        let mut root = None;
        // The full subtrees of a tree, from the smallest, which is the last, to the largest.
        for hashes in &self.levels {
            let mut rest = hashes.as_slice();
            while !rest.is_empty() {
                let (before, last) = rest.split_at(rest.len() - (1 << rest.len().trailing_zeros()));
                let left = subtree(last);
                root = Some(root.map_or(left, |right| node_hash(left, right)));
                rest = before;
            }
        }
        root.unwrap_or(EMPTY_ROOT)
    }
}

/// The root over a power of two of hashes.
fn subtree(hashes: &[Hash]) -> Hash {
    match hashes {
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(subtree(left), subtree(right))
        }
    }
}
