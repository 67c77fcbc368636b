//! The contracts: installing their tools from npm, building, testing, and checking what is
//! committed of them.

use std::process::Command;

use crate::root;
use crate::run::{find, run, run_quietly, run_watched};

/// Fewer tests than this means that a path or a filter skipped some.
const TESTS_MIN: u64 = 330;

/// Installs forge, anvil, cast and solc under `contracts/node_modules`. False if there is no npm,
/// which is said.
pub(crate) fn install() -> Result<bool, String> {
    if find("npm").is_none() {
        println!(
            "skipped: everything that needs forge and anvil (npm is not installed; Debian: npm)"
        );
        return Ok(false);
    }
    // Not `npm ci`: it wants every platform's binaries in the lock file, and not every registry has
    // them. This installs what is locked, and leaves the lock file alone.
    let install = ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel", "error"];
    run_quietly(command("npm").args(install))?;
    Ok(true)
}

/// Builds, compares the committed ABI with the sources, runs forge's tests with gas compared, and
/// gives how many passed. It runs beside cargo.
pub(crate) fn test() -> Result<u64, String> {
    run_quietly(command("npm").args(["run", "--silent", "export:check"]))?;
    let tests = run_quietly(command("npm").args(["run", "--silent", "gas:check"]))?;
    let passed = tests.lines().map(count).sum();
    if passed < TESTS_MIN {
        return Err(format!("only {passed} contract tests ran; at least {TESTS_MIN} must"));
    }
    Ok(passed)
}

/// The rules in test/halmos; fewer proved means that a filter skipped some.
const RULES: usize = 8;

/// Proves the rules of money with halmos and looks through the sources with slither. Both come from
/// PyPI, into an environment of their own under `target/`.
pub(crate) fn prove() -> Result<(), String> {
    if !install()? {
        return Err("forge is missing".into());
    }
    let folder = root().join("contracts");
    let environment = root().join("target/provers");
    let tool = |name: &str| {
        let mut command = Command::new(environment.join("bin").join(name));
        let tools = [environment.join("bin"), folder.join("node_modules/.bin")];
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = tools.into_iter().chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(paths).unwrap_or_default());
        // halmos and forge believe the environment's working folder before the real one.
        command.current_dir(&folder).env("PWD", &folder);
        command
    };
    if !environment.join("bin/pip").exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    run(tool("pip").args(["install", "--quiet", "halmos==0.3.3", "slither-analyzer==0.11.6"]))?;
    let mut proved = 0;
    let limit = ["--match-contract", "RulesProof", "--solver-timeout-assertion", "300000"];
    run_watched(tool("halmos").args(limit), |line| {
        proved += usize::from(line.contains("[PASS]"));
    })?;
    if proved != RULES {
        return Err(format!("halmos proved {proved} rules of {RULES}"));
    }
    // What halmos had built is no whole compiler's output, and slither reads all that lies there;
    // of a build that links its tests at run time it would miss sources that forge only makes up.
    let built = folder.join("out/build-info");
    std::fs::remove_dir_all(&built).map_err(|error| format!("{}: {error}", built.display()))?;
    run(Command::new(folder.join("node_modules/.bin/forge"))
        .args(["build", "--build-info", "--skip", "test", "--force"])
        .current_dir(&folder)
        .env("FOUNDRY_DYNAMIC_TEST_LINKING", "false")
        .env("PWD", &folder))?;
    run(tool("slither").args([".", "--ignore-compile"]))?;
    println!("{proved} rules proved, and nothing found");
    Ok(())
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
