//! The file: read with all its bounds checked before a key is derived, and written in one form.

use aes::cipher::{KeyIvInit, StreamCipher};
use alloy_primitives::{Address, hex, keccak256};
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Map, Value, json};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The longest file that is read, in bytes. Keystores have some 500.
pub(super) const BYTES_MAX: usize = 1 << 16;

/// The most memory that a key is derived in, in bytes: twice what geth's keystores take.
const MEMORY_MAX: u64 = 512 << 20;

/// The most of scrypt's blocks, `n * r * p`: eight times what geth's keystores take.
const SCRYPT_BLOCKS_MAX: u64 = 1 << 24;

/// The most rounds of PBKDF2.
const ROUNDS_MAX: u64 = 10_000_000;

/// The least derived bytes: 16 encrypt and 16 authenticate.
const DERIVED_SIZE: u64 = 32;

/// A salt, an initial vector and an id.
pub(super) const RANDOM_SIZE: usize = 32 + 16 + 16;

/// How costly a key is to derive in what is written here: `n` is 2 to this.
const LOG_N: u8 = 13;

/// Why a keystore is not written, or not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// There is a file of this account.
    #[error("it exists already; remove it first")]
    Exists,
    /// A key would be written that anyone could read.
    #[error("an empty password protects nothing")]
    PasswordEmpty,
    /// The file is too long.
    #[error("it is longer than any keystore; check the path")]
    Long,
    /// The file is not JSON, or not text.
    #[error(
        "it is no JSON (line {line}, column {column}); check the path, or restore it from a backup"
    )]
    Json {
        /// Counted from 1; 0 where the bytes are not even text.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A field is missing or of another kind.
    #[error("it has no {kind} `{field}`; check the path, or restore it from a backup")]
    Missing {
        /// Its name.
        field: &'static str,
        /// What stands there in a keystore.
        kind: &'static str,
    },
    /// Bytes are too short or too long.
    #[error("its {field} has {found} bytes, and {needed} are needed; restore it from a backup")]
    Size {
        /// Which.
        field: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        needed: usize,
    },
    /// An older or newer format.
    #[error(
        "it is of version {0}, and only 3 is read; export the key again from a wallet that opens it"
    )]
    Version(u64),
    /// Another cipher or derivation than those of the format.
    #[error(
        "its {field} is {found}, and only {known} is read; export the key again from a wallet that opens it"
    )]
    Unknown {
        /// What of it.
        field: &'static str,
        /// What it says, as far as it can be shown.
        found: String,
        /// What would be read.
        known: &'static str,
    },
    /// A figure of the derivation is out of range.
    #[error("its {field} is {found}, and it must be {must}; restore it from a backup")]
    Figure {
        /// Which.
        field: &'static str,
        /// What it is.
        found: u64,
        /// What it must be.
        must: &'static str,
    },
    /// The derivation would take too much memory or time.
    #[error(
        "its n, r and p are so large that to derive the key would take more than 512 MiB, or \
         minutes; export the key again with smaller ones"
    )]
    Costly,
    /// The password is wrong, or the encrypted key is damaged.
    #[error("the password is not this keystore's")]
    Password,
    /// What is encrypted is no secp256k1 key.
    #[error("what it holds is no account's key; restore it from a backup")]
    Key,
    /// The key is another account's than the file says.
    #[error(
        "it says that it is {named}'s, and its key is {found}'s; restore it from a backup, or \
         correct the address if you meant that account"
    )]
    Address {
        /// The file's.
        named: Address,
        /// The key's.
        found: Address,
    },
}

/// A keystore as it was read: nothing is derived yet, and what is derived is bounded.
pub struct Keystore {
    address: Option<Address>,
    derivation: Derivation,
    salt: Vec<u8>,
    iv: [u8; 16],
    ciphertext: [u8; 32],
    mac: [u8; 32],
}

#[derive(Clone, Copy)]
enum Derivation {
    Pbkdf2 { rounds: u32 },
    Scrypt { log_n: u8, r: u32, p: u32 },
}

