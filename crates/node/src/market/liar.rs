//! A provider's machine that lies.

use assay_machine::{Cpu, Engine, Interpreter, Status, slot};
use assay_merkle::{PAGE_SIZE, Page};
use futures_util::future::BoxFuture;

use crate::Result;
use crate::job::executor::{Executor, JobImages, JobRun, start_on};

/// Runs honestly and then changes a byte of the output: for `--with-liar`, which shows what becomes
/// of it.
#[derive(Clone, Copy, Debug)]
pub struct Liar;

impl Executor for Liar {
    fn engine(&self) -> &'static str {
        "Liar"
    }

    fn start(&self, job: JobImages) -> BoxFuture<'static, Result<Box<dyn JobRun>>> {
        start_on(job, |machine| LyingEngine(Interpreter::new(machine)))
    }
}

#[derive(Clone, Debug)]
struct LyingEngine(Interpreter);

impl Engine for LyingEngine {
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
