//! Free text without what points at somebody. The regex engine is linear in the text and has no
//! backtracking.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

/// The most names of a column.
pub const NAMES_MAX: usize = 10_000;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// The most memory of a column's compiled names, in bytes.
const REGEX_BYTES_MAX: usize = 64 << 20;

/// What may stand between the digits of a number, any number of times: every space, dash, format
/// and control character that Unicode has, what is not seen at all, and dots.
const BETWEEN: &str = r"[\s\p{Dash}\p{Cf}\p{Cc}\p{Default_Ignorable_Code_Point}\u{2800}.]*";

/// The same, and what telephone numbers have besides.
const BETWEEN_PHONE: &str =
    r"[\s\p{Dash}\p{Cf}\p{Cc}\p{Default_Ignorable_Code_Point}\u{2800}./()]*";

/// What may be looked for in any text. In doubt it matches: a number too many is lost, not one too
/// few.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pattern {
    /// Something, an at sign, something.
    Email,
    /// Like a card's number or an IBAN.
    Account,
    /// Seven digits or more.
    Phone,
}

impl Pattern {
    pub(super) const ALL: [Pattern; 3] = [Pattern::Email, Pattern::Account, Pattern::Phone];

    fn regex(self) -> String {
        match self {
            Pattern::Email => {
                r#"[^\s@<>"(),;:\[\]]+@[^\s@<>"(),;:\[\]]*[^\s@<>"(),;:\[\].!?]"#.into()
            }
            // 12 digits or more; an IBAN in groups, in capitals; or in one piece. Its ends are
            // those of ASCII words: to Unicode, some of what is not seen is part of one.
            Pattern::Account => format!(
                r"\d(?:{BETWEEN}\d){{11,}}|(?-u:\b)[A-Z]{{2}}\d{{2}}(?:{BETWEEN}[A-Z0-9]{{4}}){{2,7}}(?:{BETWEEN}[A-Z0-9]{{1,3}})?(?-u:\b)|(?-u:\b)[A-Za-z]{{2}}\d{{2}}[A-Za-z0-9]{{11,30}}(?-u:\b)"
            ),
            Pattern::Phone => format!(r"\+?\(?\d(?:{BETWEEN_PHONE}\d){{6,}}"),
        }
    }

    /// Compiled once: the three take longer than all else that a plan is read for.
    fn compiled(self) -> Result<Regex, String> {
        static COMPILED: [OnceLock<Regex>; 3] = [const { OnceLock::new() }; 3];
        let known = &COMPILED[self as usize];
        match known.get() {
            Some(regex) => Ok(regex.clone()),
            None => compiled(&self.regex()).map(|regex| known.get_or_init(|| regex).clone()),
        }
    }

    fn label(self) -> &'static str {
        match self {
            Pattern::Email => "[email]",
            Pattern::Account => "[account]",
            Pattern::Phone => "[phone]",
        }
    }
}

/// What is looked for in a column.
pub(super) struct Redactor {
    looked_for: Vec<(Regex, &'static str)>,
}

impl Redactor {
    pub(super) fn new(patterns: &[Pattern], names: &[String]) -> Result<Self, String> {
        if patterns.is_empty() && names.is_empty() {
            return Err("a column to redact names a pattern or a name".into());
        }
        let mut looked_for = Vec::new();
        for pattern in Pattern::ALL.iter().filter(|pattern| patterns.contains(pattern)) {
            looked_for.push((pattern.compiled()?, pattern.label()));
        }
        if names.len() > NAMES_MAX {
            return Err(format!("a column to redact has at most {NAMES_MAX} names"));
        }
        if names.iter().any(|name| name.trim().is_empty() || name.len() > NAME_BYTES_MAX) {
            return Err(format!("a name to redact has 1 to {NAME_BYTES_MAX} bytes"));
        }
        if !names.is_empty() {
            // Longest first: of two that begin alike, the longer goes. Any white space stands for
            // any other.
            let mut names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
            names.sort_by_key(|name| (std::cmp::Reverse(name.len()), *name));
            let words = names.iter().map(|name| {
                let words: Vec<_> = name.split_whitespace().map(regex::escape).collect();
                words.join(r"\s+")
            });
            let words: Vec<_> = words.collect();
            let pattern = format!(r"\b{{start-half}}(?i:{})\b{{end-half}}", words.join("|"));
            looked_for.push((compiled(&pattern)?, "[name]"));
        }
        Ok(Redactor { looked_for })
    }

