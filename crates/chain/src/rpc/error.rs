//! JSON-RPC errors, with the codes that clients know.

use std::borrow::Cow;

use alloy_json_rpc::ErrorPayload;
use alloy_primitives::Bytes;
use alloy_sol_types::{GenericContractError, Revert, SolInterface};
use serde_json::value::RawValue;

use crate::Error;

pub(crate) const PARSE: i64 = -32700;
pub(crate) const INVALID_REQUEST: i64 = -32600;
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
pub(crate) const INVALID_PARAMS: i64 = -32602;
pub(crate) const INTERNAL: i64 = -32603;
/// geth's code for everything that a well-formed request may run into.
pub(crate) const SERVER: i64 = -32000;
/// EIP-1474: a bound was exceeded.
pub(crate) const LIMIT_EXCEEDED: i64 = -32005;
/// geth's code for a revert, with the revert's bytes as data.
pub(crate) const REVERTED: i64 = 3;

/// An error answer.
#[derive(Debug)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: Cow<'static, str>,
    pub(crate) data: Option<Box<RawValue>>,
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(crate) fn params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    /// A revert: the reason in words where it is Solidity's `Error(string)` or `Panic(uint256)`.
    pub(crate) fn reverted(output: &Bytes) -> Self {
        let message = match GenericContractError::abi_decode(output) {
            Ok(GenericContractError::Revert(Revert { reason })) => {
                Cow::Owned(format!("execution reverted: {reason}"))
            }
            Ok(GenericContractError::Panic(panic)) => {
                Cow::Owned(format!("execution reverted: {panic}"))
            }
            Err(_) => Cow::Borrowed("execution reverted"),
        };
        let data = serde_json::value::to_raw_value(output).ok();
        Self { code: REVERTED, message, data }
    }
}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        match error {
            Error::Rejected(rejection) => Self::new(SERVER, rejection.to_string()),
            Error::Config(message) => Self::params(message),
            other => Self::new(INTERNAL, other.to_string()),
        }
    }
}

impl From<RpcError> for ErrorPayload {
    fn from(error: RpcError) -> Self {
        Self { code: error.code, message: error.message, data: error.data }
    }
}
