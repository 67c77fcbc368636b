//! Keys at rest: web3 secret storage, version 3.
//!
//! A password comes from a file or a prompt, never from an argument, which other users could see.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use alloy_signer_local::PrivateKeySigner;

use crate::{Error, Result};

/// The bytes of a password file, at most.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// Where a keystore's password comes from.
pub enum Password {
    /// The file's first line.
    File(PathBuf),
    /// Whatever the callback answers, for instance from a terminal without echo.
    Prompt(Box<dyn FnOnce() -> io::Result<String> + Send>),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Prompt(_) => f.write_str("Prompt"),
        }
    }
}

/// Makes a random key and writes its keystore to `directory/<address>.json`, readable by the owner
/// only. The file is there whole or not at all.
///
/// # Errors
///
/// [`Error::Keystore`], [`Error::Io`].
pub fn create(directory: &Path, password: Password) -> Result<(PathBuf, PrivateKeySigner)> {
    let signer = PrivateKeySigner::random();
    let path = import(directory, &signer, password)?;
    Ok((path, signer))
}

/// Writes the keystore of an existing key as [`create`] does, and answers its path.
///
/// # Errors
///
/// [`Error::Keystore`] also if there is one already; [`Error::Io`].
pub fn import(directory: &Path, signer: &PrivateKeySigner, password: Password) -> Result<PathBuf> {
    let path = directory.join(format!("{}.json", signer.address()));
    if path.exists() {
        return Err(keystore_error(&path, "it exists already; remove it first"));
    }
    let password = read(password)?;
    if password.is_empty() {
        return Err(keystore_error(&path, "an empty password protects nothing"));
    }
    let draft = Draft::new(directory)?;
    let name = "keystore";
    let mut random = rand::rngs::OsRng;
    let key = signer.to_bytes();
    PrivateKeySigner::encrypt_keystore(&draft.0, &mut random, key, password, Some(name))
        .map_err(|error| keystore_error(&path, error.to_string()))?;
    publish(&draft.0.join(name), &path)?;
    Ok(path)
}

/// Opens a keystore.
///
/// # Errors
///
/// [`Error::Keystore`] for a wrong password or a file that is no keystore; [`Error::Io`].
pub fn load(path: &Path, password: Password) -> Result<PrivateKeySigner> {
    PrivateKeySigner::decrypt_keystore(path, read(password)?).map_err(|error| {
        let what = match error.to_string() {
            text if text.contains("Mac Mismatch") => "the password is not this keystore's".into(),
            text => text,
        };
        keystore_error(path, what)
    })
}

fn read(password: Password) -> Result<String> {
    match password {
        Password::Prompt(ask) => {
            ask().map_err(|source| Error::io("asking for the password", source))
        }
        Password::File(path) => {
            let what = format!("reading the password file {}", path.display());
            let size =
                fs::metadata(&path).map_err(|source| Error::io(what.as_str(), source))?.len();
            if size > PASSWORD_BYTES_MAX {
                return Err(Error::Config(format!("{} is no password file", path.display())));
            }
            let text = fs::read_to_string(&path).map_err(|source| Error::io(what, source))?;
            Ok(text.lines().next().unwrap_or_default().to_owned())
        }
    }
}

/// A directory for the unfinished file, removed again however this ends.
struct Draft(PathBuf);

impl Draft {
    fn new(directory: &Path) -> Result<Self> {
        let failed = |source| Error::io(format!("creating {}", directory.display()), source);
        fs::create_dir_all(directory).map_err(failed)?;
        let unique = getrandom::u64().map_err(Error::Randomness)?;
        let path = directory.join(format!(".draft-{unique:016x}"));
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(failed)?;
        Ok(Self(path))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Owner-only, synced, then renamed into place: a crash leaves no half-written key.
fn publish(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("writing {}", to.display());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(from, fs::Permissions::from_mode(0o600))
            .map_err(|source| Error::io(what(), source))?;
    }
    fs::File::open(from)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::hard_link(from, to))
        .map_err(|source| Error::io(what(), source))
}

fn keystore_error(path: &Path, what: impl Into<String>) -> Error {
    Error::Keystore { path: path.into(), what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(password: &'static str) -> Password {
        Password::Prompt(Box::new(move || Ok(password.to_owned())))
    }

    #[test]
    fn a_key_comes_back_under_its_password_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, signer) = create(directory.path(), prompt("correct horse")).expect("created");
        let loaded = load(&path, prompt("correct horse")).expect("the same password opens it");
        assert_eq!(loaded.address(), signer.address());
        let refused = load(&path, prompt("wrong")).expect_err("another password must not open it");
        assert!(matches!(refused, Error::Keystore { .. }));
        let entries = fs::read_dir(directory.path()).expect("listed").count();
        assert_eq!(entries, 1, "no draft is left behind");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let (path, _) = create(directory.path(), prompt("x")).expect("created");
        let mode = fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "group and others must have no access");
    }

    #[test]
    fn a_password_file_gives_its_first_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("password");
        fs::write(&file, "secret\nnot this\n").expect("written");
        let (path, _) = create(directory.path(), Password::File(file)).expect("created");
        load(&path, prompt("secret")).expect("the line without its end is the password");
    }

    #[test]
    fn an_existing_keystore_is_never_overwritten() {
        let directory = tempfile::tempdir().expect("a directory");
        let (_, signer) = create(directory.path(), prompt("x")).expect("created");
        import(directory.path(), &signer, prompt("y")).expect_err("the first one must stay");
    }
}
