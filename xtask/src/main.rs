//! The project's chores: `cargo xtask CHORE`.

use std::process::ExitCode;

mod programs;

const USAGE: &str = "usage: cargo xtask programs [--check] [--install]";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some("programs") => programs::run(arguments),
        Some(other) => Err(format!("there is no chore {other:?}\n{USAGE}")),
        None => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
