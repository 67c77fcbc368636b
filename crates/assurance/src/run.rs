//! What a contest asks of a run.

use std::sync::Arc;

use assay_dispute::{
    Answer, Challenge, Known, Opening, Segment, TraceTree, Tracer, answer, challenge, opening,
};
use assay_machine::Engine;
use assay_types::Hash;

/// A run that can be asked about any of its steps. Calls compute, so they block.
pub trait TracedRun {
    /// The trace of a segment.
    fn tree(&mut self, segment: Segment) -> Arc<TraceTree>;

    /// What a claimant answers about a segment.
    fn answer(&mut self, segment: Segment) -> Answer;

    /// A challenger's first move against a claim whose whole run has this start and root; `None`
    /// where the trace is the same.
    fn opening(&mut self, start: Hash, root: Hash, known: &Known) -> Option<Opening>;

    /// Runs no further from here on than checking a claim of so many steps needs.
    fn stop_behind(&mut self, steps: u64);

    /// A challenger's next move in a game about a segment with this start and root, from what is
    /// known; `None` where the trace is the same.
    fn challenge(
        &mut self,
        segment: Segment,
        start: Hash,
        root: Hash,
        known: &Known,
    ) -> Option<Challenge>;
}

impl<E: Engine + Clone> TracedRun for Tracer<E> {
    fn tree(&mut self, segment: Segment) -> Arc<TraceTree> {
        self.tree(segment)
    }

    fn answer(&mut self, segment: Segment) -> Answer {
        answer(self, segment)
    }

    fn opening(&mut self, start: Hash, root: Hash, known: &Known) -> Option<Opening> {
        opening(self, start, root, known)
    }

    fn stop_behind(&mut self, steps: u64) {
        self.stop_behind(steps);
    }

    fn challenge(
        &mut self,
        segment: Segment,
        start: Hash,
        root: Hash,
        known: &Known,
    ) -> Option<Challenge> {
        challenge(self, segment, start, root, known)
    }
}
