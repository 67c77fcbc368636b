//! SD-JWT (RFC 9901): signed claims of which some are digests, to be disclosed or not.
//!
//! SHA-256, Ed25519 (`EdDSA`, RFC 8037), the compact form. What claims mean, and whose key it is,
//! is for others to say.

use std::collections::BTreeSet;

use assay_types::{Hash, sha256};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Map, Value, json};

/// The longest SD-JWT that is read, in bytes.
pub const SD_JWT_BYTES_MAX: usize = 1 << 20;

/// The most disclosures in one.
const DISCLOSURES_MAX: usize = 1024;

/// The deepest nesting of claims.
const DEPTH_MAX: usize = 32;

/// Size of a disclosure's salt in bytes (RFC 9901, 9.3: 128 bits).
pub const DISCLOSURE_SALT_SIZE: usize = 16;

/// The `typ` of a key binding JWT.
const KEY_BINDING_TYPE: &str = "kb+jwt";

/// Names that a disclosure must not give.
const RESERVED: [&str; 3] = ["_sd", "_sd_alg", "..."];

/// Claims by name.
pub type Claims = Map<String, Value>;

/// Why something is no SD-JWT, or does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdJwtError {
    /// Longer than any that is read.
    #[error("it has {0} bytes; {SD_JWT_BYTES_MAX} are read at most")]
    Long(usize),
    /// It is not three parts and disclosures with a tilde after each.
    #[error("it is not an SD-JWT in its compact form: {0}")]
    Form(&'static str),
    /// A type of token that was not asked for.
    #[error("it is a token of type {0:?}, not {1:?}")]
    Type(String, &'static str),
    /// Signed by another algorithm than Ed25519's.
    #[error("it is signed by {0:?}; only EdDSA is taken")]
    Algorithm(String),
    /// Digests of another algorithm.
    #[error("its digests are by {0:?}; only sha-256 is taken")]
    DigestAlgorithm(String),
    /// The signature is not the key's.
    #[error("the signature is not that of key {0}")]
    Signature(Hash),
    /// A disclosure does not fit the claims.
    #[error("disclosure {0} does not belong to what was signed: {1}")]
    Disclosure(usize, &'static str),
    /// A digest stands twice.
    #[error("the digest {0:?} stands twice")]
    Twice(String),
    /// Bound to a key that the claims do not name, or not signed by it.
    #[error("the key binding does not hold: {0}")]
    KeyBinding(&'static str),
    /// A claim that can't be hidden or shown under this name.
    #[error("no claim can be hidden under the name {0:?}")]
    Name(String),
}

/// A claim that can be shown, with its salt: base64url of `[salt, name, value]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Disclosure {
    name: String,
    text: String,
}

impl Disclosure {
    /// A claim under a random salt.
    ///
    /// # Errors
    ///
    /// [`SdJwtError::Name`] for a reserved name.
    pub fn new(
        name: &str,
        value: &Value,
        salt: [u8; DISCLOSURE_SALT_SIZE],
    ) -> Result<Self, SdJwtError> {
        if RESERVED.contains(&name) {
            return Err(SdJwtError::Name(name.to_owned()));
        }
        let json = json!([BASE64URL.encode(salt), name, value]).to_string();
        Ok(Disclosure { name: name.to_owned(), text: BASE64URL.encode(json) })
    }

    /// The claim's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn digest(&self) -> String {
        digest(&self.text)
    }
}

impl std::fmt::Debug for Disclosure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Disclosure({})", self.name)
    }
}

/// An SD-JWT as its issuer has it: the signed token with all disclosures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    token: String,
    disclosures: Vec<Disclosure>,
}

/// Signs bytes by an Ed25519 key.
pub type Sign<'a> = &'a dyn Fn(&[u8]) -> [u8; 64];

