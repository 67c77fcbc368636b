//! How a run ended, as a claim has it.

use std::fmt;

use serde::Serialize;

/// How a run ended, or in a step's witness goes on (spec/machine.md#state).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunOutcome {
    /// It goes on. Nobody can claim that.
    Running,
    /// The program ended itself.
    Exited {
        /// Its exit code.
        code: u32,
    },
    /// An instruction could not be done.
    Trapped,
    /// The step limit came first.
    OutOfSteps,
    /// In a way that only a newer machine has.
    Other,
}

impl RunOutcome {
    /// From the machine's number for a status, and the exit code, which counts only where the
    /// program ended itself.
    pub fn new(status: u8, exit_code: u32) -> Self {
        match status {
            0 => RunOutcome::Running,
            1 => RunOutcome::Exited { code: exit_code },
            2 => RunOutcome::Trapped,
            3 => RunOutcome::OutOfSteps,
            _ => RunOutcome::Other,
        }
    }

    /// Whether the program has answered: it ended itself with code 0.
    pub fn is_success(self) -> bool {
        self == RunOutcome::Exited { code: 0 }
    }

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            RunOutcome::Running => "running",
            RunOutcome::Exited { .. } => "exited",
            RunOutcome::Trapped => "trapped",
            RunOutcome::OutOfSteps => "out_of_steps",
            RunOutcome::Other => "other",
        }
    }
}

impl fmt::Display for RunOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunOutcome::Exited { code } => write!(f, "exited with code {code}"),
            RunOutcome::OutOfSteps => f.write_str("out of steps"),
            RunOutcome::Other => f.write_str("ended as only a newer version knows"),
            RunOutcome::Running | RunOutcome::Trapped => f.write_str(self.name()),
        }
    }
}
