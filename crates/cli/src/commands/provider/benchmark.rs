//! `assay provider benchmark`: what work costs on this machine, measured.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assay_machine::{
    Engine, Interpreter, Level, Machine, Program, Run, StepLimit, TraceBuilder, slot,
};
use assay_merkle::BlobHeader;
use assay_types::Salt;
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::files::write_secret;
use crate::output::text::{grouped, json, table};
use crate::session::home::HomeArgument;
use crate::session::settings::{settings_path, with_setting};

/// What runs: the hash of a file, all arithmetic and memory.
const PROGRAM: &[u8] = include_bytes!("../../../../../programs/prebuilt/sha256.elf");

/// The file's size in bytes: some seconds of work for an interpreter.
const INPUT_SIZE: usize = 1 << 20;

/// What is rooted, and written to the disk, in bytes.
const BULK_SIZE: usize = 32 << 20;

/// How often what is short is measured; the median counts.
const ROUNDS: usize = 9;

/// The part of the measured speed that a provider counts on, in percent: a machine does other
/// things besides.
const COUNTED_ON_PERCENT: u64 = 80;

/// How often a job waits for the disk: its inputs, its output, its statements.
const SYNCS_PER_JOB: f64 = 8.0;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
    /// What an hour of this machine costs, in the token's smallest unit
    #[arg(long, value_name = "AMOUNT", default_value_t = 50_000)]
    hour_cost: u64,
    /// What the transactions of a job cost, in the token's smallest unit
    #[arg(long, value_name = "AMOUNT", default_value_t = 15_000)]
    gas_cost: u64,
    /// Write the results to the settings file, under [provider]
    #[arg(long)]
    write: bool,
}

/// `assay.benchmark/1`.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    steps_per_sec_measured: u64,
    root_bytes_per_sec: u64,
    empty_job_seconds: f64,
    disk_bytes_per_sec: u64,
    fsync_seconds: f64,
    steps_per_sec: u64,
    job_cost: u64,
    mebistep_cost: u64,
    written: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, as_json: bool) -> Result<String, Failure> {
    let home = arguments.home.open()?;
    let file = settings_path();
    // What can't be written should not be measured first.
    let file = match (arguments.write, file) {
        (true, None) => {
            return Err(Failure::new("there is no settings file to write to")
                .cause("this system has no user data folder")
                .next("give --home FOLDER or --config FILE"));
        }
        (write, file) => file.filter(|_| write),
    };
    let steps_per_sec_measured = engine_speed()?;
    let (disk_bytes_per_sec, fsync_seconds) = disk_speed(home.path())?;
    let empty_job_seconds = median((0..ROUNDS).map(|_| empty_job()).collect::<Result<_, _>>()?);
    let root_bytes_per_sec = root_speed()?;

    let steps_per_sec = (steps_per_sec_measured * COUNTED_ON_PERCENT / 100).max(1);
    let idle_secs = empty_job_seconds + SYNCS_PER_JOB * fsync_seconds;
    let per_hour = |secs: f64| (arguments.hour_cost as f64 * secs / 3600.0).ceil() as u64;
    let report = Report {
        schema: "assay.benchmark/1",
        steps_per_sec_measured,
        root_bytes_per_sec,
        empty_job_seconds,
        disk_bytes_per_sec,
        fsync_seconds,
        steps_per_sec,
        job_cost: arguments.gas_cost.saturating_add(per_hour(idle_secs)),
        mebistep_cost: per_hour((1u64 << 20) as f64 / steps_per_sec as f64),
        written: file.clone(),
    };
    if let Some(path) = &file {
        report.write(path)?;
    }
    Ok(if as_json { json(&report) } else { report.text() })
}

impl Report {
    fn settings(&self) -> [(&'static str, u64); 3] {
        [
            ("steps_per_sec", self.steps_per_sec),
            ("job_cost", self.job_cost),
            ("mebistep_cost", self.mebistep_cost),
        ]
    }

    /// Puts the settings into the file, and leaves all else in it as it is.
    fn write(&self, path: &Path) -> Result<(), Failure> {
        let old = match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            old => old.map_err(|error| Failure::file("read", path, error))?,
        };
        let new = self
            .settings()
            .iter()
            .try_fold(old, |text, (key, value)| with_setting(&text, "provider", key, *value));
        let new = new.map_err(|what| {
            Failure::file("change", path, what).next("write the printed settings to it by hand")
        })?;
        // Settings may hold an endpoint with its secret.
        Ok(write_secret(path, new.as_bytes())?)
    }