impl Issued {
    /// Signs claims: `visible` as they are, those of the disclosures as digests, among them
    /// `decoys`, digests of nothing, so that the number of claims is not told. `typ` is the token's
    /// type, `key` the one that `sign` signs by.
    ///
    /// # Errors
    ///
    /// [`SdJwtError::Name`] if a visible claim has a reserved name, or one that a disclosure has
    /// too.
    pub fn sign(
        typ: &str,
        key: Hash,
        mut visible: Claims,
        disclosures: Vec<Disclosure>,
        decoys: &[Hash],
        sign: Sign<'_>,
    ) -> Result<Self, SdJwtError> {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let both = visible.keys().map(String::as_str).chain(RESERVED);
        let hidden = disclosures.iter().map(Disclosure::name);
        if let Some(twice) = both.chain(hidden).find(|name| !names.insert(name)) {
            return Err(SdJwtError::Name(twice.to_owned()));
        }
        let mut digests: Vec<String> = disclosures.iter().map(Disclosure::digest).collect();
        digests.extend(decoys.iter().map(|decoy| BASE64URL.encode(decoy.0)));
        // In the order of the digests, which tells nothing of the claims' (RFC 9901, 4.2.4.1).
        digests.sort_unstable();
        visible.insert("_sd".into(), digests.into());
        visible.insert("_sd_alg".into(), "sha-256".into());
        let header = json!({ "alg": "EdDSA", "kid": key.to_string(), "typ": typ });
        Ok(Issued { token: token(&header, &visible.into(), sign), disclosures })
    }

    /// The same with some of the claims: `TOKEN~DISCLOSURE~...~`.
    pub fn show(&self, is_shown: impl Fn(&str) -> bool) -> String {
        let shown = self.disclosures.iter().filter(|one| is_shown(&one.name));
        let parts: Vec<&str> = shown.map(|one| one.text.as_str()).collect();
        let parts: String = parts.iter().map(|part| format!("{part}~")).collect();
        format!("{}~{parts}", self.token)
    }
}

/// Binds a presentation (`TOKEN~DISCLOSURE~...~`) to whom it is for and to what they asked: appends
/// a key binding JWT.
pub fn bind(
    presentation: &str,
    audience: &str,
    nonce: &str,
    issued_secs: u64,
    sign: Sign<'_>,
) -> String {
    let header = json!({ "alg": "EdDSA", "typ": KEY_BINDING_TYPE });
    let hash = digest(presentation);
    let claims = json!({ "aud": audience, "iat": issued_secs, "nonce": nonce, "sd_hash": hash });
    format!("{presentation}{}", token(&header, &claims, sign))
}

/// How a claim names a key: a JWK (RFC 8037) in `cnf` (RFC 7800), for a later key binding.
pub fn confirmation(key: Hash) -> Value {
    json!({ "jwk": { "crv": "Ed25519", "kty": "OKP", "x": BASE64URL.encode(key.0) } })
}

/// An SD-JWT whose signature and disclosures hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The key that signed it. Whose that is, is not said here.
    pub key: Hash,
    /// All claims that are shown, the disclosed ones in their places.
    pub claims: Claims,
    /// The names of the disclosed claims, in the order of their disclosures; for an element of an
    /// array, nothing.
    pub disclosed: Vec<Option<String>>,
    /// For whom it is, and when, if a key binding says so.
    pub binding: Option<KeyBinding>,
}

/// What a key binding says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBinding {
    /// For whom it is.
    pub audience: String,
    /// What they asked to be repeated.
    pub nonce: String,
    /// When it was made, in Unix seconds.
    pub issued_secs: u64,
}

