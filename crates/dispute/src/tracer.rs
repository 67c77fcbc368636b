//! Re-running a job wherever the game looks.

use std::sync::Arc;

use assay_machine::{Engine, Run, TraceBuilder, Witness};
use assay_merkle::{PAGE_SIZE, PaddedTree, Page, Proof, TRACE_HEIGHT};
use assay_types::StateHash;

use crate::segment::Segment;

/// The tree of a segment.
pub type TraceTree = PaddedTree<{ TRACE_HEIGHT as usize }>;

/// Steps between two times that a watcher is told how far a run is: some tenths of a second.
const STRETCH: u64 = 1 << 24;

/// A job that can be re-run from its start, or from where it was last looked at.
#[derive(Debug, Clone)]
pub struct Tracer<E> {
    start: Run<E>,
    here: Run<E>,
    /// The tree last asked for: a game asks for one again and again.
    last: Option<(Segment, Arc<TraceTree>)>,
}

impl<E: Engine + Clone> Tracer<E> {
    /// Takes a job at its first step.
    pub fn new(start: Run<E>) -> Self {
        Tracer { here: start.clone(), start, last: None }
    }

    /// The tree of a segment, by re-running it: at the worst, all steps before it and 2^15 states.
    pub fn tree(&mut self, segment: Segment) -> Arc<TraceTree> {
        self.tree_telling(segment, |_| ())
    }

    /// The same, telling on the way after how many steps the run is.
    pub fn tree_telling(&mut self, segment: Segment, mut told: impl FnMut(u64)) -> Arc<TraceTree> {
        if let Some((_, tree)) = self.last.as_ref().filter(|last| last.0 == segment) {
            return Arc::clone(tree);
        }
        let run = self.at(segment.start());
        let (level, end) = (segment.level(), segment.start() + segment.level().segment());
        let mut leaves = Vec::new();
        let mut trace = TraceBuilder::new(level, segment.start());
        // Leaves after the end are the final state's, so the list can stop there.
        while run.engine().cpu().step < end && !run.engine().cpu().status.is_final() {
            let stretch = run.engine().cpu().step + STRETCH;
            trace.advance(run, stretch.min(end), |hash| leaves.push(hash.0));
            told(run.engine().cpu().step);
        }
        let last = run.state();
        if last.cpu.status.is_final() {
            let end = last.hash().0;
            let kept = leaves.iter().position(|leaf| *leaf == end).unwrap_or(leaves.len());
            leaves.truncate(kept);
        }
        let tree = Arc::new(TraceTree::new(leaves, last.hash().0));
        self.last = Some((segment, Arc::clone(&tree)));
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
        if self.here.engine().cpu().step > step {
            self.here = self.start.clone();
        }
        self.here.advance(step);
        &mut self.here
    }
}
