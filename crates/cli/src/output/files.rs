//! Files that a command reads whole, or writes: as in `assay-verify`.

use std::path::Path;

use crate::output::failure::Failure;

pub(crate) use assay_verify::files::{read_bounded, write_file, write_secret};

/// Reads a file that was named.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::file("read", path, error).next("give a file"))
}
