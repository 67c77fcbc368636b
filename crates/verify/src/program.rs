//! Programs in files.

use std::path::Path;

use assay_machine::Program;

use crate::Failure;
use crate::text::bytes;

/// The largest file that is read as a program, in bytes: a slot's size and its headers.
const FILE_SIZE_MAX: u64 = (1 << 29) + (1 << 20);

/// Reads a program from its file.
///
/// # Errors
///
/// The file can't be read, or is no program for the machine.
pub fn read_program(path: &Path) -> Result<Program, Failure> {
    parse_program(path, &read_program_file(path)?)
}

/// Reads a program's file.
///
/// # Errors
///
/// The file can't be read, or is larger than any program.
pub fn read_program_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::file("read", path, error).next("check the path of the program");
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_SIZE_MAX {
        return Err(Failure::file("use", path, format!("{} are too many", bytes(size))));
    }
    std::fs::read(path).map_err(failed)
}

/// Reads a program from its file's bytes; the path is for the error.
///
/// # Errors
///
/// It is no program for the machine.
pub fn parse_program(path: &Path, file: &[u8]) -> Result<Program, Failure> {
    Program::from_elf(file).map_err(|error| {
        Failure::file("use", path, error).next("build a program with `assay program build`")
    })
}
