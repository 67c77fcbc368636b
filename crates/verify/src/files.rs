//! Files that a command reads whole, or writes.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::Failure;

/// The longest file of those that a command reads whole, in bytes: receipts, trust files, known
/// trees.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// How many drafts of a file may lie about before it is not written.
const DRAFTS_MAX: u32 = 100;

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

/// Writes a file, whole or not at all, and makes its folder.
///
/// # Errors
///
/// The folder or the file can't be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    make_folder(path)
        .and_then(|()| put(path, false, |file| file.write_all(bytes)))
        .map_err(|error| unwritten(path, error))
}

/// The same for what may be a secret: only its owner can read it.
///
/// # Errors
///
/// The folder or the file can't be written.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    make_folder(path)
        .and_then(|()| put(path, true, |file| file.write_all(bytes)))
        .map_err(|error| unwritten(path, error))
}

/// Writes a file of a folder that is there, by a function: in its place is what was there before
/// until all is written.
///
/// # Errors
///
/// The file can't be written.
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), Failure> {
    put(path, false, write).map_err(|error| unwritten(path, error))
}

fn unwritten(path: &Path, error: io::Error) -> Failure {
    Failure::file("write", path, error).next("check the folder and its free space")
}

fn make_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => std::fs::create_dir_all(folder),
        None => Ok(()),
    }
}

fn put(
    path: &Path,
    is_secret: bool,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    // A link stays a link: what it points at is replaced.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let before = std::fs::metadata(path).ok();
    let fill = |file: File| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)
    };
    // A terminal, a pipe or a device is no file to be replaced.
    if before.as_ref().is_some_and(|before| !before.is_file() && !before.is_dir()) {
        return fill(File::options().write(true).open(path)?).map(drop);
    }
    let (draft, file) = draft(path, is_secret)?;
    let done = fill(file).and_then(|file| {
        if let Some(before) = before.filter(|_| !is_secret) {
            file.set_permissions(before.permissions())?;
        }
        file.sync_all()?;
        std::fs::rename(&draft, path)
    });
    if done.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    done
}

/// A new file beside another, and its name.
fn draft(path: &Path, is_secret: bool) -> io::Result<(PathBuf, File)> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut number = 0;
    loop {
        let mut beside = name.to_owned();
        beside.push(format!(".draft-{}-{number}", std::process::id()));
        let beside = path.with_file_name(beside);
        match options.open(&beside) {
            // Left by a process of this number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < DRAFTS_MAX => {
                number += 1;
            }
            file => return Ok((beside, file?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/file");
        write_file(&path, b"one").expect("written");
        let failed = replace(&path, |file| {
            file.write_all(&[7; 100_000])?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).expect("read"), b"one", "a full disk costs no result");
        write_file(&path, b"two").expect("written");
        assert_eq!(std::fs::read(&path).expect("read"), b"two");
        let names = std::fs::read_dir(folder.path().join("deep")).expect("a folder").count();
        assert_eq!(names, 1, "no draft is left");
        assert!(write_file(folder.path(), b"a folder").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn secrets_are_their_owners_and_links_stay_links() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let [path, link] = ["file", "link"].map(|name| folder.path().join(name));
        let mode = || std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
        let open = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
        write_file(&path, b"one").expect("written");
        open(0o640).expect("changed");
        symlink(&path, &link).expect("linked");
        write_file(&link, b"two").expect("written");
        assert_eq!((std::fs::read(&path).expect("read"), mode()), (b"two".to_vec(), 0o640));
        write_secret(&link, b"three").expect("written");
        assert_eq!((std::fs::read(&path).expect("read"), mode()), (b"three".to_vec(), 0o600));
        assert!(link.is_symlink(), "what it points at was replaced");
        write_file(Path::new("/dev/null"), b"gone").expect("a device takes it");
        assert!(!Path::new("/dev/null").is_file(), "and stays a device");
    }
}
