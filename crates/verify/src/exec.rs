//! Running a job on this machine, alone.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assay_machine::{
    Engine, Interpreter, Level, Machine, Memory, Run, STEPS_MAX, Status, StepLimit, TraceBuilder,
    Trap, blob_bytes, slot, slot_blob, slot_pages,
};
use assay_merkle::{BLOB_BYTES_MAX, BLOB_HEADER_SIZE, BlobError, BlobHeader, write_image};
use assay_receipt::RunOutcome;
use assay_types::{BlobRoot, Hash, ProgramId, Salt, StateHash};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::Failure;
use crate::files::{replace, write_file};
use crate::program::read_program;
use crate::text::{bytes, grouped, harmless, json, table};

/// Steps between two looks at the progress bar: some tenths of a second.
const STRETCH: u64 = 1 << 26;

/// What a program's message begins with in the scratch slot (spec/guest.md#messages).
const MESSAGE_TAG: &[u8] = b"assaye\x01\x01";

/// The longest message that is shown, in bytes.
const MESSAGE_SIZE_MAX: usize = 4000;

/// A program, what it reads, and what to write.
#[derive(clap::Args)]
pub struct Arguments {
    /// The program, an ELF file for the machine
    program: PathBuf,
    /// The input, any file; `-` for standard input
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The input as a slot image, such as another run wrote with --output-image
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    input_image: Option<PathBuf>,
    /// The dataset, any file
    #[arg(long, value_name = "FILE")]
    dataset: Option<PathBuf>,
    /// The dataset as a slot image
    #[arg(long, value_name = "FILE", conflicts_with = "dataset")]
    dataset_image: Option<PathBuf>,
    /// Where to write the output; `-` for standard output (the report then goes to standard error)
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Where to write the image of the output slot, even if it holds no blob
    #[arg(long, value_name = "FILE")]
    output_image: Option<PathBuf>,
    /// The step limit, 1 to 2^45. It is part of the state, so another limit gives other hashes
    #[arg(long, value_name = "N", default_value_t = STEPS_MAX)]
    steps_max: u64,
    /// Write a witness of this step (the first step is 0)
    #[arg(long, value_name = "STEP")]
    witness: Option<u64>,
    /// Where to write the witness [default: step-STEP.witness]
    #[arg(long, value_name = "FILE", requires = "witness")]
    witness_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    outcome: RunOutcome,
    trap: Option<TrapReport>,
    message: Option<String>,
    steps: u64,
    step_limit: u64,
    program: ProgramId,
    input: BlobRoot,
    dataset: BlobRoot,
    output: BlobRoot,
    output_bytes: Option<u64>,
    output_error: Option<String>,
    final_state: StateHash,
    trace_root: Hash,
    seconds: f64,
    steps_per_second: f64,
    witness_file: Option<PathBuf>,
    /// Where the output was written; none if it was not asked for, or there is no answer.
    output_file: Option<PathBuf>,
    /// Where it was to be written.
    #[serde(skip)]
    output_asked: Option<PathBuf>,
}

#[derive(Serialize)]
struct TrapReport {
    cause: String,
    pc: u32,
    instruction: Option<String>,
    registers: [u32; 32],
}

/// Runs a program and gives the report. Files that were asked for are written.
///
/// # Errors
///
/// A file can't be read or written, is no program, or does not fit; or there is no such step to
/// witness. How the program ends is no error.
pub fn run(arguments: &Arguments, as_json: bool) -> Result<String, Failure> {
    let program = read_program(&arguments.program)?;
    let step_limit = step_limit(arguments.steps_max)?;
    let mut machine = Machine::new(&program, step_limit);
    for (slot, file, image) in [
        (slot::INPUT, &arguments.input, &arguments.input_image),
        (slot::DATASET, &arguments.dataset, &arguments.dataset_image),
    ] {
        if let Some(path) = file {
            load_blob(&mut machine.memory, slot, path)?;
        } else if let Some(path) = image {
            load_image(&mut machine.memory, slot, path)?;
        }
    }

    let mut run = Run::new(Interpreter::new(machine));
    let (input, dataset) = (run.slot_root(slot::INPUT), run.slot_root(slot::DATASET));
    let start = Instant::now();
    let (trace_root, witness_file) = execute(&mut run, arguments)?;
    let seconds = start.elapsed().as_secs_f64();

    let state = run.state();
    let blob = slot_blob(run.engine(), slot::OUTPUT);
    let outcome = outcome(state.cpu.status);
    let report = Report {
        schema: "assay.exec/1",
        outcome,
        trap: run.engine().trap().map(TrapReport::new),
        message: run
            .engine()
            .page(slot::base(slot::SCRATCH) / assay_merkle::PAGE_SIZE)
            .and_then(|page| message(page)),
        steps: state.cpu.step,
        step_limit: step_limit.steps(),
        program: program.id(),
        input,
        dataset,
        output: run.slot_root(slot::OUTPUT),
        output_bytes: blob.as_ref().ok().map(BlobHeader::length),
        output_error: blob.as_ref().err().map(BlobError::to_string),
        final_state: state.hash(),
        trace_root,
        seconds,
        steps_per_second: state.cpu.step as f64 / seconds.max(1e-9),
        witness_file,
        output_file: arguments.output.clone().filter(|_| outcome.is_success()),
        output_asked: arguments.output.clone(),
    };
    let text = if as_json { json(&report) } else { report.text() };
    write_outputs(run.engine(), report.outcome, blob, arguments, text)
}

