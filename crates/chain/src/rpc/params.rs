//! Positional parameters, parsed one by one so that an error can name the wrong one.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::RpcError;

pub(crate) struct Params(Vec<Value>);

impl Params {
    pub(crate) fn parse(raw: Option<&RawValue>) -> Result<Self, RpcError> {
        let Some(raw) = raw else { return Ok(Self(Vec::new())) };
        match serde_json::from_str(raw.get()) {
            Ok(Value::Array(values)) => Ok(Self(values)),
            Ok(Value::Null) => Ok(Self(Vec::new())),
            _ => Err(RpcError::params("params must be an array")),
        }
    }

    /// The parameter at `index`, which must be there.
    pub(crate) fn required<T: DeserializeOwned>(
        &self,
        index: usize,
        name: &str,
    ) -> Result<T, RpcError> {
        self.optional(index, name)?
            .ok_or_else(|| RpcError::params(format!("missing value for required argument {name}")))
    }

    /// The parameter at `index`; none if it is absent or null.
    pub(crate) fn optional<T: DeserializeOwned>(
        &self,
        index: usize,
        name: &str,
    ) -> Result<Option<T>, RpcError> {
        match self.0.get(index) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|error| RpcError::params(format!("invalid argument {name}: {error}"))),
        }
    }

    /// A number given as a JSON number, a decimal string or a `0x` quantity.
    pub(crate) fn number(&self, index: usize, name: &str) -> Result<u64, RpcError> {
        let parsed = match self.0.get(index) {
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => match text.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => text.parse().ok(),
            },
            _ => None,
        };
        parsed.ok_or_else(|| RpcError::params(format!("invalid argument {name}: not a number")))
    }

    /// Refuses a parameter that this chain does not act on, rather than ignore it.
    pub(crate) fn unsupported(&self, index: usize, name: &str) -> Result<(), RpcError> {
        match self.0.get(index) {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Object(fields)) if fields.is_empty() => Ok(()),
            Some(_) => Err(RpcError::params(format!("{name} is not supported by this chain"))),
        }
    }
}
