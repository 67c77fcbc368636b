//! Runs that compare: the interpreter and its witnesses against rrs-lib, on random programs.

use assay_machine::{Engine, Interpreter, Machine, Program, Run, StepLimit, verify_step};
use fastrand::Rng;

use crate::asm::program;
use crate::random::{Wildness, text};
use crate::rrs::{Reference, difference};

/// What a stretch of fuzzing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Programs run.
    pub programs: u64,
    /// Instructions executed by both.
    pub instructions: u64,
    /// Runs that ended in a trap.
    pub trapped: u64,
    /// Runs that ended with an exit.
    pub exited: u64,
    /// Runs that reached their limit.
    pub out_of_steps: u64,
    /// Steps whose witness was made, verified and compared with the engine.
    pub witnesses: u64,
}

impl Tally {
    /// Both together.
    pub fn add(&mut self, other: Tally) {
        self.programs += other.programs;
        self.instructions += other.instructions;
        self.trapped += other.trapped;
        self.exited += other.exited;
        self.out_of_steps += other.out_of_steps;
        self.witnesses += other.witnesses;
    }
}

/// A random program and its limit; always the same for a seed.
pub fn random_machine(rng: &mut Rng) -> (Program, StepLimit) {
    let wild = Wildness::any(rng);
    // li a7, 93; ecall
    let end = [0x05d0_0893, 0x0000_0073];
    let size = rng.u32(20..800);
    let text = text(rng, size, wild, &end);
    let data: Vec<u8> = (0..4096).map(|_| rng.u8(..)).collect();
    let program = program(&text, &data);
    let program =
        program.unwrap_or_else(|error| unreachable!("the writer makes programs: {error}"));
    let limit = 1 << rng.u32(4..16);
    let limit = StepLimit::new(rng.u64(1..limit));
    (program, limit.unwrap_or(StepLimit::MAX))
}

/// A random job, how many steps it takes, and the generator as it stands then; always the same for
/// a seed.
pub fn random_job(seed: u64) -> (Machine, u64, Rng) {
    let mut rng = Rng::with_seed(seed);
    let (program, limit) = random_machine(&mut rng);
    let machine = Machine::new(&program, limit);
    let mut engine = Interpreter::new(machine.clone());
    engine.run_until(u64::MAX);
    (machine, engine.cpu().step, rng)
}

/// Runs one random program on both and compares at several steps: registers, memory root, outcome,
/// step count; and a few steps' witnesses with what the engine then does. `Err` tells the
/// difference.
pub fn compare(seed: u64) -> Result<Tally, String> {
    let mut rng = Rng::with_seed(seed);
    let (program, limit) = random_machine(&mut rng);
    let machine = Machine::new(&program, limit);
    let mut reference = Reference::new(&machine);
    let mut run = Run::new(Interpreter::new(machine));
    let mut tally = Tally { programs: 1, ..Tally::default() };
    let say = |what: String| format!("seed {seed}: {what}");
    while !run.engine().cpu().status.is_final() {
        let step = run.engine().cpu().step;
        let stretch = 1 << rng.u32(1..16);
        let to = step + rng.u64(1..stretch);
        run.advance(to);
        reference.run_until(to);
        if let Some(difference) = difference(run.engine(), &reference) {
            return Err(say(difference));
        }
        if rng.u32(..4) == 0 {
            let witness = run.witness();
            let verified = verify_step(&witness.to_bytes());
            let verified = verified.map_err(|error| say(format!("witness refused: {error}")))?;
            let next = run.engine().cpu().step + 1;
            run.advance(next);
            reference.run_until(next);
            if verified.state_after != run.state() {
                return Err(say(format!("witness differs: {:?}", verified.state_after)));
            }
            tally.witnesses += 1;
        }
    }
    if let Some(difference) = difference(run.engine(), &reference) {
        return Err(say(difference));
    }
    let state = run.state();
    if state.memory_root != reference.memory_root() {
        return Err(say("memory roots differ".to_owned()));
    }
    tally.instructions = state.cpu.step;
    match state.cpu.status {
        assay_machine::Status::Trapped => tally.trapped = 1,
        assay_machine::Status::OutOfSteps => tally.out_of_steps = 1,
        _ => tally.exited = 1,
    }
    Ok(tally)
}
