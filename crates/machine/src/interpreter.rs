//! The reference interpreter: plain, over instructions decoded once (text can't change).

use assay_merkle::{PAGE_SIZE, Page};

use crate::engine::Engine;
use crate::execute::{Stop, TrapCause, execute, registers, state_registers};
use crate::isa::Instruction;
use crate::memory::{Machine, Memory};
use crate::state::{Cpu, Status, TextRange};

/// The engine that the others are measured by.
#[derive(Debug, Clone)]
pub struct Interpreter {
    cpu: Cpu,
    memory: Memory,
    code: Vec<Instruction>,
    trap: Option<Box<Trap>>,
}

/// What a trapped run was doing. For people: it is in no state and no claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// Why it trapped.
    pub cause: TrapCause,
    /// Where.
    pub pc: u32,
    /// The instruction, unless the fetch trapped.
    pub instruction: Option<Instruction>,
    /// The registers at the time.
    pub x: [u32; 32],
}

impl Interpreter {
    /// Takes a machine over, decoding its text (8 bytes for each 4 of text).
    pub fn new(machine: Machine) -> Self {
        let Machine { cpu, memory } = machine;
        let code = decode_text(&memory, cpu.text);
        Interpreter { cpu, memory, code, trap: None }
    }

    /// What the run was doing when it trapped, if it did.
    pub fn trap(&self) -> Option<&Trap> {
        self.trap.as_deref()
    }

    /// Gives the machine back as it stands.
    pub fn into_machine(self) -> Machine {
        Machine { cpu: self.cpu, memory: self.memory }
    }

    /// The instruction at an address of the text range.
    fn fetch(&self, pc: u32) -> Option<Instruction> {
        self.code.get(place(pc, self.cpu.text)).copied()
    }
}

impl Engine for Interpreter {
    fn run_until(&mut self, step: u64) {
        let end = step.min(self.cpu.step_limit.steps());
        if self.cpu.status != Status::Running || self.cpu.step >= end {
            return;
        }
        let text = self.cpu.text;
        let (memory, code) = (&mut self.memory, &self.code[..]);
        // On the stack, the compiler can keep them apart from memory.
        let (mut x, mut pc) = (registers(&self.cpu.x), self.cpu.pc);
        let mut left = end - self.cpu.step;
        let outcome = loop {
            left -= 1;
            let outcome = match code.get(place(pc, text)) {
                Some(instruction) => execute(instruction, pc, &mut x, memory),
                None => Err(TrapCause::FetchOutsideText.into()),
            };
            match outcome {
                Ok(next) if left > 0 => pc = next,
                _ => break outcome,
            }
        };
        let x = state_registers(&x);
        if let Err(Stop::Trap(cause)) = outcome {
            self.trap = Some(Box::new(Trap { cause, pc, instruction: self.fetch(pc), x }));
        }
        self.cpu.x = x;
        self.cpu.step = end - left - 1;
        self.cpu.count(outcome);
    }

    fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    fn page(&self, page: u32) -> Option<&Page> {
        self.memory.page(page)
    }

    fn take_changes(&mut self) -> Vec<(u32, u16)> {
        self.memory.take_changes()
    }
}

/// The place of an address in the decoded text; beyond its end for any address outside.
#[inline(always)]
fn place(pc: u32, text: TextRange) -> usize {
    (pc.wrapping_sub(text.low()) / 4) as usize
}

fn decode_text(memory: &Memory, text: TextRange) -> Vec<Instruction> {
    const ZEROS: Page = [0; PAGE_SIZE as usize];
    (text.low() / PAGE_SIZE..text.high() / PAGE_SIZE)
        .flat_map(|page| memory.page(page).unwrap_or(&ZEROS).as_chunks().0)
        .map(|bytes| Instruction::decode(u32::from_le_bytes(*bytes)))
        .collect()
}
