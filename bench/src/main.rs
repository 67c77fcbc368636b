//! `cargo xtask bench machine|chain|log|market|key_service|seal [--json]`: figures, with the
//! machine, the inputs and the peers of the same run.
//!
//! Timings on a shared machine wander, so each figure is a median and peers take turns with ours.

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

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (figures, json) = match arguments[..] {
        ["machine"] => (machine::figures(), false),
        ["machine", "--json"] => (machine::figures(), true),
        ["chain"] => (chain::figures(), false),
        ["chain", "--json"] => (chain::figures(), true),
        ["key-service"] => (key_service::figures(), false),
        ["key-service", "--json"] => (key_service::figures(), true),
        ["log"] => (log::figures(), false),
        ["log", "--json"] => (log::figures(), true),
        ["market"] => (market::figures(), false),
        ["market", "--json"] => (market::figures(), true),
        ["seal"] => (seal::figures(), false),
        ["seal", "--json"] => (seal::figures(), true),
        _ => {
            let usage = "usage: assay-bench machine|chain|log|market|key service|seal [--json]";
            (Err(usage.to_owned()), false)
        }
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
