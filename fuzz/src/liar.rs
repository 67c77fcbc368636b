//! An engine that runs honestly but for one transition: what a false claim is made with.

use assay_machine::{Cpu, Engine, Interpreter, Machine, Status, slot};
use assay_merkle::Page;
use fastrand::Rng;

use crate::asm::DATA;

/// What is false after the step at which the lie is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A register's value.
    Register,
    /// A byte of the program's data.
    Memory,
    /// A byte of the output slot.
    Output,
    /// That the program exited here, or with this code.
    Exit,
    /// The number of steps taken.
    StepCount,
    /// Where the program goes on.
    Pc,
}

/// Every kind of lie.
pub const LIES: [Lie; 6] =
    [Lie::Register, Lie::Memory, Lie::Output, Lie::Exit, Lie::StepCount, Lie::Pc];

/// The interpreter with a lie told once `at` steps were taken.
#[derive(Debug, Clone)]
pub struct Liar {
    engine: Interpreter,
    at: u64,
    lie: Lie,
    told: bool,
}

impl Liar {
    /// A liar on a machine. A lie that the state can't hold (a register of a final state) turns
    /// into one about memory, which every state has.
    pub fn new(machine: Machine, at: u64, lie: Lie) -> Self {
        Liar { engine: Interpreter::new(machine), at, lie, told: false }
    }

    /// A liar about a random step of a run that takes so many.
    pub fn random(machine: Machine, steps: u64, rng: &mut Rng) -> Self {
        let lie = LIES[rng.usize(..LIES.len())];
        Liar::new(machine, rng.u64(1..=steps), lie)
    }

    fn tell(&mut self) {
        self.told = true;
        let mut machine = self.engine.clone().into_machine();
        let running = machine.cpu.status == Status::Running;
        let last = machine.cpu.step + 1 >= machine.cpu.step_limit.steps();
        let memory = |machine: &mut Machine, address: u32| {
            let page = machine.memory.page(address / 4096);
            let byte = page.map_or(0, |page| page[address as usize % 4096]);
            machine.memory.put(address, &[!byte]);
        };
        match self.lie {
            Lie::Register if running => machine.cpu.x[11] ^= 0x10,
            Lie::Pc if running => machine.cpu.pc ^= 4,
            Lie::StepCount if running && !last => machine.cpu.step += 1,
            Lie::Exit if running => {
                machine.cpu.status = Status::Exited { code: 0 };
                machine.cpu.pc = 0;
                machine.cpu.x = [0; 32];
            }
            Lie::Exit => {
                machine.cpu.status = match machine.cpu.status {
                    Status::Exited { code } => Status::Exited { code: code ^ 1 },
                    _ => Status::Exited { code: 0 },
                };
            }
            Lie::Output => memory(&mut machine, slot::base(slot::OUTPUT) + 64),
            _ => memory(&mut machine, DATA + 100),
        }
        self.engine = Interpreter::new(machine);
    }
}

impl Engine for Liar {
    fn run_until(&mut self, step: u64) {
        if !self.told && step >= self.at {
            self.engine.run_until(self.at);
            self.tell();
        }
        self.engine.run_until(step);
    }

    fn cpu(&self) -> &Cpu {
        self.engine.cpu()
    }

    fn page(&self, page: u32) -> Option<&Page> {
        self.engine.page(page)
    }

    fn take_changes(&mut self) -> Vec<(u32, u16)> {
        self.engine.take_changes()
    }
}
