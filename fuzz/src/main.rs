//! `assay-fuzz machine [INSTRUCTIONS] [SEED]`: the interpreter and its witnesses against rrs-lib
//! (and qemu-riscv32, where installed) until so many instructions were compared. `assay-fuzz
//! privacy [COUNT] [SEED] [NAME]`: so many mutants through each parser of what strangers send, or
//! through those of that name. `assay-fuzz programs`: the prebuilt programs give what is recorded
//! of them. `assay-fuzz vectors FOLDER`: writes what is recorded.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use assay_fuzz::differential::{Tally, compare};
#[cfg(feature = "parsers")]
use assay_fuzz::parsers;
use assay_fuzz::{programs, qemu, vectors};
use rayon::prelude::*;

/// Programs between two looks at the total.
const BATCH: u64 = 2000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["machine"] => machine(100_000_000, 0),
        ["machine", goal] => number(goal).and_then(|goal| machine(goal, 0)),
        ["machine", goal, seed] => number(goal).and_then(|goal| machine(goal, number(seed)?)),
        #[cfg(feature = "parsers")]
        ["privacy", ref rest @ ..] => privacy(rest),
        ["programs"] => all_programs(),
        ["vectors", folder] => write_vectors(Path::new(folder)),
        _ => Err("usage: assay-fuzz machine [INSTRUCTIONS] [SEED] | privacy [COUNT] [SEED] [NAME] | programs | vectors FOLDER"
            .to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|error| format!("{text}: {error}"))
}

fn machine(goal: u64, first_seed: u64) -> Result<(), String> {
    let start = Instant::now();
    let mut total = Tally::default();
    let mut seed = first_seed;
    while total.instructions < goal {
        let tallies: Result<Vec<Tally>, String> =
            (seed..seed + BATCH).into_par_iter().map(compare).collect();
        tallies?.into_iter().for_each(|tally| total.add(tally));
        seed += BATCH;
    }
    println!(
        "rrs-lib: {} instructions in {} programs (seeds {first_seed} to {}), 0 differences; {} trapped, {} exited, {} out \
         of steps, {} witnesses; {:.0} s",
        total.instructions,
        total.programs,
        seed - 1,
        total.trapped,
        total.exited,
        total.out_of_steps,
        total.witnesses,
        start.elapsed().as_secs_f64(),
    );
    against_qemu(goal / 100, first_seed)
}

/// qemu starts a process for each program, so it gets a hundredth.
fn against_qemu(goal: u64, first_seed: u64) -> Result<(), String> {
    let Some(emulator) = qemu::find() else {
        println!("qemu-riscv32: not installed, skipped (Debian: qemu-user)");
        return Ok(());
    };
    let folder = std::env::temp_dir();
    let (mut instructions, mut seed) = (0, first_seed);
    while instructions < goal {
        instructions += qemu::compare(&emulator, &folder, seed)?;
        seed += 1;
    }
    let programs = seed - first_seed;
    println!("qemu-riscv32: {instructions} instructions in {programs} programs, 0 differences");
    Ok(())
}

/// All parsers, or those whose name has these words in it.
#[cfg(feature = "parsers")]
fn privacy(arguments: &[&str]) -> Result<(), String> {
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| number(text));
    let (count, seed) = (number(0, 10_000_000)?, number(1, 0)?);
    let name = arguments.get(2).copied().unwrap_or_default();
    let named = |parser: &&parsers::Parser| parser.name.contains(name);
    for parser in parsers::PARSERS.iter().filter(named) {
        let start = Instant::now();
        let accepted = parsers::fuzz(parser, count, seed)?;
        let (name, seconds) = (parser.name, start.elapsed().as_secs_f64());
        println!(
            "{name}: {count} mutants (seed {seed}), {accepted} accepted, 0 crashes; {seconds:.0} s"
        );
    }
    Ok(())
}

/// The prebuilt programs on all example data, from code that is built as this is.
fn all_programs() -> Result<(), String> {
    for threads in [1, 2] {
        programs::check(threads)?;
        println!(
            "{} examples give the recorded roots on {threads} threads",
            programs::EXAMPLES.len()
        );
    }
    Ok(())
}

fn write_vectors(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder.join("steps")).map_err(|error| error.to_string())?;
    for (name, vectors) in vectors::files()? {
        write_json(&folder.join("steps").join(name), &vectors)?;
    }
    write_json(&folder.join("programs.json"), &programs::results()?)
}

fn write_json<T: serde::Serialize>(file: &Path, values: &[T]) -> Result<(), String> {
    let text = serde_json::to_string_pretty(values).map_err(|error| error.to_string())? + "\n";
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("{} vectors in {}", values.len(), file.display());
    Ok(())
}
