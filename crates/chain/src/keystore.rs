//! Keys at rest: web3 secret storage, version 3 (spec/chain.md#keystores).
//!
//! A password comes from a file or a prompt, never from an argument, which other users could see.

mod format;

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use alloy_signer_local::PrivateKeySigner;

use crate::{Error, Result};

pub use format::{Keystore, KeystoreError};

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
    let refused = |why| Error::Keystore { path: path.clone(), why };
    if path.exists() {
        return Err(refused(KeystoreError::Exists));
    }
    let password = read(password)?;
    if password.is_empty() {
        return Err(refused(KeystoreError::PasswordEmpty));
    }
    let mut random = [0; format::RANDOM_SIZE];
    getrandom::fill(&mut random).map_err(Error::Randomness)?;
    let bytes = format::seal(signer, &password, &random);
    publish(directory, &path, &bytes)?;
    Ok(path)
}

/// Opens a keystore. What is wrong with the file is found before the password is asked for.
///
/// # Errors
///
/// [`Error::Keystore`] for a wrong password or a file that is no keystore; [`Error::Io`].
pub fn load(path: &Path, password: Password) -> Result<PrivateKeySigner> {
    let refused = |why| Error::Keystore { path: path.into(), why };
    let io = |source| Error::io(format!("reading {}", path.display()), source);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(io)?;
    file.take(format::BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    let keystore = Keystore::from_bytes(&bytes).map_err(refused)?;
    keystore.open(&read(password)?).map_err(refused)
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

/// Owner-only, synced, then linked into place: a crash leaves no half-written key, and two writers
/// never overwrite each other.
fn publish(directory: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| Error::io(format!("writing {}", path.display()), source);
    fs::create_dir_all(directory).map_err(failed)?;
    let unique = getrandom::u64().map_err(Error::Randomness)?;
    let draft = Draft(directory.join(format!(".draft-{unique:016x}")));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft.0).map_err(failed)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft.0, path))
        .map_err(failed)?;
    // The name is durable too: an account that was announced must not be lost with the power.
    #[cfg(unix)]
    fs::File::open(directory).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(())
}

/// The unfinished file, removed again however this ends.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
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

    /// The password is never asked for where the file alone can be refused.
    fn unasked() -> Password {
        Password::Prompt(Box::new(|| panic!("the password is asked for a file that is refused")))
    }

    fn case(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keystores").join(format!("{name}.json"))
    }

    #[test]
    fn what_other_wallets_write_is_opened() {
        for name in ["ok", "Crypto", "x0", "noid"] {
            let signer = load(&case(name), prompt("ones")).expect(name);
            let expect = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A";
            assert_eq!(signer.address().to_string(), expect, "{name}");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("marked.json");
        let text = fs::read_to_string(case("ok")).expect("read");
        let utf16 = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect()
        };
        let marked = format!("\u{feff}{text}").into_bytes();
        for bytes in [marked, utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
            fs::write(&path, bytes).expect("written");
            load(&path, prompt("ones")).expect("a byte order mark says how to read on");
        }
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_refused_before_the_password_is_asked_for() {
        let cases = [
            ("cbc", "its cipher is aes-128-cbc"),
            ("v1", "it is of version 1"),
            ("shortiv", "its iv has 8 bytes, and 16 are needed"),
            ("dklen16", "dklen is 16"),
            ("bigN", "would take more than 512 MiB"),
            ("bigC", "c is 4294967295"),
        ];
        for (name, what) in cases {
            let refused = load(&case(name), unasked()).expect_err(name).to_string();
            assert!(refused.contains(what), "{name}: {refused}");
            let (_, next) = refused.split_once("; ").expect("a cause and a next step");
            assert!(next.len() > 10, "{name}: {refused}");
        }
        let refused = load(&case("addr"), prompt("ones")).expect_err("another's").to_string();
        assert!(refused.contains("0x0000000000000000000000000000000000000000"), "{refused}");
    }

    #[test]
    fn an_existing_keystore_is_never_overwritten() {
        let directory = tempfile::tempdir().expect("a directory");
        let (_, signer) = create(directory.path(), prompt("x")).expect("created");
        import(directory.path(), &signer, prompt("y")).expect_err("the first one must stay");
    }
}
