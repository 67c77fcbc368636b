//! `assay program`: make, build, look into.

use std::path::{Path, PathBuf};

use assay_builder::{Build, Built, Compiler, TARGET};
use assay_machine::{Instruction, Program};
use assay_types::{BlobRoot, Hash, ProgramId, sha256};
use assay_verify::program::{parse_program, read_program, read_program_file};
use clap::Subcommand;
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::text::{bytes, json, table};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create a program: a folder with a package and the SDK
    New {
        /// The folder to create; its last part names the package
        folder: PathBuf,
    },
    /// Build a package's programs for the machine
    Build {
        /// The package's folder
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Show a program's id, entry, text range and segments
    Inspect {
        /// The program, an ELF file for the machine
        file: PathBuf,
        /// Print the instructions too
        #[arg(long)]
        disassemble: bool,
    },
}

/// What `program new` writes: the template, and the SDK as this command was built with.
const FILES: [(&str, &str); 20] = [
    ("Cargo.toml", include_str!("../../../../guest/template/Cargo.toml.in")),
    ("README.md", include_str!("../../../../guest/template/README.md")),
    (".cargo/config.toml", include_str!("../../../../guest/template/.cargo/config.toml")),
    ("src/main.rs", include_str!("../../../../guest/template/src/main.rs")),
    (".gitignore", "/target\n"),
    ("sdk/Cargo.toml", include_str!("../../../../guest/Cargo.toml")),
    ("sdk/assay.ld", include_str!("../../../../guest/assay.ld")),
    ("sdk/build.rs", include_str!("../../../../guest/build.rs")),
    ("sdk/src/blob.rs", include_str!("../../../../guest/src/blob.rs")),
    ("sdk/src/cells.rs", include_str!("../../../../guest/src/cells.rs")),
    ("sdk/src/csv.rs", include_str!("../../../../guest/src/csv.rs")),
    ("sdk/src/decimal.rs", include_str!("../../../../guest/src/decimal.rs")),
    ("sdk/src/error.rs", include_str!("../../../../guest/src/error.rs")),
    ("sdk/src/lib.rs", include_str!("../../../../guest/src/lib.rs")),
    ("sdk/src/machine.rs", include_str!("../../../../guest/src/machine.rs")),
    ("sdk/src/math.rs", include_str!("../../../../guest/src/math.rs")),
    ("sdk/src/native.rs", include_str!("../../../../guest/src/native.rs")),
    ("sdk/src/output.rs", include_str!("../../../../guest/src/output.rs")),
    ("sdk/src/params.rs", include_str!("../../../../guest/src/params.rs")),
    ("sdk/src/seal.rs", include_str!("../../../../guest/src/seal.rs")),
];

#[derive(Serialize)]
struct NewReport {
    schema: &'static str,
    folder: PathBuf,
}

#[derive(Serialize)]
struct BuildReport {
    schema: &'static str,
    programs: Vec<BuiltReport>,
}

#[derive(Serialize)]
struct BuiltReport {
    name: String,
    file: PathBuf,
    program: ProgramId,
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
        Command::New { folder } => new(folder, as_json),
        Command::Build { folder } => build(folder, as_json),
        Command::Inspect { file, disassemble } => inspect(file, *disassemble, as_json),
    }
}

fn new(folder: &Path, as_json: bool) -> Result<String, Failure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
        return Err(Failure::new(format!("cannot name a program {name:?}"))
            .cause("a package's name is small letters, digits, - and _, beginning with a letter")
            .next("choose another name, such as my-program"));
    }
    if folder.exists() {
        return Err(
            Failure::file("make", folder, "it is already there").next("choose another name")
        );
    }
    for (file, text) in FILES {
        let path = folder.join(file);
        let parent = path.parent().unwrap_or(folder);
        let text = text.replace("{{NAME}}", &name).replace("{{SDK}}", "sdk");
        let written = std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| Failure::file("write", &path, error).next("check the folder"))?;
    }
    if as_json {
        return Ok(json(&NewReport { schema: "assay.new/1", folder: folder.to_owned() }));
    }
    let shown = folder.display();
    Ok(format!(
        "made {shown}\nnext: edit {shown}/src/main.rs, then `assay program build {shown}`\n"
    ))
}

fn build(folder: &Path, as_json: bool) -> Result<String, Failure> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(Failure::file("build", folder, "it has no Cargo.toml")
            .next("give a package's folder, or make one with `assay program new`"));
    }
    let compiler = Compiler::find_all().into_iter().next().ok_or_else(|| {
        Failure::file("build", folder, format!("no compiler for {TARGET} is installed"))
            .next(Compiler::how_to_get_one())
    })?;
    let what =
        Build { folder, package: None, profile: "release", target_folder: None, locked: false };
    let built = compiler.build(&what).map_err(|error| Failure::file("build", folder, error))?;
    let report = |Built { name, file }: Built| {
        let program = read_program(&file)?.id();
        Ok(BuiltReport { name, file, program })
    };
    let programs = built.into_iter().map(report).collect::<Result<Vec<_>, Failure>>()?;
    if as_json {
        return Ok(json(&BuildReport { schema: "assay.build/1", programs }));
    }
    let rows = programs.iter().flat_map(|one| {
        [
            ("name", one.name.clone()),
            ("file", one.file.display().to_string()),
            ("program", one.program.to_string()),
        ]
    });
    Ok(table(&rows.collect::<Vec<_>>()))
}

fn inspect(path: &Path, disassemble: bool, as_json: bool) -> Result<String, Failure> {
    let file = read_program_file(path)?;
    let program = parse_program(path, &file)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `program new` must not forget a file that the SDK gained.
    #[test]
    fn the_sdk_is_whole() {
        let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest");
        let entries = std::fs::read_dir(guest.join("src")).unwrap();
        let mut sources: Vec<String> = entries
            .map(|entry| format!("sdk/src/{}", entry.unwrap().file_name().to_string_lossy()))
            .collect();
        sources.sort();
        let written: Vec<&str> =
            FILES.iter().map(|file| file.0).filter(|file| file.starts_with("sdk/src/")).collect();
        assert_eq!(written, sources);
    }
}
