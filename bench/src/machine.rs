//! Figures of the machine: interpreting, committing, rooting, witnesses.

use assay_fuzz::programs::{Source, loaded, prebuilt};
use assay_fuzz::qemu;
use assay_machine::{Engine, Interpreter, Level, Machine, Program, Run, TraceBuilder, verify_step};
use assay_merkle::blob_root;
use assay_types::Salt;
use sha2::{Digest, Sha256};

use crate::figure::{Figure, Goal, median, time};
use crate::peers::{elf_with_slots, run_qemu, run_rrs, write_executable};

const ROUNDS: usize = 5;

/// Steps for rrs-lib, which is slower: enough to measure.
const RRS_STEPS: u64 = 30_000_000;

/// A job to measure with.
struct Job {
    program: Program,
    machine: Machine,
    inputs: String,
}

pub(crate) fn figures() -> Result<Vec<Figure>, String> {
    let mut figures = interpreting()?;
    figures.push(committing()?);
    figures.extend(rooting()?);
    figures.extend(witnesses()?);
    Ok(figures)
}

/// `montecarlo` over the example prices with so many paths.
fn montecarlo(paths: u64) -> Result<Job, String> {
    let parameters = MONTECARLO.replace("PATHS", &paths.to_string());
    job("montecarlo", parameters.as_bytes(), &PRICES.bytes()?, format!("montecarlo, {paths} paths"))
}

const MONTECARLO: &str = "seed=1\npaths=PATHS\n";
const PRICES: Source = Source::Data("wti-daily.csv");

fn job(name: &str, input: &[u8], dataset: &[u8], inputs: String) -> Result<Job, String> {
    let program = prebuilt(name)?;
    let machine = loaded(&program, input, dataset)?;
    Ok(Job { program, machine, inputs })
}

/// Millions of instructions a second, beside rrs-lib and qemu-riscv32.
fn interpreting() -> Result<Vec<Figure>, String> {
    let bytes: Vec<u8> = (0..4 << 20).map(|i: u32| (i % 251) as u8).collect();
    let sha256 = job("sha256", &bytes, b"", "sha256, 4 MiB".to_owned())?;
    [montecarlo(100_000)?, sha256].into_iter().map(|job| interpreting_one(&job)).collect()
}

fn interpreting_one(job: &Job) -> Result<Figure, String> {
    let steps = run_to_end(&job.machine)?;
    let emulator = qemu::find();
    let file = write_executable(&elf_with_slots(&job.program, &job.machine))
        .map_err(|error| format!("cannot write the ELF for qemu: {error}"))?;
    let (mut ours, mut rrs, mut qemu) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let mut engine = Interpreter::new(job.machine.clone());
        ours.push(steps as f64 / 1e6 / time(|| engine.run_until(u64::MAX)));
        let rrs_steps = steps.min(RRS_STEPS);
        let mut done = Ok(0);
        let seconds = time(|| done = run_rrs(&job.machine, rrs_steps - 1));
        done?;
        rrs.push(rrs_steps as f64 / 1e6 / seconds);
        if let Some(emulator) = &emulator {
            let mut done = Ok(());
            let seconds = time(|| done = run_qemu(emulator, &file));
            done?;
            qemu.push(steps as f64 / 1e6 / seconds);
        }
    }
    std::fs::remove_file(&file).map_err(|error| error.to_string())?;
    let mut peers = vec![("rrs-lib 0.1 (flat memory)".to_owned(), median(rrs))];
    if emulator.is_some() {
        peers.push(("qemu-riscv32 (JIT, with start-up)".to_owned(), median(qemu)));
    } else {
        peers.push(("qemu-riscv32: not installed".to_owned(), f64::NAN));
    }
    Ok(Figure {
        name: "interpreter".to_owned(),
        inputs: format!("{}, {steps} instructions, median of {ROUNDS}", job.inputs),
        value: median(ours),
        unit: "million instructions/s",
        goal: Some(Goal::AtLeast(200.0)),
        peers,
    })
}

