//! `assay config`: settings and where they come from.

use std::ffi::OsString;
use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::text::{json, table};
use crate::session::home::HomeArgument;
use crate::session::settings::{TABLES, is_setting, settings_file, settled};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show the settings that a command would use
    Show {
        #[command(flatten)]
        home: HomeArgument,
        /// The command
        #[arg(value_parser = TABLES)]
        command: String,
        /// Say where each value comes from
        #[arg(long)]
        origin: bool,
        /// Flags that you would give the command, after `--`
        #[arg(last = true)]
        flags: Vec<OsString>,
    },
}

#[derive(Serialize)]
struct Shown {
    schema: &'static str,
    settings: Vec<Setting>,
}

#[derive(Serialize)]
struct Setting {
    name: String,
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

pub(crate) fn run(
    command: &Command,
    root: &clap::Command,
    as_json: bool,
) -> Result<String, Failure> {
    let Command::Show { command: name, origin, flags, .. } = command;
    let here: Vec<OsString> = std::env::args_os().collect();
    let file = settings_file(&here)?.map(|(path, _)| path);
    let unsettled = root.clone();
    let settled = settled(root.clone(), &here)?;
    let mut line: Vec<OsString> = vec!["assay".into(), name.into()];
    line.extend(flags.iter().cloned());
    // What is asked is not at issue here.
    let settled = settled.mut_subcommand(name, |role| role.mut_args(|a| a.required(false)));
    let matches = settled.clone().try_get_matches_from(line);
    let matches = matches.map_err(|error| Failure::new("these flags do not parse").cause(error))?;
    let find = |command: &clap::Command| command.find_subcommand(name).cloned();
    let (Some(role), Some(before), Some((_, matches))) =
        (find(&settled), find(&unsettled), matches.subcommand())
    else {
        return Err(Failure::new(format!("{name} is not a command")));
    };
    let settings: Vec<Setting> = role
        .get_arguments()
        .filter(|argument| is_setting(argument))
        .map(|argument| {
            let id = argument.get_id().as_str();
            let plain = before.get_arguments().find(|a| a.get_id() == id);
            let is_filed =
                plain.is_some_and(|a| a.get_default_values() != argument.get_default_values());
            let origin = origin.then(|| source(matches, argument, is_filed, file.as_deref()));
            Setting { name: id.to_owned(), value: value(matches, argument), origin }
        })
        .collect();
    if as_json {
        return Ok(json(&Shown { schema: "assay.config/1", settings }));
    }
    let shown: Vec<(String, String)> = settings
        .into_iter()
        .map(|Setting { name, value, origin }| {
            let value = value.unwrap_or_else(|| "unset".to_owned());
            (name, origin.map_or(value.clone(), |origin| format!("{value}  ({origin})")))
        })
        .collect();
    let rows: Vec<(&str, String)> =
        shown.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    Ok(table(&rows))
}

/// A setting's value as text. URLs may hold secrets.
fn value(matches: &ArgMatches, argument: &clap::Arg) -> Option<String> {
    let raw = matches.get_raw(argument.get_id().as_str())?.next()?;
    let hidden = argument.is_hide_env_values_set();
    Some(if hidden { "set, not shown".to_owned() } else { raw.to_string_lossy().into_owned() })
}

fn source(
    matches: &ArgMatches,
    argument: &clap::Arg,
    is_filed: bool,
    file: Option<&Path>,
) -> String {
    match matches.value_source(argument.get_id().as_str()) {
        Some(ValueSource::CommandLine) => "flag".to_owned(),
        Some(ValueSource::EnvVariable) => {
            let name = argument.get_env().unwrap_or_default();
            format!("environment {}", name.to_string_lossy())
        }
        Some(_) if is_filed => {
            format!("file {}", file.map(|path| path.display().to_string()).unwrap_or_default())
        }
        _ => "default".to_owned(),
    }
}
