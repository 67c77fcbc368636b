//! Files that are durable when they say so: blobs, and logs.

mod blobs;
mod log;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::{Error, Result};
pub use blobs::FileBlobs;
pub use log::LogFiles;

/// Writes a file that is not there yet, that only its owner can read; its bytes are durable when
/// this returns, its name is once its folder is synced.
///
/// # Errors
///
/// The system's; also if there is a file of that name. What was written so far stays.
pub fn write_new(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = make_new(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A file that was not there yet, that only its owner can read.
fn make_new(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// How many bytes whoever runs this may still write to the disk of a folder; `None` where the
/// system does not say.
pub fn free_size(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    return rustix::fs::statvfs(folder)
        .ok()
        .map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    #[cfg(not(unix))]
    return None;
}

/// The name is durable only once its folder is.
fn sync_folder(folder: &Path) -> Result<()> {
    // Windows has no way to sync a folder, and needs none: names are journalled.
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| Error::io("syncing", folder, error))?;
    }
    Ok(())
}

/// `None` for what is not there.
fn found<T>(result: std::io::Result<T>, path: &Path) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("reading", path, error)),
    }
}
