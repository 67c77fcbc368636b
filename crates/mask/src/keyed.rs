//! What depends on the owner's key: pseudonyms and format-preserving tokens.

use std::fmt;

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The least number of values that a token's form must have (NIST SP 800-38G Rev. 1, 5.1).
pub const TOKEN_DOMAIN_MIN: u64 = 1_000_000;

/// The most characters of a token that are not separators.
pub const TOKEN_NUMERALS_MAX: usize = 256;

/// What each derived key is told apart by (spec/mask.md#keys).
const DERIVATION: &[u8] = b"assay mask key, version 1\n";

/// Bytes of a pseudonym; in the table twice as many digits.
const PSEUDONYM_SIZE: usize = 16;

/// An owner's secret, 32 bytes, that the keys of all purposes are derived from.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Takes 32 bytes, which should be random.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        MasterKey(bytes)
    }

    /// The key of one use: HMAC-SHA256 over the parts, each with its length (8 bytes, big-endian)
    /// before it.
    fn derive(&self, parts: [&str; 4]) -> Zeroizing<[u8; 32]> {
        let mut mac = hmac(&*self.0);
        mac.update(DERIVATION);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(secret)")
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any size"))
}

/// Whose key it is, and for what.
#[derive(Clone, Copy)]
pub(super) struct Use<'a> {
    pub(super) owner: &'a str,
    pub(super) purpose: &'a str,
    pub(super) group: &'a str,
}

/// Replaces a value by what only the key's holder can tell belongs to it.
pub(super) struct Pseudonyms(Zeroizing<[u8; 32]>);

impl Pseudonyms {
    pub(super) fn new(master: &MasterKey, of: Use) -> Self {
        Pseudonyms(master.derive(["pseudonym", of.owner, of.purpose, of.group]))
    }

    pub(super) fn write(&self, value: &str, out: &mut String) {
        use fmt::Write;
        let mut mac = hmac(&*self.0);
        mac.update(value.as_bytes());
        for byte in &mac.finalize().into_bytes()[..PSEUDONYM_SIZE] {
            let _ = write!(out, "{byte:02x}");
        }
    }
}

/// The characters that a token is made of, in the order of their numerals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Alphabet {
    Digits,
    Hex,
    Lower,
    Upper,
    LowerDigits,
    UpperDigits,
    Alphanumeric,
}

impl Alphabet {
    /// Its name, which is also FF1's tweak: two alphabets of one size must not give one
    /// permutation.
    fn name(self) -> &'static str {
        match self {
            Alphabet::Digits => "digits",
            Alphabet::Hex => "hex",
            Alphabet::Lower => "lower",
            Alphabet::Upper => "upper",
            Alphabet::LowerDigits => "lower-digits",
            Alphabet::UpperDigits => "upper-digits",
            Alphabet::Alphanumeric => "alphanumeric",
        }
    }

    fn characters(self) -> &'static [u8] {
        match self {
            Alphabet::Digits => b"0123456789",
            Alphabet::Hex => b"0123456789abcdef",
            Alphabet::Lower => b"abcdefghijklmnopqrstuvwxyz",
            Alphabet::Upper => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            Alphabet::LowerDigits => b"0123456789abcdefghijklmnopqrstuvwxyz",
            Alphabet::UpperDigits => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            Alphabet::Alphanumeric => {
                b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
            }
        }
    }

    fn numeral(self, c: char) -> Option<u16> {
        let at = self.characters().iter().position(|&one| char::from(one) == c)?;
        Some(at as u16)
    }

    pub(super) fn has(self, c: char) -> bool {
        self.numeral(c).is_some()
    }
}

/// Why a value has no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoToken {
    /// A character is neither in the alphabet nor a separator.
    Character,
    /// Too few values have this form.
    Domain,
    /// It is longer than any identifier.
    Length,
}

