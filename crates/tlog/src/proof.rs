//! Proofs that stand alone (RFC 6962, 2.1.1 and 2.1.2; c2sp.org/tlog-proof).

use std::fmt::Write;

use assay_types::Hash;

use crate::checkpoint::{CheckpointError, Opened, Policy, TREE_SIZE_MAX};
use crate::tree::{EMPTY_ROOT, leaf_hash};

/// A proof's first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The most hashes in a path: a tree has at most 2^48 entries.
const PATH_MAX: usize = 48;

/// The most hashes in a proof of consistency (c2sp.org/tlog-witness).
pub(crate) const CONSISTENCY_MAX: usize = 63;

/// That an entry is in a log, with the log's and its witnesses' signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProof {
    /// The entry's place.
    pub index: u64,
    /// From the entry's sibling to the root's.
    pub path: Vec<Hash>,
    /// The checkpoint, a signed note.
    pub checkpoint: Vec<u8>,
}

/// Why a proof is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The text is no proof.
    #[error("it is no proof (c2sp.org/tlog-proof)")]
    Form,
    /// The checkpoint is refused.
    #[error("the proof's checkpoint is refused: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead from the entry to the root.
    #[error("the path does not lead from the entry to the checkpoint's root")]
    Path,
    /// The newer tree does not go on from the older.
    #[error("the newer tree does not go on from the older one")]
    Inconsistent,
}

/// Checks that the entry of a leaf hash is at `index` in the tree of `size` and `root`.
///
/// # Errors
///
/// [`ProofError::Path`].
pub fn check_inclusion(
    path: &[Hash],
    size: u64,
    root: Hash,
    index: u64,
    leaf: Hash,
) -> Result<(), ProofError> {
    if size > TREE_SIZE_MAX || index >= size || path.len() > PATH_MAX {
        return Err(ProofError::Path);
    }
    let path = path.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect();
    let (root, leaf) = (tlog_tiles::Hash(root.0), tlog_tiles::Hash(leaf.0));
    tlog_tiles::check_record(&path, size, root, index, leaf).map_err(|_| ProofError::Path)
}

/// Checks that the tree of `size` and `root` goes on from that of `old_size` and `old_root`.
///
/// # Errors
///
/// [`ProofError::Inconsistent`].
pub fn check_consistency(
    path: &[Hash],
    size: u64,
    root: Hash,
    old_size: u64,
    old_root: Hash,
) -> Result<(), ProofError> {
    let is_bounded = size <= TREE_SIZE_MAX && old_size <= size && path.len() <= CONSISTENCY_MAX;
    // A tree goes on from the empty one whatever it is, and nothing is to be shown.
    if old_size == 0 && is_bounded {
        let is_good = path.is_empty() && old_root == EMPTY_ROOT && (size > 0 || root == EMPTY_ROOT);
        return if is_good { Ok(()) } else { Err(ProofError::Inconsistent) };
    }
    if !is_bounded {
        return Err(ProofError::Inconsistent);
    }
    let path = path.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect();
    let (root, old_root) = (tlog_tiles::Hash(root.0), tlog_tiles::Hash(old_root.0));
    tlog_tiles::check_tree(&path, size, root, old_size, old_root)
        .map_err(|_| ProofError::Inconsistent)
}

impl LogProof {
    /// The proof as a text that others' tools read.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{HEADER}\nindex {}\n", self.index);
        for hash in &self.path {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", tlog_tiles::Hash(hash.0));
        }
        text.push('\n');
        [text.as_bytes(), &self.checkpoint].concat()
    }

    /// Reads a proof. Whatever is read would be written as the same bytes.
    ///
    /// # Errors
    ///
    /// [`ProofError::Form`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").ok_or(ProofError::Form)?;
        let (head, checkpoint) = (&bytes[..end], &bytes[end + 2..]);
        let head = std::str::from_utf8(head).map_err(|_| ProofError::Form)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(ProofError::Form);
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index ")?.parse().ok());
        let path = read_hashes(lines, PATH_MAX).ok_or(ProofError::Form)?;
        let index = index.ok_or(ProofError::Form)?;
        let proof = LogProof { index, path, checkpoint: checkpoint.to_vec() };
        if proof.to_bytes() == bytes { Ok(proof) } else { Err(ProofError::Form) }
    }

    /// Checks that the entry is in a log, by who must have signed its checkpoint.
    ///
    /// # Errors
    ///
    /// [`ProofError`].
    pub fn verify(&self, entry: &[u8], policy: &Policy) -> Result<Opened, ProofError> {
        let opened = policy.open(&self.checkpoint)?;
        let tree = &opened.checkpoint;
        check_inclusion(&self.path, tree.size, tree.root, self.index, leaf_hash(entry))?;
        Ok(opened)
    }
}

/// Hashes in base64, one a line.
pub(crate) fn read_hashes<'a>(
    lines: impl Iterator<Item = &'a str>,
    max: usize,
) -> Option<Vec<Hash>> {
    let mut hashes = Vec::new();
    for line in lines {
        let hash = tlog_tiles::Hash::parse_hash(line).ok()?;
        if hash.to_string() != line || hashes.len() == max {
            return None;
        }
        hashes.push(Hash(hash.0));
    }
    Some(hashes)
}
