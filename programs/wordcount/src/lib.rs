#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use assay_guest::{Error, Output};
use core::fmt::Write;
use core::hash::BuildHasherDefault;
use hashbrown::HashMap;
use rustc_hash::FxHasher;

// A hash of few 32-bit operations, the same in every run: nothing here comes from a clock or from
// randomness.
type Counts = HashMap<String, u32, BuildHasherDefault<FxHasher>>;

/// Counts the words of `input` and writes `word,count` lines. Errors if the input is not UTF-8.
pub fn run(input: &[u8], _dataset: &[u8], output: &mut Output) -> Result<(), Error> {
    let text = match core::str::from_utf8(input) {
        Ok(text) => text,
        Err(error) => {
            assay_guest::bail!("the text is not UTF-8 from byte {}", error.valid_up_to())
        }
    };
    let counts = count(text);
    let mut ranked: Vec<(&str, u32)> =
        counts.iter().map(|(word, count)| (word.as_str(), *count)).collect();
    ranked.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
    output.write(b"word,count\n")?;
    for (word, count) in ranked {
        writeln!(output, "{word},{count}")?;
    }
    Ok(())
}

fn count(text: &str) -> Counts {
    let mut counts = Counts::default();
    let mut lowered = String::new();
    for word in words(text) {
        lowered.clear();
        if word.is_ascii() {
            // Most words of most texts, at a fraction of the steps.
            lowered.push_str(word);
            lowered.make_ascii_lowercase();
        } else {
            lowered.extend(word.chars().flat_map(char::to_lowercase));
        }
        // An input is below 2^29 bytes, so no count overflows.
        match counts.get_mut(lowered.as_str()) {
            Some(count) => *count += 1,
            None => {
                counts.insert(lowered.clone(), 1);
            }
        }
    }
    counts
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(is_apostrophe(c) || c.is_alphanumeric()))
        .map(|run| run.trim_matches(is_apostrophe))
        .filter(|word| !word.is_empty())
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’')
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::format;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn check(input: &str, expect: &str) {
        assert_eq!(counted(input), expect, "for {input:?}");
    }

    fn counted(input: &str) -> String {
        let mut output = Output::new();
        run(input.as_bytes(), b"", &mut output).unwrap();
        String::from_utf8(output.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn counts_words_of_any_script() {
        check("", "word,count\n");
        check("The cat, the dog.", "word,count\nthe,2\ncat,1\ndog,1\n");
        check("Don't 'quote' me — don’t", "word,count\ndon't,1\ndon’t,1\nme,1\nquote,1\n");
        check("Äpfel äpfel 東京 42", "word,count\näpfel,2\n42,1\n東京,1\n");
    }

    #[test]
    fn refuses_what_is_not_text() {
        let error = run(b"ok \xff", b"", &mut Output::new()).unwrap_err();
        assert_eq!(error.to_string(), "the text is not UTF-8 from byte 3");
    }

    #[test]
    fn the_example_text() {
        let text = include_str!("../../../examples/data/pride-and-prejudice.txt");
        let expect = include_str!("../expected/pride-and-prejudice.csv");
        assert_eq!(counted(text), expect, "the answer for the example changed");
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_map(words in proptest::collection::vec("[a-zé]{1,3}", 0..200)) {
            let mut plain: BTreeMap<&str, u32> = BTreeMap::new();
            for word in &words {
                *plain.entry(word).or_default() += 1;
            }
            let text = counted(&words.join(" -- "));
            let lines: Vec<&str> = text.lines().skip(1).collect();
            prop_assert_eq!(lines.len(), plain.len());
            for (word, count) in plain {
                prop_assert!(lines.contains(&format!("{word},{count}").as_str()), "{}", word);
            }
        }

        #[test]
        fn no_text_panics(text: String) {
            counted(&text);
        }
    }
}
