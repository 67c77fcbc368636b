//! `cargo xtask programs`: builds the programs for the machine, or checks that the committed ones
//! are what they should be.
//!
//! Another toolchain may give other bytes, so `programs/prebuilt/manifest.json` records the one
//! that was used.

use std::path::{Path, PathBuf};

use assay_builder::{Build, Compiler, TARGET, Toolchain};
use assay_machine::Program as Machine;
use assay_types::{Hash, ProgramId, sha256};
use serde::{Deserialize, Serialize};

use crate::root;

/// `programs/prebuilt/manifest.json`.
#[derive(Serialize, Deserialize)]
struct Manifest {
    toolchain: Toolchain,
    programs: Vec<Program>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Program {
    name: String,
    /// Size of the ELF in bytes.
    bytes: u64,
    /// Of the ELF.
    sha256: Hash,
    /// The program id (spec/machine.md#programs).
    id: ProgramId,
}

impl Program {
    fn new(name: &str, elf: &[u8]) -> Result<Self, String> {
        let id = Machine::from_elf(elf).map_err(|error| format!("{name}: {error}"))?.id();
        Ok(Program { name: name.to_owned(), bytes: elf.len() as u64, sha256: sha256(elf), id })
    }
}

/// Builds the programs and writes `programs/prebuilt/`.
pub(crate) fn write() -> Result<(), String> {
    let compiler = Compiler::find_all().into_iter().next();
    let compiler = compiler.ok_or_else(|| {
        format!("no toolchain builds for {TARGET} here: {}", Compiler::how_to_get_one())
    })?;
    let mut programs = Vec::new();
    for name in names()? {
        let elf = build(&compiler, &name)?;
        let program = Program::new(&name, &elf)?;
        println!("{name}: {} bytes, id {}", program.bytes, program.id);
        let path = prebuilt(&format!("{name}.elf"));
        std::fs::write(&path, elf).map_err(at(&path))?;
        programs.push(program);
    }
    let manifest = Manifest { toolchain: compiler.toolchain().clone(), programs };
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| error.to_string())? + "\n";
    let path = prebuilt("manifest.json");
    std::fs::write(&path, text).map_err(at(&path))
}

/// Compares what is committed with the manifest, and with a rebuild where the toolchain that built
/// it is here.
pub(crate) fn check() -> Result<(), String> {
    let path = prebuilt("manifest.json");
    let manifest: Manifest =
        serde_json::from_slice(&read(&path)?).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut wrong = check_files(&manifest)?;
    let compilers = Compiler::find_all();
    match compilers.iter().find(|compiler| *compiler.toolchain() == manifest.toolchain) {
        Some(compiler) => {
            for Program { name, .. } in &manifest.programs {
                if build(compiler, name)? == read(&prebuilt(&format!("{name}.elf")))? {
                    println!("{name}: a rebuild gives the same bytes");
                } else {
                    wrong.push(format!("{name}: a rebuild gives other bytes"));
                }
            }
        }
        None => say_what_is_skipped(&manifest, compilers.first()),
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}\n`cargo xtask programs` builds them anew", wrong.join("\n")))
}

/// What needs no toolchain: every program is there, with the digest and the id that the manifest
/// says.
fn check_files(manifest: &Manifest) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    let listed: Vec<&str> = manifest.programs.iter().map(|program| &program.name[..]).collect();
    if listed != names()? {
        wrong.push(format!("the manifest lists {listed:?}, programs/ has others"));
    }
    for program in &manifest.programs {
        let elf = read(&prebuilt(&format!("{}.elf", program.name)))?;
        if Program::new(&program.name, &elf)? != *program {
            wrong.push(format!("{}: the manifest is of another ELF", program.name));
        }
    }
    Ok(wrong)
}

fn say_what_is_skipped(manifest: &Manifest, present: Option<&Compiler>) {
    let Toolchain { rustc, cargo, linker, .. } = &manifest.toolchain;
    println!("skipped: rebuilding programs/prebuilt, built with {rustc}, {cargo}, {linker}");
    match present.map(Compiler::toolchain) {
        Some(Toolchain { rustc, cargo, linker, .. }) => {
            println!("  here is {rustc}, {cargo}, {linker}: its bits may differ");
        }
        None => println!("  {}", Compiler::how_to_get_one()),
    }
}

/// Builds one program, alone, so that no other package's features reach it.
fn build(compiler: &Compiler, name: &str) -> Result<Vec<u8>, String> {
    let package = format!("assay-program-{name}");
    let target = root().join("target/programs");
    let built = compiler.build(&Build {
        folder: root(),
        package: Some(&package),
        profile: "program",
        target_folder: Some(&target),
        locked: true,
    });
    let built = built.map_err(|error| format!("{name}: {error}"))?;
    let elf = built.iter().find(|elf| elf.name == name).ok_or(format!("{name}: no such binary"))?;
    read(&elf.file)
}

/// The programs are the folders under `programs/` that are packages.
fn names() -> Result<Vec<String>, String> {
    let folder = root().join("programs");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(at(&folder))? {
        let entry = entry.map_err(at(&folder))?;
        if entry.path().join("Cargo.toml").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn prebuilt(file: &str) -> PathBuf {
    root().join("programs/prebuilt").join(file)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(at(path))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}
