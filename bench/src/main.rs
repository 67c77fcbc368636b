//! `cargo xtask bench build|chain|key-service|log|machine|market|seal|worst [--json]`: figures,
//! with the machine, the inputs and the peers of the same run.
//!
//! Timings on a shared machine wander, so each figure is a median and peers take turns with ours.

// For a first build alone, a part of what figures can be is not used.
#![cfg_attr(not(feature = "market"), allow(dead_code))]

mod build;
#[cfg(feature = "market")]
mod chain;
mod figure;
#[cfg(feature = "market")]
mod key_service;
#[cfg(feature = "market")]
mod log;
#[cfg(feature = "market")]
mod machine;
#[cfg(feature = "market")]
mod market;
#[cfg(feature = "market")]
mod objects;
#[cfg(feature = "market")]
mod peers;
#[cfg(feature = "market")]
mod seal;
#[cfg(feature = "market")]
mod worst;

use std::process::ExitCode;

const USAGE: &str =
    "usage: assay-bench build|chain|key-service|log|machine|market|seal|worst [--json]";

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
        #[cfg(feature = "market")]
        "chain" => chain::figures(),
        #[cfg(feature = "market")]
        "key-service" => key_service::figures(),
        #[cfg(feature = "market")]
        "log" => log::figures(),
        #[cfg(feature = "market")]
        "machine" => machine::figures(),
        #[cfg(feature = "market")]
        "market" => market::figures(),
        #[cfg(feature = "market")]
        "seal" => seal::figures(),
        #[cfg(feature = "market")]
        "worst" => worst::figures(),
        _ => Err(USAGE.to_owned()),
    }
}
