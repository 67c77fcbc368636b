//! The contracts: installing their tools from npm, building, testing, and checking what is committed of them.

use std::process::Command;

use crate::root;
use crate::run::{find, run, run_watched};

/// Fewer tests than this means that a path or a filter skipped some.
const TESTS_MIN: u64 = 240;

/// Installs forge, anvil, cast and solc under `contracts/node_modules`. False if there is no npm, which is said.
pub(crate) fn install() -> Result<bool, String> {
    if find("npm").is_none() {
        println!(
            "skipped: everything that needs forge and anvil (npm is not installed; Debian: npm)"
        );
        return Ok(false);
    }
    // Not `npm ci`: it wants every platform's binaries in the lock file, and not every registry has them. This installs what
    // is locked, and leaves the lock file alone.
    let install = ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel", "error"];
    run(command("npm").args(install))?;
    Ok(true)
}

/// Builds, compares the committed ABI with the sources, runs forge's tests with gas compared, and gives how many passed.
pub(crate) fn test() -> Result<u64, String> {
    run(command("npm").args(["run", "--silent", "export:check"]))?;
    let mut passed = 0;
    run_watched(command("npm").args(["run", "--silent", "gas:check"]), |line| {
        passed += count(line);
    })?;
    if passed < TESTS_MIN {
        return Err(format!("only {passed} contract tests ran; at least {TESTS_MIN} must"));
    }
    Ok(passed)
}

/// The tests of a closing line of a suite: `Suite result: ok. 31 passed; 0 failed; ...`.
fn count(line: &str) -> u64 {
    let words = line.strip_prefix("Suite result: ok. ").and_then(|rest| rest.split(' ').next());
    words.and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("--prefix").arg(root().join("contracts"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_counted() {
        assert_eq!(count("Suite result: ok. 31 passed; 0 failed; 0 skipped; finished in 2s"), 31);
        assert_eq!(count("Ran 31 tests for test/Step.t.sol:StepTest"), 0);
    }
}