    fn text(&self) -> String {
        let mebibytes = |bytes: u64| format!("{} MiB/s", grouped(bytes >> 20));
        let written = match &self.written {
            Some(path) => format!("written to {}", path.display()),
            None => "not written; --write writes them to the settings file".to_owned(),
        };
        let mut rows = vec![
            ("engine", format!("{} steps/s", grouped(self.steps_per_sec_measured))),
            ("rooting", mebibytes(self.root_bytes_per_sec)),
            ("empty job", format!("{:.1} ms", self.empty_job_seconds * 1e3)),
            ("disk", mebibytes(self.disk_bytes_per_sec)),
            ("fsync", format!("{:.2} ms", self.fsync_seconds * 1e3)),
            ("settings", written),
        ];
        let settings = self.settings();
        rows.extend(settings.iter().map(|(key, value)| (*key, value.to_string())));
        table(&rows)
    }
}

/// Steps a second of the engine.
fn engine_speed() -> Result<u64, Failure> {
    let mut machine = machine()?;
    let input: Vec<u8> = (0..INPUT_SIZE).map(|i| (i % 251) as u8).collect();
    put(&mut machine, &input)?;
    let mut run = Run::new(Interpreter::new(machine));
    let started = Instant::now();
    run.advance(u64::MAX);
    let steps = run.engine().cpu().step;
    Ok((steps as f64 / secs(started)).max(1.0) as u64)
}

/// How long a job takes that does next to nothing, from its program to its trace root.
fn empty_job() -> Result<f64, Failure> {
    let started = Instant::now();
    let mut run = Run::new(Interpreter::new(machine()?));
    let mut trace = TraceBuilder::new(Level::Top, 0);
    trace.advance(&mut run, u64::MAX, |_| ());
    std::hint::black_box(trace.finish(&mut run));
    Ok(secs(started))
}

/// Bytes a second that an input is rooted with.
fn root_speed() -> Result<u64, Failure> {
    let mut machine = machine()?;
    let input: Vec<u8> =
        (0..BULK_SIZE as u32).map(|i| i.wrapping_mul(0x9e37_79b1).to_le_bytes()[3]).collect();
    put(&mut machine, &input)?;
    let started = Instant::now();
    std::hint::black_box(Run::new(Interpreter::new(machine)).slot_root(slot::INPUT));
    Ok((BULK_SIZE as f64 / secs(started)) as u64)
}

fn machine() -> Result<Machine, Failure> {
    let broken =
        |error: &dyn std::fmt::Display| Failure::new("the built-in program is broken").cause(error);
    let program = Program::from_elf(PROGRAM).map_err(|error| broken(&error))?;
    let limit = StepLimit::new(1 << 40).map_err(|error| broken(&error))?;
    Ok(Machine::new(&program, limit))
}

fn put(machine: &mut Machine, bytes: &[u8]) -> Result<(), Failure> {
    let header = BlobHeader::new(bytes.len() as u64, Salt::PUBLIC);
    let header = header.map_err(|error| Failure::new("the input has no header").cause(error))?;
    machine.memory.put_blob(slot::INPUT, header, bytes);
    Ok(())
}

/// Bytes a second to the home's disk, and how long it takes to make a small file durable.
fn disk_speed(home: &Path) -> Result<(u64, f64), Failure> {
    let failed =
        |error| Failure::file("write to", home, error).next("check its permissions and space");
    fs::create_dir_all(home).map_err(failed)?;
    let path = home.join("benchmark.draft");
    let write = |bytes: &[u8]| -> std::io::Result<f64> {
        let started = Instant::now();
        let mut file = File::create(&path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(secs(started))
    };
    let measured = || -> std::io::Result<(u64, f64)> {
        let bulk = BULK_SIZE as f64 / write(&vec![0xa5; BULK_SIZE])?;
        let small = (0..ROUNDS).map(|_| write(b"a small file")).collect::<std::io::Result<_>>()?;
        Ok((bulk as u64, median(small)))
    };
    let done = measured();
    let removed = fs::remove_file(&path);
    let done = done.map_err(failed)?;
    removed.map_err(failed)?;
    Ok(done)
}

fn secs(since: Instant) -> f64 {
    since.elapsed().max(Duration::from_nanos(1)).as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