fn run_to_end(machine: &Machine) -> Result<u64, String> {
    let mut engine = Interpreter::new(machine.clone());
    engine.run_until(u64::MAX);
    match engine.cpu().status {
        assay_machine::Status::Exited { code: 0 } => Ok(engine.cpu().step),
        other => Err(format!("the benchmark's program ended as {other:?}")),
    }
}

/// What a trace costs beside the plain run: percent.
fn committing() -> Result<Figure, String> {
    let job = montecarlo(2_000_000)?;
    let mut costs = Vec::new();
    let mut steps = 0;
    for _ in 0..3 {
        let mut plain = Interpreter::new(job.machine.clone());
        let run_seconds = time(|| plain.run_until(u64::MAX));
        steps = plain.cpu().step;
        // The same run, timing only what the trace adds: the first root, a state at each leaf, the
        // last state. A difference of two whole runs would drown in the machine's noise.
        let mut engine = None;
        let mut added = time(|| engine = Some(Run::new(Interpreter::new(job.machine.clone()))));
        let mut run = engine.ok_or("no engine")?;
        let mut builder = TraceBuilder::new(Level::Top, 0);
        while !run.engine().cpu().status.is_final() {
            let next = (run.engine().cpu().step / Level::Top.stride() + 1) * Level::Top.stride();
            run.advance(next);
            added += time(|| builder.advance(&mut run, next, |_| ()));
        }
        added += time(|| builder.clone().finish(&mut run));
        costs.push(100.0 * added / run_seconds);
    }
    Ok(Figure {
        name: "trace commitment, stride 2^30".to_owned(),
        inputs: format!("{}, {steps} instructions, median of 3", job.inputs),
        value: median(costs),
        unit: "% of the plain run",
        goal: Some(Goal::Below(3.0)),
        peers: vec![("Cartesi, stride 2^24 (published)".to_owned(), 130.0)],
    })
}

/// Rooting a blob, beside hashing the same bytes once.
fn rooting() -> Result<Vec<Figure>, String> {
    let bytes: Vec<u8> = (0..256 << 20).map(|i: u32| (i % 253) as u8).collect();
    let megabytes = bytes.len() as f64 / 1e6;
    [1, 2].into_iter().map(|threads| rooting_with(&bytes, megabytes, threads)).collect()
}

fn rooting_with(bytes: &[u8], megabytes: f64, threads: usize) -> Result<Figure, String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| error.to_string())?;
    let (mut ours, mut plain) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        ours.push(megabytes / time(|| pool.install(|| blob_root(Salt::PUBLIC, bytes))));
        plain.push(megabytes / time(|| Sha256::digest(bytes)));
    }
    Ok(Figure {
        name: format!("rooting a blob, {threads} thread{}", if threads == 1 { "" } else { "s" }),
        inputs: format!("256 MiB, median of {ROUNDS}"),
        value: median(ours),
        unit: "MB/s",
        goal: (threads == 1).then_some(Goal::AtLeast(800.0)),
        peers: vec![("one SHA-256 of the same bytes (sha2)".to_owned(), median(plain))],
    })
}

/// Making and verifying a step's witness.
fn witnesses() -> Result<Vec<Figure>, String> {
    let job = montecarlo(100_000)?;
    let mut run = Run::new(Interpreter::new(job.machine));
    let (mut making, mut verifying) = (vec![], vec![]);
    let mut size = 0;
    for step in (1_000_000..).step_by(997).take(500) {
        run.advance(step);
        let mut witness = vec![];
        making.push(1e6 * time(|| witness = run.witness().to_bytes()));
        let mut verified = None;
        verifying.push(1e6 * time(|| verified = Some(verify_step(&witness))));
        verified.ok_or("not verified")?.map_err(|error| error.to_string())?;
        size = size.max(witness.len());
    }
    let figure = |name: &str, values| Figure {
        name: name.to_owned(),
        inputs: format!("montecarlo, 500 steps, up to {size} bytes, median"),
        value: median(values),
        unit: "us",
        goal: None,
        peers: vec![],
    };
    Ok(vec![figure("making a witness", making), figure("verifying a witness", verifying)])
}
