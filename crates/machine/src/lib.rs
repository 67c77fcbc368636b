//! The machine, version 1 (spec/machine.md): a job is a pure function of Merkle roots.
//!
//! [`Program`] reads an ELF, [`Machine`] puts a job's inputs into memory, an [`Engine`] such as the
//! [`Interpreter`] runs it, and a [`Run`] commits to what the engine did: states, step witnesses,
//! traces. [`verify_step`] needs none of them.
//!
//! Pure: no I/O, no clock, no randomness.

mod engine;
mod execute;
mod interpreter;
mod isa;
mod memory;
mod program;
mod run;
mod state;
mod trace;
mod witness;

pub use engine::{Engine, blob_bytes, slot_blob, slot_pages};
pub use execute::TrapCause;
pub use interpreter::{Interpreter, Trap};
pub use isa::{Format, Instruction, OPCODES, Op, Opcode};
pub use memory::{Machine, Memory};
pub use program::{Program, ProgramError};
pub use run::Run;
pub use state::{Cpu, STATE_SIZE, STEPS_MAX, State, StateError, Status, StepLimit, TextRange};
pub use trace::{Level, TRACE_LEAVES, TraceBuilder, trace_segment};
pub use witness::{Opening, VerifiedStep, WITNESS_SIZE_MAX, Witness, WitnessError, verify_step};

/// The slots of the address space (spec/machine.md#memory).
pub mod slot {
    /// Program: text, data, heap, stack.
    pub const PROGRAM: u32 = 0;
    /// Scratch.
    pub const SCRATCH: u32 = 1;
    /// Input blob.
    pub const INPUT: u32 = 2;
    /// Dataset blob.
    pub const DATASET: u32 = 3;
    /// Output blob.
    pub const OUTPUT: u32 = 4;
    /// Spare.
    pub const SPARE: u32 = 5;

    /// The address at which a slot begins.
    pub const fn base(slot: u32) -> u32 {
        slot << 29
    }
}
