//! The two ciphers of envelopes, by ring's assembler where it can be built, and by Rust alone for
//! wasm32, where ring would want a C compiler. Both give the same bytes; a test holds them to it.

#[cfg(target_arch = "wasm32")]
pub(crate) use portable::Cipher;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use with_ring::Cipher;

/// A nonce, used once under a key.
pub(crate) type Nonce = [u8; 12];

/// The chunk was changed, or is bound to something else.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forged;

#[cfg(not(target_arch = "wasm32"))]
mod with_ring {
    use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, UnboundKey};

    use super::{Forged, Nonce};
    use crate::envelope::Suite;

    /// A suite's cipher under a key.
    pub(crate) struct Cipher(LessSafeKey);

    impl Cipher {
        pub(crate) fn new(suite: Suite, key: &[u8; 32]) -> Self {
            let algorithm = match suite {
                Suite::Aes256Gcm => &AES_256_GCM,
                Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            };
            let key = UnboundKey::new(algorithm, key)
                .unwrap_or_else(|_| unreachable!("both suites have keys of 32 bytes"));
            Cipher(LessSafeKey::new(key))
        }

        /// Seals in place and appends the tag.
        pub(crate) fn seal(&self, nonce: Nonce, bound: &[u8], chunk: &mut Vec<u8>) {
            let nonce = ring::aead::Nonce::assume_unique_for_key(nonce);
            self.0
                .seal_in_place_append_tag(nonce, Aad::from(bound), chunk)
                .unwrap_or_else(|_| unreachable!("a chunk is far below the AEAD's bound"));
        }

        /// Opens in place and takes the tag off. What a forged chunk holds then is nobody's to
        /// read.
        pub(crate) fn open(
            &self,
            nonce: Nonce,
            bound: &[u8],
            chunk: &mut Vec<u8>,
        ) -> Result<(), Forged> {
            let nonce = ring::aead::Nonce::assume_unique_for_key(nonce);
            let opened = self.0.open_in_place(nonce, Aad::from(bound), chunk);
            let length = opened.map_err(|_| Forged)?.len();
            chunk.truncate(length);
            Ok(())
        }
    }
}

#[cfg(any(test, target_arch = "wasm32"))]
mod portable {
    use aes_gcm::Aes256Gcm;
    use aes_gcm::aead::{AeadInOut, KeyInit};
    use chacha20poly1305::ChaCha20Poly1305;

    use super::{Forged, Nonce};
    use crate::envelope::{CHUNK_TAG_SIZE, Suite};

    /// A suite's cipher under a key.
    pub(crate) enum Cipher {
        Aes(Box<Aes256Gcm>),
        ChaCha(ChaCha20Poly1305),
    }

    impl Cipher {
        pub(crate) fn new(suite: Suite, key: &[u8; 32]) -> Self {
            match suite {
                Suite::Aes256Gcm => Cipher::Aes(Box::new(Aes256Gcm::new(key.into()))),
                Suite::ChaCha20Poly1305 => Cipher::ChaCha(ChaCha20Poly1305::new(key.into())),
            }
        }

        /// Seals in place and appends the tag.
        pub(crate) fn seal(&self, nonce: Nonce, bound: &[u8], chunk: &mut Vec<u8>) {
            let (nonce, plain) = ((&nonce).into(), chunk.as_mut_slice().into());
            let tag = match self {
                Cipher::Aes(cipher) => cipher.encrypt_inout_detached(nonce, bound, plain),
                Cipher::ChaCha(cipher) => cipher.encrypt_inout_detached(nonce, bound, plain),
            };
            let tag = tag.unwrap_or_else(|_| unreachable!("a chunk is far below the AEAD's bound"));
            chunk.extend_from_slice(&tag);
        }

        /// Opens in place and takes the tag off. What a forged chunk holds then is nobody's to
        /// read.
        pub(crate) fn open(
            &self,
            nonce: Nonce,
            bound: &[u8],
            chunk: &mut Vec<u8>,
        ) -> Result<(), Forged> {
            let (sealed, tag) =
                chunk.split_last_chunk_mut::<{ CHUNK_TAG_SIZE as usize }>().ok_or(Forged)?;
            let (nonce, tag) = ((&nonce).into(), (&*tag).into());
            let length = sealed.len();
            let opened = match self {
                Cipher::Aes(cipher) => {
                    cipher.decrypt_inout_detached(nonce, bound, sealed.into(), tag)
                }
                Cipher::ChaCha(cipher) => {
                    cipher.decrypt_inout_detached(nonce, bound, sealed.into(), tag)
                }
            };
            opened.map_err(|_| Forged)?;
            chunk.truncate(length);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Suite;

    #[test]
    fn both_backends_give_the_same_bytes_and_open_each_other() {
        let mut random = fastrand::Rng::with_seed(14);
        for length in [0, 1, 15, 16, 17, 1000, 1 << 16] {
            for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
                let (mut key, mut nonce, mut bound) = ([0; 32], [0; 12], [0; 32]);
                let mut plain = vec![0; length];
                random.fill(&mut key);
                random.fill(&mut nonce);
                random.fill(&mut bound);
                random.fill(&mut plain);
                let native = with_ring::Cipher::new(suite, &key);
                let portable = portable::Cipher::new(suite, &key);

                let (mut one, mut other) = (plain.clone(), plain.clone());
                native.seal(nonce, &bound, &mut one);
                portable.seal(nonce, &bound, &mut other);
                assert_eq!(one, other, "{suite:?} seals {length} bytes differently");

                native.open(nonce, &bound, &mut other).expect("ring opens what Rust sealed");
                portable.open(nonce, &bound, &mut one).expect("Rust opens what ring sealed");
                assert!(one == plain && other == plain, "{suite:?} changes {length} bytes");
            }
        }
    }

    #[test]
    fn both_backends_refuse_what_is_forged() {
        for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
            let (native, portable) =
                (with_ring::Cipher::new(suite, &[1; 32]), portable::Cipher::new(suite, &[1; 32]));
            let mut sealed = b"a chunk".to_vec();
            native.seal([0; 12], b"bound", &mut sealed);
            let whole = sealed.clone();
            sealed[0] ^= 1;
            let forgeries = [(sealed, "bound"), (whole, "other"), (vec![0; 15], "bound")];
            for (forged, bound) in forgeries {
                let bound = bound.as_bytes();
                let (mut one, mut other) = (forged.clone(), forged);
                assert_eq!(native.open([0; 12], bound, &mut one), Err(Forged));
                assert_eq!(portable.open([0; 12], bound, &mut other), Err(Forged));
            }
        }
    }
}
