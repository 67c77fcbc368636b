//! Wraps: a content key, sealed to one account for one purpose by HPKE (spec/envelope.md#wraps).

use assay_types::{Hash, Tag};
use hpke::aead::{AeadTag, ChaCha20Poly1305};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::{X25519HkdfSha256, XWing};
use hpke::rand_core::CryptoRng;
use hpke::{
    Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable,
    single_shot_open_inout_detached, single_shot_seal_inout_detached_with_rng,
};
use zeroize::Zeroizing;

use crate::keys::{ContentKey, SealKeys, SealPublic, WrapSuite};

const TAG: Tag = *b"assayk\x01\x01";
const CONTEXT_TAG: Tag = *b"assayx\x01\x01";

/// Size of a context's bytes: tag (8), job (32), slot (1), envelope (32), policy (32), owner (20),
/// recipient (20).
pub const CONTEXT_SIZE: usize = 145;

/// Tag (8) and suite (1).
const HEAD_SIZE: usize = 9;

/// The key (32) and the AEAD's tag (16).
const CIPHERTEXT_SIZE: usize = 48;

/// What a wrap is for. It opens in this context and in no other, so it can't be moved to another
/// job, envelope or policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrapContext {
    /// The job, or zero for none: an owner's own wrap.
    pub job: Hash,
    /// Which of the job's slots the key is of: 2 input, 3 dataset, 4 output.
    pub slot: u8,
    /// The envelope's digest, or zero for an output, which is not sealed yet.
    pub envelope: Hash,
    /// The hash of the policy under which the key is released, or zero for none.
    pub policy: Hash,
    /// Who releases the key.
    pub owner: [u8; 20],
    /// Who may open the wrap.
    pub recipient: [u8; 20],
}

/// A wrapped content key: 89 bytes by X25519, 1,177 by X-Wing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrap {
    suite: WrapSuite,
    enc: Vec<u8>,
    ciphertext: [u8; CIPHERTEXT_SIZE],
}

/// Why a wrap can't be made, read or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// It does not begin with the tag of a wrap, version 1.
    #[error("this is no wrapped key: it does not begin with a tag that is known here")]
    Tag,
    /// A suite that is not known here.
    #[error("the key is wrapped by suite {0}, which this version does not know: update it")]
    Suite(u8),
    /// Another size than the suite has.
    #[error("a wrap of this suite has {expected} bytes, this has {came}: fetch it again")]
    Size {
        /// By the suite.
        expected: usize,
        /// Seen.
        came: usize,
    },
    /// The recipient offers no suite that is known here.
    #[error(
        "the recipient takes keys only by suites {0:?}, which this version does not know: update it"
    )]
    NoSuite(Vec<u8>),
    /// The recipient's key gives no shared secret (RFC 9180, 7.1.4).
    #[error("the recipient's key of suite {0} can't be wrapped to: ask the account for another")]
    Recipient(u8),
    /// It was changed, is for another account, or was made for another job, slot, envelope, policy
    /// or owner.
    #[error("the wrap does not open: it was changed, or is not for this account in this context")]
    Closed,
}

impl WrapContext {
    /// What the wrap is bound to, as HPKE's associated data.
    pub fn to_bytes(&self) -> [u8; CONTEXT_SIZE] {
        let mut bytes = [0; CONTEXT_SIZE];
        let parts: [&[u8]; 7] = [
            &CONTEXT_TAG,
            &self.job.0,
            &[self.slot],
            &self.envelope.0,
            &self.policy.0,
            &self.owner,
            &self.recipient,
        ];
        let mut rest = &mut bytes[..];
        for part in parts {
            let (head, tail) = rest.split_at_mut(part.len());
            head.copy_from_slice(part);
            rest = tail;
        }
        bytes
    }
}

impl Wrap {
    /// Wraps a key to an account, by the best suite that the account offers and this version knows.
    ///
    /// # Errors
    ///
    /// [`WrapError::NoSuite`], [`WrapError::Recipient`].
    pub fn seal(
        key: &ContentKey,
        recipient: &SealPublic,
        context: &WrapContext,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, WrapError> {
        let offered = |suite| Some((suite, recipient.key(suite)?));
        let best = WrapSuite::PREFERENCE.into_iter().find_map(offered);
        let (suite, public) =
            best.ok_or_else(|| WrapError::NoSuite(recipient.suites().collect()))?;
        let sealed = match suite {
            WrapSuite::X25519 => seal::<X25519HkdfSha256>(suite, public, key, context, rng),
            WrapSuite::XWing => seal::<XWing>(suite, public, key, context, rng),
        };
        let (enc, ciphertext) = sealed.map_err(|_| WrapError::Recipient(suite as u8))?;
        Ok(Wrap { suite, enc, ciphertext })
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`WrapError::Closed`].
    pub fn open(&self, keys: &SealKeys, context: &WrapContext) -> Result<ContentKey, WrapError> {
        let opened = match self.suite {
            WrapSuite::X25519 => self.open_by::<X25519HkdfSha256>(&keys.x25519, context),
            WrapSuite::XWing => self.open_by::<XWing>(&keys.x_wing, context),
        };
        opened.map_err(|_| WrapError::Closed)
    }

    fn open_by<K: Kem>(
        &self,
        secret: &K::PrivateKey,
        context: &WrapContext,
    ) -> Result<ContentKey, HpkeError> {
        let enc = K::EncappedKey::from_bytes(&self.enc)?;
        let mut key = Zeroizing::new([0; 32]);
        let (sealed, tag) = self.ciphertext.split_at(key.len());
        key.copy_from_slice(sealed);
        single_shot_open_inout_detached::<ChaCha20Poly1305, HkdfSha256, K>(
            &OpModeR::Base,
            secret,
            &enc,
            &info(self.suite),
            InOutBuf::from(&mut key[..]),
            &context.to_bytes(),
            &AeadTag::from_bytes(tag)?,
        )?;
        Ok(ContentKey::from_bytes(*key))
    }

    /// The suite.
    pub fn suite(&self) -> WrapSuite {
        self.suite
    }

    /// Tag, suite, encapsulated key, ciphertext.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&info(self.suite)[..], &self.enc, &self.ciphertext].concat()
    }

