//! How values look to a person.

use serde::Serialize;

/// Pretty JSON with a newline.
pub fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value);
    text.unwrap_or_else(|error| unreachable!("plain structs serialize: {error}")) + "\n"
}

/// Lines of a label and a value.
pub fn table(rows: &[(&str, String)]) -> String {
    rows.iter().map(|(label, value)| format!("{label:<12} {value}\n")).collect()
}

/// 1234567 as 1,234,567.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 byte", "2,000 bytes".
pub fn bytes(count: u64) -> String {
    format!("{} byte{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// Text from a program, which may hold anything, for a terminal: control characters but newline are
/// shown, not obeyed.
pub fn harmless(bytes: &[u8]) -> String {
    let show = |c: char| {
        if c.is_control() && c != '\n' { c.escape_default().to_string() } else { c.to_string() }
    };
    String::from_utf8_lossy(bytes).chars().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn escape_sequences_are_not_obeyed() {
        assert_eq!(harmless(b"a\x1b[2Jb\nc\xff"), "a\\u{1b}[2Jb\nc\u{fffd}");
    }
}
