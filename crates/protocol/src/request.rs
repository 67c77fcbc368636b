//! Requests that an account signs (spec/access.md).

use std::str::FromStr;

use alloy_primitives::{Address, B256, Bytes, FixedBytes, b256};
use alloy_sol_types::SolStruct;
use assay_contracts::Deployment;

use crate::account_key::AccountKey;
use crate::capability::{CapabilityChain, Role};
use crate::eip712::{self, domain, time};
use crate::problem::{Problem, ProblemKind};
use crate::signature::{SignError, SignatureError, sign, verify_account};

/// The SHA-256 of no bytes, which a request without a body signs.
pub const EMPTY_DIGEST: B256 =
    b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

/// The 16 bytes that nonces for a broker begin with. A broker draws new ones each time it starts,
/// so a request that was sent before a restart, or to another broker, cannot be sent again.
pub type Epoch = FixedBytes<16>;

/// The headers of a signed request, and the one that tells the epoch.
pub mod header {
    /// The account that signs: an address.
    pub const ACCOUNT: &str = "assay-account";
    /// The role: one of those that spec/access.md lists.
    pub const ROLE: &str = "assay-role";
    /// The SHA-256 of the body: 0x and 64 hex digits.
    pub const DIGEST: &str = "assay-digest";
    /// A number that is used once: 0x and 64 hex digits, the first 32 of them the broker's epoch.
    pub const NONCE: &str = "assay-nonce";
    /// When the signature expires, in Unix seconds.
    pub const EXPIRES: &str = "assay-expires";
    /// The signature: 0x and 130 hex digits.
    pub const SIGNATURE: &str = "assay-signature";
    /// The chain of capabilities, if the request is in another account's name: JSON.
    pub const CAPABILITIES: &str = "assay-capabilities";
    /// In an answer: the broker's epoch, 0x and 32 hex digits.
    pub const EPOCH: &str = "assay-epoch";
}

/// What the headers of a signed request say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// The account that signs.
    pub account: Address,
    /// The role that it acts in.
    pub role: Role,
    /// The SHA-256 of the body.
    pub digest: B256,
    /// Used once; the first 16 bytes are the broker's epoch.
    pub nonce: B256,
    /// When the signature expires, in Unix seconds.
    pub expires: u64,
    /// What allows the signer to act in another account's name, if it does.
    pub capabilities: Option<CapabilityChain>,
    /// The signature: 65 bytes.
    pub signature: Bytes,
}

impl SignedRequest {
    /// Reads the headers of a signed request; `value` returns a header's text by its name.
    ///
    /// # Errors
    ///
    /// [`ProblemKind::RequestUnsigned`], [`ProblemKind::CapabilityMalformed`],
    /// [`ProblemKind::CapabilityTooMany`].
    pub fn from_headers<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Problem> {
        let chain = value(header::CAPABILITIES).map(str::parse).transpose();
        Ok(SignedRequest {
            account: named(header::ACCOUNT, &value)?,
            role: named(header::ROLE, &value)?,
            digest: named(header::DIGEST, &value)?,
            nonce: named(header::NONCE, &value)?,
            expires: named(header::EXPIRES, &value)?,
            signature: named(header::SIGNATURE, &value)?,
            capabilities: chain.map_err(Problem::from)?,
        })
    }

    /// Signs a request; the path begins with `/v1/` and includes the query.
    ///
    /// # Errors
    ///
    /// [`SignError::Signer`], [`SignError::Signature`] for a time beyond 40 bits.
    pub fn sign(
        (method, path): (&str, &str),
        digest: B256,
        (role, nonce, expires): (Role, B256, u64),
        deployment: &Deployment,
        (signer, capabilities): (&impl AccountKey, Option<CapabilityChain>),
    ) -> Result<Self, SignError> {
        let mut request = SignedRequest {
            account: signer.address(),
            role,
            digest,
            nonce,
            expires,
            capabilities,
            signature: Bytes::new(),
        };
        request.signature = sign(signer, request.hash(method, path, deployment)?)?;
        Ok(request)
    }

    /// Checks that the account signed it for a market. Does not check whether the account may send
    /// it, or its capabilities.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(
        &self,
        method: &str,
        path: &str,
        deployment: &Deployment,
    ) -> Result<(), SignatureError> {
        verify_account(self.hash(method, path, deployment)?, &self.signature, self.account)
    }

    /// The headers, by name.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (header::ACCOUNT, self.account.to_string()),
            (header::ROLE, self.role.to_string()),
            (header::DIGEST, self.digest.to_string()),
            (header::NONCE, self.nonce.to_string()),
            (header::EXPIRES, self.expires.to_string()),
            (header::SIGNATURE, self.signature.to_string()),
        ];
        if let Some(chain) = &self.capabilities {
            headers.push((header::CAPABILITIES, chain.to_string()));
        }
        headers
    }

    fn hash(
        &self,
        method: &str,
        path: &str,
        deployment: &Deployment,
    ) -> Result<B256, SignatureError> {
        let capability = self.capabilities.as_ref().map(|chain| chain.hash(deployment));
        let signed = eip712::Request {
            account: self.account,
            role: self.role.as_str().to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            bodyDigest: self.digest,
            nonce: self.nonce,
            capability: capability.transpose()?.unwrap_or_default(),
            expiresAt: time(self.expires)?,
        };
        Ok(signed.eip712_signing_hash(&domain(deployment)))
    }
}

fn named<'a, T: FromStr>(
    name: &str,
    value: impl Fn(&str) -> Option<&'a str>,
) -> Result<T, Problem> {
    value(name).and_then(|value| value.parse().ok()).ok_or_else(|| {
        ProblemKind::RequestUnsigned.with(format_args!("{name} is missing or does not parse"))
    })
}
