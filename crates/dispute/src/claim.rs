//! What a provider says of a finished run, and what makes it believable at once
//! (spec/contracts.md#claims).

use assay_machine::{Engine, STATE_SIZE, State, TRACE_LEAVES, slot};
use assay_merkle::{Proof, TraceProof};
use assay_types::{BlobRoot, Hash};

use crate::segment::Segment;
use crate::tracer::Tracer;

/// The run's part of a claim: where it ended, bound to the trace and opened to the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// How and where the run ended.
    pub end: State,
    /// The root of the top trace.
    pub trace_root: Hash,
    /// The proof that the last leaf is the end's hash.
    pub trace_proof: TraceProof,
    /// The root of the output slot.
    pub output_root: BlobRoot,
    /// The proof that the end's memory has it.
    pub output_proof: Proof<3>,
}

impl Claim {
    /// Runs the job to its end and says what it came to.
    pub fn of<E: Engine + Clone>(tracer: &mut Tracer<E>) -> Self {
        Self::of_telling(tracer, |_| ())
    }

    /// The same, telling on the way after how many steps the run is.
    pub fn of_telling<E: Engine + Clone>(tracer: &mut Tracer<E>, told: impl FnMut(u64)) -> Self {
        let trace = tracer.tree_telling(Segment::WHOLE, told);
        let run = tracer.at(u64::MAX);
        Claim {
            end: run.state(),
            trace_root: trace.root(),
            trace_proof: trace.prove(TRACE_LEAVES - 1),
            output_root: run.slot_root(slot::OUTPUT),
            output_proof: run.slot_proof(slot::OUTPUT),
        }
    }

    /// The end's preimage.
    pub fn final_state(&self) -> [u8; STATE_SIZE] {
        self.end.to_bytes()
    }
}