    /// Reads a wrap.
    ///
    /// # Errors
    ///
    /// [`WrapError::Tag`], [`WrapError::Suite`], [`WrapError::Size`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WrapError> {
        let rest = bytes.strip_prefix(&TAG).ok_or(WrapError::Tag)?;
        let came = bytes.len();
        let (&number, rest) =
            rest.split_first().ok_or(WrapError::Size { expected: HEAD_SIZE, came })?;
        let suite = WrapSuite::of(number).ok_or(WrapError::Suite(number))?;
        let expected = HEAD_SIZE + suite.enc_size() + CIPHERTEXT_SIZE;
        let (enc, ciphertext) =
            rest.split_at_checked(suite.enc_size()).ok_or(WrapError::Size { expected, came })?;
        let ciphertext = ciphertext.try_into().map_err(|_| WrapError::Size { expected, came })?;
        Ok(Wrap { suite, enc: enc.to_vec(), ciphertext })
    }
}

impl WrapSuite {
    /// Size of the encapsulated key in bytes.
    fn enc_size(self) -> usize {
        match self {
            WrapSuite::X25519 => 32,
            WrapSuite::XWing => 1120,
        }
    }
}

/// HPKE's `info`: tag and suite, the wrap's first bytes.
fn info(suite: WrapSuite) -> [u8; HEAD_SIZE] {
    let mut info = [0; HEAD_SIZE];
    info[..8].copy_from_slice(&TAG);
    info[8] = suite as u8;
    info
}

fn seal<K: Kem>(
    suite: WrapSuite,
    public: &[u8],
    key: &ContentKey,
    context: &WrapContext,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<u8>, [u8; CIPHERTEXT_SIZE]), HpkeError> {
    let public = K::PublicKey::from_bytes(public)?;
    let mut ciphertext = [0; CIPHERTEXT_SIZE];
    let (sealed, place) = ciphertext.split_at_mut(32);
    sealed.copy_from_slice(key.as_bytes());
    let (enc, tag) = single_shot_seal_inout_detached_with_rng::<ChaCha20Poly1305, HkdfSha256, K>(
        &OpModeS::Base,
        &public,
        &info(suite),
        InOutBuf::from(sealed),
        &context.to_bytes(),
        rng,
    )?;
    place.copy_from_slice(&tag.to_bytes());
    Ok((enc.to_bytes().to_vec(), ciphertext))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hpke::rand_core::{TryCryptoRng, TryRng};

    use super::*;

    /// The randomness of a published vector.
    struct Given(Vec<u8>);

    impl TryRng for Given {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            unreachable!("HPKE draws bytes")
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            unreachable!("HPKE draws bytes")
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.copy_from_slice(&self.0);
            Ok(())
        }
    }

    impl TryCryptoRng for Given {}

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex).expect("hexadecimal")
    }

    /// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode, the first message.
    #[test]
    fn hpke_is_that_of_rfc_9180_a_2_1() {
        let (_, public) = X25519HkdfSha256::derive_keypair(&bytes(
            "1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df",
        ));
        let expected = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
        assert_eq!(hex::encode(public.to_bytes()), expected, "pkRm");

        let mut message = *b"Beauty is truth, truth beauty";
        let ephemeral = "909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b";
        let (enc, tag) = single_shot_seal_inout_detached_with_rng::<
            ChaCha20Poly1305,
            HkdfSha256,
            X25519HkdfSha256,
        >(
            &OpModeS::Base,
            &public,
            b"Ode on a Grecian Urn",
            InOutBuf::from(&mut message[..]),
            b"Count-0",
            &mut Given(bytes(ephemeral)),
        )
        .expect("sealed");
        let expected = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
        assert_eq!(hex::encode(enc.to_bytes()), expected, "enc");
        let sealed = [&message[..], &tag.to_bytes()].concat();
        let expected = "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d\
                        2dd1b51a28";
        assert_eq!(hex::encode(sealed), expected, "ct");
    }

    /// draft-connolly-cfrg-xwing-kem, appendix C, the first vector.
    #[test]
    fn x_wing_is_that_of_its_draft() {
        let seed = "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26";
        let secret = <XWing as Kem>::PrivateKey::from_bytes(&bytes(seed)).expect("a seed");
        let random = "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2\
                      35b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2";
        let public = XWing::sk_to_pk(&secret);
        let encapsulated = XWing::encap_with_rng(&public, None, &mut Given(bytes(random)));
        let (shared, enc) = encapsulated.expect("a good key");
        let expected = "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384";
        assert_eq!(hex::encode(shared.0), expected, "ss");
        let again = XWing::decap(&secret, None, &enc).expect("a good key");
        assert_eq!(again.0, shared.0);
    }
}
