//! What an honest challenger does next.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_machine::Engine;
use assay_merkle::TRACE_HEIGHT;
use assay_types::{Hash, sha256_pair};

use crate::claimant::{FAN_HEIGHT, FAN_OUT};
use crate::segment::Segment;
use crate::tracer::{TraceTree, Tracer};

/// A leaf and its predecessor, opened together from the tree in play (spec/dispute.md#pointing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointing {
    /// The first leaf that differs, below 2^15.
    pub index: u32,
    /// The leaf before it, on which both sides agree; the segment's start if `index` is 0.
    pub predecessor: Hash,
    /// The leaf as claimed.
    pub leaf: Hash,
    /// The proof of both; of the leaf alone if `index` is 0.
    pub siblings: Vec<Hash>,
}

/// What stands in the place of a pointing's leaf in the challenger's own tree, to which it was
/// bound before (spec/dispute.md#own-trees).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The own tree's root.
    pub root: Hash,
    /// The own leaf at the pointing's index, behind the same predecessor.
    pub leaf: Hash,
    /// The proof of both, as the pointing's.
    pub siblings: Vec<Hash>,
}

/// A first move against a claim, as it is committed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// 15 to point at a leaf; 0, 5 or 10 to demand a node.
    pub depth: u32,
    /// The leaf's or the node's index on its depth.
    pub index: u32,
    /// The root of the own top tree.
    pub own: Hash,
}

/// A challenger's move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Point at the first leaf that differs.
    Point {
        /// Where, in the claimed tree.
        pointing: Pointing,
        /// The own tree there.
        own: Own,
        /// The root of the own tree under that leaf, one level down.
        next: Hash,
    },
    /// Demand the children of a node whose leaves are withheld.
    Demand {
        /// 0, 5 or 10.
        depth: u32,
        /// The node's index on its depth.
        index: u32,
        /// The node.
        node: Hash,
        /// Its proof, `depth` hashes from its own sibling upwards.
        siblings: Vec<Hash>,
        /// The root of the own tree.
        own: Hash,
    },
    /// Point at the first step that differs, and show it.
    Prove {
        /// The step's leaf.
        pointing: Pointing,
        /// The own tree there, whose leaf is what the step leads to.
        own: Own,
        /// A step witness from byte 72 on.
        witness: Vec<u8>,
    },
}

/// What is known of a claim's trees: leaves that the claimant published, and what was revealed on
/// chain.
#[derive(Debug, Clone, Default)]
pub struct Known {
    published: BTreeMap<Hash, Arc<TraceTree>>,
    revealed: BTreeMap<Hash, [Hash; FAN_OUT]>,
}

impl Known {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in published leaves, under the root that they really have: a false publication serves
    /// nobody.
    pub fn publish(&mut self, tree: Arc<TraceTree>) {
        self.published.insert(tree.root(), tree);
    }

    /// Takes in the 32 nodes five levels below a node, as a `Revealed` event tells them: the
    /// contract has checked them.
    pub fn reveal(&mut self, node: Hash, children: [Hash; FAN_OUT]) {
        self.revealed.insert(node, children);
    }
}

/// The first move against a claim, or `None` if it is true: what [`challenge`] gives for the whole
/// run, before it has retraced what lies below.
pub fn opening<E: Engine + Clone>(
    tracer: &mut Tracer<E>,
    start: Hash,
    root: Hash,
    known: &Known,
) -> Option<Opening> {
    let tree = tracer.tree(Segment::WHOLE);
    let own = tree.root();
    Some(match find(&tree, start, root, known)? {
        Ok(pointing) => Opening { depth: TRACE_HEIGHT, index: pointing.index, own },
        Err(Node { depth, index, .. }) => Opening { depth, index, own },
    })
}

/// The next move against a claimed tree, or `None` if the tree is true: there is nothing to win.
///
/// `start` is the state that the segment starts from, on which both sides agree.
pub fn challenge<E: Engine + Clone>(
    tracer: &mut Tracer<E>,
    segment: Segment,
    start: Hash,
    root: Hash,
    known: &Known,
) -> Option<Challenge> {
    let tree = tracer.tree(segment);
    let pointing = match find(&tree, start, root, known)? {
        Ok(pointing) => pointing,
        Err(Node { depth, index, node, siblings }) => {
            return Some(Challenge::Demand { depth, index, node, siblings, own: tree.root() });
        }
    };
    let Pointing { leaf, siblings, .. } = Pointing::open(&tree, start, pointing.index);
    let own = Own { root: tree.root(), leaf, siblings };
    Some(match segment.refined(pointing.index) {
        Some(finer) => Challenge::Point { pointing, own, next: tracer.tree(finer).root() },
        None => {
            let step = segment.start() + u64::from(pointing.index);
            let witness = tracer.witness(step).to_bytes()[72..].to_vec();
            Challenge::Prove { pointing, own, witness }
        }
    })
}

