//! The `assay` command. Results go to standard output, progress and errors to standard error.

mod commands;
mod output;
mod session;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use commands::Command;
use output::print::print;
use output::terminal;
use session::names::names;

/// A marketplace for computation that needs no trust
#[derive(Parser)]
#[command(name = "assay", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print results and errors as JSON (spec/cli.md)
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// The settings file (spec/cli.md#settings) [default: config.toml under the home]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", env = "ASSAY_CONFIG")]
    config: Option<std::path::PathBuf>,
    /// Show addresses and hashes whole on a terminal too
    #[arg(long, global = true, help_heading = GLOBAL)]
    full: bool,
    /// When to colour outcomes; NO_COLOR turns colour off
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

/// Where help lists the options that every command has.
const GLOBAL: &str = "Options of every command";

const EXIT_CODES: &str = "\
Exit codes: 0 done, whatever the program's outcome; 1 could not be done; 2 wrong arguments;
3 checked, and it does not hold; 4 a job that was run has no answer
`assay COMMAND --help` lists the options of a command";

fn main() -> ExitCode {
    let line: Vec<_> = std::env::args_os().collect();
    let root = commands::with_groups(Arguments::command());
    let command = match session::settings::settled(root.clone(), &line) {
        Ok(command) => command,
        // Who asks what is wrong is told so.
        Err(_) if commands::doctor::is_asked(&line) => root.clone(),
        Err(failure) => return failure.report(line.iter().any(|word| word == "--json")),
    };
    let stray = session::settings::stray_variables(&root);
    // Who asks for help, or what is wrong, is told so.
    if !asks_for_help(&line)
        && !commands::doctor::is_asked(&line)
        && let Some(failure) = stray.iter().find_map(|variable| variable.failure())
    {
        return failure.report(line.iter().any(|word| word == "--json"));
    }
    let matches = command.get_matches_from(&line);
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    start_log();
    for variable in stray {
        tracing::warn!("no command reads the variable {}", variable.name);
    }
    start_terminal(&arguments, &line);
    commands::run(arguments.command, root, arguments.json)
        .and_then(|output| print(&output))
        .map_or_else(|failure| failure.report(arguments.json), |()| ExitCode::SUCCESS)
}

fn asks_for_help(line: &[OsString]) -> bool {
    line.iter().any(|word| {
        ["--help", "-h", "help", "--version", "-V"].iter().any(|asked| word.as_os_str() == *asked)
    })
}

/// Names, short hashes and colour, where a person reads.
fn start_terminal(arguments: &Arguments, line: &[OsString]) {
    if arguments.json {
        return;
    }
    let full = arguments.full || arguments.command.is_about_ids();
    let line = line.to_vec();
    terminal::start(full, arguments.color, move || names(&line));
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
