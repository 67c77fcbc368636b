//! `assay replay`: a receipt's job, run again.

use assay_verify::exec::message;
use assay_verify::verify::read_receipt;
use std::path::PathBuf;
use std::time::Duration;

use assay_node::{JobFiles, Replay, Replayed, RunOutcome, replay_files};
use assay_receipt::{Receipt, Standing};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::print::print;
use crate::output::text::{grouped, json, table};
use crate::session::market::TakePart;
use crate::session::receipts::{board, reader};
use crate::session::runtime::block_on;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    at: TakePart,
    /// The receipt
    file: PathBuf,
    /// The program's ELF file [default: fetch program, input and dataset from the job's market]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// The input, if the job has one
    #[arg(long, value_name = "FILE", requires = "program")]
    input: Option<PathBuf>,
    /// The dataset, if the job has one
    #[arg(long, value_name = "FILE", requires = "program")]
    dataset: Option<PathBuf>,
}

#[derive(Serialize)]
struct Compared {
    schema: &'static str,
    job: alloy_primitives::B256,
    same: bool,
    steps: u64,
    outcome: RunOutcome,
    message: Option<String>,
    final_state: String,
    trace_root: String,
    output_root: String,
}

pub(crate) fn run(arguments: &Arguments, as_json: bool) -> Result<String, Failure> {
    let receipt = read_receipt(&arguments.file)?;
    let claimed = claimed(&receipt)?;
    let order = receipt.order.order.clone();
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.enable_steady_tick(Duration::from_millis(100));
    let found = block_on(async {
        match &arguments.program {
            Some(_) if receipt.order.order.beginSecs != 0 => {
                Err(Failure::new("the job's inputs are sealed, so they cannot be replayed from plain files").next(
                    "leave out --program, and use the home that ordered the job, or --account with an account that was given its keys",
                ))
            }
            Some(program) => {
                let read = |path: &PathBuf| {
                    let read = std::fs::read(path);
                    read.map_err(|error| Failure::file("read", path, error).next("give a file"))
                };
                let input = arguments.input.as_ref().map(read).transpose()?;
                let dataset = arguments.dataset.as_ref().map(read).transpose()?;
                let files = JobFiles { program: read(program)?, input, dataset };
                Ok(replay_files(files, &order).await?)
            }
            None => {
                let (home, key) = (arguments.at.home.open()?, reader(&arguments.at)?);
                let board = board(&arguments.at, &key).await?;
                Ok(assay_node::replay(&board, &key, &home, &receipt.order).await?)
            }
        }
    });
    bar.finish_and_clear();
    let Replay { found, last_words } = found?;
    let message = message(&*last_words);
    let same = found == claimed;
    let text = if as_json {
        json(&Compared {
            schema: "assay.replay/1",
            job: receipt.job,
            same,
            steps: found.steps,
            outcome: found.outcome,
            message,
            final_state: found.final_state.to_string(),
            trace_root: found.trace_root.to_string(),
            output_root: found.output_root.to_string(),
        })
    } else {
        let result = match (same, found.outcome.is_success()) {
            (true, true) => "the run is as claimed: the result is right",
            (true, false) => "the run is as claimed: it has no result",
            (false, _) => "DIFFERS",
        };
        let mut rows = vec![
            ("job", receipt.job.to_string()),
            ("outcome", found.outcome.to_string()),
            ("steps", grouped(found.steps)),
            ("final state", found.final_state.to_string()),
            ("output", found.output_root.to_string()),
            ("result", result.to_owned()),
        ];
        if let Some(message) = message {
            rows.insert(2, ("message", message));
        }
        table(&rows)
    };
    if same {
        return Ok(text);
    }
    print(&text)?;
    Err(Failure::refused("the run differs from what was claimed")
        .cause(format!("the claim says that the final state is {}", claimed.final_state))
        .next("do not rely on the result: the provider lied, or the receipt is not from the chain"))
}

/// What the claim in a receipt says of the run.
fn claimed(receipt: &Receipt) -> Result<Replayed, Failure> {
    let nothing = || {
        Failure::refused("the receipt has no claim to compare with")
            .next("a job that nobody claimed has no result; `assay verify` says how it ended")
    };
    let report = assay_receipt::verify(receipt, None);
    if report.standing == Standing::Refused {
        return Err(Failure::refused("the receipt does not hold")
            .next("`assay verify` says what is wrong with it"));
    }
    let claim = receipt.claim.as_ref().ok_or_else(nothing)?;
    let claim = assay_receipt::claim_of(claim).ok_or_else(nothing)?;
    Ok(Replayed {
        final_state: assay_types::Hash(claim.final_state.0),
        trace_root: assay_types::Hash(claim.trace_root.0),
        output_root: assay_types::BlobRoot(assay_types::Hash(claim.output_root.0)),
        steps: claim.steps,
        outcome: claim.outcome(),
    })
}
