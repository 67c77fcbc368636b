//! The `assay` command. Results go to standard output, progress and errors to standard error.

mod access;
mod account;
mod benchmark;
mod chain;
mod config;
mod daemons;
mod data;
mod disclose;
mod doctor;
mod exec;
mod failure;
mod home;
mod job;
mod log;
mod market;
mod owner;
mod program;
mod progress;
mod receipt;
mod reputation;
mod run;
mod text;
mod up;
mod witness;

use std::io::Write;
use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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
    /// A file of settings (spec/cli.md#settings) [default: config.toml under the home]
    #[arg(long, global = true, value_name = "FILE", env = "ASSAY_CONFIG")]
    config: Option<std::path::PathBuf>,
}

const EXIT_CODES: &str = "Exit codes: 0 done (whatever the program's outcome), 1 could not be done, 2 wrong arguments, \
                          3 checked and does not hold";

#[derive(Subcommand)]
enum Command {
    /// Run a program on this machine and print what a claim would say of it.
    Exec(exec::Arguments),
    /// Order a job on the market of this machine, which starts if need be, and get its answer.
    Run(run::Arguments),
    /// What was ordered from here: how it stands, and why.
    #[command(subcommand)]
    Job(job::Command),
    /// Ask what a job would cost.
    Quote(job::QuoteArguments),
    /// Run a whole market on this machine: chain, broker, two providers, an auditor.
    Up(up::Up),
    /// Stop it.
    Down(up::Down),
    /// Show whether it runs, and where.
    Status(up::Status),
    /// Serve orders and blobs of a market.
    Broker(daemons::Broker),
    /// Run jobs for pay; measure what they cost here; show another's record.
    Provider(daemons::Provider),
    /// Re-check claims and challenge the false ones.
    Auditor(daemons::Auditor),
    /// Show how well providers have kept their word, by what is on the chain.
    Reputation(reputation::Arguments),
    /// Check what could keep the commands here from working, and say how to mend it.
    Doctor(doctor::Arguments),
    /// Give the keys of one's sealed data to who holds a lock, by one's policies.
    KeyService(owner::KeyService),
    /// Check a receipt: needs the file, and whom you trust, and no network.
    Verify(receipt::Verify),
    /// Run a receipt's job again and compare what it comes to.
    Replay(receipt::Replay),
    /// Receipts.
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// Transparency logs.
    #[command(subcommand)]
    Log(log::Command),
    /// Data: made less telling before it leaves its owner.
    #[command(subcommand)]
    Data(data::Command),
    /// Settings and where they come from.
    #[command(subcommand)]
    Config(config::Command),
    /// Chains and the market's contracts on them.
    #[command(subcommand)]
    Chain(chain::Command),
    /// Letting another account read or upload at a broker in one's name, within bounds, and taking
    /// that back.
    #[command(subcommand)]
    Access(access::Command),
    /// Keys at rest.
    #[command(subcommand)]
    Account(account::Command),
    /// Step witnesses, and witnesses of logs.
    #[command(subcommand)]
    Witness(witness::Command),
    /// Programs: make, build, look into.
    #[command(subcommand)]
    Program(program::Command),
}

fn main() -> ExitCode {
    let line: Vec<_> = std::env::args_os().collect();
    let command = match config::settled(&line) {
        Ok(command) => command,
        // Who asks what is wrong is told so.
        Err(_) if doctor::is_asked(&line) => <Arguments as clap::CommandFactory>::command(),
        Err(failure) => return failure.report(line.iter().any(|word| word == "--json")),
    };
    let matches = command.get_matches_from(line);
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let json = arguments.json;
    start_log();
    let done = match arguments.command {
        Command::Exec(arguments) => exec::run(&arguments, json),
        Command::Run(arguments) => run::run(&arguments, json),
        Command::Job(command) => job::run(&command, json),
        Command::Quote(arguments) => job::quote(&arguments, json),
        Command::Up(arguments) => up::up(&arguments, json),
        Command::Down(arguments) => up::down(&arguments, json),
        Command::Status(arguments) => up::status(&arguments, json),
        Command::Broker(arguments) => daemons::broker(&arguments),
        Command::Provider(arguments) => daemons::provider(&arguments, json),
        Command::Auditor(arguments) => daemons::auditor(&arguments),
        Command::Reputation(arguments) => reputation::run(&arguments, json),
        Command::Doctor(arguments) => doctor::run(&arguments, json),
        Command::KeyService(arguments) => owner::key_service(&arguments),
        Command::Verify(arguments) => receipt::verify(&arguments, json),
        Command::Replay(arguments) => receipt::replay(&arguments, json),
        Command::Receipt(command) => receipt::run(&command, json),
        Command::Log(command) => log::run(&command, json),
        Command::Data(command) => data::run(&command, json),
        Command::Config(command) => config::run(&command, json),
        Command::Chain(command) => chain::run(&command, json),
        Command::Access(command) => access::run(&command, json),
        Command::Account(command) => account::run(&command, json),
        Command::Witness(command) => witness::run(&command, json),
        Command::Program(command) => program::run(&command, json),
    };
    done.and_then(|output| print(&output))
        .map_or_else(|failure| failure.report(json), |()| ExitCode::SUCCESS)
}

/// What goes on, on standard error: warnings, or from the level that ASSAY_LOG names. Only what the
/// project's own crates say: others would write whole requests and answers, accounts, and the
/// endpoint's URL with the secret that it may hold.
fn start_log() {
    let level = std::env::var("ASSAY_LOG").ok().and_then(|level| level.parse().ok());
    let own = Targets::new().with_target("assay", level.unwrap_or(tracing::Level::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    tracing_subscriber::registry().with(lines).with(own).init();
}

/// Runs what waits for chains.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new("cannot start the runtime").cause(error))?;
    runtime.block_on(work)
}

/// Writes a result. A reader that went away (`assay ... | head`) is not an error.
fn print(output: &str) -> Result<(), Failure> {
    print_bytes(output.as_bytes())
}

fn print_bytes(output: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(output).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new("cannot write the result").cause(error).next("check where it goes"))
        }
        _ => Ok(()),
    }
}