/// The first leaf in which a claimed tree differs from the own one, or the node to be demanded on
/// the way there; `None` if they are the same.
fn find(own: &TraceTree, start: Hash, root: Hash, known: &Known) -> Option<Result<Pointing, Node>> {
    if own.root() == root {
        return None;
    }
    if let Some(tree) = known.published.get(&root) {
        return Some(Ok(Pointing::open(tree, start, first_difference(own, tree))));
    }
    Some(
        search(own, root, known).map(|(index, view)| {
            Pointing::new(start, index, |height, index| view.node(height, index))
        }),
    )
}

/// A node of a claimed tree that is to be demanded.
struct Node {
    depth: u32,
    index: u32,
    node: Hash,
    siblings: Vec<Hash>,
}

/// The first leaf in which two trees of different roots differ.
fn first_difference(own: &TraceTree, claimed: &TraceTree) -> u32 {
    (0..TRACE_HEIGHT).rev().fold(0, |index, height| {
        let left = 2 * index;
        if own.node(height, left) == claimed.node(height, left) { left + 1 } else { left }
    })
}

/// Goes down to the first leaf that differs by what was revealed; `Err` is the demand for what was
/// not.
fn search<'a>(own: &'a TraceTree, root: Hash, known: &Known) -> Result<(u32, View<'a>), Node> {
    let mut view = View { own, fans: Vec::new() };
    let (mut depth, mut index, mut node) = (0, 0, root);
    while depth < TRACE_HEIGHT {
        let Some(&children) = known.revealed.get(&node) else {
            let heights = TRACE_HEIGHT - depth..TRACE_HEIGHT;
            let sibling = |height| view.node(height, index >> (height + depth - TRACE_HEIGHT) ^ 1);
            let siblings = heights.map(sibling).collect();
            return Err(Node { depth, index, node, siblings });
        };
        let height = TRACE_HEIGHT - depth - FAN_HEIGHT;
        let first = index << FAN_HEIGHT;
        let differs = |k: &u32| children[*k as usize] != own.node(height, first + k);
        let k = (0..FAN_OUT as u32).find(differs);
        let k = k.unwrap_or_else(|| unreachable!("a node that differs has a child that differs"));
        view.fans.push(Fan { height, first, children });
        (depth, index, node) = (depth + FAN_HEIGHT, first + k, children[k as usize]);
    }
    Ok((index, view))
}

/// The claimed tree as far as a path down it was revealed. What lies to the left of the path agrees
/// with our own.
struct View<'a> {
    own: &'a TraceTree,
    fans: Vec<Fan>,
}

/// Revealed nodes of one height: 32 from `first` on.
struct Fan {
    height: u32,
    first: u32,
    children: [Hash; FAN_OUT],
}

impl View<'_> {
    fn node(&self, height: u32, index: u32) -> Hash {
        let from_fan = self.fans.iter().find_map(|fan| fan.node(height, index));
        from_fan.unwrap_or_else(|| self.own.node(height, index))
    }
}

impl Fan {
    /// The node, if it stands within the five levels of this fan.
    fn node(&self, height: u32, index: u32) -> Option<Hash> {
        let up = height.checked_sub(self.height).filter(|&up| up < FAN_HEIGHT)?;
        let first = (index << up).checked_sub(self.first).filter(|&at| at < FAN_OUT as u32)?;
        let mut level = self.children[first as usize..(first + (1 << up)) as usize].to_vec();
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| sha256_pair(&pair[0], &pair[1])).collect();
        }
        Some(level[0])
    }
}

impl Pointing {
    /// Opens a leaf, by its index below 2^15, and its predecessor from a whole tree.
    pub fn open(tree: &TraceTree, start: Hash, index: u32) -> Self {
        Pointing::new(start, index, |height, index| tree.node(height, index))
    }

    /// Opens a leaf and its predecessor from a tree's nodes, by height and index.
    fn new(start: Hash, index: u32, node: impl Fn(u32, u32) -> Hash) -> Self {
        let leaf = node(0, index);
        let sibling = |of: u32| {
            let node = &node;
            move |height: u32| node(height, (of >> height) ^ 1)
        };
        if index == 0 {
            let siblings = (0..TRACE_HEIGHT).map(sibling(0)).collect();
            return Pointing { index, predecessor: start, leaf, siblings };
        }
        // On this many levels the two climb apart; above them they are one path.
        let apart = index.trailing_zeros();
        let siblings = (0..apart)
            .map(sibling(index - 1))
            .chain((0..apart).map(sibling(index)))
            .chain((apart + 1..TRACE_HEIGHT).map(sibling(index)))
            .collect();
        Pointing { index, predecessor: node(0, index - 1), leaf, siblings }
    }
}
