//! JSON objects whose exact text is signed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A JSON object that keeps its text byte for byte: the signature is over that text.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonObject(String);

/// The text is not a JSON object.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON object: {0}")]
pub struct JsonObjectError(#[from] serde_json::Error);

impl JsonObject {
    /// An object in compact form, its members sorted by name.
    pub fn new(members: &Map<String, Value>) -> Self {
        JsonObject(Value::Object(members.clone()).to_string())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The members.
    pub fn members(&self) -> Map<String, Value> {
        serde_json::from_str(&self.0)
            .unwrap_or_else(|error| unreachable!("checked when made: {error}"))
    }
}

impl FromStr for JsonObject {
    type Err = JsonObjectError;

    fn from_str(text: &str) -> Result<Self, JsonObjectError> {
        let _: Map<String, Value> = serde_json::from_str(text)?;
        // As a member of another document it stands without what surrounds it.
        Ok(JsonObject(text.trim_matches([' ', '\t', '\r', '\n']).to_owned()))
    }
}

impl fmt::Debug for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.clone()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        raw.get().parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_travels_byte_for_byte() {
        let text = r#"{"b" :1, "a":1.50,"code":"é"}"#;
        let object: JsonObject = text.parse().expect("an object");
        let document = serde_json::to_string(&vec![object.clone()]).expect("written");
        assert_eq!(document, format!("[{text}]"));
        let back: Vec<JsonObject> = serde_json::from_str(&document).expect("read");
        assert_eq!(back, [object]);
    }

    #[test]
    fn only_objects_are_objects() {
        for text in ["[]", "1", "", "{", r#"{"a":1}x"#, "null"] {
            assert!(text.parse::<JsonObject>().is_err(), "{text}");
        }
        let spaced: JsonObject = " {}\n".parse().expect("an object");
        assert_eq!(spaced.as_str(), "{}");
    }
}
