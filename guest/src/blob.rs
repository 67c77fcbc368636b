//! The shape of a blob in its slot (spec/machine.md#blobs).

use sha2::{Digest, Sha256};

/// Bytes before a blob's own: length (u64 LE) and salt (24 bytes).
pub const HEADER_BYTES: u32 = 32;

/// The most bytes a blob can hold: its slot less the header.
pub const MAX_BYTES: u32 = (1 << 29) - HEADER_BYTES;

/// A blob's salt: random for private data, zero for public.
pub type Salt = [u8; 24];

/// The salt of a program's output: zero if both are zero, else the first 24 bytes of
/// `H("assayo" 01 01 || input salt || dataset salt)`, so that nobody who doesn't know the inputs
/// can guess an output and confirm it by its root.
pub fn output_salt(input: &Salt, dataset: &Salt) -> Salt {
    if input.iter().chain(dataset).all(|byte| *byte == 0) {
        return [0; 24];
    }
    let mut hash = Sha256::new();
    hash.update(b"assayo\x01\x01");
    hash.update(input);
    hash.update(dataset);
    let mut salt = [0; 24];
    salt.copy_from_slice(&hash.finalize()[..24]);
    salt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_inputs_make_a_public_output() {
        assert_eq!(output_salt(&[0; 24], &[0; 24]), [0; 24]);
    }

    #[test]
    fn either_private_input_makes_a_private_output() {
        // Computed with Python's hashlib.
        let salt = output_salt(&[1; 24], &[0; 24]);
        assert_eq!(salt, EXPECTED_SALT, "other implementations would derive another output root");
        assert_ne!(salt, output_salt(&[0; 24], &[1; 24]), "the two inputs must not be confused");
    }

    const EXPECTED_SALT: Salt = [
        0xa2, 0x02, 0x01, 0xb0, 0x64, 0x86, 0x13, 0x4c, 0x63, 0x8e, 0x1a, 0x0e, 0x13, 0xe9, 0x5f,
        0x57, 0xae, 0x08, 0xd6, 0x6e, 0xcd, 0x8c, 0x0f, 0x43,
    ];
}
