//! Documents: JSON that has one form for each meaning, and a digest (spec/policy.md#documents).

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use assay_types::{Hash, sha256};
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Error as _, IntoDeserializer, MapAccess, Visitor,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::dataset::SOURCES_MAX;

/// The largest document, in bytes.
pub const DOCUMENT_SIZE_MAX: usize = 1 << 17;

/// The largest number in a document, 2^53 - 1: the largest that every reader of JSON keeps exactly
/// (RFC 8259, 6).
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// The largest amount in a document, 2^96 - 1: the largest that an order can hold
/// (spec/contracts.md#orders).
pub const AMOUNT_MAX: u128 = (1 << 96) - 1;

/// The longest word, in bytes.
pub const WORD_SIZE_MAX: usize = 64;

/// The longest of a parser's words that is shown, in bytes.
const WHY_SIZE_MAX: usize = 256;

/// Why bytes are no document, or a document says what it must not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is larger than [`DOCUMENT_SIZE_MAX`].
    #[error("the document has {0} bytes, at most {DOCUMENT_SIZE_MAX} are read: shorten its lists")]
    Size(usize),
    /// It is another kind of document, or a version that is not known.
    #[error("the document does not begin as {0} does: it is another one, or of a newer version")]
    Schema(&'static str),
    /// It does not parse, or is not written as it must be.
    #[error("the document is no {schema} in its one form (spec/policy.md): {why}")]
    Form {
        /// What it should be.
        schema: &'static str,
        /// What the parser found.
        why: String,
    },
    /// A list is longer than its bound.
    #[error(
        "{list} has {found} entries, at most {most} may stand there: name fewer, or say \"any\" and grant"
    )]
    ListLong {
        /// Which.
        list: &'static str,
        /// How many it has.
        found: usize,
        /// How many it may have.
        most: usize,
    },
    /// A text in Cedar does not parse, or asks for facts that no request has.
    #[error("text {number} of cedar is refused, correct it: {why}")]
    Cedar {
        /// Which, from 0.
        number: usize,
        /// What Cedar said.
        why: String,
    },
    /// The texts in Cedar are more, or longer, than their bound.
    #[error("the texts in cedar are too many or too long: shorten them")]
    CedarLong,
    /// A publication of no data.
    #[error("an envelope has at least one byte: seal the data first")]
    EnvelopeEmpty,
    /// A publication of data that is made of more than [`SOURCES_MAX`] others.
    #[error(
        "the data is made of {0} datasets, with those that they are made of, and may be of {SOURCES_MAX}: combine fewer"
    )]
    SourcesMany(usize),
    /// A publication that lists a source twice, or itself.
    #[error("a dataset lists each source once, and never itself: publish it under another name")]
    SourceTwice,
}

/// What a kind of document is called, and what it must not say.
pub trait Form: Serialize + DeserializeOwned {
    /// Its name and version, the first field.
    const SCHEMA: &'static str;

    /// Refuses what parses and still must not be said.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    fn check(&self) -> Result<(), DocumentError>;
}

/// A document that was checked: what it says, the bytes that are signed, and their digest.
#[derive(Clone, PartialEq, Eq)]
pub struct Document<T> {
    said: T,
    bytes: Vec<u8>,
    digest: Hash,
}

impl<T: Form> Document<T> {
    /// Checks and writes it.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]: a reader would refuse it.
    pub fn new(said: T) -> Result<Self, DocumentError> {
        Self::from_bytes(&write(&said))
    }

    /// Reads it, at most [`DOCUMENT_SIZE_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]; also where the bytes are not those that would be written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > DOCUMENT_SIZE_MAX {
            return Err(DocumentError::Size(bytes.len()));
        }
        let head = head(T::SCHEMA);
        let rest = bytes.strip_prefix(head.as_bytes());
        let rest = rest.ok_or(DocumentError::Schema(T::SCHEMA))?;
        let said: T = serde_json::from_slice(&[b"{", rest].concat()).map_err(form::<T>)?;
        if write(&said) != bytes {
            return Err(form::<T>("fields, lists or spaces are not as they would be written"));
        }
        said.check()?;
        Ok(Document { said, bytes: bytes.to_vec(), digest: sha256(bytes) })
    }

    /// Reads what people write: with spaces, fields in any order, and those left out that have a
    /// default. `schema` may be left out too.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn from_draft(text: &str) -> Result<Self, DocumentError> {
        if text.len() > DOCUMENT_SIZE_MAX {
            return Err(DocumentError::Size(text.len()));
        }
        let Draft(said) = serde_json::from_str(text).map_err(form::<T>)?;
        Self::new(said)
    }

    /// What it says.
    pub fn body(&self) -> &T {
        &self.said
    }

    /// The bytes that are signed, kept and sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The SHA-256 of its bytes: what others name it by.
    pub fn digest(&self) -> Hash {
        self.digest
    }
}

