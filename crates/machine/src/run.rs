//! A run: an engine, and the tree that commits to its memory.

use assay_merkle::{LEAF_SIZE, MemoryTree, PAGE_LEAVES, Proof, SLOT_HEIGHT, page_leaf};
use assay_types::BlobRoot;

use crate::engine::Engine;
use crate::state::State;
use crate::witness::{Opening, Witness};

/// What a page takes in an engine and in the tree, in bytes: itself, and the hashes over its 16
/// leaves.
const PAGE_HELD_SIZE: u64 = 4096 + 64 + 32 * 32;

/// Runs an engine and says at any step what its state is. A state costs what changed since the last
/// one.
#[derive(Debug, Clone)]
pub struct Run<E> {
    engine: E,
    tree: MemoryTree,
}

impl<E: Engine> Run<E> {
    /// Takes an engine over and roots its memory, on all threads of rayon's current pool.
    pub fn new(engine: E) -> Self {
        let mut run = Run { engine, tree: MemoryTree::new() };
        run.commit();
        run
    }

    /// Runs until `step` steps were taken in all, or a final state.
    pub fn advance(&mut self, step: u64) {
        self.engine.run_until(step);
    }

    /// The engine, to ask for registers and memory.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// What a copy of the run takes in memory, in bytes: its pages as of the last state, which
    /// copies do not share.
    pub fn copy_size(&self) -> u64 {
        self.tree.page_count() * PAGE_HELD_SIZE
    }

    /// The state now.
    pub fn state(&mut self) -> State {
        self.commit();
        State { cpu: self.engine.cpu().clone(), memory_root: self.tree.root() }
    }

    /// The root of a slot now, 0 to 7.
    pub fn slot_root(&mut self, slot: u32) -> BlobRoot {
        self.commit();
        self.tree.slot_root(slot)
    }

    /// The siblings of a slot's root, 0 to 7, from its own upwards: with the root they open the
    /// memory root.
    pub fn slot_proof(&mut self, slot: u32) -> Proof<3> {
        self.commit();
        let Proof(siblings) = self.tree.prove(slot << SLOT_HEIGHT);
        Proof(std::array::from_fn(|k| siblings[SLOT_HEIGHT as usize + k]))
    }

    /// The siblings of a page (its address / 4096) below its slot's root, from its own upwards.
    pub fn page_proof(&mut self, page: u32) -> Proof<17> {
        self.commit();
        let Proof(siblings) = self.tree.prove(page * PAGE_LEAVES);
        let first = PAGE_LEAVES.ilog2() as usize;
        Proof(std::array::from_fn(|k| siblings[first + k]))
    }

    /// The witness of the next step.
    pub fn witness(&mut self) -> Witness {
        let state = self.state();
        Witness::build(state, |address| self.open(address))
    }

    /// The leaf that holds an address, with its proof. The tree must be up to date.
    fn open(&self, address: u32) -> Opening {
        let index = address / LEAF_SIZE;
        let page = self.engine.page(index / PAGE_LEAVES);
        let leaf =
            page.map_or([0; LEAF_SIZE as usize], |page| *page_leaf(page, index % PAGE_LEAVES));
        Opening { leaf, proof: self.tree.prove(index) }
    }

    fn commit(&mut self) {
        let changes = self.engine.take_changes();
        let pages: Vec<_> = changes
            .iter()
            .filter_map(|&(page, leaves)| Some((page, leaves, self.engine.page(page)?)))
            .collect();
        self.tree.update(&pages);
    }
}
