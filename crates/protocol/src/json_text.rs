//! JSON objects whose exact text is signed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A JSON object that keeps its text byte for byte: the signature is over that text.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonObject(String);

/// Why a text is no signed JSON object (spec/broker.md#signing).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonObjectError {
    /// It is no JSON object at all.
    #[error("not a JSON object: {0}")]
    Form(#[from] serde_json::Error),
    /// It has a byte below 0x20, which would break the lines of a stream that carries it.
    #[error("a signed JSON object has no line breaks or tabs: write it on one line")]
    Control,
}

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
        // As a member of another document it stands without what surrounds it.
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.bytes().any(|byte| byte < 0x20) {
            return Err(JsonObjectError::Control);
        }
        let _: Map<String, Value> = serde_json::from_str(text)?;
        Ok(JsonObject(text.to_owned()))
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

    #[test]
    fn no_object_breaks_a_line() {
        for text in ["{\"a\":\r1}", "{\n}", "{\"a\"\t:1}", "{\"a\":\r\n1}", "{\"a\":\"\t\"}"] {
            let refused = text.parse::<JsonObject>();
            assert!(matches!(refused, Err(JsonObjectError::Control)), "{refused:?}");
            assert!(serde_json::from_str::<JsonObject>(text).is_err(), "{text:?} was read");
        }
        let escaped = r#"{"a":"\r\n\u0000\t"}"#;
        let object: JsonObject = escaped.parse().expect("escapes are not what they stand for");
        assert_eq!(object.as_str(), escaped);
        assert_eq!(object.members()["a"], "\r\n\0\t");
    }
}
