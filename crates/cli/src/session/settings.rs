//! Settings: a flag goes before an environment variable, that before the file, that before the
//! default.
//!
//! The file's values become the defaults of the command line's own arguments, so each setting is
//! defined, parsed and explained in one place.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::output::failure::Failure;
use crate::session::home::folder;

/// The commands that a file has a table for.
pub(crate) const TABLES: [&str; 6] = ["run", "up", "broker", "provider", "auditor", "key-service"];

/// What is never a setting: it must be given each time.
const NO_SETTINGS: [&str; 8] =
    ["help", "json", "config", "full", "color", "with_liar", "detach", "lie"];

/// The command line with the file's values as defaults.
pub(crate) fn settled(command: clap::Command, line: &[OsString]) -> Result<clap::Command, Failure> {
    let Some((path, text)) = settings_file(line)? else { return Ok(command) };
    let wrong = |what: String| {
        Failure::new(format!("cannot use the settings in {}", path.display())).cause(what).next(
            "`assay config show COMMAND` lists the settings of a command; spec/cli.md shows a file",
        )
    };
    let tables: toml::Table = text.parse().map_err(|error| wrong(format!("{error}")))?;
    let mut settled = command;
    for (name, values) in tables {
        let values = values.as_table().cloned();
        let (true, Some(values)) = (TABLES.contains(&name.as_str()), values) else {
            return Err(wrong(format!(
                "[{name}] is no command with settings; these are: {}",
                TABLES.join(", ")
            )));
        };
        for (key, value) in values {
            let value = match value {
                toml::Value::String(value) => value,
                toml::Value::Integer(value) => value.to_string(),
                toml::Value::Boolean(value) => value.to_string(),
                other => return Err(wrong(format!("{name}.{key} is a {}", other.type_str()))),
            };
            let role = settled.find_subcommand(&name);
            let known = role.is_some_and(|role| {
                role.get_arguments().any(|a| a.get_id() == key.as_str() && is_setting(a))
            });
            if !known {
                return Err(wrong(format!("{name}.{key} is not a setting")));
            }
            settled = settled.mut_subcommand(&name, |role| {
                role.mut_arg(&key, |argument| argument.required(false).default_value(value))
            });
        }
    }
    Ok(settled)
}

/// What environment variables of this program begin with.
const PREFIX: &str = "ASSAY_";

/// Variables that are read, but by no command's option.
const VARIABLES: [&str; 3] = ["ASSAY_HOME", "ASSAY_CONFIG", "ASSAY_LOG"];

/// Variables of the project's own tests, whose children get them too.
const TESTS: [&str; 9] = [
    "ASSAY_ANVIL",
    "ASSAY_CAST",
    "ASSAY_CRASH_CHILD",
    "ASSAY_CRASH_ROUNDS",
    "ASSAY_GAMES",
    "ASSAY_LOG_CRASH_CHILD",
    "ASSAY_PYTHON",
    "ASSAY_STEPS",
    "ASSAY_STORE_CRASH_CHILD",
];

/// An environment variable that begins as this program's do, and is none of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stray {
    pub(crate) name: String,
    /// The variable that was meant, by how it is spelt.
    pub(crate) meant: Option<String>,
}

impl Stray {
    /// One that was misspelt: a command that went on would do something else than was asked.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let meant = self.meant.as_ref()?;
        Some(
            Failure::new(format!("no command reads the variable {}", self.name))
                .cause(format!("it may be a misspelt {meant}"))
                .next(format!("set {meant} instead, or unset {}", self.name)),
        )
    }
}

/// The environment's variables that no command reads, though they look so, by name.
pub(crate) fn stray_variables(root: &clap::Command) -> Vec<Stray> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    stray_among(root, names)
}

fn stray_among(root: &clap::Command, names: impl Iterator<Item = String>) -> Vec<Stray> {
    let mut known: BTreeSet<String> = VARIABLES.map(str::to_owned).into();
    collect_variables(root, &mut known);
    let is_stray = |name: &String| {
        name.starts_with(PREFIX) && !known.contains(name) && !TESTS.contains(&name.as_str())
    };
    let mut stray: Vec<Stray> = names
        .filter(is_stray)
        .map(|name| {
            let distance = |other: &String| (distance(&name, other), other.clone());
            let nearest = known.iter().map(distance).min();
            let most = if name.len() - PREFIX.len() > 4 { 2 } else { 1 };
            let meant = nearest.and_then(|(far, meant)| (far <= most).then_some(meant));
            Stray { name, meant }
        })
        .collect();
    stray.sort_by(|a, b| a.name.cmp(&b.name));
    stray
}

/// The variables that a command's options, and those of the commands in it, are read from.
fn collect_variables(command: &clap::Command, found: &mut BTreeSet<String>) {
    let variables = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
    found.extend(variables.map(str::to_owned));
    command.get_subcommands().for_each(|inner| collect_variables(inner, found));
}

/// How many letters must be added, left out, changed or swapped with the next to make one word the
/// other (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut table = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            if i == 0 || j == 0 {
                table[i][j] = i.max(j);
                continue;
            }
            let changed = table[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut least = changed.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
            if i > 1 && j > 1 && (one[i - 1], one[i - 2]) == (other[j - 2], other[j - 1]) {
                least = least.min(table[i - 2][j - 2] + 1);
            }
            table[i][j] = least;
        }
    }
    table[one.len()][other.len()]
}

