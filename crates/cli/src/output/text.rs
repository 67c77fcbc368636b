//! How values look to a person: as in `assay-verify`.

pub(crate) use assay_verify::text::{bytes, grouped, harmless, json, table};

/// JSON on one line, with a newline.
pub(crate) fn json_line(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value);
    text.unwrap_or_else(|error| unreachable!("plain structs serialize: {error}")) + "\n"
}