/// Replaces a value by another of the same form, with FF1 (NIST SP 800-38G) under AES-256.
pub(super) struct Tokens {
    cipher: FF1<Aes256>,
    alphabet: Alphabet,
    separators: String,
}

impl Tokens {
    pub(super) fn new(master: &MasterKey, of: Use, alphabet: Alphabet, separators: String) -> Self {
        let key = master.derive(["token", of.owner, of.purpose, of.group]);
        let radix = alphabet.characters().len() as u32;
        let cipher = FF1::new(&*key, radix)
            .unwrap_or_else(|_| unreachable!("an alphabet has 10 to 62 characters"));
        Tokens { cipher, alphabet, separators }
    }

    pub(super) fn write(&self, value: &str, out: &mut String) -> Result<(), NoToken> {
        let mut numerals = Vec::new();
        for c in value.chars().filter(|c| !self.separators.contains(*c)) {
            numerals.push(self.alphabet.numeral(c).ok_or(NoToken::Character)?);
        }
        if numerals.len() > TOKEN_NUMERALS_MAX {
            return Err(NoToken::Length);
        }
        let radix = self.alphabet.characters().len() as u64;
        let domain = numerals.iter().try_fold(1_u64, |domain, _| domain.checked_mul(radix));
        if domain.is_some_and(|domain| domain < TOKEN_DOMAIN_MIN) {
            return Err(NoToken::Domain);
        }
        let plain = FlexibleNumeralString::from(numerals);
        let token = self.cipher.encrypt(self.alphabet.name().as_bytes(), &plain);
        let token = token.unwrap_or_else(|_| unreachable!("radix and length were checked"));
        let mut token = Vec::from(token).into_iter();
        let put = |c: char| match self.alphabet.numeral(c) {
            Some(_) => token
                .next()
                .map(|numeral: u16| char::from(self.alphabet.characters()[usize::from(numeral)]))
                .unwrap_or_else(|| unreachable!("a token is as long as its value")),
            None => c,
        };
        out.extend(value.chars().map(put));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aes::{Aes128, Aes192};
    use fpe::ff1::{FF1, FlexibleNumeralString};

    use super::*;

    fn master(byte: u8) -> MasterKey {
        MasterKey::new(Zeroizing::new([byte; 32]))
    }

    fn of<'a>(owner: &'a str, purpose: &'a str, group: &'a str) -> Use<'a> {
        Use { owner, purpose, group }
    }

    /// NIST's samples for FF1 ("FF1samples.pdf" of its examples with intermediate values), all
    /// nine.
    #[test]
    fn ff1_gives_nists_samples() {
        const KEY: &str = "2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94";
        let (none, tweak) = ("", "39383736353433323130");
        let long = "3737373770717273373737";
        let cases = [
            (16, 10, none, "0123456789", "2433477484"),
            (16, 10, tweak, "0123456789", "6124200773"),
            (16, 36, long, "0123456789abcdefghi", "a9tv40mll9kdu509eum"),
            (24, 10, none, "0123456789", "2830668132"),
            (24, 10, tweak, "0123456789", "2496655549"),
            (24, 36, long, "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"),
            (32, 10, none, "0123456789", "6657667009"),
            (32, 10, tweak, "0123456789", "1001623463"),
            (32, 36, long, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"),
        ];
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len() / 2)
                .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
                .collect()
        };
        for (size, radix, tweak, plain, cipher) in cases {
            let key = &bytes(KEY)[..size];
            let digits = |text: &str| -> Vec<u16> {
                text.chars().map(|c| c.to_digit(36).unwrap() as u16).collect()
            };
            let (plain, tweak) = (FlexibleNumeralString::from(digits(plain)), bytes(tweak));
            let got = match size {
                16 => FF1::<Aes128>::new(key, radix).unwrap().encrypt(&tweak, &plain),
                24 => FF1::<Aes192>::new(key, radix).unwrap().encrypt(&tweak, &plain),
                _ => FF1::<Aes256>::new(key, radix).unwrap().encrypt(&tweak, &plain),
            };
            assert_eq!(Vec::from(got.unwrap()), digits(cipher), "AES-{}, radix {radix}", size * 8);
        }
    }

    #[test]
    fn pseudonyms_are_stable_and_differ_by_key_owner_purpose_and_group() {
        let pseudonym = |key, owner, purpose, group| {
            let mut out = String::new();
            Pseudonyms::new(&master(key), of(owner, purpose, group)).write("Ada", &mut out);
            assert_eq!(out.len(), 2 * PSEUDONYM_SIZE);
            out
        };
        let one = pseudonym(1, "owner", "study", "person");
        assert_eq!(one, pseudonym(1, "owner", "study", "person"), "one person, one pseudonym");
        for other in [
            pseudonym(2, "owner", "study", "person"),
            pseudonym(1, "other", "study", "person"),
            pseudonym(1, "owner", "other", "person"),
            pseudonym(1, "owner", "study", "other"),
            pseudonym(1, "owners", "tudy", "person"),
        ] {
            assert_ne!(one, other, "two tables could be joined that must not be");
        }
    }

    /// Reckoned with Python's hmac and hashlib.
    #[test]
    fn pseudonyms_are_as_specified() {
        let mut out = String::new();
        Pseudonyms::new(&master(7), of("0xowner", "study", "person")).write("Ada", &mut out);
        assert_eq!(out, "a7071ccdb03547879e7b5545a096b6df");
    }

    #[test]
    fn tokens_keep_the_form_and_tell_values_apart() {
        let cases = [
            (Alphabet::Digits, "4111 1111-1111 1111"),
            (Alphabet::Hex, "00ff00"),
            (Alphabet::Lower, "abcde-f"),
            (Alphabet::Upper, "QWERTY"),
            (Alphabet::LowerDigits, "a1b2c3"),
            (Alphabet::UpperDigits, "DE89 3704 0044"),
            (Alphabet::Alphanumeric, "aZ09b"),
        ];
        for (alphabet, value) in cases {
            let token = |group| {
                let tokens = Tokens::new(&master(1), of("o", "p", group), alphabet, " -".into());
                let mut out = String::new();
                tokens.write(value, &mut out).unwrap();
                out
            };
            let one = token("a");
            assert_eq!(one, token("a"));
            assert_ne!(one, token("b"), "{alphabet:?}");
            assert_ne!(one, value, "{alphabet:?}");
            for (was, is) in value.chars().zip(one.chars()) {
                assert_eq!(was == ' ' || was == '-', !alphabet.has(is), "{value} became {one}");
                assert!(alphabet.has(is) || was == is, "{value} became {one}");
            }
            assert_eq!(one.len(), value.len());
        }
    }

    #[test]
    fn small_domains_and_odd_characters_have_no_token() {
        let token = |alphabet, value: &str| {
            let tokens = Tokens::new(&master(1), of("o", "p", "g"), alphabet, "-".into());
            tokens.write(value, &mut String::new())
        };
        assert_eq!(token(Alphabet::Digits, "12345"), Err(NoToken::Domain), "10^5 is too few");
        assert_eq!(
            token(Alphabet::Digits, "1-2-3-4-5"),
            Err(NoToken::Domain),
            "separators hide nothing"
        );
        assert_eq!(token(Alphabet::Digits, "123456"), Ok(()), "10^6 is the least");
        assert_eq!(token(Alphabet::Lower, "abcd"), Err(NoToken::Domain), "26^4 is too few");
        assert_eq!(token(Alphabet::Lower, "abcde"), Ok(()));
        assert_eq!(
            token(Alphabet::Digits, "12345x"),
            Err(NoToken::Character),
            "it would stay in the clear"
        );
        assert_eq!(token(Alphabet::Digits, &"1".repeat(256)), Ok(()));
        assert_eq!(token(Alphabet::Digits, &"1".repeat(257)), Err(NoToken::Length));
    }
}
