//! Results on standard output, and what goes on meanwhile on standard error.

use std::io::Write;

use crate::output::failure::Failure;
use crate::output::terminal::{on_stderr, on_stdout};

/// Writes a result. A reader that went away (`assay ... | head`) is not an error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(on_stdout(text).as_bytes())
}

/// Writes a result that is no text, or must stay as it is.
pub(crate) fn print_bytes(output: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(output).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new("cannot write the result").cause(error).next("check where it goes"))
        }
        _ => Ok(()),
    }
}

/// Tells a person what goes on.
pub(crate) fn say(line: &str) {
    eprintln!("{}", on_stderr(line));
}
