//! The structs that are signed (spec/broker.md#signing): their names and fields are part of what is
//! signed.

use alloy_primitives::aliases::U40;
use alloy_sol_types::{Eip712Domain, eip712_domain};
use assay_contracts::Deployment;

use crate::signature::SignatureError;

alloy_sol_types::sol! {
    struct Request {
        address account;
        string role;
        string method;
        string path;
        bytes32 bodyDigest;
        bytes32 nonce;
        bytes32 capability;
        uint40 expiresAt;
    }
    struct Capability {
        address issuer;
        address holder;
        string role;
        string methods;
        string pathPrefix;
        uint40 notAfter;
        bytes32 parent;
    }
    struct CapabilityRevocation {
        address issuer;
        bytes32 capability;
    }
    struct SealKeys {
        address account;
        string keys;
        uint40 from;
    }
    struct Wrap {
        bytes32 job;
        address owner;
        address recipient;
        uint8 slot;
        bytes wrap;
    }
    struct KeyRefusal {
        bytes32 job;
        address owner;
        address recipient;
        string reason;
        uint40 at;
    }
    struct Dataset {
        address owner;
        string document;
    }
    struct Policy {
        address owner;
        string document;
    }
    struct OwnerDocument {
        address owner;
        string kind;
        string document;
    }
    struct Refusal {
        bytes32 job;
        address provider;
        string reason;
        uint40 at;
    }
    struct Offer {
        address provider;
        string terms;
        uint40 until;
    }
}

pub(crate) fn domain(deployment: &Deployment) -> Eip712Domain {
    eip712_domain! {
        name: "Assay Broker",
        version: "1",
        chain_id: deployment.chain_id,
        verifying_contract: deployment.market,
    }
}

pub(crate) fn time(unix_secs: u64) -> Result<U40, SignatureError> {
    U40::try_from(unix_secs).map_err(|_| SignatureError::Time(unix_secs))
}
