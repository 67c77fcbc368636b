//! `assay program`: make, build, look into.

use std::path::{Path, PathBuf};

use assay_machine::{Instruction, Program};
use assay_types::{BlobRoot, Hash, ProgramId, sha256};
use clap::Subcommand;
use serde::Serialize;

use crate::failure::Failure;
use crate::text::{bytes, json, table};

/// The largest file that is read as a program: a slot's size and its headers.
const FILE_SIZE_MAX: u64 = (1 << 29) + (1 << 20);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say what a program is: id, entry, text range, segments.
    Inspect {
        /// The program, an ELF for the machine.
        file: PathBuf,
        /// Print the instructions too.
        #[arg(long)]
        disassemble: bool,
    },
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    program: ProgramId,
    file_sha256: Hash,
    slot_root: BlobRoot,
    entry: u32,
    text_low: u32,
    text_high: u32,
    segments: Vec<SegmentReport>,
}

#[derive(Serialize)]
struct SegmentReport {
    address: u32,
    size: u32,
    file_size: u32,
    readable: bool,
    writable: bool,
    executable: bool,
}

pub(crate) fn run(command: &Command, as_json: bool) -> Result<String, Failure> {
    match command {
        Command::Inspect { file, disassemble } => inspect(file, *disassemble, as_json),
    }
}

/// Reads a program file.
pub(crate) fn read_program(path: &Path) -> Result<Program, Failure> {
    parse(path, &read(path)?)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |error| Failure::file("read", path, error).next("check the path of the program");
    let size = std::fs::metadata(path).map_err(fail)?.len();
    if size > FILE_SIZE_MAX {
        return Err(Failure::file("use", path, format!("{} are too many", bytes(size))));
    }
    std::fs::read(path).map_err(fail)
}

fn parse(path: &Path, file: &[u8]) -> Result<Program, Failure> {
    Program::from_elf(file).map_err(|error| {
        Failure::file("use", path, error).next("build a program with `assay program build`")
    })
}

fn inspect(path: &Path, disassemble: bool, as_json: bool) -> Result<String, Failure> {
    let file = read(path)?;
    let program = parse(path, &file)?;
    let report = Report::new(&program, &file);
    if as_json {
        return Ok(json(&report));
    }
    let listing = if disassemble { listing(&program) } else { String::new() };
    Ok(report.text() + &listing)
}

fn listing(program: &Program) -> String {
    let mut text = String::from("\n");
    for (address, _, bytes, flags) in program.segments() {
        if flags & 1 == 0 {
            continue;
        }
        for (i, word) in bytes.as_chunks().0.iter().enumerate() {
            let word = u32::from_le_bytes(*word);
            let at = address + 4 * i as u32;
            text.push_str(&format!("{at:8x}  {word:08x}  {}\n", Instruction::decode(word)));
        }
    }
    text
}

impl Report {
    fn new(program: &Program, file: &[u8]) -> Self {
        let segment = |(address, size, bytes, flags): (u32, u32, &[u8], u32)| SegmentReport {
            address,
            size,
            file_size: bytes.len() as u32,
            readable: flags & 4 != 0,
            writable: flags & 2 != 0,
            executable: flags & 1 != 0,
        };
        Report {
            schema: "assay.program/1",
            program: program.id(),
            file_sha256: sha256(file),
            slot_root: program.slot_root(),
            entry: program.entry(),
            text_low: program.text().low(),
            text_high: program.text().high(),
            segments: program.segments().map(segment).collect(),
        }
    }

    fn text(&self) -> String {
        let mut rows = vec![
            ("program", self.program.to_string()),
            ("file sha256", self.file_sha256.to_string()),
            ("slot root", self.slot_root.to_string()),
            ("entry", format!("{:#x}", self.entry)),
            ("text", format!("{:#x}..{:#x}", self.text_low, self.text_high)),
        ];
        rows.extend(self.segments.iter().map(|segment| ("segment", segment.text())));
        table(&rows)
    }
}

impl SegmentReport {
    fn text(&self) -> String {
        let flag = |set, letter| if set { letter } else { '-' };
        format!(
            "{:#010x}  {}{}{}  {} in memory, {} in the file",
            self.address,
            flag(self.readable, 'r'),
            flag(self.writable, 'w'),
            flag(self.executable, 'x'),
            bytes(self.size.into()),
            bytes(self.file_size.into()),
        )
    }
}
