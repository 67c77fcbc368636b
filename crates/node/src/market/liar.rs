//! An engine that lies.

use assay_machine::{Cpu, Engine, Interpreter, Machine, Status, slot};
use assay_merkle::{PAGE_SIZE, Page};

/// An engine that runs honestly and then changes a byte of the output: for `--with-liar`, which
/// shows what becomes of it.
#[derive(Clone, Debug)]
pub struct Liar(Interpreter);

impl Liar {
    /// A liar on a machine.
    pub fn new(machine: Machine) -> Self {
        Liar(Interpreter::new(machine))
    }
}

impl Engine for Liar {
    fn run_until(&mut self, step: u64) {
        let was_running = self.0.cpu().status == Status::Running;
        self.0.run_until(step);
        if was_running && self.0.cpu().status.is_final() {
            let mut machine = self.0.clone().into_machine();
            let address = slot::base(slot::OUTPUT) + 32;
            let byte = machine.memory.page(address / PAGE_SIZE).map_or(0, |page| page[32]);
            machine.memory.put(address, &[byte ^ 1]);
            self.0 = Interpreter::new(machine);
        }
    }

    fn cpu(&self) -> &Cpu {
        self.0.cpu()
    }

    fn page(&self, page: u32) -> Option<&Page> {
        self.0.page(page)
    }

    fn take_changes(&mut self) -> Vec<(u32, u16)> {
        self.0.take_changes()
    }
}
