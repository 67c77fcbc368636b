//! Keys: what seals data, and what an account is sent such keys by (spec/envelope.md#keys).

use std::fmt;

use assay_types::{Salt, sha256};
use hpke::kem::{X25519HkdfSha256, XWing};
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable, Kem, Serializable};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::kdf::hmac;

/// The most KEMs that an account may offer.
pub const OFFERS_MAX: usize = 8;

/// The most bytes of an offered public key.
pub const OFFER_KEY_MAX: usize = 4096;

const SEAL_KEY: &[u8] = b"assay seal key, version 1\n";
const OUTPUT_KEY: &[u8] = b"assay output key, version 1\n";

/// What seals one envelope: 32 secret bytes, wiped when dropped and never shown.
#[derive(Clone)]
pub struct ContentKey(Zeroizing<[u8; 32]>);

/// An account's private keys, one for each KEM: what wraps to it are opened by.
pub struct SealKeys {
    pub(crate) x25519: <X25519HkdfSha256 as Kem>::PrivateKey,
    pub(crate) x_wing: <XWing as Kem>::PrivateKey,
}

/// The public keys that an account offers, by suite, ascending. As JSON
/// `{"kems":[{"suite":1,"key":"HEX"},...]}`.
///
/// A suite that is not known here is kept and never chosen, so that a newer account can be written
/// to by an older program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawPublic", into = "RawPublic")]
pub struct SealPublic(Vec<Offer>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Offer {
    suite: u8,
    key: Vec<u8>,
}

/// How a content key is wrapped: the KEM. All use HKDF-SHA256 and ChaCha20-Poly1305 (RFC 9180).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum WrapSuite {
    /// DHKEM(X25519, HKDF-SHA256), KEM 0x0020.
    X25519 = 1,
    /// X-Wing, KEM 0x647a: ML-KEM-768 and X25519, safe while either is.
    XWing = 2,
}

/// Why offered keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not the JSON of offered keys, or not written as it must be.
    #[error(
        "these are not an account's seal keys (spec/envelope.md#keys): ask the account for them again"
    )]
    Form,
    /// No KEM is offered, or more than [`OFFERS_MAX`].
    #[error("{0} KEMs are offered: an account offers 1 to {OFFERS_MAX}")]
    Count(usize),
    /// The suites do not ascend, so one comes twice or the order is another.
    #[error("the offered suites do not ascend at suite {0}")]
    Order(u8),
    /// A key is not of its suite: another size, or no valid point.
    #[error("the key of suite {0} is not a key of that suite: ask the account for it again")]
    Key(u8),
}

impl ContentKey {
    /// Draws a key. Each envelope has its own.
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *key);
        ContentKey(key)
    }

    /// A key that was kept or unwrapped.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        ContentKey(Zeroizing::new(bytes))
    }

    /// The secret itself, for a keystore.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(hidden)")
    }
}

/// The key of a job's output, which follows from the input's salt (spec/envelope.md#outputs): all
/// that a beneficiary needs.
pub fn output_key(input_salt: &Salt) -> ContentKey {
    ContentKey(hmac(&input_salt.0, &[OUTPUT_KEY]))
}

impl SealKeys {
    /// The keys of an account, derived from the account's secret, so that whoever keeps the one
    /// keeps the others.
    pub fn derive(account_secret: &[u8; 32]) -> Self {
        let mut preimage = Zeroizing::new([0; SEAL_KEY.len() + 32]);
        preimage[..SEAL_KEY.len()].copy_from_slice(SEAL_KEY);
        preimage[SEAL_KEY.len()..].copy_from_slice(account_secret);
        let material = Zeroizing::new(sha256(&*preimage).0);
        // DeriveKeyPair hashes the KEM's id in, so the two have nothing in common.
        SealKeys {
            x25519: X25519HkdfSha256::derive_keypair(&*material).0,
            x_wing: XWing::derive_keypair(&*material).0,
        }
    }

    /// What others wrap keys to.
    pub fn public(&self) -> SealPublic {
        let x25519 = X25519HkdfSha256::sk_to_pk(&self.x25519).to_bytes().to_vec();
        let x_wing = XWing::sk_to_pk(&self.x_wing).to_bytes().to_vec();
        SealPublic(vec![
            Offer { suite: WrapSuite::X25519 as u8, key: x25519 },
            Offer { suite: WrapSuite::XWing as u8, key: x_wing },
        ])
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKeys(hidden)")
    }
}

impl WrapSuite {
    /// The best first.
    pub(crate) const PREFERENCE: [WrapSuite; 2] = [WrapSuite::XWing, WrapSuite::X25519];

    /// The suite of a number, if it is known here.
    pub fn of(number: u8) -> Option<Self> {
        Self::PREFERENCE.into_iter().find(|suite| *suite as u8 == number)
    }
}

impl SealPublic {
    /// The suites that the account offers, known here or not.
    pub fn suites(&self) -> impl Iterator<Item = u8> {
        self.0.iter().map(|offer| offer.suite)
    }

    /// The same account's keys without those of some suites: for who must not or can't use them.
    ///
    /// # Errors
    ///
    /// [`KeyError::Count`] if nothing is left.
    pub fn only(&self, keep: impl Fn(u8) -> bool) -> Result<Self, KeyError> {
        let kept: Vec<_> = self.0.iter().filter(|offer| keep(offer.suite)).cloned().collect();
        if kept.is_empty() { Err(KeyError::Count(0)) } else { Ok(SealPublic(kept)) }
    }