impl Keystore {
    /// Reads a file and checks all that can be checked without the password.
    ///
    /// # Errors
    ///
    /// [`KeystoreError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeystoreError> {
        if bytes.len() > BYTES_MAX {
            return Err(KeystoreError::Long);
        }
        let text = text_of(bytes).ok_or(KeystoreError::Json { line: 0, column: 0 })?;
        // Not the parser's words: they quote the file, and what is no keystore may be a bare key.
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| KeystoreError::Json { line: error.line(), column: error.column() })?;
        let file = Fields::new(&value, "crypto")?;
        match file.number("version")? {
            3 => {}
            other => return Err(KeystoreError::Version(other)),
        }
        let crypto = file.object("crypto").or_else(|_| file.object("Crypto"))?;
        crypto.word("cipher", "aes-128-ctr")?;
        let parameters = crypto.object("kdfparams")?;
        let derivation = match crypto.text("kdf")? {
            "scrypt" => scrypt_of(&parameters)?,
            "pbkdf2" => pbkdf2_of(&parameters)?,
            other => return Err(unknown("kdf", other, "scrypt or pbkdf2")),
        };
        match parameters.number("dklen")? {
            DERIVED_SIZE.. => {}
            found => {
                return Err(KeystoreError::Figure { field: "dklen", found, must: "32 or more" });
            }
        }
        let address = file.has("address").then(|| file.bytes("address")).transpose()?;
        Ok(Keystore {
            address: address.map(Address::from),
            derivation,
            salt: parameters.any_bytes("salt")?,
            iv: crypto.object("cipherparams")?.bytes("iv")?,
            ciphertext: crypto.bytes("ciphertext")?,
            mac: crypto.bytes("mac")?,
        })
    }

    /// Decrypts the key.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::Password`], [`KeystoreError::Key`], [`KeystoreError::Address`].
    pub fn open(&self, password: &str) -> Result<PrivateKeySigner, KeystoreError> {
        let derived = self.derivation.derive(password, &self.salt);
        if mac(&derived, &self.ciphertext) != self.mac {
            return Err(KeystoreError::Password);
        }
        let mut key = Zeroizing::new(self.ciphertext);
        encrypt(&derived, &self.iv, &mut key);
        let signer = PrivateKeySigner::from_slice(&*key).map_err(|_| KeystoreError::Key)?;
        match self.address {
            Some(named) if named != signer.address() => {
                Err(KeystoreError::Address { named, found: signer.address() })
            }
            _ => Ok(signer),
        }
    }
}

/// A keystore's file, in the one form that is written here.
pub(super) fn seal(
    signer: &PrivateKeySigner,
    password: &str,
    random: &[u8; RANDOM_SIZE],
) -> Vec<u8> {
    let (salt, rest) = random.split_at(32);
    let (mut iv, mut id) = ([0; 16], [0; 16]);
    iv.copy_from_slice(&rest[..16]);
    id.copy_from_slice(&rest[16..]);
    let (log_n, r, p) = (LOG_N, 8, 1);
    let derived = Derivation::Scrypt { log_n, r, p }.derive(password, salt);
    let mut key = Zeroizing::new(signer.to_bytes().0);
    encrypt(&derived, &iv, &mut key);
    let file = json!({
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": hex::encode(iv) },
            "ciphertext": hex::encode(*key),
            "kdf": "scrypt",
            "kdfparams": { "dklen": 32, "n": 1u32 << log_n, "p": p, "r": r, "salt": hex::encode(salt) },
            "mac": hex::encode(mac(&derived, &key)),
        },
        "id": uuid(id),
        "version": 3,
    });
    file.to_string().into_bytes()
}

impl Derivation {
    /// The first 32 bytes: however many a file asks for, these are the same.
    fn derive(self, password: &str, salt: &[u8]) -> Zeroizing<[u8; DERIVED_SIZE as usize]> {
        let mut derived = Zeroizing::new([0; DERIVED_SIZE as usize]);
        let password = password.as_bytes();
        match self {
            Derivation::Pbkdf2 { rounds } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut *derived);
            }
            Derivation::Scrypt { log_n, r, p } => {
                let done = scrypt::Params::new(log_n, r, p)
                    .map(|params| scrypt::scrypt(password, salt, &params, &mut *derived));
                assert!(matches!(done, Ok(Ok(()))), "the figures were checked as they were read");
            }
        }
        derived
    }
}

