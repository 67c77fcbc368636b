//! Results, on standard output.

use std::io::Write;

use crate::output::failure::Failure;

/// Writes a result. A reader that went away (`assay ... | head`) is not an error.
pub(crate) fn print(output: &str) -> Result<(), Failure> {
    print_bytes(output.as_bytes())
}

pub(crate) fn print_bytes(output: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(output).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new("cannot write the result").cause(error).next("check where it goes"))
        }
        _ => Ok(()),
    }
}
