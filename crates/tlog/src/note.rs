//! Signed notes: a text, an empty line, and a line for each signature (c2sp.org/signed-note).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The most signatures that a note is read with (c2sp.org/signed-note asks for 16 at least).
pub const NOTE_SIGNATURES_MAX: usize = 100;

/// The largest note that is read, in bytes.
const NOTE_BYTES_MAX: usize = 1_000_000;

/// What a signature line begins with: an em dash and a space.
const DASH: &str = "— ";

/// A note whose form is right. Its signatures may be anybody's.
#[derive(Debug)]
pub(crate) struct Note<'a> {
    /// Ends with a line feed.
    pub(crate) text: &'a str,
    pub(crate) lines: Vec<SignatureLine>,
}

/// A signature in a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignatureLine {
    pub(crate) name: String,
    pub(crate) id: u32,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Note<'a> {
    /// Reads a note; nothing if its form is wrong.
    pub(crate) fn from_bytes(note: &'a [u8]) -> Option<Self> {
        if note.len() > NOTE_BYTES_MAX {
            return None;
        }
        let note = std::str::from_utf8(note).ok()?;
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return None;
        }
        let blank = note.rfind("\n\n")?;
        let (text, lines) = (&note[..=blank], note[blank + 2..].strip_suffix('\n')?);
        if lines.split('\n').count() > NOTE_SIGNATURES_MAX {
            return None;
        }
        let lines = lines.split('\n').map(SignatureLine::from_text).collect::<Option<_>>()?;
        Some(Note { text, lines })
    }
}

impl SignatureLine {
    /// A line of a key; nothing if the key's name can't be written.
    pub(crate) fn new(name: &str, id: u32, signature: Vec<u8>) -> Option<Self> {
        is_name(name).then(|| SignatureLine { name: name.to_owned(), id, signature })
    }

    fn from_text(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = BASE64_STANDARD.decode(base64).ok()?;
        let (id, signature) = bytes.split_first_chunk()?;
        if signature.is_empty() {
            return None;
        }
        Self::new(name, u32::from_be_bytes(*id), signature.to_vec())
    }

    /// As it stands in a note, line feed included.
    pub(crate) fn to_text(&self) -> String {
        let bytes = [&self.id.to_be_bytes()[..], &self.signature].concat();
        format!("{DASH}{} {}\n", self.name, BASE64_STANDARD.encode(bytes))
    }
}

/// Whether a key can have this name: no spaces, no plus, and not empty.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Go's golang.org/x/mod/sumdb/note.
    const EXAMPLE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn an_example_of_others_is_read_and_written_again() {
        let note = Note::from_bytes(EXAMPLE.as_bytes()).expect("its form is right");
        assert!(note.text.ends_with("what your problem is.\n"), "{}", note.text);
        let [line] = &note.lines[..] else { panic!("one signature: {:?}", note.lines) };
        assert_eq!((&*line.name, line.id, line.signature.len()), ("PeterNeumann", 0xc74f20a3, 64));
        assert_eq!(format!("{}\n{}", note.text, line.to_text()), EXAMPLE);
    }

    #[test]
    fn other_forms_are_refused() {
        let signed =
            |lines: &str| Note::from_bytes(format!("text\n\n{lines}").as_bytes()).is_some();
        assert!(signed("— name AAAAAAA=\n"));
        assert!(signed(&"— name AAAAAAA=\n".repeat(NOTE_SIGNATURES_MAX)));
        for (lines, why) in [
            ("", "no signature"),
            ("— name AAAAAAA=", "no line feed at the end"),
            ("- name AAAAAAA=\n", "no em dash"),
            ("— name\n", "no signature after the name"),
            ("—  AAAAAAA=\n", "no name"),
            ("— na+me AAAAAAA=\n", "a plus in the name"),
            ("— na\u{2003}me AAAAAAA=\n", "a space in the name"),
            ("— name AAAAAA==\n", "an ID and nothing after it"),
            ("— name AAAAAAA\n", "base64 without its end"),
            ("— name AAAAAAA=\n\n", "an empty line at the end"),
            ("— name AAAAAAA=\r\n", "a control character"),
        ] {
            assert!(!signed(lines), "{why} passes");
        }
        assert!(!signed(&"— name AAAAAAA=\n".repeat(NOTE_SIGNATURES_MAX + 1)), "too many pass");
        assert!(Note::from_bytes(b"text\n").is_none(), "a text alone passes");
        assert!(
            Note::from_bytes(b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAA=\n").is_none(),
            "no UTF-8"
        );
        let large = format!("{}\n\n— name AAAAAAA=\n", "x".repeat(NOTE_BYTES_MAX));
        assert!(Note::from_bytes(large.as_bytes()).is_none(), "more than is read passes");
    }
}