impl<T: fmt::Debug> fmt::Debug for Document<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.said.fmt(f)
    }
}

fn head(schema: &str) -> String {
    format!("{{\"schema\":\"{schema}\",")
}

fn write<T: Form>(said: &T) -> Vec<u8> {
    let body = serde_json::to_vec(said).unwrap_or_else(|error| unreachable!("plain: {error}"));
    [head(T::SCHEMA).as_bytes(), &body[1..]].concat()
}

fn form<T: Form>(why: impl fmt::Display) -> DocumentError {
    DocumentError::Form { schema: T::SCHEMA, why: shown(&why.to_string()) }
}

/// What a draft says, besides its schema.
struct Draft<T>(T);

impl<'de, T: Form> Deserialize<'de> for Draft<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Form> Visitor<'de> for Fields<T> {
            type Value = Draft<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of {}", T::SCHEMA)
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Draft<T>, A::Error> {
                let rest = WithoutSchema { fields, schema: Some(T::SCHEMA) };
                T::deserialize(MapAccessDeserializer::new(rest)).map(Draft)
            }
        }

        from.deserialize_map(Fields(PhantomData))
    }
}

/// The fields of a draft but for its schema, which must be this one if it is there, once.
struct WithoutSchema<A> {
    fields: A,
    schema: Option<&'static str>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithoutSchema<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.fields.next_key::<String>()? {
            if key != "schema" {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            let expected = self.schema.take().ok_or_else(|| A::Error::duplicate_field("schema"))?;
            let found = self.fields.next_value::<String>()?;
            if found != expected {
                return Err(A::Error::custom(format!("the schema {found} is another one")));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.fields.next_value_seed(seed)
    }
}

/// A parser's words may quote a stranger's, and are shown on terminals: one line, plain characters,
/// not too long.
pub(super) fn shown(why: &str) -> String {
    let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    why.chars().take(WHY_SIZE_MAX).map(plain).collect()
}

/// A name or a purpose: 1 to [`WORD_SIZE_MAX`] of a to z, 0 to 9, dot, dash and underscore; a
/// letter or digit first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Word(String);

/// Why a string is no [`Word`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name or purpose is 1 to {WORD_SIZE_MAX} of a-z, 0-9, '.', '-' and '_', a letter or digit \
     first: choose another"
)]
pub struct WordError;

impl FromStr for Word {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let bytes = text.as_bytes();
        let first = bytes.first().is_some_and(|&c| plain(c));
        let rest = bytes.iter().all(|&c| plain(c) || b".-_".contains(&c));
        if first && rest && bytes.len() <= WORD_SIZE_MAX {
            Ok(Word(text.to_owned()))
        } else {
            Err(WordError)
        }
    }
}

/// What a processor's report says it runs: 32 to 64 bytes, in JSON as lower-case hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Measurement(String);

/// Why a string is no [`Measurement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a measurement is 32 to 64 bytes as lower-case hex digits: copy it again in full")]
pub struct MeasurementError;

impl FromStr for Measurement {
    type Err = MeasurementError;

    fn from_str(text: &str) -> Result<Self, MeasurementError> {
        let digits = text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        if digits && text.len() % 2 == 0 && (64..=128).contains(&text.len()) {
            Ok(Measurement(text.to_owned()))
        } else {
            Err(MeasurementError)
        }
    }
}

macro_rules! checked_text {
    ($($name:ident)*) => {$(
        impl $name {
            /// Its characters.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(from)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

checked_text! { Word Measurement }

/// For `#[serde(with = "number")]`: at most [`NUMBER_MAX`].
pub(super) mod number {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(n: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(*n)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<u64, D::Error> {
        let number = u64::deserialize(from)?;
        if number > NUMBER_MAX {
            return Err(D::Error::custom(format!("{number} is above {NUMBER_MAX}")));
        }
        Ok(number)
    }
}

/// For `#[serde(with = "amount")]`: a string of decimal digits, at most [`AMOUNT_MAX`]. Leading
/// zeros are another form of it, which [`Document::from_bytes`] finds.
pub(super) mod amount {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(n: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(n)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<u128, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        let amount: u128 = text.parse().map_err(D::Error::custom)?;
        if amount > AMOUNT_MAX {
            return Err(D::Error::custom(format!("{amount} is above {AMOUNT_MAX}")));
        }
        Ok(amount)
    }
}
