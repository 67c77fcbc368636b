//! Re-running a job wherever the game looks.

use std::collections::VecDeque;
use std::sync::Arc;

use assay_machine::{Engine, Run, TRACE_LEAVES, TraceBuilder, Witness};
use assay_merkle::{PAGE_SIZE, PaddedTree, Page, Proof, TRACE_HEIGHT};
use assay_types::{Hash, StateHash};

use crate::segment::Segment;

/// The tree of a segment.
pub type TraceTree = PaddedTree<{ TRACE_HEIGHT as usize }>;

/// Steps between two times that a watcher is told how far a run is: some tenths of a second.
const STRETCH: u64 = 1 << 24;

/// The most snapshots of a run that are kept (spec/dispute.md#snapshots).
pub const SNAPSHOTS_MAX: usize = 16;

/// How many snapshots are kept of a run however large it is.
pub const SNAPSHOTS_MIN: usize = 4;

/// What the snapshots of one run may take in memory, in bytes, unless [`SNAPSHOTS_MIN`] of them
/// take more.
pub const SNAPSHOTS_SIZE_MAX: u64 = 1 << 30;

/// What the trees of one run that were asked for may take in memory, in bytes: 512 whole ones.
const TREES_SIZE_MAX: u64 = 1 << 29;

/// A job that can be re-run from its start, or from the nearest snapshot of a run before.
#[derive(Debug, Clone)]
pub struct Tracer<E> {
    start: Run<E>,
    here: Run<E>,
    /// Copies of the run on its way, ascending, about as many steps apart.
    snapshots: Vec<Run<E>>,
    /// Steps between two of them, at the least.
    stride: u64,
    /// After so many steps it stops, if the run has not ended.
    stop: u64,
    /// The tree last asked for: a game asks for one again and again.
    last: Option<(Segment, Arc<TraceTree>)>,
    /// The leaves of the trees that were asked for, the last one last, and what they are padded
    /// with: a node of each may be demanded until its claim is final, and making one again takes as
    /// long as the first time.
    trees: VecDeque<(Segment, Vec<Hash>, Hash)>,
}

impl<E: Engine + Clone> Tracer<E> {
    /// Takes a job at its first step.
    pub fn new(start: Run<E>) -> Self {
        Tracer {
            here: start.clone(),
            start,
            snapshots: Vec::new(),
            stride: STRETCH,
            stop: u64::MAX,
            last: None,
            trees: VecDeque::new(),
        }
    }

    /// Runs no further than checking a claim of so many steps needs, from here on: to the end of
    /// the middle tree's leaf in which the claim ends. A run that goes on behind the claim's last
    /// step shows by then that the claim is false, and every tree up to there is the whole run's
    /// (spec/dispute.md#the-window).
    pub fn stop_behind(&mut self, steps: u64) {
        let leaf = u64::from(TRACE_LEAVES);
        self.stop = (steps / leaf + 1).saturating_mul(leaf);
        self.last = None;
        self.trees.clear();
    }

    /// What it takes in memory, in bytes.
    pub fn size(&self) -> u64 {
        let copies = self.snapshots.iter().chain([&self.start, &self.here]);
        copies.map(Run::copy_size).sum::<u64>() + self.trees_size()
    }

    fn trees_size(&self) -> u64 {
        self.trees.iter().map(|(_, leaves, _)| size_of_val(&leaves[..]) as u64).sum()
    }

    /// After how many steps it stands.
    pub fn step(&self) -> u64 {
        step_of(&self.here)
    }

    /// The tree of a segment, by re-running it: at the worst, all steps since the snapshot before
    /// it and 2^15 states.
    pub fn tree(&mut self, segment: Segment) -> Arc<TraceTree> {
        self.tree_telling(segment, |_| ())
    }

