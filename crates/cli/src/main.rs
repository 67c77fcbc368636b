//! The `assay` command. Results go to standard output, progress and errors to standard error.

mod commands;
mod output;
mod session;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use commands::Command;
use output::print::print;

/// A marketplace for computation that needs no trust
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

fn main() -> ExitCode {
    let line: Vec<_> = std::env::args_os().collect();
    let root = Arguments::command();
    let command = match session::settings::settled(root.clone(), &line) {
        Ok(command) => command,
        // Who asks what is wrong is told so.
        Err(_) if commands::doctor::is_asked(&line) => root.clone(),
        Err(failure) => return failure.report(line.iter().any(|word| word == "--json")),
    };
    let matches = command.get_matches_from(line);
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    start_log();
    commands::run(arguments.command, root, arguments.json)
        .and_then(|output| print(&output))
        .map_or_else(|failure| failure.report(arguments.json), |()| ExitCode::SUCCESS)
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
