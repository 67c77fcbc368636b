//! Sealing an output as it leaves the program (spec/envelope.md#outputs).
//!
//! The key follows from the input's salt, which whoever sealed the input has drawn; the envelope
//! from key and output, so every run of a job seals the same bytes.

use crate::blob::{self, Salt};
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Bytes of an envelope before its chunks.
pub const HEADER_BYTES: usize = 120;

/// Bytes of an output in each chunk; the last has what is left.
pub const CHUNK_BYTES: usize = 1 << CHUNK_BITS;

/// Bytes that a chunk grows by.
pub const TAG_BYTES: usize = 16;

/// The most bytes of an output whose envelope fits a blob.
pub const MAX_BYTES: u32 = max_bytes();

const CHUNK_BITS: u8 = 16;
const SUITE: u8 = 2;

const WAITING_SALT: &[u8] = b"assay waiting salt, version 1\n";
const OUTPUT_KEY: &[u8] = b"assay output key, version 1\n";
const OUTPUT_SALT: &[u8] = b"assay output envelope salt, version 1\n";
const CHUNK_KEY: &[u8] = b"assay chunk key, version 1\n";
const COMMITMENT: &[u8] = b"assay key commitment, version 1\n";

/// How an output is sealed: its header, and what seals each of its chunks.
pub struct Seal {
    header: [u8; HEADER_BYTES],
    digest: [u8; 32],
    cipher: ChaCha20Poly1305,
    chunks: usize,
}

impl Seal {
    /// Reads the whole output once, since the envelope's salt follows from it. `cells_root` is zero
    /// for none.
    pub fn new(input_salt: &Salt, output: &[u8], cells_root: &[u8; 32]) -> Self {
        let key = output_key(input_salt);
        let salt = hmac(&key, &[OUTPUT_SALT, cells_root, output]);
        // HKDF (RFC 5869): extract, then one block for each label.
        let extracted = hmac(&salt, &[&key]);
        let [chunk_key, commitment] =
            [CHUNK_KEY, COMMITMENT].map(|label| hmac(&extracted, &[label, &[SUITE, 1]]));

        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(b"assays\x01\x01");
        header[8] = SUITE;
        header[9] = CHUNK_BITS;
        header[16..24].copy_from_slice(&(output.len() as u64).to_le_bytes());
        header[24..56].copy_from_slice(&salt);
        header[56..88].copy_from_slice(cells_root);
        header[88..].copy_from_slice(&commitment);
        Self {
            digest: Sha256::digest(header).into(),
            header,
            cipher: ChaCha20Poly1305::new(&chunk_key.into()),
            chunks: chunks(output.len()),
        }
    }

    /// The envelope's first bytes.
    pub fn header(&self) -> &[u8; HEADER_BYTES] {
        &self.header
    }

    /// Seals a chunk from one place into another, which has [`TAG_BYTES`] more.
    pub fn chunk(&self, index: usize, plain: &[u8], sealed: &mut [u8]) {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&(index as u64).to_le_bytes());
        nonce[11] = u8::from(index + 1 == self.chunks);
        let (sealed, place) = sealed.split_at_mut(plain.len());
        let Ok(both) = InOutBuf::new(plain, sealed) else {
            unreachable!("the split made them equally long")
        };
        let Ok(tag) = self.cipher.encrypt_inout_detached(&nonce.into(), &self.digest, both) else {
            unreachable!("a chunk is far below the cipher's bound")
        };
        place.copy_from_slice(&tag);
    }
}

/// The key that a private job's output is sealed under.
pub fn output_key(input_salt: &Salt) -> [u8; 32] {
    hmac(input_salt, &[OUTPUT_KEY])
}

/// What keeps the root of what waits to be sealed from being guessed.
pub fn waiting_salt(input_salt: &Salt) -> Salt {
    let whole = hmac(input_salt, &[WAITING_SALT]);
    let mut salt = Salt::default();
    salt.copy_from_slice(&whole[..24]);
    salt
}

/// How many chunks an output of so many bytes has: one at least.
pub fn chunks(output_bytes: usize) -> usize {
    output_bytes.div_ceil(CHUNK_BYTES).max(1)
}

/// Size of the envelope of an output of so many bytes.
pub fn envelope_bytes(output_bytes: usize) -> usize {
    HEADER_BYTES + output_bytes + chunks(output_bytes) * TAG_BYTES
}

const fn max_bytes() -> u32 {
    let room = blob::MAX_BYTES - HEADER_BYTES as u32;
    let whole = CHUNK_BYTES as u32 + TAG_BYTES as u32;
    let rest = room % whole;
    // Less than a tag over whole chunks holds nothing.
    room / whole * CHUNK_BYTES as u32 + rest.saturating_sub(TAG_BYTES as u32)
}

/// HMAC-SHA256 over parts, one behind the other.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes a key of any size")
    };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_output_just_fits_a_blob() {
        let max = MAX_BYTES as usize;
        assert!(envelope_bytes(max) <= blob::MAX_BYTES as usize);
        assert!(envelope_bytes(max + 1) > blob::MAX_BYTES as usize, "room is wasted");
    }

    #[test]
    fn even_nothing_is_a_chunk() {
        let edges = [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1];
        assert_eq!(edges.map(chunks), [1, 1, 1, 2], "an empty output must be authentic too");
    }
}
