//! The `assay-verify` command: checks receipts and runs programs, without a network. Results go to
//! standard output, progress and errors to standard error.

use std::io::Write as _;
use std::process::ExitCode;

use assay_verify::{Failure, exec, verify};
use clap::Parser;

/// Check a receipt without a network; or run a program on this machine
#[derive(Parser)]
#[command(
    name = "assay-verify",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Exit codes: 0 done, 1 could not be done, 2 wrong arguments, 3 checked and does not hold"
)]
struct Arguments {
    #[command(flatten)]
    verify: Option<verify::Arguments>,
    #[command(subcommand)]
    command: Option<Command>,
    /// Print results and errors as JSON (spec/cli.md)
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Run a program on this machine and print what a claim would say of the run
    Exec(exec::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run(&arguments).map_or_else(|failure| failure.report(arguments.json), |()| ExitCode::SUCCESS)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    match (&arguments.command, &arguments.verify) {
        (Some(Command::Exec(program)), _) => print(&exec::run(program, arguments.json)?),
        (None, Some(receipt)) => {
            let done = verify::run(receipt, None, arguments.json)?;
            print(&done.text)?;
            done.verdict
        }
        (None, None) => {
            Err(Failure::new("there is nothing to check").next("give a receipt's file"))
        }
    }
}

/// Writes a result. A reader that went away (`assay-verify ... | head`) is not an error.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new("cannot write the result").cause(error).next("check where it goes"))
        }
        _ => Ok(()),
    }
}
