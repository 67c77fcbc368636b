//! The same program as an ordinary executable: `NAME --input FILE [--dataset FILE]`, the output on
//! standard output.

use crate::{Error, Output};
use std::io::Write;
use std::process::ExitCode;
use std::string::String;
use std::vec::Vec;
use std::{env, eprintln, format, fs, io};

/// What a program is: input and dataset in, output out, or why not.
pub type Run = fn(&[u8], &[u8], &mut Output) -> Result<(), Error>;

/// The body of a native `main`, which [`main!`](crate::main!) generates. The exit code is 0, 1 when
/// the program refuses its input (the reason goes to standard error), or 2 when the arguments are
/// wrong.
pub fn main(run: Run) -> ExitCode {
    let (input, dataset) = match read_arguments() {
        Ok(files) => files,
        Err(message) => {
            eprintln!("{message}\nusage: --input FILE [--dataset FILE]");
            return ExitCode::from(2);
        }
    };
    let mut output = Output::new();
    if let Err(error) = run(&input, &dataset, &mut output) {
        eprintln!("{error}");
        return ExitCode::from(1);
    }
    match io::stdout().write_all(output.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the output can't be written: {error}");
            ExitCode::from(2)
        }
    }
}

fn read_arguments() -> Result<(Vec<u8>, Vec<u8>), String> {
    let (mut input, mut dataset) = (None, None);
    let mut arguments = env::args_os().skip(1);
    while let Some(name) = arguments.next() {
        let target = match name.to_str() {
            Some("--input") => &mut input,
            Some("--dataset") => &mut dataset,
            _ => return Err(format!("{} is no argument of this program", name.display())),
        };
        let path = arguments.next().ok_or_else(|| format!("{} needs a file", name.display()))?;
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        *target = Some(bytes);
    }
    Ok((input.unwrap_or_default(), dataset.unwrap_or_default()))
}
