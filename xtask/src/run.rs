//! Running other programs.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::root;

/// Runs cargo in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    run(Command::new(env!("CARGO")).args(arguments))
}

/// The workspace's folder, unless the command has one of its own.
fn in_workspace(command: &mut Command) -> &mut Command {
    if command.get_current_dir().is_none() {
        command.current_dir(root());
    }
    command
}

/// Runs a command in the workspace; not succeeding is an error.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let shown = show(command);
    let status = in_workspace(command).status();
    let status = status.map_err(|error| format!("cannot start {shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// Runs a command in the workspace, showing what it prints and giving each line to `line` too:
/// those of its standard output.
pub(crate) fn run_watched(command: &mut Command, line: impl FnMut(&str)) -> Result<(), String> {
    let mut child = start(command.stdout(Stdio::piped()))?;
    watch(child.stdout.take(), line);
    end(command, &mut child)
}

/// As `run_watched`, with the lines of its standard error.
pub(crate) fn run_watching_errors(
    command: &mut Command,
    line: impl FnMut(&str),
) -> Result<(), String> {
    let mut child = start(command.stderr(Stdio::piped()))?;
    watch(child.stderr.take(), line);
    end(command, &mut child)
}

/// Runs a command in the workspace beside others, and shows what it printed when it has ended, so
/// that their lines don't mix. That is the result, too.
pub(crate) fn run_quietly(command: &mut Command) -> Result<String, String> {
    let shown = show(command);
    let output = in_workspace(command).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot start {shown}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}{}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(format!("{shown}: {}", output.status)) }
}

fn start(command: &mut Command) -> Result<Child, String> {
    let shown = show(command);
    in_workspace(command).spawn().map_err(|error| format!("cannot start {shown}: {error}"))
}

fn watch(stream: Option<impl Read>, mut line: impl FnMut(&str)) {
    for text in stream.into_iter().flat_map(|s| BufReader::new(s).lines().map_while(Result::ok)) {
        println!("{text}");
        line(&text);
    }
}

fn end(command: &Command, child: &mut Child) -> Result<(), String> {
    let shown = show(command);
    let status = child.wait().map_err(|error| format!("{shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// The first file of that name on the PATH.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn show(command: &Command) -> String {
    let mut words = vec![Path::new(command.get_program()).display().to_string()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