    /// The key of a suite.
    pub(crate) fn key(&self, suite: WrapSuite) -> Option<&[u8]> {
        let offer = self.0.iter().find(|offer| offer.suite == suite as u8)?;
        Some(&offer.key)
    }

    /// As JSON without white space.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|error| unreachable!("plain structs: {error}"))
    }

    /// Reads the JSON that [`to_bytes`](Self::to_bytes) writes.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let raw: RawPublic = serde_json::from_slice(bytes).map_err(|_| KeyError::Form)?;
        let public = SealPublic::try_from(raw)?;
        if public.to_bytes() == bytes { Ok(public) } else { Err(KeyError::Form) }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPublic {
    kems: Vec<RawOffer>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOffer {
    suite: u8,
    key: String,
}

impl From<SealPublic> for RawPublic {
    fn from(SealPublic(offers): SealPublic) -> Self {
        let raw = |Offer { suite, key }| RawOffer { suite, key: hex::encode(key) };
        RawPublic { kems: offers.into_iter().map(raw).collect() }
    }
}

impl TryFrom<RawPublic> for SealPublic {
    type Error = KeyError;

    fn try_from(RawPublic { kems }: RawPublic) -> Result<Self, KeyError> {
        if kems.is_empty() || kems.len() > OFFERS_MAX {
            return Err(KeyError::Count(kems.len()));
        }
        let mut offers: Vec<Offer> = Vec::new();
        for RawOffer { suite, key: text } in kems {
            if offers.last().is_some_and(|last| last.suite >= suite) {
                return Err(KeyError::Order(suite));
            }
            let key = hex::decode(&text).map_err(|_| KeyError::Form)?;
            if hex::encode(&key) != text {
                return Err(KeyError::Form);
            }
            check(suite, &key)?;
            offers.push(Offer { suite, key });
        }
        Ok(SealPublic(offers))
    }
}

/// Whether a key can be of its suite.
fn check(suite: u8, key: &[u8]) -> Result<(), KeyError> {
    let valid = match WrapSuite::of(suite) {
        Some(WrapSuite::X25519) => <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(key).is_ok(),
        Some(WrapSuite::XWing) => <XWing as Kem>::PublicKey::from_bytes(key).is_ok(),
        None => !key.is_empty() && key.len() <= OFFER_KEY_MAX,
    };
    if valid { Ok(()) } else { Err(KeyError::Key(suite)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let key = ContentKey::from_bytes([0xab; 32]);
        assert_eq!(format!("{key:?}"), "ContentKey(hidden)", "a key in a log opens the data");
        let keys = SealKeys::derive(&[0xab; 32]);
        assert_eq!(format!("{keys:?}"), "SealKeys(hidden)", "a key in a log opens every wrap");
    }

    #[test]
    fn offered_keys_have_one_form() {
        let public = SealKeys::derive(&[7; 32]).public();
        let bytes = public.to_bytes();
        assert_eq!(SealPublic::from_bytes(&bytes), Ok(public));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                if let Ok(other) = SealPublic::from_bytes(&changed) {
                    assert_eq!(other.to_bytes(), changed, "two forms of the same keys");
                }
            }
            assert!(SealPublic::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn bad_offers_say_why() {
        let read = |text: &str| SealPublic::from_bytes(text.as_bytes()).map(drop);
        let key = "09".repeat(32);
        let x25519 = format!(r#"{{"suite":1,"key":"{key}"}}"#);
        assert_eq!(read(&format!(r#"{{"kems":[{x25519}]}}"#)), Ok(()));
        assert_eq!(read(r#"{"kems":[]}"#), Err(KeyError::Count(0)));
        assert_eq!(read(r#"{"kems":[{"suite":1,"key":"09"}]}"#), Err(KeyError::Key(1)));
        assert_eq!(read(r#"{"kems":[{"suite":9,"key":""}]}"#), Err(KeyError::Key(9)));
        assert_eq!(read(&format!(r#"{{"kems":[{x25519},{x25519}]}}"#)), Err(KeyError::Order(1)));
        let loud = format!(r#"{{"kems":[{{"suite":9,"key":"{}"}}]}}"#, "AB");
        assert_eq!(read(&loud), Err(KeyError::Form), "hexadecimal is lower case");
        let many: Vec<_> = (10..19).map(|n| format!(r#"{{"suite":{n},"key":"00"}}"#)).collect();
        assert_eq!(read(&format!(r#"{{"kems":[{}]}}"#, many.join(","))), Err(KeyError::Count(9)));
        assert_eq!(read(r#"{"kems":[],"more":1}"#), Err(KeyError::Form));
        assert_eq!(read(""), Err(KeyError::Form));
    }

    #[test]
    fn an_output_key_follows_from_the_salt() {
        // Python: hmac.new(bytes([1] * 24), b"assay output key, version 1\n", "sha256").hexdigest()
        let key = output_key(&Salt([1; 24]));
        assert_eq!(hex::encode(key.as_bytes()), EXPECTED_OUTPUT_KEY);
    }

    const EXPECTED_OUTPUT_KEY: &str =
        "f4a8cd7eaabe46461220d4913bd79579c3887a2d48646ee7f8a248311cdcc3c5";
}
