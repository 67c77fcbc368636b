//! The commands, each in a file or folder of its own; none imports another.

mod access;
mod account;
mod auditor;
mod broker;
mod chain;
mod config;
mod data;
pub(crate) mod doctor;
mod job;
mod key_service;
mod local;
mod log;
mod program;
mod provider;
mod quote;
mod receipt;
mod replay;
mod reputation;
mod run;
mod verify;
mod witness;

use assay_verify::exec;

use crate::output::failure::Failure;

/// In what groups, and in what order, help lists the commands.
const GROUPS: [(&str, &[&str]); 7] = [
    ("Run and check", &["exec", "run", "quote", "job", "verify", "replay"]),
    ("Market", &["up", "down", "status", "reputation", "chain"]),
    ("Roles", &["broker", "provider", "auditor", "key-service"]),
    ("Data", &["data", "access"]),
    ("Log and receipts", &["log", "receipt", "witness"]),
    ("Programs", &["program"]),
    ("Settings", &["config", "account", "doctor"]),
];

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Run a program on this machine and print what a claim would say of the run
    Exec(exec::Arguments),
    /// Order a job and get its result; starts a market on this machine if none runs
    Run(run::Arguments),
    /// Ask what a job would cost
    Quote(quote::Arguments),
    /// Show, follow, explain or cancel the jobs that you ordered
    #[command(subcommand)]
    Job(job::Command),
    /// Check a receipt: needs its file and whom you trust, and no network
    ///
    /// Without --trust, trust.json under the home says whom you trust, if it is there.
    Verify(verify::Arguments),
    /// Run a receipt's job again and compare the results
    Replay(replay::Arguments),
    /// Start a whole market on this machine: chain, broker, two providers, an auditor
    Up(local::Up),
    /// Stop the market of this machine
    Down(local::Down),
    /// Show whether the market of this machine runs, and where
    Status(local::Status),
    /// Show how well providers have kept their word, by the chain's events
    Reputation(reputation::Arguments),
    /// Run the embedded chain; deploy the market's contracts; check a deployment
    #[command(subcommand)]
    Chain(chain::Command),
    /// Serve a market's orders, programs and data over HTTP
    Broker(broker::Arguments),
    /// Run jobs for pay; measure what they cost here; show a provider's record
    Provider(provider::Arguments),
    /// Re-run claims and challenge the false ones
    Auditor(auditor::Arguments),
    /// Run the key service: release data keys to lock holders, as your policies allow
    KeyService(key_service::Arguments),
    /// Mask, seal and publish datasets
    #[command(subcommand)]
    Data(data::Command),
    /// Let another account read or upload at a broker in your name, within bounds
    #[command(subcommand)]
    Access(access::Command),
    /// Check a transparency log
    #[command(subcommand)]
    Log(log::Command),
    /// Show and export receipts; disclose parts of them; sum them up
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// Check a step witness; cosign transparency logs
    #[command(subcommand)]
    Witness(witness::Command),
    /// Create, build and inspect programs
    #[command(subcommand)]
    Program(program::Command),
    /// Show settings and where they come from
    #[command(subcommand)]
    Config(config::Command),
    /// Create and list accounts; show and withdraw what they hold on a market
    #[command(subcommand)]
    Account(account::Command),
    /// Find what keeps the commands from working, and say how to fix it
    Doctor(doctor::Arguments),
}

impl Command {
    /// Whether addresses or hashes are what is asked for: then they are shown whole.
    pub(crate) fn is_about_ids(&self) -> bool {
        matches!(
            self,
            Command::Account(_) | Command::Chain(_) | Command::Config(_) | Command::Program(_)
        )
    }
}

/// Does what a command says, and gives the text for standard output. `root` is the whole command
/// line, for the commands that speak of settings.
pub(crate) fn run(command: Command, root: clap::Command, as_json: bool) -> Result<String, Failure> {
    match command {
        Command::Exec(arguments) => Ok(exec::run(&arguments, as_json)?),
        Command::Run(arguments) => run::run(&arguments, as_json),
        Command::Quote(arguments) => quote::run(&arguments, as_json),
        Command::Job(command) => job::run(&command, as_json),
        Command::Verify(arguments) => verify::run(&arguments, as_json),
        Command::Replay(arguments) => replay::run(&arguments, as_json),
        Command::Up(arguments) => local::up(&arguments, as_json),
        Command::Down(arguments) => local::down(&arguments, as_json),
        Command::Status(arguments) => local::status(&arguments, as_json),
        Command::Reputation(arguments) => reputation::run(&arguments, as_json),
        Command::Chain(command) => chain::run(&command, as_json),
        Command::Broker(arguments) => broker::run(&arguments),
        Command::Provider(arguments) => provider::run(&arguments, as_json),
        Command::Auditor(arguments) => auditor::run(&arguments),
        Command::KeyService(arguments) => key_service::run(&arguments),
        Command::Data(command) => data::run(&command, as_json),
        Command::Access(command) => access::run(&command, as_json),
        Command::Log(command) => log::run(&command, as_json),
        Command::Receipt(command) => receipt::run(&command, as_json),
        Command::Witness(command) => witness::run(&command, as_json),
        Command::Program(command) => program::run(&command, as_json),
        Command::Config(command) => config::run(&command, &root, as_json),
        Command::Account(command) => account::run(&command, as_json),
        Command::Doctor(arguments) => doctor::run(&arguments, root, as_json),
    }
}

/// The whole command line, with a help that lists the commands in their groups.
pub(crate) fn with_groups(root: clap::Command) -> clap::Command {
    let about = |name: &str| {
        let command = root.find_subcommand(name)?;
        Some(format!("  {name:<11}  {}\n", command.get_about()?))
    };
    let group = |(title, names): (&str, &[&str])| {
        let lines: String = names.iter().filter_map(|name| about(name)).collect();
        format!("{title}:\n{lines}\n")
    };
    let groups: String = GROUPS.into_iter().map(group).collect();
    root.help_template(format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}"
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Subcommand as _;

    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let root = Command::augment_subcommands(clap::Command::new("assay"));
        let commands: BTreeSet<&str> =
            root.get_subcommands().map(clap::Command::get_name).collect();
        let listed: Vec<&str> =
            GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), commands);
        assert_eq!(listed.len(), commands.len(), "none is listed twice");
    }

    #[test]
    fn help_lists_each_command_with_what_it_does() {
        let root = Command::augment_subcommands(clap::Command::new("assay").about("About"));
        let help = with_groups(root.clone()).render_help().to_string();
        for command in root.get_subcommands() {
            let about = command.get_about().expect("a command says what it does").to_string();
            assert!(help.contains(&about), "{about:?} is not in {help}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}