fn scrypt_of(parameters: &Fields<'_>) -> Result<Derivation, KeystoreError> {
    let [n, r, p] = ["n", "r", "p"].map(|field| parameters.number(field));
    let (n, r, p) = (n?, r?, p?);
    if n < 2 || !n.is_power_of_two() {
        let must = "a power of two, 2 or more";
        return Err(KeystoreError::Figure { field: "n", found: n, must });
    }
    for (field, found) in [("r", r), ("p", p)] {
        if found == 0 {
            return Err(KeystoreError::Figure { field, found, must: "1 or more" });
        }
    }
    let product = |factors: [u64; 3]| factors.into_iter().try_fold(1, u64::checked_mul);
    let memory = n.checked_add(p).and_then(|blocks| product([blocks, r, 128]));
    let is_in = |figure: Option<u64>, max| figure.is_some_and(|figure| figure <= max);
    if !is_in(memory, MEMORY_MAX) || !is_in(product([n, r, p]), SCRYPT_BLOCKS_MAX) {
        return Err(KeystoreError::Costly);
    }
    Ok(Derivation::Scrypt { log_n: n.ilog2() as u8, r: r as u32, p: p as u32 })
}

fn pbkdf2_of(parameters: &Fields<'_>) -> Result<Derivation, KeystoreError> {
    parameters.word("prf", "hmac-sha256")?;
    match parameters.number("c")? {
        rounds @ 1..=ROUNDS_MAX => Ok(Derivation::Pbkdf2 { rounds: rounds as u32 }),
        found => {
            let must = "1 to 10000000";
            Err(KeystoreError::Figure { field: "c", found, must })
        }
    }
}

fn mac(derived: &[u8; 32], ciphertext: &[u8; 32]) -> [u8; 32] {
    keccak256([&derived[16..], ciphertext].concat()).0
}

/// Encrypts and decrypts alike.
fn encrypt(derived: &[u8; 32], iv: &[u8; 16], bytes: &mut [u8; 32]) {
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(&derived[..16]);
    let mut cipher = ctr::Ctr128BE::<aes::Aes128>::new((&*key).into(), iv.into());
    cipher.apply_keystream(bytes);
}

/// A random id of RFC 9562's version 4.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

