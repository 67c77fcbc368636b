//! Traces: what a claim commits to between its first state and its last (spec/machine.md#traces).

use assay_merkle::{RootBuilder, TRACE_HEIGHT};
use assay_types::{Hash, StateHash, sha256_pair};

use crate::engine::Engine;
use crate::run::Run;

/// Leaves of a trace: 2^15.
pub const TRACE_LEAVES: u32 = 1 << TRACE_HEIGHT;

/// How fine a trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The whole run: a leaf every 2^30 steps.
    Top,
    /// The segment of a top leaf: a leaf every 2^15 steps.
    Middle,
    /// The segment of a middle leaf: a leaf every step.
    Bottom,
}

impl Level {
    /// Steps from one leaf to the next.
    pub fn stride(self) -> u64 {
        match self {
            Level::Top => 1 << 30,
            Level::Middle => 1 << 15,
            Level::Bottom => 1,
        }
    }

    /// Steps of the whole segment.
    pub fn segment(self) -> u64 {
        self.stride() << TRACE_HEIGHT
    }
}

/// Builds a trace while its run goes on, in memory that does not grow with the run: leaves are
/// given out as they come.
#[derive(Debug, Clone)]
pub struct TraceBuilder {
    level: Level,
    start: u64,
    root: RootBuilder,
}

impl TraceBuilder {
    /// A trace of the segment that starts at a step: 0 at the top, a multiple of the segment's size
    /// below.
    pub fn new(level: Level, start: u64) -> Self {
        TraceBuilder { level, start, root: RootBuilder::new() }
    }

    /// Advances the run as [`Run::advance`] does, taking the leaves on the way. `leaf` gets each in
    /// order; the run stands at its state.
    pub fn advance<E: Engine>(
        &mut self,
        run: &mut Run<E>,
        step: u64,
        mut leaf: impl FnMut(StateHash),
    ) {
        while self.root.len() < u64::from(TRACE_LEAVES) {
            let next = self.start + self.level.stride() * (self.root.len() + 1);
            run.advance(next.min(step));
            if run.engine().cpu().step < next {
                return;
            }
            let hash = run.state().hash();
            leaf(hash);
            self.root.push(hash.0);
        }
    }

    /// The root. `last` is the hash of the run's state now: it stands for every later one.
    ///
    /// # Panics
    /// If the trace is not full though the run is not final.
    pub fn finish<E: Engine>(self, run: &mut Run<E>) -> Hash {
        let state = run.state();
        let full = self.root.len() == u64::from(TRACE_LEAVES);
        assert!(full || state.cpu.status.is_final(), "a trace ends with its segment or its run");
        let mut padding = vec![state.hash().0];
        self.root.finish(TRACE_HEIGHT, |height| {
            while padding.len() <= height as usize {
                let last = padding[padding.len() - 1];
                padding.push(sha256_pair(&last, &last));
            }
            padding[height as usize]
        })
    }
}

/// The root of the trace of the segment that a run stands at the start of. Afterwards it stands at
/// the segment's end.
pub fn trace_segment<E: Engine>(
    run: &mut Run<E>,
    level: Level,
    leaf: impl FnMut(StateHash),
) -> Hash {
    let start = run.engine().cpu().step;
    let mut builder = TraceBuilder::new(level, start);
    builder.advance(run, start + level.segment(), leaf);
    builder.finish(run)
}
