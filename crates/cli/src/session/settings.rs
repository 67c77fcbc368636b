//! Settings: a flag goes before an environment variable, that before the file, that before the
//! default.
//!
//! The file's values become the defaults of the command line's own arguments, so each setting is
//! defined, parsed and explained in one place.

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
