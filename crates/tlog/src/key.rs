//! Keys of logs and witnesses, and how they are written: `NAME+ID+BASE64` (c2sp.org/signed-note).

use std::fmt;
use std::str::FromStr;

use assay_types::sha256;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::note::is_name;

/// What a key signs; the byte is its signature type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum KeyKind {
    /// A log's own checkpoints (Ed25519).
    Log = 1,
    /// Checkpoints that a witness has seen, with the time (Ed25519 cosignature/v1).
    Witness = 4,
}

/// A key that signs checkpoints.
#[derive(Clone)]
pub struct NoteKey {
    vkey: Vkey,
    secret: SigningKey,
}

/// The public half of a [`NoteKey`].
#[derive(Clone, PartialEq, Eq)]
pub struct Vkey {
    name: String,
    kind: KeyKind,
    key: VerifyingKey,
}

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It does not have three parts with a `+` between them.
    #[error("a key is NAME+ID+BASE64, with eight hexadecimal digits for the ID")]
    Form,
    /// The name is empty, or holds a space or a plus.
    #[error("a key's name must not be empty and holds no space and no plus")]
    Name,
    /// The key is of a kind that is not read here.
    #[error("the key is of kind {0}; Ed25519 logs (1) and cosignatures (4) are read")]
    Kind(u8),
    /// The ID is not that of the name and key.
    #[error("the key's ID does not belong to its name and bytes; part of it was changed")]
    Id,
    /// The bytes are no point of the curve.
    #[error("the key's bytes are no Ed25519 key")]
    Bytes,
}

impl NoteKey {
    /// A key of a name, from a secret of 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`].
    pub fn new(name: &str, kind: KeyKind, secret: &[u8; 32]) -> Result<Self, KeyError> {
        let secret = SigningKey::from_bytes(secret);
        Ok(Self { vkey: Vkey::new(name, kind, secret.verifying_key())?, secret })
    }

    /// The public half.
    pub fn vkey(&self) -> &Vkey {
        &self.vkey
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }
}

impl fmt::Debug for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NoteKey").field(&self.vkey).finish()
    }
}

impl Vkey {
    fn new(name: &str, kind: KeyKind, key: VerifyingKey) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name);
        }
        Ok(Self { name: name.to_owned(), kind, key })
    }

    /// Its name: a log's origin, or a witness's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key, 32 bytes.
    pub fn bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// The first four bytes of SHA-256 over name, line feed, kind and key.
    pub fn id(&self) -> u32 {
        let hash = sha256(&[self.name.as_bytes(), b"\n", &self.typed()].concat());
        u32::from_be_bytes(std::array::from_fn(|i| hash.0[i]))
    }

    fn typed(&self) -> Vec<u8> {
        [&[self.kind as u8][..], self.key.as_bytes()].concat()
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.id(), BASE64_STANDARD.encode(self.typed()))
    }
}

impl fmt::Debug for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vkey({self})")
    }
}

impl FromStr for Vkey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let key = BASE64_STANDARD.decode(key).map_err(|_| KeyError::Form)?;
        let (kind, key) = key.split_first().ok_or(KeyError::Form)?;
        let kind = match kind {
            1 => KeyKind::Log,
            4 => KeyKind::Witness,
            other => return Err(KeyError::Kind(*other)),
        };
        let key = key.try_into().map_err(|_| KeyError::Bytes)?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| KeyError::Bytes)?;
        let vkey = Self::new(name, kind, key)?;
        if format!("{:08x}", vkey.id()) == id { Ok(vkey) } else { Err(KeyError::Id) }
    }
}
