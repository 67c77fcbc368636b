//! `assay witness`: step witnesses, and witnesses of logs.

use std::net::SocketAddr;
use std::path::PathBuf;

use assay_machine::{Status, VerifiedStep, WITNESS_SIZE_MAX, WitnessError, verify_step};
use assay_node::RunOutcome;
use assay_tlog::Vkey;
use assay_types::StateHash;
use assay_verify::exec::outcome;
use clap::Subcommand;
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::print::print;
use crate::output::text::{grouped, json, table};
use crate::session::home::HomeArgument;
use crate::session::runtime::{block_on, stopped};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check a step witness. Needs the file and nothing else
    Verify {
        /// The witness, as `assay exec --witness` writes it
        file: PathBuf,
    },
    /// Cosign logs, as long as they only grow, until Ctrl-C (c2sp.org/tlog-witness)
    Run(Run),
}

#[derive(clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    home: HomeArgument,
    /// The witness's name, which is part of its public key
    #[arg(long)]
    name: String,
    /// The public key of a log to cosign; repeat for several
    #[arg(long = "log", value_name = "KEY", required = true)]
    logs: Vec<Vkey>,
    /// Where to keep the cosigned checkpoints, if not under the home: s3://BUCKET/PREFIX, with
    /// AWS_* in the environment
    #[arg(long, value_name = "URL", env = "ASSAY_WITNESS_URL")]
    state_url: Option<String>,
    /// The address to listen on; port 0 takes any free port. There is no TLS: for other machines,
    /// put a proxy in front
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8548")]
    listen: SocketAddr,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    before: StateHash,
    after: StateHash,
    step: u64,
    pc: u32,
    instruction: Option<String>,
    outcome: RunOutcome,
    trap: Option<String>,
}

pub(crate) fn run(command: &Command, as_json: bool) -> Result<String, Failure> {
    let file = match command {
        Command::Verify { file } => file,
        Command::Run(arguments) => return serve(arguments),
    };
    let size = std::fs::metadata(file).map_err(|error| Failure::file("read", file, error))?.len();
    // A witness is small, so a large file is none: no need to read it.
    if size > WITNESS_SIZE_MAX as u64 {
        return Err(refusal(WitnessError::Size(size as usize)));
    }
    let bytes = std::fs::read(file).map_err(|error| Failure::file("read", file, error))?;
    let step = verify_step(&bytes).map_err(refusal)?;
    let report = Report::new(&step);
    Ok(if as_json { json(&report) } else { report.text(step.state_before.cpu.status) })
}

fn serve(arguments: &Run) -> Result<String, Failure> {
    let home = arguments.home.open()?;
    let (name, logs) = (&arguments.name, arguments.logs.clone());
    let (env, url) = (assay_node::Env::system(), arguments.state_url.as_deref());
    let witness = assay_node::open_witness(&env, &home, name, logs, url)?;
    block_on(async {
        let key = witness.vkey().to_string();
        let router = assay_broker::witness_router(witness, assay_chain::SystemClock);
        let server = assay_broker::serve(arguments.listen, router).await.map_err(|error| {
            Failure::from(assay_node::Error::from(error)).next("give another --listen")
        })?;
        print(&format!("witness    {}\nkey        {key}\n", server.url()))?;
        stopped().await;
        server.stop().await;
        Ok(String::new())
    })
}

fn refusal(error: WitnessError) -> Failure {
    Failure::refused("the witness does not verify").cause(error).next(
        "do not rely on the step; ask for the file again, or re-run with `assay exec --witness`",
    )
}

impl Report {
    fn new(step: &VerifiedStep) -> Self {
        let before = &step.state_before.cpu;
        Report {
            schema: "assay.witness/1",
            before: step.before,
            after: step.after,
            step: before.step,
            pc: before.pc,
            instruction: step.instruction.map(|instruction| instruction.to_string()),
            outcome: outcome(step.state_after.cpu.status),
            trap: step.trap.map(|cause| cause.to_string()),
        }
    }

    fn text(&self, before: Status) -> String {
        let done = match (&self.instruction, before) {
            (Some(instruction), _) => format!("{instruction} at {:#x}", self.pc),
            (None, Status::Running) => format!("no instruction to fetch at {:#x}", self.pc),
            (None, _) => "nothing: the state is final".to_owned(),
        };
        let outcome = match &self.trap {
            Some(cause) => format!("trapped: {cause}"),
            None => self.outcome.to_string(),
        };
        table(&[
            ("witness", "verified".to_owned()),
            ("step", format!("{}, {done}", grouped(self.step))),
            ("outcome", outcome),
            ("before", self.before.to_string()),
            ("after", self.after.to_string()),
        ]) + "A trace shows whether the state before belongs to a given run.\n"
    }
}