impl Presented {
    /// Reads an SD-JWT of a type and checks all of it (RFC 9901, 7.1 and 7.3): by `key`, or by the
    /// key that the token's `kid` names.
    ///
    /// # Errors
    ///
    /// [`SdJwtError`].
    pub fn from_bytes(
        bytes: &[u8],
        typ: &'static str,
        key: Option<Hash>,
    ) -> Result<Self, SdJwtError> {
        if bytes.len() > SD_JWT_BYTES_MAX {
            return Err(SdJwtError::Long(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| SdJwtError::Form("it is no text"))?;
        let (shown, binding) = text.rsplit_once('~').ok_or(SdJwtError::Form("it has no tilde"))?;
        let mut parts = shown.split('~');
        let token = Token::read(parts.next().unwrap_or_default())?;
        token.has_type(typ)?;
        let named = || token.header.get("kid")?.as_str()?.parse().ok();
        let key = key.or_else(named).ok_or(SdJwtError::Form("its header names no key"))?;
        token.check(key)?;
        let texts: Vec<&str> = parts.collect();
        if texts.len() > DISCLOSURES_MAX {
            return Err(SdJwtError::Form("it has too many disclosures"));
        }
        let (claims, disclosed) = Disclosed::read(&texts)?.put_into(token.claims)?;
        let binding = match binding {
            "" => None,
            binding => Some(KeyBinding::read(binding, &text[..shown.len() + 1], &claims)?),
        };
        Ok(Presented { key, claims, disclosed, binding })
    }
}

/// What an SD-JWT would say if it were signed: all that [`Presented::from_bytes`] checks but
/// signatures and the key binding. For fuzzing, which could hardly get behind a signature.
///
/// # Errors
///
/// [`SdJwtError`].
pub fn claims_unverified(bytes: &[u8]) -> Result<Claims, SdJwtError> {
    if bytes.len() > SD_JWT_BYTES_MAX {
        return Err(SdJwtError::Long(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| SdJwtError::Form("it is no text"))?;
    let (shown, _) = text.rsplit_once('~').ok_or(SdJwtError::Form("it has no tilde"))?;
    let mut parts = shown.split('~');
    let token = Token::read(parts.next().unwrap_or_default())?;
    Ok(Disclosed::read(&parts.collect::<Vec<_>>())?.put_into(token.claims)?.0)
}

impl KeyBinding {
    fn read(text: &str, presentation: &str, claims: &Claims) -> Result<Self, SdJwtError> {
        let failed = |what| SdJwtError::KeyBinding(what);
        let key = claims.get("cnf").and_then(key_of).ok_or(failed("the claims name no key"))?;
        let token = Token::read(text)?;
        token.has_type(KEY_BINDING_TYPE)?;
        token.check(key)?;
        let text = |name| token.claims.get(name).and_then(Value::as_str);
        if text("sd_hash") != Some(&digest(presentation)) {
            return Err(failed("it is for another presentation"));
        }
        let issued_secs = token.claims.get("iat").and_then(Value::as_u64);
        Ok(KeyBinding {
            audience: text("aud").ok_or(failed("it names no audience"))?.to_owned(),
            nonce: text("nonce").ok_or(failed("it has no nonce"))?.to_owned(),
            issued_secs: issued_secs.ok_or(failed("it has no time"))?,
        })
    }
}

/// The key of a confirmation claim.
fn key_of(confirmation: &Value) -> Option<Hash> {
    let key = BASE64URL.decode(confirmation.get("jwk")?.get("x")?.as_str()?).ok()?;
    let key = Hash(key.try_into().ok()?);
    (*confirmation == self::confirmation(key)).then_some(key)
}

/// A JWT in its compact form.
struct Token<'a> {
    header: Claims,
    claims: Claims,
    signed: &'a str,
    signature: [u8; 64],
}

impl<'a> Token<'a> {
    fn read(text: &'a str) -> Result<Self, SdJwtError> {
        let form = || SdJwtError::Form("its token does not parse");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(form)?;
        let (header, claims) = signed.split_once('.').ok_or_else(form)?;
        let object = |part| -> Option<Claims> { object_of(&BASE64URL.decode(part).ok()?) };
        let signature = BASE64URL.decode(signature).map_err(|_| form())?;
        Ok(Token {
            header: object(header).ok_or_else(form)?,
            claims: object(claims).ok_or_else(form)?,
            signed,
            signature: signature.try_into().map_err(|_| form())?,
        })
    }

    fn has_type(&self, expected: &'static str) -> Result<(), SdJwtError> {
        let text = |name| self.header.get(name).and_then(Value::as_str).unwrap_or_default();
        // Another algorithm, above all "none", must not choose how the token is checked (RFC 8725,
        // 3.1).
        if text("alg") != "EdDSA" {
            return Err(SdJwtError::Algorithm(text("alg").to_owned()));
        }
        if self.header.contains_key("crit") {
            return Err(SdJwtError::Form("it needs extensions that are not known here"));
        }
        if text("typ") == expected {
            return Ok(());
        }
        Err(SdJwtError::Type(text("typ").to_owned(), expected))
    }

    fn check(&self, key: Hash) -> Result<(), SdJwtError> {
        let wrong = SdJwtError::Signature(key);
        let Ok(verifying) = VerifyingKey::from_bytes(&key.0) else { return Err(wrong) };
        let signature = Signature::from_bytes(&self.signature);
        verifying.verify_strict(self.signed.as_bytes(), &signature).map_err(|_| wrong)
    }
}

/// An object whose names come once each; serde would keep the last of two, where another reader
/// keeps the first.
fn object_of(bytes: &[u8]) -> Option<Claims> {
    match parse(bytes)? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// JSON in which no name comes twice in an object.
fn parse(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice::<Strict>(bytes).ok().map(|strict| strict.0)
}

/// A JSON value, read strictly.
struct Strict(Value);

impl<'de> serde::Deserialize<'de> for Strict {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> serde::de::Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = map.next_entry::<String, Strict>()? {
            if object.insert(name, value).is_some() {
                return Err(serde::de::Error::custom("a name comes twice"));
            }
        }
        Ok(object.into())
    }
}

/// Disclosures by their digests, each used at most once.
struct Disclosed {
    /// Digest, name (of a claim; none for an element) and value.
    list: Vec<(String, Option<String>, Value)>,
    is_used: Vec<bool>,
    /// All digests that were met.
    seen: BTreeSet<String>,
}

impl Disclosed {
    fn read(texts: &[&str]) -> Result<Self, SdJwtError> {
        let mut list: Vec<(String, Option<String>, Value)> = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let wrong = |what| SdJwtError::Disclosure(number + 1, what);
            let bytes = BASE64URL.decode(text).map_err(|_| wrong("it is no base64url"))?;
            let Some(Value::Array(parts)) = parse(&bytes) else {
                return Err(wrong("it is no list"));
            };
            let (name, value) = match &parts[..] {
                [Value::String(_), value] => (None, value),
                [Value::String(_), Value::String(name), value] => (Some(name.clone()), value),
                _ => return Err(wrong("it is no salt, name and value")),
            };
            if name.as_deref().is_some_and(|name| RESERVED.contains(&name)) {
                return Err(wrong("its name is reserved"));
            }
            let digest = digest(text);
            if list.iter().any(|(other, ..)| *other == digest) {
                return Err(SdJwtError::Twice(digest));
            }
            list.push((digest, name, value.clone()));
        }
        Ok(Disclosed { is_used: vec![false; list.len()], list, seen: BTreeSet::new() })
    }

    /// Puts the disclosed claims in their places.
    fn put_into(mut self, mut claims: Claims) -> Result<(Claims, Vec<Option<String>>), SdJwtError> {
        match claims.remove("_sd_alg") {
            None => {}
            Some(Value::String(name)) if name == "sha-256" => {}
            Some(other) => return Err(SdJwtError::DigestAlgorithm(other.to_string())),
        }
        let claims = self.object(claims, DEPTH_MAX)?;
        match self.is_used.iter().position(|used| !used) {
            Some(unused) => Err(SdJwtError::Disclosure(unused + 1, "no digest is its")),
            None => Ok((claims, self.list.into_iter().map(|(_, name, _)| name).collect())),
        }
    }

    fn value(&mut self, value: Value, depth: usize) -> Result<Value, SdJwtError> {
        let deeper = depth.checked_sub(1).ok_or(SdJwtError::Form("its claims are too deep"))?;
        match value {
            Value::Object(object) => Ok(self.object(object, deeper)?.into()),
            Value::Array(list) => Ok(self.array(list, deeper)?.into()),
            plain => Ok(plain),
        }
    }

    fn object(&mut self, mut object: Claims, depth: usize) -> Result<Claims, SdJwtError> {
        let digests = object.remove("_sd");
        let mut claims = Map::new();
        for (name, value) in object {
            if RESERVED.contains(&name.as_str()) {
                return Err(SdJwtError::Form("a reserved name stands where it must not"));
            }
            claims.insert(name, self.value(value, depth)?);
        }
        let digests = match digests {
            None => return Ok(claims),
            Some(Value::Array(digests)) => digests,
            Some(_) => return Err(SdJwtError::Form("its digests are no list")),
        };
        for digest in digests {
            let Some((number, name, value)) = self.take(&digest)? else { continue };
            let wrong = |what| SdJwtError::Disclosure(number + 1, what);
            let name = name.ok_or(wrong("it has no name"))?;
            if claims.contains_key(&name) {
                return Err(wrong("its name is there already"));
            }
            claims.insert(name, self.value(value, depth)?);
        }
        Ok(claims)
    }

    fn array(&mut self, list: Vec<Value>, depth: usize) -> Result<Vec<Value>, SdJwtError> {
        let mut elements = Vec::new();
        for element in list {
            let digest = match &element {
                Value::Object(object) if object.contains_key("...") => match object.len() {
                    1 => object["..."].clone(),
                    _ => return Err(SdJwtError::Form("an element has more than its digest")),
                },
                _ => {
                    elements.push(self.value(element, depth)?);
                    continue;
                }
            };
            let Some((number, name, value)) = self.take(&digest)? else { continue };
            if name.is_some() {
                return Err(SdJwtError::Disclosure(number + 1, "an element has no name"));
            }
            elements.push(self.value(value, depth)?);
        }
        Ok(elements)
    }

    /// The disclosure of a digest; none for a claim that is not shown, or a decoy.
    fn take(
        &mut self,
        digest: &Value,
    ) -> Result<Option<(usize, Option<String>, Value)>, SdJwtError> {
        let Value::String(digest) = digest else {
            return Err(SdJwtError::Form("a digest is no text"));
        };
        if !self.seen.insert(digest.clone()) {
            return Err(SdJwtError::Twice(digest.clone()));
        }
        let Some(number) = self.list.iter().position(|(own, ..)| own == digest) else {
            return Ok(None);
        };
        self.is_used[number] = true;
        let (_, name, value) = &self.list[number];
        Ok(Some((number, name.clone(), value.clone())))
    }
}

/// Base64url of the SHA-256 of ASCII text.
fn digest(text: &str) -> String {
    BASE64URL.encode(sha256(text.as_bytes()).0)
}

fn token(header: &Value, claims: &Value, sign: Sign<'_>) -> String {
    let [header, claims] = [header, claims].map(|part| BASE64URL.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let signature = BASE64URL.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    const TYPE: &str = "example+sd-jwt";

    fn signing() -> SigningKey {
        SigningKey::from_bytes(&[3; 32])
    }

    fn key() -> Hash {
        Hash(signing().verifying_key().to_bytes())
    }

    fn sign(bytes: &[u8]) -> [u8; 64] {
        signing().sign(bytes).to_bytes()
    }

    fn object(value: Value) -> Claims {
        match value {
            Value::Object(object) => object,
            _ => unreachable!("an object"),
        }
    }

    fn issued() -> Issued {
        let claims = object(json!({ "job": "1", "cnf": confirmation(key()) }));
        let disclosures = ["price", "stake"].iter().enumerate();
        let disclosures = disclosures
            .map(|(i, name)| Disclosure::new(name, &json!(i), [i as u8; 16]).expect("a name"));
        let decoys = [sha256(b"nothing")];
        Issued::sign(TYPE, key(), claims, disclosures.collect(), &decoys, &sign).expect("signed")
    }

    fn read(text: &str) -> Result<Presented, SdJwtError> {
        Presented::from_bytes(text.as_bytes(), TYPE, None)
    }

    /// A token of claims with disclosures of our own, signed.
    fn raw(claims: Value, disclosures: &[&str]) -> String {
        let header = json!({ "alg": "EdDSA", "kid": key().to_string(), "typ": TYPE });
        let parts: String = disclosures.iter().map(|part| format!("{part}~")).collect();
        format!("{}~{parts}", token(&header, &claims, &sign))
    }

    #[test]
    fn what_is_shown_is_read_and_nothing_else() {
        let shown = read(&issued().show(|name| name == "stake")).expect("good");
        assert_eq!(shown.claims.get("stake"), Some(&json!(1)));
        assert_eq!(shown.claims.get("price"), None, "what is not shown must not be there");
        assert_eq!((shown.key, shown.binding), (key(), None));
        assert_eq!(shown.disclosed, [Some("stake".to_owned())]);
        let digests = issued().token;
        assert!(!digests.contains("price"), "not even its name");
    }

    #[test]
    fn a_key_binding_says_for_whom() {
        let bound = bind(&issued().show(|_| true), "auditor.example", "n-1", 1_700_000_000, &sign);
        let binding = read(&bound).expect("good").binding.expect("bound");
        assert_eq!((&binding.audience[..], &binding.nonce[..]), ("auditor.example", "n-1"));
        // The binding of one presentation on another.
        let (_, kb) = bound.rsplit_once('~').expect("parts");
        let moved = format!("{}{kb}", issued().show(|_| false));
        assert_eq!(read(&moved), Err(SdJwtError::KeyBinding("it is for another presentation")));
        let unnamed = raw(json!({ "a": 1 }), &[]);
        let forged = bind(&unnamed, "a", "b", 1, &sign);
        assert_eq!(read(&forged), Err(SdJwtError::KeyBinding("the claims name no key")));
    }

    #[test]
    fn every_change_of_a_byte_is_refused() {
        let bound = bind(&issued().show(|name| name == "price"), "a", "b", 1, &sign).into_bytes();
        assert!(Presented::from_bytes(&bound, TYPE, None).is_ok());
        for at in 0..bound.len() {
            let mut bent = bound.clone();
            for byte in 0..=255 {
                bent[at] = byte;
                let read = Presented::from_bytes(&bent, TYPE, None);
                assert_eq!(read.is_ok(), bent == bound, "byte {at} as {byte} was taken");
            }
            let cut = Presented::from_bytes(&bound[..at], TYPE, None);
            let without_binding = bound[..at].ends_with(b"~");
            assert!(cut.is_err() || without_binding, "cut off at {at}, it was taken");
        }
    }

    #[test]
    fn nested_claims_and_elements_are_put_in_their_places() {
        let element = BASE64URL.encode(r#"["s1","DE"]"#);
        let street = BASE64URL.encode(r#"["s2","street","Main"]"#);
        let address = BASE64URL.encode(
            json!(["s3", "address", { "_sd": [digest(&street)], "city": "X" }]).to_string(),
        );
        let claims = json!({
            "_sd": [digest(&address)],
            "lands": [{ "...": digest(&element) }, "FR", { "...": digest("hidden") }],
        });
        let read = read(&raw(claims, &[&street, &element, &address])).expect("good");
        let expect = json!({ "lands": ["DE", "FR"], "address": { "city": "X", "street": "Main" } });
        assert_eq!(Value::from(read.claims), expect);
    }

    #[test]
    fn what_rfc_9901_forbids_is_refused() {
        let price = BASE64URL.encode(r#"["s","price",1]"#);
        let taken = |claims, disclosures: &[&str]| read(&raw(claims, disclosures)).is_ok();
        assert!(taken(json!({ "_sd": [digest(&price)] }), &[&price]));
        assert!(!taken(json!({ "_sd": [] }), &[&price]), "a disclosure that nothing names");
        let twice = json!({ "_sd": [digest(&price), digest(&price)] });
        assert!(!taken(twice, &[&price]), "a digest twice");
        assert!(!taken(json!({ "_sd": [digest(&price)] }), &[&price, &price]));
        let clash = json!({ "_sd": [digest(&price)], "price": 2 });
        assert!(!taken(clash, &[&price]), "a claim that is there already");
        for reserved in [r#"["s","_sd",1]"#, r#"["s","...",1]"#, r#"["s"]"#, r#"[1,"a",2]"#, "{}"] {
            let text = BASE64URL.encode(reserved);
            assert!(!taken(json!({ "_sd": [digest(&text)] }), &[&text]), "{reserved}");
        }
        assert!(!taken(json!({ "_sd": [1] }), &[]), "a digest that is no text");
        assert!(!taken(json!({ "_sd_alg": "sha-512" }), &[]));
        assert!(!taken(json!({ "a": { "_sd_alg": "sha-256" } }), &[]), "only at the top");
        assert!(!taken(json!({ "a": [{ "...": "x", "b": 1 }] }), &[]));
        let deep = (0..DEPTH_MAX + 1).fold(json!(1), |value, _| json!([value]));
        assert!(!taken(json!({ "a": deep }), &[]), "deeper than the bound");
    }

    #[test]
    fn tokens_of_another_kind_are_refused() {
        let claims = json!({});
        let made = |header: Value| read(&format!("{}~", token(&header, &claims, &sign))).err();
        let kid = key().to_string();
        let typ = "other+sd-jwt";
        assert!(matches!(
            made(json!({ "alg": "EdDSA", "kid": kid, "typ": typ })),
            Some(SdJwtError::Type(..))
        ));
        assert!(matches!(
            made(json!({ "alg": "none", "kid": kid, "typ": TYPE })),
            Some(SdJwtError::Algorithm(_))
        ));
        assert!(matches!(made(json!({ "alg": "EdDSA", "typ": TYPE })), Some(SdJwtError::Form(_))));
        let crit = json!({ "alg": "EdDSA", "kid": kid, "typ": TYPE, "crit": ["b64"] });
        assert!(matches!(made(crit), Some(SdJwtError::Form(_))));
        let wrong =
            Presented::from_bytes(issued().show(|_| true).as_bytes(), TYPE, Some(sha256(b"x")));
        assert_eq!(wrong, Err(SdJwtError::Signature(sha256(b"x"))));
        let long = vec![b'a'; SD_JWT_BYTES_MAX + 1];
        assert_eq!(Presented::from_bytes(&long, TYPE, None), Err(SdJwtError::Long(long.len())));
        let double = BASE64URL.encode(r#"{"a":1,"a":2}"#);
        let header =
            BASE64URL.encode(json!({ "alg": "EdDSA", "kid": kid, "typ": TYPE }).to_string());
        let signed = format!("{header}.{double}");
        let twice = format!("{signed}.{}~", BASE64URL.encode(sign(signed.as_bytes())));
        assert!(read(&twice).is_err(), "two readers could see two values of one name");
        for bytes in [&b""[..], b"~", b"a.b.c~", b"..~", b"\xff~", b"~~~"] {
            assert!(Presented::from_bytes(bytes, TYPE, None).is_err());
        }
    }

    #[test]
    fn names_that_can_not_be_hidden_are_refused() {
        let name = |name: &str| SdJwtError::Name(name.to_owned());
        assert_eq!(Disclosure::new("_sd", &json!(1), [0; 16]), Err(name("_sd")));
        let price = Disclosure::new("price", &json!(1), [0; 16]).expect("a name");
        let claims = object(json!({ "price": 2 }));
        let signed = Issued::sign(TYPE, key(), claims, vec![price.clone()], &[], &sign);
        assert_eq!(signed, Err(name("price")));
        let signed = Issued::sign(TYPE, key(), Map::new(), vec![price.clone(), price], &[], &sign);
        assert_eq!(signed, Err(name("price")));
    }
}
