//! The keys of what was sealed here (spec/cli.md#home).

use std::path::PathBuf;

use alloy_primitives::hex;
use assay_seal::{ContentKey, output_key};
use assay_types::{BlobRoot, Hash, Salt};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::base::files;
use crate::{Error, Result};

const SCHEMA: &str = "assay.vault/1";

/// What opens an envelope, and what is in it. The salt is as secret as the key: the output's key
/// follows from it.
#[derive(Clone)]
pub(crate) struct Secret {
    /// The envelope's SHA-256.
    pub(crate) envelope: Hash,
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// The root of the slot whose image it holds.
    pub(crate) root: BlobRoot,
    pub(crate) key: ContentKey,
    /// The salt of the blob in the slot.
    pub(crate) salt: Salt,
}

impl Secret {
    /// What opens the output of a job whose input this is.
    pub(crate) fn output_key(&self) -> ContentKey {
        output_key(&self.salt)
    }
}

/// Secrets in a folder, a file each, readable by its owner only.
#[derive(Clone, Debug)]
pub(crate) struct Vault(PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: String,
    envelope: Hash,
    bytes: u64,
    root: BlobRoot,
    key: String,
    salt: String,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}

impl Vault {
    pub(crate) fn at(folder: PathBuf) -> Self {
        Vault(folder)
    }

    /// Keeps a secret; durable when it returns, which must be before anyone hears of the envelope.
    pub(crate) fn put(&self, secret: &Secret) -> Result<()> {
        let stored = Stored {
            schema: SCHEMA.to_owned(),
            envelope: secret.envelope,
            bytes: secret.bytes,
            root: secret.root,
            key: hex::encode(secret.key.as_bytes()),
            salt: hex::encode(secret.salt.0),
        };
        let path = self.file(secret.envelope);
        let text = serde_json::to_vec(&stored).map_err(|error| Error::damaged(&path, error))?;
        files::write(&path, &Zeroizing::new(text))
    }

    /// The secret of an envelope, if it was sealed here.
    pub(crate) fn find(&self, envelope: Hash) -> Result<Option<Secret>> {
        let path = self.file(envelope);
        let Some(text) = files::read(&path)?.map(Zeroizing::new) else { return Ok(None) };
        // What does not parse may hold a key, so the cause is not repeated.
        let damaged = || Error::damaged(&path, "it is not what was written there");
        let stored: Stored = serde_json::from_slice(&text).map_err(|_| damaged())?;
        if stored.schema != SCHEMA || stored.envelope != envelope {
            return Err(damaged());
        }
        let mut key = Zeroizing::new([0; 32]);
        let mut salt = Salt::PUBLIC;
        hex::decode_to_slice(&stored.key, &mut *key).map_err(|_| damaged())?;
        hex::decode_to_slice(&stored.salt, &mut salt.0).map_err(|_| damaged())?;
        let (bytes, root) = (stored.bytes, stored.root);
        Ok(Some(Secret { envelope, bytes, root, key: ContentKey::from_bytes(*key), salt }))
    }

    fn file(&self, envelope: Hash) -> PathBuf {
        self.0.join(format!("{envelope}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_back_and_damage_tells_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let vault = Vault::at(folder.path().join("vault"));
        let secret = Secret {
            envelope: Hash([1; 32]),
            bytes: 70_000,
            root: BlobRoot(Hash([2; 32])),
            key: ContentKey::from_bytes([3; 32]),
            salt: Salt([4; 24]),
        };
        assert!(vault.find(secret.envelope).expect("looked").is_none());
        vault.put(&secret).expect("kept");
        let found = vault.find(secret.envelope).expect("looked").expect("found");
        assert_eq!(found.key.as_bytes(), secret.key.as_bytes());
        assert_eq!((found.salt, found.root, found.bytes), (secret.salt, secret.root, secret.bytes));
        assert!(vault.find(Hash([9; 32])).expect("looked").is_none());

        let path = vault.file(secret.envelope);
        let text =
            String::from_utf8(files::read(&path).expect("read").expect("there")).expect("text");
        files::write(&path, text.replace("03", "0x").as_bytes()).expect("written");
        let error = vault.find(secret.envelope).err().expect("refused").to_string();
        assert!(!error.contains("0x0x"), "an error repeats a key: {error}");
    }
}