/// A step limit as it was given.
///
/// # Errors
///
/// It is not 1 to 2^45.
pub fn step_limit(steps: u64) -> Result<StepLimit, Failure> {
    StepLimit::new(steps).map_err(|error| {
        Failure::new("the step limit is out of range")
            .cause(error)
            .next("give --steps-max 1 to 2^45")
    })
}

/// Runs to the end with a progress bar, building the trace and taking the witness on the way.
fn execute(
    run: &mut Run<Interpreter>,
    arguments: &Arguments,
) -> Result<(Hash, Option<PathBuf>), Failure> {
    let limit = arguments.steps_max;
    let progress = progress_bar(limit);
    let mut trace = TraceBuilder::new(Level::Top, 0);
    let mut witness_file = None;
    loop {
        let step = run.engine().cpu().step;
        if arguments.witness == Some(step) && witness_file.is_none() {
            let path = arguments.witness_file.clone();
            let path = path.unwrap_or_else(|| PathBuf::from(format!("step-{step}.witness")));
            write_file(&path, &run.witness().to_bytes())?;
            witness_file = Some(path);
        }
        if run.engine().cpu().status.is_final() {
            break;
        }
        let ahead = arguments.witness.filter(|&witness| witness > step);
        let to = (step + STRETCH).min(ahead.unwrap_or(u64::MAX));
        trace.advance(run, to, |_| ());
        progress.set_position(run.engine().cpu().step);
    }
    progress.finish_and_clear();
    let steps = run.engine().cpu().step;
    if let (Some(wanted), None) = (arguments.witness, &witness_file) {
        return Err(Failure::new(format!("there is no step {wanted}"))
            .cause(format!("the run ended after {} steps", grouped(steps)))
            .next(format!("give --witness 0 to {steps}")));
    }
    Ok((trace.finish(run), witness_file))
}

/// Hidden unless standard error is a terminal.
fn progress_bar(limit: u64) -> ProgressBar {
    let (length, template) = if limit == STEPS_MAX {
        (None, "{spinner} {human_pos} steps, {per_sec}, {elapsed}")
    } else {
        (Some(limit), "{wide_bar} {human_pos} of at most {human_len} steps, {elapsed}")
    };
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    bar.set_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Streams a file into a slot; memory holds the only copy.
fn load_blob(memory: &mut Memory, slot: u32, path: &Path) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::file("read", path, error).next("check the path");
    let mut reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(fail)?)
    };
    let mut piece = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let count = reader.read(&mut piece).map_err(fail)?;
        if count == 0 {
            break;
        }
        if length + count as u64 > BLOB_BYTES_MAX {
            return Err(Failure::file("use", path, BlobError::TooLong(length + count as u64)));
        }
        memory.put(slot::base(slot) + BLOB_HEADER_SIZE + length as u32, &piece[..count]);
        length += count as u64;
    }
    let header = BlobHeader::new(length, Salt::PUBLIC);
    let header = header.map_err(|error| Failure::file("use", path, error))?;
    memory.put(slot::base(slot), &header.to_bytes());
    Ok(())
}

fn load_image(memory: &mut Memory, slot: u32, path: &Path) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::file("read", path, error).next("check the path");
    let image = std::fs::read(path).map_err(fail)?;
    memory.put_image(slot, &image).map_err(|error| {
        Failure::file("use", path, error).next("make an image with `exec --output-image`")
    })
}

