//! States and their hashes (spec/machine.md#state).

use assay_merkle::{MEMORY_HEIGHT, SLOT_HEIGHT, empty_slot};
use assay_types::{BlobRoot, Hash, MemoryRoot, StateHash, Tag, sha256, sha256_pair};

use crate::execute::Stop;
use crate::program::Program;
use crate::slot;

const TAG: Tag = *b"assaym\x01\x01";

/// Size of a state's preimage in bytes.
pub const STATE_SIZE: usize = 197;

/// The largest step limit: 2^45.
pub const STEPS_MAX: u64 = 1 << 45;

/// The largest text range: 2^26 bytes.
pub(crate) const TEXT_SIZE_MAX: u32 = 1 << 26;

/// What a state is doing, or how it ended. The last three are final: a step from one is itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Has steps to go.
    Running,
    /// ECALL with a7 = 93.
    Exited {
        /// a0 at the exit.
        code: u32,
    },
    /// An instruction could not be done.
    Trapped,
    /// Reached the step limit.
    OutOfSteps,
}

/// How many steps a job may take: 1 to 2^45.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepLimit(u64);

/// The addresses that can be executed and never written: multiples of 4096 in slot 0, at most 2^26
/// bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextRange {
    low: u32,
    high: u32,
}

/// Everything of a state but its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpu {
    /// Running, or how it ended.
    pub status: Status,
    /// The address of the next instruction, a multiple of 4; zero if final.
    pub pc: u32,
    /// Registers; `x[0]` is always zero, all are if final.
    pub x: [u32; 32],
    /// Steps taken.
    pub step: u64,
    /// Steps allowed.
    pub step_limit: StepLimit,
    /// What can be executed.
    pub text: TextRange,
}

/// A state: what a trace's leaf commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Registers and counters.
    pub cpu: Cpu,
    /// Root of the memory.
    pub memory_root: MemoryRoot,
}

/// Why bytes are not a valid state's preimage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The first eight bytes name another format, machine version or hash suite.
    #[error("not a state of machine version 1, suite 1")]
    Tag,
    /// The status is none of 0 to 3.
    #[error("status {0} does not exist")]
    Status(u8),
    /// The text range is not one that a program can have.
    #[error("the text range {low:#x}..{high:#x} is not one that a program can have")]
    Text {
        /// Its first address.
        low: u32,
        /// The address after its last.
        high: u32,
    },
    /// The step limit is zero or above 2^45.
    #[error("a step limit is 1 to 2^45, not {0}")]
    StepLimit(u64),
    /// The step count does not go with the status and the limit.
    #[error("step {0} does not go with the status and the step limit")]
    Step(u64),
    /// A field that the status leaves unused is not zero, or a running pc is not a multiple of 4.
    #[error("a field holds something that its status does not allow")]
    Field,
}

impl StepLimit {
    /// The largest limit, 2^45.
    pub const MAX: StepLimit = StepLimit(STEPS_MAX);

    /// A limit of 1 to 2^45 steps.
    pub fn new(steps: u64) -> Result<Self, StateError> {
        if (1..=STEPS_MAX).contains(&steps) {
            Ok(StepLimit(steps))
        } else {
            Err(StateError::StepLimit(steps))
        }
    }

    /// The limit in steps.
    pub fn steps(self) -> u64 {
        self.0
    }
}

impl TextRange {
    /// The range `low..high`, if it is one that a program can have.
    pub fn new(low: u32, high: u32) -> Result<Self, StateError> {
        let in_slot = 0x1_0000 <= low && low < high && high <= slot::base(slot::SCRATCH);
        if in_slot && low % 4096 == 0 && high % 4096 == 0 && high - low <= TEXT_SIZE_MAX {
            Ok(TextRange { low, high })
        } else {
            Err(StateError::Text { low, high })
        }
    }

    /// The first address.
    pub fn low(self) -> u32 {
        self.low
    }

    /// The address after the last.
    pub fn high(self) -> u32 {
        self.high
    }

    /// True if the address lies within.
    #[inline(always)]
    pub fn contains(self, address: u32) -> bool {
        address.wrapping_sub(self.low) < self.high - self.low
    }
}

impl Status {
    /// True for all but running.
    pub fn is_final(self) -> bool {
        self != Status::Running
    }

    /// Its number in a state's preimage, and the exit code: 0 unless the program ended itself.
    pub fn numbers(self) -> (u8, u32) {
        match self {
            Status::Running => (0, 0),
            Status::Exited { code } => (1, code),
            Status::Trapped => (2, 0),
            Status::OutOfSteps => (3, 0),
        }
    }
}

