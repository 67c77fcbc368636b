//! The commands, each in a file or folder of its own; none imports another.

pub(crate) mod access;
pub(crate) mod account;
pub(crate) mod auditor;
pub(crate) mod broker;
pub(crate) mod chain;
pub(crate) mod config;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod job;
pub(crate) mod key_service;
pub(crate) mod local;
pub(crate) mod log;
pub(crate) mod program;
pub(crate) mod provider;
pub(crate) mod quote;
pub(crate) mod receipt;
pub(crate) mod replay;
pub(crate) mod reputation;
pub(crate) mod run;
pub(crate) mod verify;
pub(crate) mod witness;

use assay_verify::exec;

use crate::output::failure::Failure;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Run a program on this machine and print what a claim would say of it.
    Exec(exec::Arguments),
    /// Order a job on the market of this machine, which starts if need be, and get its answer.
    Run(run::Arguments),
    /// What was ordered from here: how it stands, and why.
    #[command(subcommand)]
    Job(job::Command),
    /// Ask what a job would cost.
    Quote(quote::Arguments),
    /// Run a whole market on this machine: chain, broker, two providers, an auditor.
    Up(local::Up),
    /// Stop it.
    Down(local::Down),
    /// Show whether it runs, and where.
    Status(local::Status),
    /// Serve orders and blobs of a market.
    Broker(broker::Arguments),
    /// Run jobs for pay; measure what they cost here; show another's record.
    Provider(provider::Arguments),
    /// Re-check claims and challenge the false ones.
    Auditor(auditor::Arguments),
    /// Show how well providers have kept their word, by what is on the chain.
    Reputation(reputation::Arguments),
    /// Check what could keep the commands here from working, and say how to mend it.
    Doctor(doctor::Arguments),
    /// Give the keys of one's sealed data to who holds a lock, by one's policies.
    KeyService(key_service::Arguments),
    /// Check a receipt: needs the file, and whom you trust, and no network.
    Verify(verify::Arguments),
    /// Run a receipt's job again and compare what it comes to.
    Replay(replay::Arguments),
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

/// Does what a command says, and gives the text for standard output. `root` is the whole command
/// line, for the commands that speak of settings.
pub(crate) fn run(command: Command, root: clap::Command, as_json: bool) -> Result<String, Failure> {
    match command {
        Command::Exec(arguments) => Ok(exec::run(&arguments, as_json)?),
        Command::Run(arguments) => run::run(&arguments, as_json),
        Command::Job(command) => job::run(&command, as_json),
        Command::Quote(arguments) => quote::run(&arguments, as_json),
        Command::Up(arguments) => local::up(&arguments, as_json),
        Command::Down(arguments) => local::down(&arguments, as_json),
        Command::Status(arguments) => local::status(&arguments, as_json),
        Command::Broker(arguments) => broker::run(&arguments),
        Command::Provider(arguments) => provider::run(&arguments, as_json),
        Command::Auditor(arguments) => auditor::run(&arguments),
        Command::Reputation(arguments) => reputation::run(&arguments, as_json),
        Command::Doctor(arguments) => doctor::run(&arguments, root, as_json),
        Command::KeyService(arguments) => key_service::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments, as_json),
        Command::Replay(arguments) => replay::run(&arguments, as_json),
        Command::Receipt(command) => receipt::run(&command, as_json),
        Command::Log(command) => log::run(&command, as_json),
        Command::Data(command) => data::run(&command, as_json),
        Command::Config(command) => config::run(&command, &root, as_json),
        Command::Chain(command) => chain::run(&command, as_json),
        Command::Access(command) => access::run(&command, as_json),
        Command::Account(command) => account::run(&command, as_json),
        Command::Witness(command) => witness::run(&command, as_json),
        Command::Program(command) => program::run(&command, as_json),
    }
}
