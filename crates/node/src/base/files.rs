//! Small files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use alloy_primitives::hex;
use assay_storage::write_new;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::{Error, Result};

/// Writes a file that only its owner can read, replacing an older one in one step.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    place(path, content, |draft| fs::rename(draft, path)).map(drop)
}

/// Writes a file that only its owner can read, unless there is one: then false, and that one stays.
/// Of several processes that write it at once, one does.
pub(crate) fn write_once(path: &Path, content: &[u8]) -> Result<bool> {
    place(path, content, |draft| match fs::hard_link(draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true),
    })
}

/// Writes a draft beside a file's place and puts it there by a function. No draft is left.
fn place<T>(
    path: &Path,
    content: &[u8],
    put: impl FnOnce(&Path) -> std::io::Result<T>,
) -> Result<T> {
    let failed = |source| Error::file("writing", path, source);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let unique = getrandom::u64().map_err(Error::Randomness)?;
    let draft = path.with_extension(format!("draft-{unique:016x}"));
    let done = write_new(&draft, content).and_then(|()| put(&draft));
    // After a rename there is none.
    let _ = fs::remove_file(&draft);
    let done = done.map_err(failed)?;
    // The name is durable only once its folder is. Not every system can sync a folder.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(done)
}

/// Waits until no other process has the lock of a file, and takes it until the file is dropped.
/// Blocks.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let failed = |source| Error::file("locking", path, source);
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

/// A file on its way: written beside its place, and gone unless it is put there.
pub(crate) struct Draft {
    path: PathBuf,
    draft: PathBuf,
    file: File,
}

impl Draft {
    /// Begins one, for its owner only.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let unique = getrandom::u64().map_err(Error::Randomness)?;
        let draft = path.with_extension(format!("draft-{unique:016x}"));
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&draft).map_err(|source| Error::file("writing", path, source))?;
        Ok(Draft { path: path.to_owned(), draft, file })
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, content: &[u8]) -> Result<()> {
        let written = self.file.write_all(content);
        written.map_err(|source| Error::file("writing", &self.path, source))
    }

    /// Puts the file in its place, over an older one.
    pub(crate) fn put(self) -> Result<()> {
        let done = self.file.sync_all().and_then(|()| fs::rename(&self.draft, &self.path));
        done.map_err(|source| Error::file("writing", &self.path, source))?;
        // As above. The draft's name is free now, so that dropping it removes nothing.
        if let Some(Ok(folder)) = self.path.parent().map(File::open) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.draft);
    }
}

/// A secret of 32 random bytes that lies in a file as 64 hexadecimal digits, made the first time.
pub(crate) fn seed(path: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    let mut text = read(path)?.map(Zeroizing::new);
    if text.is_none() {
        getrandom::fill(&mut *seed).map_err(Error::Randomness)?;
        // Another process may be faster: then its seed is everyone's.
        write_once(path, Zeroizing::new(hex::encode(*seed)).as_bytes())?;
        text = read(path)?.map(Zeroizing::new);
    }
    let text = text.unwrap_or_default();
    hex::decode_to_slice(text.trim_ascii(), &mut *seed)
        .map_err(|_| Error::damaged(path, "it is not 64 hexadecimal digits"))?;
    Ok(seed)
}

/// Reads a file; `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("reading", path, error)),
    }
}

/// Removes a file that need not be there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::file("removing", path, error))
        }
        _ => Ok(()),
    }
}

/// Reads all JSON values of a folder, by name; none if there is no folder.
pub(crate) fn read_all_json<T: DeserializeOwned>(folder: &Path) -> Result<Vec<T>> {
    let failed = |source| Error::file("reading", folder, source);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = paths.map_err(failed)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().filter_map(|path| read_json(path).transpose()).collect()
}

/// Writes a value as JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| Error::damaged(path, error))?;
    text.push(b'\n');
    write(path, &text)
}

/// Reads a JSON value; `None` if there is no file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let parse =
        |text: Vec<u8>| serde_json::from_slice(&text).map_err(|error| Error::damaged(path, error));
    read(path)?.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn whoever_makes_a_seed_at_once_gets_the_same() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("keys/seed");
            let at_once = Barrier::new(8);
            let seeds: Vec<_> = std::thread::scope(|scope| {
                let make = || {
                    at_once.wait();
                    seed(&path).expect("a seed")
                };
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
            });
            let kept = seed(&path).expect("the seed");
            assert!(seeds.iter().all(|made| **made == *kept), "a key that was used is lost");
            let names = fs::read_dir(folder.path().join("keys")).expect("a folder").count();
            assert_eq!(names, 1, "no draft is left");
        }
    }

    #[cfg(unix)]
    #[test]
    fn files_are_their_owners() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        for (name, how) in [
            ("a.json", write as fn(&Path, &[u8]) -> Result<()>),
            ("b", |path, b| write_once(path, b).map(drop)),
        ] {
            let path = folder.path().join(name);
            how(&path, b"secret").expect("written");
            let mode = fs::metadata(&path).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