    /// The same, telling on the way after how many steps the run is.
    pub fn tree_telling(&mut self, segment: Segment, mut told: impl FnMut(u64)) -> Arc<TraceTree> {
        if let Some((_, tree)) = self.last.as_ref().filter(|last| last.0 == segment) {
            return Arc::clone(tree);
        }
        if let Some(at) = self.trees.iter().position(|(kept, ..)| *kept == segment) {
            let (_, leaves, padding) = &self.trees[at];
            let tree = Arc::new(TraceTree::new(leaves.clone(), *padding));
            self.last = Some((segment, Arc::clone(&tree)));
            return tree;
        }
        self.at(segment.start());
        let (level, end) = (segment.level(), segment.start() + segment.level().segment());
        let end = end.min(self.stop);
        let mut leaves = Vec::new();
        let mut trace = TraceBuilder::new(level, segment.start());
        // Leaves after the end are the final state's, so the list can stop there.
        while self.is_before(end) {
            let stretch = self.step() + STRETCH;
            trace.advance(&mut self.here, stretch.min(end), |hash| leaves.push(hash.0));
            told(self.step());
            self.take_snapshot();
        }
        let last = self.here.state();
        if last.cpu.status.is_final() {
            let end = last.hash().0;
            let kept = leaves.iter().position(|leaf| *leaf == end).unwrap_or(leaves.len());
            leaves.truncate(kept);
        }
        let padding = last.hash().0;
        let tree = Arc::new(TraceTree::new(leaves.clone(), padding));
        self.last = Some((segment, Arc::clone(&tree)));
        self.trees.push_back((segment, leaves, padding));
        while self.trees_size() > TREES_SIZE_MAX {
            self.trees.pop_front();
        }
        tree
    }

    /// The hash of the state after so many steps.
    pub fn state_hash(&mut self, step: u64) -> StateHash {
        self.at(step).state().hash()
    }

    /// The witness of the step that follows so many.
    pub fn witness(&mut self, step: u64) -> Witness {
        self.at(step).witness()
    }

    /// The engine at the job's end.
    pub fn end(&mut self) -> &E {
        self.at(u64::MAX).engine()
    }

    /// A page (its address / 4096) at the job's end, and its proof below its slot's root.
    pub fn end_page(&mut self, page: u32) -> (Box<Page>, Proof<17>) {
        let run = self.at(u64::MAX);
        let proof = run.page_proof(page);
        let bytes = run.engine().page(page).map_or([0; PAGE_SIZE as usize], |bytes| *bytes);
        (Box::new(bytes), proof)
    }

    /// The run after so many steps, or at its end.
    pub(crate) fn at(&mut self, step: u64) -> &mut Run<E> {
        let step = step.min(self.stop);
        let nearest = self.snapshots.iter().rev().find(|snapshot| step_of(snapshot) <= step);
        let nearest = nearest.unwrap_or(&self.start);
        if self.step() > step || self.step() < step_of(nearest) {
            self.here = nearest.clone();
        }
        while self.is_before(step) {
            let stretch = self.step() + STRETCH;
            self.here.advance(stretch.min(step));
            self.take_snapshot();
        }
        &mut self.here
    }

    /// Whether the run has not come to a step, and goes on.
    fn is_before(&self, step: u64) -> bool {
        self.step() < step && !self.here.engine().cpu().status.is_final()
    }

    /// Keeps a copy of where the run is, if the last one is a stride behind. When there are too
    /// many, every second one goes and the stride doubles: what is kept stays spread over the whole
    /// run.
    fn take_snapshot(&mut self) {
        let last = self.snapshots.last().map_or(0, step_of);
        if self.step() < last.saturating_add(self.stride) {
            return;
        }
        // The pages since the last state count too.
        self.here.state();
        let size = self.here.copy_size().max(1);
        // Copying a byte costs less than a step, so that copies never cost more than the run.
        self.stride = self.stride.max(size);
        if self.step() < last.saturating_add(self.stride) {
            return;
        }
        self.snapshots.push(self.here.clone());
        let fit = usize::try_from(SNAPSHOTS_SIZE_MAX / size).unwrap_or(SNAPSHOTS_MAX);
        while self.snapshots.len() > fit.clamp(SNAPSHOTS_MIN, SNAPSHOTS_MAX) {
            let mut number = 0;
            self.snapshots.retain(|_| {
                number += 1;
                number % 2 == 0
            });
            self.stride = self.stride.saturating_mul(2);
        }
    }
}

fn step_of<E: Engine>(run: &Run<E>) -> u64 {
    run.engine().cpu().step
}
