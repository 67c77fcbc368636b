//! The `assay` command. Results go to standard output, progress and errors to standard error.

mod account;
mod chain;
mod exec;
mod failure;
mod home;
mod program;
mod run;
mod text;
mod witness;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// A marketplace for computation that needs no trust.
#[derive(Parser)]
#[command(name = "assay", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print results, and errors, as JSON (spec/cli.md).
    #[arg(long, global = true)]
    json: bool,
}

const EXIT_CODES: &str = "Exit codes: 0 done (whatever the program's outcome), 1 could not be done, 2 wrong arguments, \
                          3 checked and does not hold";

#[derive(Subcommand)]
enum Command {
    /// Run a program on this machine and print what a claim would say of it.
    Exec(exec::Arguments),
    /// Order a job on the market of this machine, which starts if need be, and get its answer.
    Run(run::Arguments),
    /// Chains and the market's contracts on them.
    #[command(subcommand)]
    Chain(chain::Command),
    /// Keys at rest.
    #[command(subcommand)]
    Account(account::Command),
    /// Step witnesses.
    #[command(subcommand)]
    Witness(witness::Command),
    /// Programs: make, build, look into.
    #[command(subcommand)]
    Program(program::Command),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    let done = match arguments.command {
        Command::Exec(arguments) => exec::run(&arguments, json),
        Command::Run(arguments) => run::run(&arguments, json),
        Command::Chain(command) => chain::run(&command, json),
        Command::Account(command) => account::run(&command, json),
        Command::Witness(command) => witness::run(&command, json),
        Command::Program(command) => program::run(&command, json),
    };
    done.and_then(|output| print(&output))
        .map_or_else(|failure| failure.report(json), |()| ExitCode::SUCCESS)
}

/// Runs what waits for chains.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new("cannot start the runtime").cause(error))?;
    runtime.block_on(work)
}

/// Writes a result. A reader that went away (`assay ... | head`) is not an error.
fn print(output: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(output.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new("cannot write the result").cause(error).next("check where it goes"))
        }
        _ => Ok(()),
    }
}
