//! The machine again, from parts that are not ours: rrs-lib decodes and executes, a plain map is
//! the memory.
//!
//! rrs-lib is looser than the machine in three places, and this wrapper is strict there: it takes
//! SLLI and JALR with any function bits, and jumps to addresses that are not multiples of 4.

use std::collections::BTreeMap;

use assay_machine::{Cpu, Engine, Machine, Status};
use assay_merkle::{MemoryTree, Page, SLOT_PAGES};
use assay_types::MemoryRoot;
use rrs_lib::instruction_executor::InstructionExecutor;
use rrs_lib::{HartState, MemAccessSize, Memory};

/// A reference run.
pub struct Reference {
    hart: HartState,
    memory: PlainMemory,
    /// How it stands, as the machine's own type has it.
    pub cpu: Cpu,
}

struct PlainMemory {
    pages: BTreeMap<u32, Page>,
    text: (u32, u32),
}

impl Reference {
    /// Copies a machine.
    pub fn new(machine: &Machine) -> Self {
        let pages = (0..8 * SLOT_PAGES).filter_map(|n| Some((n, *machine.memory.page(n)?)));
        let (cpu, mut hart) = (machine.cpu.clone(), HartState::new());
        hart.registers = cpu.x;
        hart.pc = cpu.pc;
        let text = (cpu.text.low(), cpu.text.high());
        Reference { hart, memory: PlainMemory { pages: pages.collect(), text }, cpu }
    }

    /// Runs until so many steps were taken in all, or a final state.
    pub fn run_until(&mut self, step: u64) {
        while self.cpu.status == Status::Running && self.cpu.step < step {
            self.step();
        }
        if self.cpu.status == Status::Running {
            self.cpu.x = self.hart.registers;
            self.cpu.pc = self.hart.pc;
        }
    }

    /// The memory root, by a fresh tree over every page.
    pub fn memory_root(&self) -> MemoryRoot {
        let mut tree = MemoryTree::new();
        let all: Vec<_> = self.memory.pages.iter().map(|(n, page)| (*n, u16::MAX, page)).collect();
        tree.update(&all);
        tree.root()
    }

    fn step(&mut self) {
        let status = self.execute();
        self.cpu.step += 1;
        let limit = self.cpu.step_limit.steps();
        self.cpu.status = match status {
            Status::Running if self.cpu.step == limit => Status::OutOfSteps,
            other => other,
        };
        if self.cpu.status != Status::Running {
            self.cpu.pc = 0;
            self.cpu.x = [0; 32];
        }
    }

    fn execute(&mut self) -> Status {
        let (pc, x) = (self.hart.pc, self.hart.registers);
        if pc < self.memory.text.0 || pc >= self.memory.text.1 {
            return Status::Trapped;
        }
        let Some(word) = self.memory.read_mem(pc, MemAccessSize::Word) else {
            return Status::Trapped;
        };
        if word == 0x73 {
            return if x[17] == 93 { Status::Exited { code: x[10] } } else { Status::Trapped };
        }
        let function = word >> 12 & 7;
        let loose_shift = word & 0x7f == 0x13 && function == 1 && word >> 25 != 0;
        if loose_shift || word & 0x7f == 0x67 && function != 0 {
            return Status::Trapped;
        }
        let mut executor =
            InstructionExecutor { hart_state: &mut self.hart, mem: &mut self.memory };
        let done = executor.step().is_ok();
        if done && self.hart.pc % 4 == 0 { Status::Running } else { Status::Trapped }
    }
}

impl PlainMemory {
    fn is_mapped(address: u32) -> bool {
        (0x1_0000..0xc000_0000).contains(&address)
    }

    fn byte(&self, address: u32) -> u8 {
        self.pages.get(&(address >> 12)).map_or(0, |page| page[address as usize & 0xfff])
    }
}

fn bytes(size: MemAccessSize) -> u32 {
    match size {
        MemAccessSize::Byte => 1,
        MemAccessSize::HalfWord => 2,
        MemAccessSize::Word => 4,
    }
}

impl Memory for PlainMemory {
    fn read_mem(&mut self, address: u32, size: MemAccessSize) -> Option<u32> {
        let bytes = (0..bytes(size)).rev();
        Self::is_mapped(address)
            .then(|| bytes.fold(0, |word, i| word << 8 | u32::from(self.byte(address + i))))
    }

    fn write_mem(&mut self, address: u32, size: MemAccessSize, value: u32) -> bool {
        if !Self::is_mapped(address) || (self.text.0..self.text.1).contains(&address) {
            return false;
        }
        let page = self.pages.entry(address >> 12).or_insert([0; 4096]);
        for i in 0..bytes(size) {
            page[(address + i) as usize & 0xfff] = (value >> (8 * i)) as u8;
        }
        true
    }
}

/// Says where an engine and the reference differ now, if they do.
pub fn difference<E: Engine>(engine: &E, reference: &Reference) -> Option<String> {
    (engine.cpu() != &reference.cpu)
        .then(|| format!("engine {:?}\nreference {:?}", engine.cpu(), reference.cpu))
}
