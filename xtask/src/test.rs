//! `cargo xtask check` and `cargo xtask test`.

use std::path::PathBuf;
use std::process::Command;

use crate::run::{cargo, run_watched};
use crate::{contracts, install, programs, python, root, tidy};

/// Fewer tests of ours in Rust than this means that a path or a filter skipped some.
const TESTS_MIN: u64 = 680;

/// Formatting, lints, tidy.
pub(crate) fn check() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    tidy::tidy(root(), false)
}

/// Everything that must hold.
pub(crate) fn test() -> Result<(), String> {
    install::extras()?;
    check()?;
    let mut tests = Tests { python: python::install()?, ..Tests::default() };
    // Counted apart: they would hide a lack of the others.
    let contracts = if contracts::install()? { contracts::test()? } else { 0 };
    programs::check()?;
    tests.cargo(&["test", "--workspace"])?;
    // The same roots from optimised code: every program on every example.
    cargo(&["run", "--release", "-p", "assay-fuzz", "--no-default-features", "--", "programs"])?;
    if tests.passed < TESTS_MIN {
        return Err(format!("only {} tests ran; at least {TESTS_MIN} must", tests.passed));
    }
    println!("{} passed, {} failed", tests.passed + contracts, tests.failed);
    Ok(())
}

#[derive(Default)]
struct Tests {
    passed: u64,
    failed: u64,
    /// For the tests that have others' tools check our artefacts.
    python: Option<PathBuf>,
}

impl Tests {
    fn cargo(&mut self, arguments: &[&str]) -> Result<(), String> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).envs(self.python.iter().map(|python| ("ASSAY_PYTHON", python)));
        run_watched(&mut cargo, |line| self.count(line))
    }

    /// Adds up the closing lines of the test runner: `test result: ok. 3 passed; 0 failed; ...`.
    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = result.split([' ', ';']).collect();
        for pair in words.windows(2) {
            let count = pair[0].parse().unwrap_or(0);
            match pair[1] {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let mut tests = Tests::default();
        tests.count("test result: ok. 12 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out");
        tests.count("test result: ok. 3 passed; 0 failed; 0 ignored");
        tests.count("nothing of the sort: 7 passed");
        assert_eq!((tests.passed, tests.failed), (15, 1));
    }
}
