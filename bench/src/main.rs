//! `cargo xtask bench build|chain|key-service|log|machine|market|seal [--json]`: figures, with the
//! machine, the inputs and the peers of the same run.
//!
//! Timings on a shared machine wander, so each figure is a median and peers take turns with ours.

mod build;
mod chain;
mod figure;
mod key_service;
mod log;
mod machine;
mod market;
mod objects;
mod peers;
mod seal;

use std::process::ExitCode;

const USAGE: &str = "usage: assay-bench build|chain|key-service|log|machine|market|seal [--json]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (figures, json) = match arguments[..] {
        [what] => (figures(what), false),
        [what, "--json"] => (figures(what), true),
        _ => (Err(USAGE.to_owned()), false),
    };
    match figures {
        Ok(figures) => {
            figure::print(&figures, json);
            if figures.iter().all(|figure| figure.holds()) {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(3)
            }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn figures(what: &str) -> Result<Vec<figure::Figure>, String> {
    match what {
        "build" => build::figures(),
        "chain" => chain::figures(),
        "key-service" => key_service::figures(),
        "log" => log::figures(),
        "machine" => machine::figures(),
        "market" => market::figures(),
        "seal" => seal::figures(),
        _ => Err(USAGE.to_owned()),
    }
}