/// Writes what was asked for and gives the text for standard output.
fn write_outputs(
    engine: &Interpreter,
    outcome: RunOutcome,
    blob: Result<BlobHeader, BlobError>,
    arguments: &Arguments,
    text: String,
) -> Result<String, Failure> {
    if let Some(path) = &arguments.output_image {
        replace(path, |file| write_image(slot_pages(engine, slot::OUTPUT), |b| file.write_all(b)))?;
    }
    let Some(path) = &arguments.output else { return Ok(text) };
    // What a program left that gave no answer replaces no result of before.
    if !outcome.is_success() {
        return Ok(text);
    }
    let header = blob.map_err(|error| {
        Failure::file("write", path, error).next("the program wrote no blob: use --output-image")
    })?;
    let mut pieces = blob_bytes(engine, slot::OUTPUT, header);
    if path == Path::new("-") {
        eprint!("{text}");
        let mut stdout = std::io::stdout().lock();
        let written = pieces.try_for_each(|piece| stdout.write_all(piece));
        written.map_err(|error| Failure::file("write", path, error))?;
        return Ok(String::new());
    }
    replace(path, |file| pieces.try_for_each(|piece| file.write_all(piece)))?;
    Ok(text)
}

/// The last words that a program left in the first page of its scratch slot, made harmless for a
/// terminal; `None` if there are none (spec/guest.md#messages).
pub fn message(page: &[u8]) -> Option<String> {
    let rest = page.strip_prefix(MESSAGE_TAG)?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = (u32::from_le_bytes(*length) as usize).min(MESSAGE_SIZE_MAX).min(rest.len());
    Some(harmless(&rest[..length]))
}

impl Report {
    fn text(&self) -> String {
        let output = match (self.output_bytes, &self.output_error) {
            (Some(length), _) => format!("{} ({})", self.output, bytes(length)),
            (None, error) => format!("{} ({})", self.output, error.as_deref().unwrap_or("no blob")),
        };
        let speed = self.steps_per_second / 1e6;
        let mut rows = vec![
            ("outcome", self.outcome.to_string()),
            ("steps", grouped(self.steps)),
            ("program", self.program.to_string()),
            ("input", self.input.to_string()),
            ("dataset", self.dataset.to_string()),
            ("output", output),
            ("final state", self.final_state.to_string()),
            ("trace root", self.trace_root.to_string()),
            ("time", format!("{:.3} s, {speed:.1} million steps/s", self.seconds)),
        ];
        if let Some(message) = &self.message {
            rows.insert(1, ("message", message.clone()));
        }
        if let Some(trap) = &self.trap {
            rows.insert(1, ("trap", trap.text()));
        }
        if let Some(path) = &self.witness_file {
            rows.push(("witness", path.display().to_string()));
        }
        if let (Some(path), None) = (&self.output_asked, &self.output_file) {
            let left = format!("{} is left as it was: there is no answer", path.display());
            rows.push(("not written", left));
        }
        table(&rows)
    }
}

impl TrapReport {
    fn new(trap: &Trap) -> Self {
        TrapReport {
            cause: trap.cause.to_string(),
            pc: trap.pc,
            instruction: trap.instruction.map(|instruction| instruction.to_string()),
            registers: trap.x,
        }
    }

    fn text(&self) -> String {
        let instruction = self.instruction.as_deref().unwrap_or("nothing there");
        let mut text = format!("{} at {:#x}: {instruction}", self.cause, self.pc);
        for (i, row) in self.registers.chunks(4).enumerate() {
            text.push_str("\n            ");
            for (j, value) in row.iter().enumerate() {
                text.push_str(&format!(" x{:<2} {value:08x}", 4 * i + j));
            }
        }
        text
    }
}

/// How a machine's run ended, or goes on.
pub fn outcome(status: Status) -> RunOutcome {
    let (status, code) = status.numbers();
    RunOutcome::new(status, code)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A claim's numbers are those of the final state that it names.
    #[test]
    fn a_claims_numbers_mean_what_the_machines_do() {
        for (status, meant) in [
            (Status::Running, RunOutcome::Running),
            (Status::Exited { code: 7 }, RunOutcome::Exited { code: 7 }),
            (Status::Trapped, RunOutcome::Trapped),
            (Status::OutOfSteps, RunOutcome::OutOfSteps),
        ] {
            assert_eq!(outcome(status), meant);
            assert!(!meant.is_success(), "{status:?}");
        }
        assert!(outcome(Status::Exited { code: 0 }).is_success());
        assert_eq!(RunOutcome::new(9, 0).name(), "other", "of a newer machine");
    }
}
