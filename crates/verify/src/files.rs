//! Files that a command reads whole, or writes.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::Failure;

/// The longest file of those that a command reads whole, in bytes: receipts, trust files, known
/// trees.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Reads a file, unless it is longer than any that is read here.
///
/// # Errors
///
/// The file can't be read, or is longer than 16 MiB.
pub fn read_bounded(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::file("read", path, error).next("check the path");
    let file = File::open(path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(&"it is longer than 16 MiB, so it is no file of this kind"));
    }
    Ok(bytes)
}

/// Writes a file, and makes its folder.
///
/// # Errors
///
/// The folder or the file can't be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed =
        |error| Failure::file("write", path, error).next("check the folder and its free space");
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, bytes).map_err(failed)
}
