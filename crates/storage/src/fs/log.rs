//! A log, or a witness's state, as files in a folder.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use assay_tlog::{Storage, StorageError};

use super::{found, sync_folder, write_new};
use crate::{Error, Result};

/// Where files are written before they take their names.
const DRAFTS: &str = "drafts";

/// Drafts begun by this process, whichever handle began them; opening a folder to write removes
/// what is left of them.
static DRAFTS_BEGUN: AtomicU64 = AtomicU64::new(0);

/// A folder that a log, or a witness, lies in. Its files are those that others' tools serve and
/// read (c2sp.org/tlog-tiles).
///
/// ```text
/// FOLDER/checkpoint, FOLDER/cosigned
/// FOLDER/tile/LEVEL/NUMBER, FOLDER/tile/entries/NUMBER
/// FOLDER/lock              held by the one process that writes
/// FOLDER/drafts            what is not finished; emptied at the start
/// ```
#[derive(Debug)]
pub struct LogFiles {
    folder: PathBuf,
    /// Held to write; dropping it lets go.
    _lock: Option<File>,
    replacing: Mutex<()>,
}

impl LogFiles {
    /// Opens a folder to write, or makes one, and removes what was not finished.
    ///
    /// # Errors
    ///
    /// [`Error::LogOpen`], [`Error::Io`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        let drafts = folder.join(DRAFTS);
        fs::create_dir_all(&drafts).map_err(|error| Error::io("making", &drafts, error))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(|error| Error::io("making", &path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::LogOpen { path: folder }),
            Err(TryLockError::Error(error)) => return Err(Error::io("locking", &path, error)),
        }
        let failed = |error| Error::io("emptying", &drafts, error);
        for draft in fs::read_dir(&drafts).map_err(failed)? {
            fs::remove_file(draft.map_err(failed)?.path()).map_err(failed)?;
        }
        Ok(Self { _lock: Some(lock), ..Self::read_only(folder) })
    }

    /// A folder to read, whoever writes to it.
    pub fn read_only(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), _lock: None, replacing: Mutex::new(()) }
    }

    /// A file with its bytes durable and its name not yet.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let number = DRAFTS_BEGUN.fetch_add(1, Ordering::Relaxed);
        let draft = self.folder.join(DRAFTS).join(number.to_string());
        write_new(&draft, bytes).map_err(|error| Error::io("writing", &draft, error))?;
        let path = self.folder.join(name);
        fs::rename(&draft, &path).map_err(|error| Error::io("naming", &path, error))?;
        Ok(path)
    }

    /// Makes the folder of a file. Adds to `changed` the folders that have new names in them.
    fn make_parent(&self, name: &str, changed: &mut BTreeSet<PathBuf>) -> Result<()> {
        let path = self.folder.join(name);
        let parent = path.parent().unwrap_or(&self.folder);
        changed.insert(parent.to_owned());
        let mut missing = parent;
        while !missing.exists() {
            let Some(above) = missing.parent() else { break };
            changed.insert(above.to_owned());
            missing = above;
        }
        fs::create_dir_all(parent).map_err(|error| Error::io("making", parent, error))
    }

    fn put(&self, objects: &[(String, Vec<u8>)]) -> Result<()> {
        let mut changed = BTreeSet::new();
        for (name, bytes) in objects {
            self.make_parent(name, &mut changed)?;
            self.write(name, bytes)?;
        }
        changed.iter().try_for_each(|folder| sync_folder(folder))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.folder.join(name);
        found(fs::read(&path), &path)
    }
}

impl Storage for LogFiles {
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.read(name).map_err(failed)
    }

    fn has_any(&self, folder: &str) -> Result<bool, StorageError> {
        has_any(&self.folder.join(folder)).map_err(failed)
    }

    fn put_all(&self, objects: &[(String, Vec<u8>)]) -> Result<(), StorageError> {
        self.put(objects).map_err(failed)
    }

    fn replace(&self, name: &str, old: Option<&[u8]>, new: &[u8]) -> Result<bool, StorageError> {
        // The lock keeps other processes out, this keeps other threads out.
        let _held = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.read(name).map_err(failed)?.as_deref() != old {
            return Ok(false);
        }
        self.put(&[(name.to_owned(), new.to_owned())]).map_err(failed)?;
        Ok(true)
    }

    fn remove_all(&self, folder: &str) -> Result<(), StorageError> {
        let path = self.folder.join(folder);
        let removed = found(fs::remove_dir_all(&path), &path);
        removed.map(|_| ()).map_err(failed)
    }
}

/// Whether a folder, or one in it, has a file.
fn has_any(folder: &Path) -> Result<bool> {
    let reading = |error| Error::io("reading", folder, error);
    let Some(entries) = found(fs::read_dir(folder), folder)? else { return Ok(false) };
    for entry in entries {
        let entry = entry.map_err(reading)?;
        if !entry.file_type().map_err(reading)?.is_dir() || has_any(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn failed(error: Error) -> StorageError {
    StorageError(Box::new(error))
}
