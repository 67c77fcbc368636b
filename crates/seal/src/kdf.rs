//! HMAC and HKDF over SHA-256 (RFC 2104, RFC 5869), into memory that is wiped.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// HMAC-SHA256 over parts, one behind the other.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    let mut mac = mac.unwrap_or_else(|_| unreachable!("HMAC takes a key of any size"));
    parts.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// HKDF-SHA256: what a secret and a salt give under each of some labels, 32 bytes each.
pub(crate) fn hkdf<const N: usize>(
    salt: &[u8; 32],
    secret: &[u8; 32],
    labels: [&[u8]; N],
) -> [Zeroizing<[u8; 32]>; N] {
    let hkdf = Hkdf::<Sha256>::new(Some(salt), secret);
    labels.map(|label| {
        let mut derived = Zeroizing::new([0; 32]);
        hkdf.expand(label, &mut *derived)
            .unwrap_or_else(|_| unreachable!("32 bytes are within HKDF's bound"));
        derived
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let mac = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(*mac), expected, "RFC 4231, test case 2");
    }
}
