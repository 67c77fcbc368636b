//! `cargo xtask COMMAND`: everything that the project does to itself.

mod contracts;
mod install;
mod programs;
mod python;
mod run;
mod stages;
mod test;
mod tidy;

use std::path::Path;
use std::process::{Command, ExitCode};

use run::cargo;

const USAGE: &str = "cargo xtask COMMAND

  check                 check formatting, lints, dependencies and the rules of tidy
  test                  check, then run every test; with CI set, install optional tools first
  tidy                  check the rules that no compiler checks
  fuzz machine [COUNT] [SEED]
                        run COUNT instructions [100,000,000] in the interpreter, rrs-lib and qemu,
                        and compare
  fuzz kills [COUNT]    kill brokers, stores and chains under load COUNT times [500], and check that
                        nothing acknowledged is lost
  fuzz privacy [COUNT] [SEED] [NAME]
                        feed COUNT mutants [10,000,000] to each parser of what strangers send, or to
                        the parsers whose name contains NAME
  bench build|chain|key-service|log|machine|market|seal|worst
                        print figures beside those of other tools
  programs [--check]    rebuild programs/prebuilt, or compare a rebuild with it
  vectors               record vectors/ again
  contracts prove       prove the money rules with halmos and scan the sources with slither (both
                        from PyPI); takes some minutes";

/// Who is killed: the broker with its log, the store, the embedded chain.
const KILLED: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match command(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command(arguments: &[&str]) -> Result<(), String> {
    match arguments {
        ["check"] => test::check(),
        ["test"] => test::test(),
        ["fuzz", what @ ("machine" | "privacy"), rest @ ..] => {
            let mut command = vec!["run", "--release", "-p", "assay-fuzz", "--", what];
            command.extend(rest);
            cargo(&command)
        }
        ["fuzz", "kills"] => kills("500"),
        ["fuzz", "kills", count] => kills(count),
        ["vectors"] => cargo(&["run", "--release", "-p", "assay-fuzz", "--", "vectors", "vectors"]),
        // What a first build costs is known without building all that has other figures.
        ["bench", "build", rest @ ..] => {
            let command = ["run", "-p", "assay-bench", "--no-default-features", "--", "build"];
            cargo(&[&command[..], rest].concat())
        }
        ["bench", rest @ ..] => {
            let mut command = vec!["run", "--release", "-p", "assay-bench", "--"];
            command.extend(rest);
            cargo(&command)
        }
        ["programs"] => programs::write(),
        ["programs", "--check"] => programs::check(),
        ["contracts", "prove"] => contracts::prove(),
        ["tidy"] => tidy::tidy(root()),
        _ => Err(format!("what?\n\n{USAGE}")),
    }
}

/// The crash tests, for longer than `cargo xtask test` has time. Of the whole workspace, so that
/// its build for `cargo xtask test` serves.
fn kills(count: &str) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--workspace", "--test", "log", "--test", "crash", "is_lost"]);
    command.args(["--", "--nocapture"]).env("ASSAY_CRASH_ROUNDS", count);
    let (said, mut tests) = (format!("{count} kills, "), 0);
    run::run_watched(&mut command, |line| tests += usize::from(line.contains(&said)))?;
    if tests == KILLED {
        Ok(())
    } else {
        Err(format!("{tests} crash tests ran; {KILLED} must: were they renamed?"))
    }
}

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