impl Cpu {
    /// A program's first state.
    pub fn new(entry: u32, text: TextRange, step_limit: StepLimit) -> Self {
        Cpu { status: Status::Running, pc: entry, x: [0; 32], step: 0, step_limit, text }
    }

    /// Counts a step whose instruction gave `outcome`, and ends the run if it must
    /// (spec/machine.md#a-step).
    pub(crate) fn count(&mut self, outcome: Result<u32, Stop>) {
        self.step += 1;
        match outcome {
            Ok(pc) if self.step < self.step_limit.0 => self.pc = pc,
            Ok(_) => self.end(Status::OutOfSteps),
            Err(Stop::Exit { code }) => self.end(Status::Exited { code }),
            Err(Stop::Trap(_)) => self.end(Status::Trapped),
        }
    }

    /// A final state shows no registers, so that a claim of it gives nothing of the memory away.
    fn end(&mut self, status: Status) {
        self.status = status;
        self.pc = 0;
        self.x = [0; 32];
    }
}

impl State {
    /// The first state of a job, from roots alone: no byte of program or data is needed.
    pub fn initial(
        program: &Program,
        input: BlobRoot,
        dataset: BlobRoot,
        step_limit: StepLimit,
    ) -> Self {
        let empty = empty_slot().0;
        let mut level =
            vec![program.slot_root().0, empty, input.0, dataset.0, empty, empty, empty, empty];
        for _ in SLOT_HEIGHT..MEMORY_HEIGHT {
            level = level.chunks(2).map(|pair| sha256_pair(&pair[0], &pair[1])).collect();
        }
        let cpu = Cpu::new(program.entry(), program.text(), step_limit);
        State { cpu, memory_root: MemoryRoot(level[0]) }
    }

    /// The state's name in traces and claims.
    pub fn hash(&self) -> StateHash {
        StateHash(sha256(&self.to_bytes()))
    }

    /// The preimage.
    pub fn to_bytes(&self) -> [u8; STATE_SIZE] {
        let cpu = &self.cpu;
        let (status, code) = cpu.status.numbers();
        let mut bytes = [0; STATE_SIZE];
        bytes[..8].copy_from_slice(&TAG);
        bytes[8] = status;
        bytes[9..13].copy_from_slice(&code.to_be_bytes());
        bytes[13..17].copy_from_slice(&cpu.pc.to_be_bytes());
        for (field, x) in bytes[17..141].chunks_exact_mut(4).zip(&cpu.x[1..]) {
            field.copy_from_slice(&x.to_be_bytes());
        }
        bytes[141..149].copy_from_slice(&cpu.step.to_be_bytes());
        bytes[149..157].copy_from_slice(&cpu.step_limit.0.to_be_bytes());
        bytes[157..161].copy_from_slice(&cpu.text.low.to_be_bytes());
        bytes[161..165].copy_from_slice(&cpu.text.high.to_be_bytes());
        bytes[165..].copy_from_slice(&self.memory_root.0.0);
        bytes
    }

    /// Reads a preimage; every state that this gives is valid.
    pub fn from_bytes(bytes: &[u8; STATE_SIZE]) -> Result<Self, StateError> {
        let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
        let long = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
        if bytes[..8] != TAG {
            return Err(StateError::Tag);
        }
        let (status, code) = match (bytes[8], word(9)) {
            (1, code) => (Status::Exited { code }, 0),
            (0, code) => (Status::Running, code),
            (2, code) => (Status::Trapped, code),
            (3, code) => (Status::OutOfSteps, code),
            (other, _) => return Err(StateError::Status(other)),
        };
        let text = TextRange::new(word(157), word(161))?;
        let step_limit = StepLimit::new(long(149))?;
        let (step, limit) = (long(141), step_limit.0);
        let step_fits = match status {
            Status::Running => step < limit,
            Status::OutOfSteps => step == limit,
            Status::Exited { .. } | Status::Trapped => (1..=limit).contains(&step),
        };
        if !step_fits {
            return Err(StateError::Step(step));
        }
        let x = std::array::from_fn(|i| if i == 0 { 0 } else { word(13 + 4 * i) });
        let cpu = Cpu { status, pc: word(13), x, step, step_limit, text };
        let cleared = cpu.pc == 0 && cpu.x == [0; 32];
        if code != 0 || if status.is_final() { !cleared } else { cpu.pc % 4 != 0 } {
            return Err(StateError::Field);
        }
        let memory_root = MemoryRoot(Hash(std::array::from_fn(|i| bytes[165 + i])));
        Ok(State { cpu, memory_root })
    }
}