    /// Writes the text without all that matches; matches that overlap go together, under the
    /// first's label.
    pub(super) fn write(&self, text: &str, out: &mut String) {
        let mut found: Vec<(usize, usize, &str)> = Vec::new();
        for (regex, label) in &self.looked_for {
            found.extend(regex.find_iter(text).map(|at| (at.start(), at.end(), *label)));
        }
        // Stable: of two that begin at one place, the pattern that is looked for first names it.
        found.sort_by_key(|(start, ..)| *start);
        let mut done = 0;
        for (start, end, label) in found {
            if start >= done {
                out.push_str(&text[done..start]);
                out.push_str(label);
            }
            done = done.max(end);
        }
        out.push_str(&text[done..]);
    }
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    let regex = RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
    regex.map_err(|_| "the names to redact are too many to look for at once".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_points_at_somebody_is_gone_and_the_rest_stays() {
        let names = ["Ada", "Ada Lovelace", "O'Neill", "Zoë", "Dr. Who (1)"].map(str::to_owned);
        let redactor = Redactor::new(&Pattern::ALL, &names).unwrap();
        let cases = [
            ("", ""),
            ("nothing of note, 42 times", "nothing of note, 42 times"),
            ("write to ada.b+c@example.org.", "write to [email]."),
            ("<x@localhost>, (ü@ö.de)", "<[email]>, ([email])"),
            ("card 4111 1111 1111 1111 ok", "card [account] ok"),
            ("4111111111111111", "[account]"),
            ("IBAN DE89 3704 0044 0532 0130 00 and then", "IBAN [account] and then"),
            ("gb82west12345698765432", "[account]"),
            ("call +44 (0)20 7946 0958 now", "call [phone] now"),
            ("(206) 555-0100", "[phone]"),
            ("555-0100", "[phone]"),
            ("born 1912-06-23", "born [phone]"),
            ("ADA LOVELACE met ada; Adamant", "[name] met [name]; Adamant"),
            ("ada\n lovelace", "[name]"),
            ("o'neill's and zoË", "[name]'s and [name]"),
            ("Dr. Who (1) is in", "[name] is in"),
            ("Ada@example.org", "[email]"),
            ("٠١٢٣٤٥٦٧٨٩", "[phone]"),
            ("４１１１　１１１１　１１１１　１１１１", "[account]"),
            ("4111  1111 - 1111\u{2028}1111", "[account]"),
            ("DE89\u{a0}3704\u{2011}0044\u{200b}0532 0130 00\u{200d} and", "[account]\u{200d} and"),
            ("+49\u{a0}170\u{202f}1234567", "[phone]"),
            ("1. 2 then 3", "1. 2 then 3"),
        ];
        for (text, expect) in cases {
            let mut out = String::new();
            redactor.write(text, &mut out);
            assert_eq!(out, expect, "of {text:?}");
        }
    }

    #[test]
    fn whatever_separates_digits_no_number_is_left_in_part() {
        let redactor = Redactor::new(&Pattern::ALL, &[]).unwrap();
        let redacted = |text: &str| {
            let mut out = String::new();
            redactor.write(text, &mut out);
            out
        };
        let table = include_str!("../tests/tables/redact.csv");
        assert_eq!(redacted(table).matches(|c: char| c.is_ascii_digit()).count(), 0);
        // All of Unicode's White_Space and Dash, and format characters, by ranges of code points.
        let separators = [
            (0x09, 0x0d),
            (0x20, 0x20),
            (0x85, 0x85),
            (0xa0, 0xa0),
            (0x1680, 0x1680),
            (0x2000, 0x200a),
            (0x2028, 0x2029),
            (0x202f, 0x202f),
            (0x205f, 0x205f),
            (0x3000, 0x3000),
            (0x2d, 0x2d),
            (0x58a, 0x58a),
            (0x5be, 0x5be),
            (0x1400, 0x1400),
            (0x1806, 0x1806),
            (0x2010, 0x2015),
            (0x2053, 0x2053),
            (0x207b, 0x207b),
            (0x208b, 0x208b),
            (0x2212, 0x2212),
            (0x2e17, 0x2e17),
            (0x2e1a, 0x2e1a),
            (0x2e3a, 0x2e3b),
            (0x2e40, 0x2e40),
            (0x301c, 0x301c),
            (0x3030, 0x3030),
            (0x30a0, 0x30a0),
            (0xfe31, 0xfe32),
            (0xfe58, 0xfe58),
            (0xfe63, 0xfe63),
            (0xff0d, 0xff0d),
            (0x10ead, 0x10ead),
            (0xad, 0xad),
            (0x61c, 0x61c),
            (0x180e, 0x180e),
            (0x200b, 0x200f),
            (0x202a, 0x202e),
            (0x2060, 0x2064),
            (0x2066, 0x206f),
            (0xfeff, 0xfeff),
            (0xfff9, 0xfffb),
            (0xe0001, 0xe0001),
            (0xe0020, 0xe007f),
            (0x00, 0x1f),
            (0xfe00, 0xfe0f),
            (0x34f, 0x34f),
        ];
        for code in separators.into_iter().flat_map(|(from, to)| from..=to) {
            let c = char::from_u32(code).unwrap();
            for between in [c.to_string(), format!("{c} {c}"), c.to_string().repeat(9)] {
                let card = ["4111", "1111", "1111", "1111"].join(&between);
                assert_eq!(redacted(&card), "[account]", "U+{code:04X}");
                let phone = ["+49", "170", "1234567"].join(&between);
                assert_eq!(redacted(&phone), "[phone]", "U+{code:04X}");
            }
        }
    }

    #[test]
    fn only_what_the_plan_names_is_looked_for() {
        let mut out = String::new();
        Redactor::new(&[Pattern::Email], &[]).unwrap().write("a@b.c 555-0100", &mut out);
        assert_eq!(out, "[email] 555-0100");
        assert!(Redactor::new(&[], &[]).is_err());
        assert!(Redactor::new(&[], &[" ".into()]).is_err());
        assert!(Redactor::new(&[], &["x".repeat(129)]).is_err());
        assert!(Redactor::new(&[], &vec!["x".into(); NAMES_MAX + 1]).is_err());
    }

    #[test]
    fn long_text_and_long_lists_take_linear_time() {
        let names: Vec<_> = (0..NAMES_MAX).map(|i| format!("name{i}")).collect();
        let redactor = Redactor::new(&Pattern::ALL, &names).unwrap();
        let gaps = format!("1{}x", " \u{a0}-".repeat(200));
        for text in ["1@@-(+", "1 - x", "1\u{200b}2 3 4 5 6 ", &gaps, "DE89 3704 "] {
            let text = text.repeat(1_000_000 / text.len());
            let mut out = String::new();
            redactor.write(&text, &mut out);
            assert!(!out.is_empty());
        }
    }
}
