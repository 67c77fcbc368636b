//! `cargo xtask check` and `cargo xtask test`.

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use crate::run::{cargo, find, run_watched, run_watching_errors};
use crate::stages::Stages;
use crate::{contracts, install, programs, python, root, tidy};

/// Fewer tests of ours in Rust than this means that a path or a filter skipped some.
const TESTS_MIN: u64 = 820;

/// Formatting, lints, tidy, and what is known of our dependencies.
pub(crate) fn check() -> Result<(), String> {
    let stages = Stages::start();
    let checked = quick_checks(&stages).and_then(|()| clippy(&stages));
    println!("{}", stages.table());
    checked
}

/// Everything that must hold.
pub(crate) fn test() -> Result<(), String> {
    let stages = Stages::start();
    let tested = tests(&stages);
    println!("{}", stages.table());
    let (passed, failed) = tested?;
    println!("{passed} passed, {failed} failed");
    if failed == 0 { Ok(()) } else { Err(format!("{failed} tests failed")) }
}

/// What needs no build of all.
fn quick_checks(stages: &Stages) -> Result<(), String> {
    stages.run("fmt", || cargo(&["fmt", "--all", "--check"]))?;
    stages.run("tidy", || tidy::tidy(root()))?;
    stages.run("deny", deny)
}

fn clippy(stages: &Stages) -> Result<(), String> {
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    stages.run("clippy", || cargo(&clippy))
}

/// Licences, advisories and duplicates among our dependencies, by deny.toml.
fn deny() -> Result<(), String> {
    if find("cargo-deny").is_none() {
        println!("skipped: licences and advisories (cargo install cargo-deny)");
        return Ok(());
    }
    cargo(&["deny", "check"])
}

/// How many tests passed and failed, of Rust and Solidity.
fn tests(stages: &Stages) -> Result<(u64, u64), String> {
    install::extras()?;
    quick_checks(stages)?;
    // Beside what cargo builds, and done before Rust's tests begin: some of them need anvil, and
    // some mind the time.
    thread::scope(|scope| {
        let python = scope.spawn(|| stages.run("python", python::install));
        let contracts = scope.spawn(|| stages.run("contracts", contracts_tested));
        clippy(stages)?;
        let mut tests = Tests { runner: Runner::find(), ..Tests::default() };
        stages.run("build", || tests.build())?;
        stages.run("programs", programs::check)?;
        tests.python = python.join().map_err(|_| "installing Python's packages panicked")??;
        // Counted apart: they would hide a lack of the others.
        let contracts = contracts.join().map_err(|_| "testing the contracts panicked")??;
        stages.run("test", || tests.run())?;
        // The same roots from optimised code: every program on every example.
        let roots = ["run", "--release", "-p", "assay-fuzz", "--no-default-features", "--"];
        stages.run("roots, optimised", || cargo(&[&roots[..], &["programs"]].concat()))?;
        Ok((tests.passed + contracts, tests.failed))
    })
}

fn contracts_tested() -> Result<u64, String> {
    if contracts::install()? { contracts::test() } else { Ok(0) }
}

#[derive(Default)]
struct Tests {
    runner: Runner,
    passed: u64,
    failed: u64,
    /// For the tests that have others' tools check our artefacts.
    python: Option<PathBuf>,
}

/// What runs the tests: nextest, where it is installed, keeps both cores busy across test files.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Runner {
    #[default]
    Cargo,
    Nextest,
}

impl Runner {
    fn find() -> Self {
        if find("cargo-nextest").is_some() { Runner::Nextest } else { Runner::Cargo }
    }
}

impl Tests {
    /// Builds them, apart from running them: so the table tells one from the other.
    fn build(&self) -> Result<(), String> {
        match self.runner {
            Runner::Cargo => cargo(&["test", "--workspace", "--no-run"]),
            Runner::Nextest => cargo(&["nextest", "run", "--workspace", "--no-run"]),
        }
    }

    /// Runs and counts them. Failed tests are no error here, fewer tests than there are is one.
    fn run(&mut self) -> Result<(), String> {
        let ran = match self.runner {
            Runner::Cargo => self.cargo(&["test", "--workspace", "--no-fail-fast"]),
            Runner::Nextest => {
                let all = self.nextest(&["nextest", "run", "--workspace", "--no-fail-fast"]);
                all.and(self.cargo(&["test", "--workspace", "--doc", "--no-fail-fast"]))
            }
        };
        // What failed for another reason than a test's is an error.
        if self.failed == 0 {
            ran?;
        }
        let all = self.passed + self.failed;
        if all < TESTS_MIN {
            return Err(format!("only {all} tests ran; at least {TESTS_MIN} must"));
        }
        Ok(())
    }

    fn cargo(&mut self, arguments: &[&str]) -> Result<(), String> {
        let mut cargo = self.command(arguments);
        run_watched(&mut cargo, |line| self.count(line))
    }

    /// nextest tells on standard error.
    fn nextest(&mut self, arguments: &[&str]) -> Result<(), String> {
        let mut cargo = self.command(arguments);
        run_watching_errors(cargo.env("CARGO_TERM_COLOR", "never"), |line| self.count(line))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).envs(self.python.iter().map(|python| ("ASSAY_PYTHON", python)));
        cargo
    }

    /// Adds up the closing lines of the test runners: `test result: ok. 3 passed; 0 failed; ...`,
    /// and of nextest `Summary [  1.2s] 4 tests run: 3 passed (1 slow), 1 failed, 0 skipped`.
    fn count(&mut self, line: &str) {
        let summary = line.trim_start().strip_prefix("Summary [");
        let summary = summary.and_then(|rest| rest.split_once(" run: ")).map(|(_, counts)| counts);
        let Some(result) = line.strip_prefix("test result: ").or(summary) else { return };
        let words: Vec<&str> = result.split([' ', ';', ',']).collect();
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
        let mut nextest = Tests::default();
        nextest.count(
            "     Summary [  12.345s] 34/40 tests run: 31 passed (2 slow), 3 failed, 5 skipped",
        );
        nextest.count("        PASS [   0.005s] assay-types hash::tests::it_passed");
        assert_eq!((nextest.passed, nextest.failed), (31, 3));
        let mut tests = Tests::default();
        tests.count("test result: ok. 12 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out");
        tests.count("test result: ok. 3 passed; 0 failed; 0 ignored");
        tests.count("nothing of the sort: 7 passed");
        assert_eq!((tests.passed, tests.failed), (15, 1));
    }
}
