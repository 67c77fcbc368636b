//! What an honest claimant does next; and anyone who has a tree, where it is a reveal.

use assay_machine::{Engine, TRACE_LEAVES};
use assay_merkle::{TRACE_HEIGHT, TraceProof};
use assay_types::Hash;

use crate::segment::Segment;
use crate::tracer::{TraceTree, Tracer};

/// Levels from a node to its revealed children.
pub(crate) const FAN_HEIGHT: u32 = 5;

/// Nodes in a reveal: 32.
pub const FAN_OUT: usize = 1 << FAN_HEIGHT;

/// The answer to a pointing: the tree of the segment pointed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its root.
    pub root: Hash,
    /// The proof that its last leaf is the leaf pointed at.
    pub last_leaf_proof: TraceProof,
}

/// The answer that a true claim gives for a segment.
pub fn answer<E: Engine + Clone>(tracer: &mut Tracer<E>, segment: Segment) -> Answer {
    let tree = tracer.tree(segment);
    Answer { root: tree.root(), last_leaf_proof: tree.prove(TRACE_LEAVES - 1) }
}

/// The children of a node that was demanded, in order; `None` if the tree has no such node at depth
/// 0, 5 or 10.
pub fn reveal(tree: &TraceTree, node: Hash) -> Option<[Hash; FAN_OUT]> {
    (0..TRACE_HEIGHT).step_by(FAN_HEIGHT as usize).find_map(|depth| {
        let height = TRACE_HEIGHT - depth;
        let index = (0..1 << depth).find(|&index| tree.node(height, index) == node)?;
        let child = |k| tree.node(height - FAN_HEIGHT, (index << FAN_HEIGHT) + k as u32);
        Some(std::array::from_fn(child))
    })
}