/// What may stand in a file: an option, no part of what is asked.
pub(crate) fn is_setting(argument: &clap::Arg) -> bool {
    !argument.is_positional() && !NO_SETTINGS.contains(&argument.get_id().as_str())
}

/// Where this command's settings are, or would be.
pub(crate) fn settings_path() -> Option<PathBuf> {
    let line: Vec<OsString> = std::env::args_os().collect();
    place(&line).map(|(path, _)| path)
}

/// The settings' file, and whether it was named.
fn place(line: &[OsString]) -> Option<(PathBuf, bool)> {
    if let Some(path) = option(line, "--config").or_else(|| std::env::var_os("ASSAY_CONFIG")) {
        return Some((PathBuf::from(path), true));
    }
    let home = option(line, "--home").or_else(|| std::env::var_os("ASSAY_HOME"));
    Some((folder(home.map(PathBuf::from))?.join("config.toml"), false))
}

/// A file's text with a setting in it, and all else as it is. An error if it would not be read back
/// so.
pub(crate) fn with_setting(
    text: &str,
    table: &str,
    key: &str,
    value: u64,
) -> Result<String, String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let header = format!("[{table}]");
    let is_header = |line: &String| line.trim_start().starts_with('[');
    let begin = match lines.iter().position(|line| line.trim() == header) {
        Some(begin) => begin,
        None => {
            lines.push(header);
            lines.len() - 1
        }
    };
    let rest = &lines[begin + 1..];
    let end = begin + 1 + rest.iter().position(is_header).unwrap_or(rest.len());
    let has_key = |line: &String| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
    let setting = format!("{key} = {value}");
    match lines[begin + 1..end].iter().position(has_key) {
        Some(at) => lines[begin + 1 + at] = setting,
        None => lines.insert(begin + 1, setting),
    }
    let new = lines.join("\n") + "\n";
    let read: toml::Table = new.parse().map_err(|error| format!("{error}"))?;
    let read = read.get(table).and_then(|table| table.get(key)).and_then(toml::Value::as_integer);
    match read.and_then(|read| u64::try_from(read).ok()) == Some(value) {
        true => Ok(new),
        false => {
            Err(format!("{table}.{key} is written there in a form that this command does not edit"))
        }
    }
}

/// The settings' file and its text, if there is one. A file that was named must be there.
pub(crate) fn settings_file(line: &[OsString]) -> Result<Option<(PathBuf, String)>, Failure> {
    let Some((path, is_named)) = place(line) else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if !is_named && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file("read", &path, error).next("give another --config")),
    }
}

/// An option's value before the line is parsed, since it decides how.
pub(crate) fn option(line: &[OsString], name: &str) -> Option<OsString> {
    let mut words = line.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == name {
            return words.next().cloned();
        }
        let text = word.to_str().and_then(|word| word.strip_prefix(name)?.strip_prefix('='));
        if let Some(value) = text {
            return Some(value.into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_told_from_another_programs() {
        let command = |name, variable: &'static str| {
            clap::Command::new(name).arg(clap::Arg::new("value").long("value").env(variable))
        };
        let inner = command("inner", "ASSAY_DEPLOYMENT");
        let root = command("root", "ASSAY_RPC").subcommand(inner);
        let names = [
            "ASSAY_RPC",
            "ASSAY_DEPLOYMENT",
            "ASSAY_DEPLOYMNT",
            "ASSAY_RCP",
            "ASSAY_RPCS",
            "ASSAY_BRANCH",
            "ASSAY_LOG",
            "ASSAY_PYTHON",
            "ASSAY",
            "HOME",
        ];
        let stray = stray_among(&root, names.into_iter().map(str::to_owned));
        let found: Vec<_> =
            stray.iter().map(|one| (one.name.as_str(), one.meant.as_deref())).collect();
        let expect = [
            ("ASSAY_BRANCH", None),
            ("ASSAY_DEPLOYMNT", Some("ASSAY_DEPLOYMENT")),
            ("ASSAY_RCP", Some("ASSAY_RPC")),
            ("ASSAY_RPCS", Some("ASSAY_RPC")),
        ];
        assert_eq!(found, expect);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_setting_is_put_where_it_belongs() {
        let put = |text: &str| with_setting(text, "provider", "stake", 5);
        assert_eq!(put("").unwrap(), "[provider]\nstake = 5\n");
        let other = "# mine\n[run]\nstake = 1\n\n[provider] \n# why\njob_cost = 7\nstake=2\n[up]\nport = 1\n";
        assert!(put(other).is_err() || put(other).unwrap().contains("stake = 5"));
        let text = "# mine\n[run]\nstake = 1\n\n[provider]\n# why\njob_cost = 7\nstake=2\n[up]\nport = 1\n";
        let expect = text.replace("stake=2", "stake = 5");
        assert_eq!(put(text).unwrap(), expect, "comments and other tables stay");
        assert_eq!(put(&expect).unwrap(), expect);
        let inline = "provider = { stake = 2 }\n";
        assert!(put(inline).is_err(), "what is written in another way is not touched");
        assert!(put("provider.stake = 2\n").is_err());
        assert!(put("[provider\n").is_err(), "what does not parse stays as it is");
    }
}
