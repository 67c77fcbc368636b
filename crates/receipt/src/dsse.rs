//! Envelopes: a payload and who signed it (DSSE v1, <https://github.com/secure-systems-lab/dsse>).

use assay_types::{Hash, sha256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::statement::Statement;

/// What a payload is: an in-toto Statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// What the key of an account's statements is derived under.
const DERIVATION: &[u8] = b"assay statement key, version 1\n";

/// A key that signs statements for an account.
pub struct RoleKey(SigningKey);

impl RoleKey {
    /// The key of an account, derived from the account's secret, so that whoever keeps the one
    /// keeps the other. The statement that binds the two is signed by both.
    pub fn derive(account_secret: &[u8; 32]) -> Self {
        let preimage = Zeroizing::new([DERIVATION, account_secret].concat());
        let seed = Zeroizing::new(sha256(&preimage).0);
        RoleKey(SigningKey::from_bytes(&seed))
    }

    /// A log's own key, from the secret of its note key: to say who anchors it. What notes sign
    /// begins with the log's origin, and what envelopes sign with `DSSEv1`, so that neither passes
    /// for the other.
    pub fn of_log(secret: &[u8; 32]) -> Self {
        RoleKey(SigningKey::from_bytes(secret))
    }

    /// The public key.
    pub fn public(&self) -> Hash {
        Hash(self.0.verifying_key().to_bytes())
    }

    /// Signs bytes that are no statement, and can't be taken for one: a JWT.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

/// A payload with its one signature. The key's id is the key, 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// The statement, in base64.
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    keyid: String,
    sig: String,
}

/// Why an envelope is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// It is no envelope of a statement with one Ed25519 signature, or not written as it must be.
    #[error("it is no envelope of a statement with one signature (spec/statements.md#envelopes)")]
    Form,
    /// The signature does not belong to the payload and the key.
    #[error("the signature is not that of key {0}")]
    Signature(Hash),
}

impl Envelope {
    /// Signs a payload.
    pub fn sign(payload: &[u8], key: &RoleKey) -> Self {
        let signature = key.0.sign(&encoding(payload)).to_bytes();
        Envelope {
            payload: BASE64_STANDARD.encode(payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![EnvelopeSignature {
                keyid: key.public().to_string(),
                sig: BASE64_STANDARD.encode(signature),
            }],
        }
    }

    /// The envelope as it is logged: JSON without white space.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|error| unreachable!("plain structs: {error}"))
    }

    /// Reads an envelope as it is logged.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Form`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(|_| EnvelopeError::Form)?;
        if envelope.to_bytes() == bytes { Ok(envelope) } else { Err(EnvelopeError::Form) }
    }

    /// The payload as text, the key and the signature in base64. An envelope of another form comes
    /// back as one whose signature fails.
    pub(crate) fn parts(&self) -> (String, Hash, String) {
        let payload = BASE64_STANDARD.decode(&self.payload).unwrap_or_default();
        let signature = self.signatures.first();
        let key = signature.and_then(|one| one.keyid.parse().ok()).unwrap_or_default();
        let bytes = signature.map(|one| one.sig.clone()).unwrap_or_default();
        (String::from_utf8_lossy(&payload).into_owned(), key, bytes)
    }

    /// The envelope of a payload, a key and a signature in base64.
    pub(crate) fn from_parts(payload: &str, key: Hash, signature: String) -> Self {
        Envelope {
            payload: BASE64_STANDARD.encode(payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![EnvelopeSignature { keyid: key.to_string(), sig: signature }],
        }
    }

    /// The statement in it and the key that signed it; `None` for what is no sound statement of
    /// ours.
    pub fn statement(&self) -> Option<(Statement, Hash)> {
        let (payload, key) = self.open().ok()?;
        Some((Statement::from_payload(&payload).ok()?, key))
    }

    /// Checks the signature by the key that it names, and gives the payload and the key. Whose key
    /// that is, is for bindings to say.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`].
    pub fn open(&self) -> Result<(Vec<u8>, Hash), EnvelopeError> {
        let form = || EnvelopeError::Form;
        let [signature] = &self.signatures[..] else { return Err(form()) };
        if self.payload_type != PAYLOAD_TYPE {
            return Err(form());
        }
        let key: Hash = signature.keyid.parse().map_err(|_| form())?;
        if key.to_string() != signature.keyid {
            return Err(form());
        }
        let payload = BASE64_STANDARD.decode(&self.payload).map_err(|_| form())?;
        let bytes = BASE64_STANDARD.decode(&signature.sig).map_err(|_| form())?;
        let bytes = bytes.as_slice().try_into().map_err(|_| form())?;
        let verifying = VerifyingKey::from_bytes(&key.0).map_err(|_| form())?;
        verifying
            .verify_strict(&encoding(&payload), &Signature::from_bytes(bytes))
            .map_err(|_| EnvelopeError::Signature(key))?;
        Ok((payload, key))
    }
}

/// What is signed: DSSE's pre-authentication encoding.
fn encoding(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}
