//! Running a job, and defending what came of it: in this process today, elsewhere later.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use assay_assurance::TracedRun;
use assay_dispute::{Answer, Challenge, Claim, Known, Opening, Segment, TraceTree, Tracer};
use assay_machine::{Engine, Interpreter, Machine, Program, Run, State, StepLimit, slot};
use assay_merkle::{Page, Proof};
use assay_types::{BlobRoot, Hash};
use futures_util::future::BoxFuture;

use crate::base::blocking::blocking;
use crate::job::images::{Image, output_image};
use crate::{Error, Result};

/// A job at hand: what it runs and reads.
pub struct JobImages {
    /// The program.
    pub program: Program,
    /// The most steps, 1 to 2^45.
    pub step_limit: u64,
    /// The input slot's root and image; no image for an empty slot.
    pub input: (BlobRoot, Option<Image>),
    /// The dataset slot's.
    pub dataset: (BlobRoot, Option<Image>),
}

/// Runs jobs.
pub trait Executor: Send + Sync + 'static {
    /// The name of the engine that it runs them on, as statements of runs have it.
    fn engine(&self) -> &'static str;

    /// Loads a job to its first step, and checks what it reads against the roots.
    ///
    /// # Errors
    ///
    /// [`Error::StepLimit`], [`Error::Image`], [`Error::InputMismatch`].
    fn start(&self, job: JobImages) -> BoxFuture<'static, Result<Box<dyn JobRun>>>;
}

/// A job that is being run or has been, and can be asked about any of its steps. Calls compute, so
/// they block.
pub trait JobRun: TracedRun + Send {
    /// Its program.
    fn program(&self) -> &Program;

    /// After how many steps it stands.
    fn step(&self) -> u64;

    /// What it takes in memory, in bytes.
    fn size(&self) -> u64;

    /// Runs it to its end: what is to be claimed. Tells the step now and then.
    fn claim(&mut self, on_step: &mut dyn FnMut(u64)) -> Claim;

    /// The image of the output slot at its end.
    fn output_image(&mut self) -> Vec<u8>;

    /// A page at its end by its number, with the 17 siblings above it.
    fn end_page(&mut self, page: u32) -> (Box<Page>, Proof<17>);
}

/// An engine that this version has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineKind {
    /// The reference: `assay_machine::Interpreter`.
    #[default]
    Interpreter,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Interpreter];
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EngineKind::Interpreter => "interpreter",
        })
    }
}

/// A name of no engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such engine; there is: interpreter")]
pub struct EngineKindError;

impl FromStr for EngineKind {
    type Err = EngineKindError;

    fn from_str(text: &str) -> Result<Self, EngineKindError> {
        Self::ALL.into_iter().find(|kind| kind.to_string() == text).ok_or(EngineKindError)
    }
}

/// Runs jobs in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InProcess(pub EngineKind);

impl Executor for InProcess {
    fn engine(&self) -> &'static str {
        match self.0 {
            EngineKind::Interpreter => "Interpreter",
        }
    }

    fn start(&self, job: JobImages) -> BoxFuture<'static, Result<Box<dyn JobRun>>> {
        match self.0 {
            EngineKind::Interpreter => start_on(job, Interpreter::new),
        }
    }
}

/// Loads a job into an engine of this process.
pub(crate) fn start_on<E: Engine + Clone + Send + 'static>(
    job: JobImages,
    engine: fn(Machine) -> E,
) -> BoxFuture<'static, Result<Box<dyn JobRun>>> {
    Box::pin(blocking(move || {
        let run: Box<dyn JobRun> = Box::new(LocalRun::start(job, engine)?);
        Ok(run)
    }))
}

/// A run in this process.
struct LocalRun<E> {
    program: Program,
    tracer: Tracer<E>,
}

impl<E: Engine + Clone> LocalRun<E> {
    fn start(job: JobImages, engine: fn(Machine) -> E) -> Result<Self> {
        let limit = StepLimit::new(job.step_limit)?;
        let mut machine = Machine::new(&job.program, limit);
        let slots = [(slot::INPUT, job.input), (slot::DATASET, job.dataset)];
        for (slot, (_, image)) in &slots {
            if let Some(image) = image {
                machine.memory.put_image(*slot, image)?;
            }
        }
        let roots = slots.map(|(slot, (root, _))| (slot, root));
        let mut run = Run::new(engine(machine));
        for (slot, root) in roots {
            let found = run.slot_root(slot);
            if found != root {
                return Err(Error::InputMismatch { root, found });
            }
        }
        let [(_, input), (_, dataset)] = roots;
        if run.state() != State::initial(&job.program, input, dataset, limit) {
            unreachable!("a machine of these roots has another state than they say");
        }
        Ok(LocalRun { program: job.program, tracer: Tracer::new(run) })
    }
}

impl<E: Engine + Clone + Send> JobRun for LocalRun<E> {
    fn program(&self) -> &Program {
        &self.program
    }

    fn step(&self) -> u64 {
        self.tracer.step()
    }

    fn size(&self) -> u64 {
        self.tracer.size()
    }

    fn claim(&mut self, on_step: &mut dyn FnMut(u64)) -> Claim {
        Claim::of_telling(&mut self.tracer, on_step)
    }

    fn output_image(&mut self) -> Vec<u8> {
        output_image(self.tracer.end())
    }

    fn end_page(&mut self, page: u32) -> (Box<Page>, Proof<17>) {
        self.tracer.end_page(page)
    }
}

impl<E: Engine + Clone> TracedRun for LocalRun<E> {
    fn tree(&mut self, segment: Segment) -> Arc<TraceTree> {
        self.tracer.tree(segment)
    }

    fn answer(&mut self, segment: Segment) -> Answer {
        TracedRun::answer(&mut self.tracer, segment)
    }

    fn opening(&mut self, start: Hash, root: Hash, known: &Known) -> Option<Opening> {
        TracedRun::opening(&mut self.tracer, start, root, known)
    }

    fn stop_behind(&mut self, steps: u64) {
        self.tracer.stop_behind(steps);
    }

    fn challenge(
        &mut self,
        segment: Segment,
        start: Hash,
        root: Hash,
        known: &Known,
    ) -> Option<Challenge> {
        TracedRun::challenge(&mut self.tracer, segment, start, root, known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_chosen_by_their_names() {
        for kind in EngineKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!("jot".parse::<EngineKind>(), Err(EngineKindError));
    }
}