/// A file's text: UTF-8, or UTF-16 where a byte order mark says so.
fn text_of(bytes: &[u8]) -> Option<String> {
    let units = |rest: &[u8], read: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks();
        let units: Vec<u16> = pairs.iter().map(|pair| read(*pair)).collect();
        odd.is_empty().then(|| String::from_utf16(&units).ok()).flatten()
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// The fields of an object of the file.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn new(value: &'a Value, field: &'static str) -> Result<Self, KeystoreError> {
        let object = value.as_object().map(Fields);
        object.ok_or(KeystoreError::Missing { field, kind: "object" })
    }

    fn has(&self, field: &str) -> bool {
        self.0.get(field).is_some_and(|value| !value.is_null())
    }

    fn object(&self, field: &'static str) -> Result<Fields<'a>, KeystoreError> {
        Fields::new(self.0.get(field).unwrap_or(&Value::Null), field)
    }

    fn text(&self, field: &'static str) -> Result<&'a str, KeystoreError> {
        let text = self.0.get(field).and_then(Value::as_str);
        text.ok_or(KeystoreError::Missing { field, kind: "text" })
    }

    fn number(&self, field: &'static str) -> Result<u64, KeystoreError> {
        let number = self.0.get(field).and_then(Value::as_u64);
        number.ok_or(KeystoreError::Missing { field, kind: "whole number" })
    }

    fn word(&self, field: &'static str, known: &'static str) -> Result<(), KeystoreError> {
        let found = self.text(field)?;
        if found == known { Ok(()) } else { Err(unknown(field, found, known)) }
    }

    /// Hexadecimal digits, with `0x` before them or not.
    fn any_bytes(&self, field: &'static str) -> Result<Vec<u8>, KeystoreError> {
        let bytes = hex::decode(self.text(field)?);
        bytes.map_err(|_| KeystoreError::Missing { field, kind: "hexadecimal text" })
    }

    fn bytes<const N: usize>(&self, field: &'static str) -> Result<[u8; N], KeystoreError> {
        let bytes = self.any_bytes(field)?;
        let size = |_| KeystoreError::Size { field, found: bytes.len(), needed: N };
        bytes.as_slice().try_into().map_err(size)
    }
}

/// The name comes from a file that may be anyone's, and is shown on terminals.
fn unknown(field: &'static str, found: &str, known: &'static str) -> KeystoreError {
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    KeystoreError::Unknown { field, found: found.chars().take(32).map(plain).collect(), known }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = include_bytes!("../../tests/keystores/ok.json");

    #[test]
    fn every_bound_of_the_derivation_is_kept_before_it_begins() {
        let file = |kdf: &str, parameters: &str| {
            let text = std::str::from_utf8(OK).expect("text");
            let from = text.find("\"kdf\"").expect("a kdf");
            let to = text.find(", \"mac\"").expect("a mac");
            let kdf =
                format!("\"kdf\": \"{kdf}\", \"kdfparams\": {{\"salt\": \"\", {parameters}}}");
            Keystore::from_bytes(format!("{}{kdf}{}", &text[..from], &text[to..]).as_bytes())
        };
        let read = [
            ("scrypt", r#""dklen": 32, "n": 262144, "r": 8, "p": 1"#),
            ("scrypt", r#""dklen": 64, "n": 262144, "r": 1, "p": 8"#),
            ("pbkdf2", r#""dklen": 32, "c": 10000000, "prf": "hmac-sha256""#),
        ];
        for (kdf, parameters) in read {
            assert_eq!(file(kdf, parameters).err(), None, "{parameters}");
        }
        let refused = [
            ("scrypt", r#""dklen": 32, "n": 0, "r": 8, "p": 1"#),
            ("scrypt", r#""dklen": 32, "n": 1, "r": 8, "p": 1"#),
            ("scrypt", r#""dklen": 32, "n": 1000, "r": 8, "p": 1"#),
            ("scrypt", r#""dklen": 32, "n": 2, "r": 0, "p": 1"#),
            ("scrypt", r#""dklen": 32, "n": 2, "r": 8, "p": 0"#),
            ("scrypt", r#""dklen": 32, "n": 2, "r": 1, "p": 8388608"#),
            ("scrypt", r#""dklen": 32, "n": 8192, "r": 8, "p": 512"#),
            ("scrypt", r#""dklen": 32, "n": 9223372036854775808, "r": 8, "p": 4294967295"#),
            ("scrypt", r#""dklen": 31, "n": 8192, "r": 8, "p": 1"#),
            ("scrypt", r#""dklen": 32, "n": 8192.0, "r": 8, "p": 1"#),
            ("scrypt", r#""dklen": 32, "n": -8192, "r": 8, "p": 1"#),
            ("pbkdf2", r#""dklen": 32, "c": 0, "prf": "hmac-sha256""#),
            ("pbkdf2", r#""dklen": 32, "c": 10000001, "prf": "hmac-sha256""#),
            ("pbkdf2", r#""dklen": 32, "c": 1000, "prf": "hmac-sha512""#),
            ("argon2id\u{1b}[2J", r#""dklen": 32"#),
        ];
        for (kdf, parameters) in refused {
            let why = file(kdf, parameters).err().expect(parameters).to_string();
            assert!(why.is_ascii() && !why.contains('\u{1b}') && why.contains("; "), "{why}");
        }
    }

    #[test]
    fn a_damaged_file_is_refused_whatever_byte_is_wrong() {
        for length in 0..OK.len() - 1 {
            let why = Keystore::from_bytes(&OK[..length]).err();
            assert!(why.is_some(), "cut at {length}");
        }
        for at in 0..OK.len() {
            for byte in [b'0', b'9', b'"', b'}', b' ', 0xff] {
                let mut damaged = OK.to_vec();
                damaged[at] = byte;
                // Refused, or read within the bounds: it must not panic, and derives nothing.
                let _ = Keystore::from_bytes(&damaged);
            }
        }
        let long = vec![b' '; BYTES_MAX + 1];
        assert_eq!(Keystore::from_bytes(&long).err(), Some(KeystoreError::Long));
    }

    #[test]
    fn no_error_quotes_the_file() {
        let bare = format!("\"{}\"", "5e".repeat(32));
        for text in [bare.clone(), format!("{{\"version\": {bare}}}"), bare[..40].to_owned()] {
            let why = Keystore::from_bytes(text.as_bytes()).err().expect("refused").to_string();
            assert!(!why.contains("5e5e"), "a bare key would be shown: {why}");
        }
    }

    #[test]
    fn what_is_written_is_what_was_written_before() {
        let signer = PrivateKeySigner::from_slice(&[1; 32]).expect("a key");
        let bytes = seal(&signer, "ones", &[9; RANDOM_SIZE]);
        let expect = include_str!("../../tests/keystores/written.json");
        assert_eq!(String::from_utf8_lossy(&bytes), expect.trim_end(), "the format has changed");
        let read = Keystore::from_bytes(&bytes).expect("read").open("ones").expect("opened");
        assert_eq!(read.address(), signer.address());
    }
}
