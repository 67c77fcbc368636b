//! What strangers read is in the ordinary words: README, docs, help and errors hold none of the
//! old phrases, and the README stays short.

use super::source::Source;
use super::tree::Tree;
use super::{Finding, has_word, part};

/// The README says what it is and where to read on.
const README_WORDS_MAX: usize = 600;

/// What not to say, and what to say.
const PHRASES: [(&str, &str); 12] = [
    ("keeper", "key service"),
    ("keepers", "key services"),
    ("a lock is meant", "how long a lock transaction is valid"),
    ("as quick to make again as another", "eviction bucket: run lengths are compared in units"),
    ("that no other order and no other time would mend", "errors caused by the order itself"),
    ("Looks what other owners now say", "refreshes the source datasets' rules"),
    ("Who speaks may say this", "the signer may make this kind of statement"),
    ("an answer that is not about to pass", "retries transient failures"),
    ("of one's sealed data to who holds a lock", "run the key service: release data keys"),
    ("to who holds a lock", "to lock holders"),
    ("made less telling", "masked"),
    ("Whoever founds the market", "to start a market, create an account"),
];

pub(crate) fn check(tree: &Tree) -> Result<Vec<Finding>, String> {
    let mut findings: Vec<Finding> = readme(tree).into_iter().collect();
    for (file, text) in tree.files().filter(|(file, _)| is_page(file)) {
        let area = format!("words {}", part(file));
        findings.extend(phrases(&area, file, 1, text));
    }
    for (file, text) in tree.files().filter(|(file, _)| is_source(file)) {
        let of_command = file.starts_with("crates/cli/");
        let area = format!("words {}", part(file));
        // clap makes help of the command's doc comments.
        let source = Source::parse(file, text)?;
        for text in source.strings.iter().filter(|text| of_command || !text.is_doc) {
            findings.extend(phrases(&area, file, text.line, &text.text));
        }
    }
    Ok(findings)
}

fn readme(tree: &Tree) -> Option<Finding> {
    let count = tree.text("README.md")?.split_whitespace().count();
    let text = format!("README.md: {count} words, at most {README_WORDS_MAX}: move some to docs/");
    (count > README_WORDS_MAX).then(|| Finding::new("words README.md", text))
}

/// Prose for people. The changelog may name what was.
fn is_page(file: &str) -> bool {
    ["README.md", "SECURITY.md", "CONTRIBUTING.md", "llms.txt"].contains(&file)
        || (file.starts_with("docs/") && (file.ends_with(".md") || file.ends_with(".txt")))
}

fn is_source(file: &str) -> bool {
    file.starts_with("crates/") && file.contains("/src/") && file.ends_with(".rs")
}

/// The phrases in a text of several lines, whose first has this number.
fn phrases(area: &str, file: &str, first: usize, text: &str) -> Vec<Finding> {
    let text = text.to_lowercase();
    // A line's end is a space; so places stay the same.
    let flat = text.replace('\n', " ");
    let found = PHRASES.iter().filter_map(|(phrase, say)| {
        let lower = phrase.to_lowercase();
        let at = flat.find(&lower).filter(|_| has_word(&flat, &lower))?;
        let line = first + text[..at].matches('\n').count();
        Some(Finding::new(area, format!("{file}:{line}: \"{phrase}\"; say \"{say}\"")))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(files: &[(&str, &str)]) -> Vec<String> {
        let findings = check(&Tree::new(files)).expect("Rust").into_iter();
        findings.map(|finding| finding.text).collect()
    }

    #[test]
    fn old_phrases_are_found_in_pages_help_and_errors() {
        let page = ("docs/a.md", "One\ntwo Keeper\n");
        let help = ("crates/cli/src/a.rs", "/// How long a lock\n/// is meant.\nfn f() {}");
        let error = ("crates/node/src/a.rs", "\n#[error(\"the keeper is away\")]\nstruct A;");
        let wrapped = ("docs/b.md", "x\na table made\nless telling");
        assert_eq!(
            texts(&[page, help, error, wrapped]),
            [
                "docs/a.md:2: \"keeper\"; say \"key service\"",
                "docs/b.md:2: \"made less telling\"; say \"masked\"",
                "crates/cli/src/a.rs:1: \"a lock is meant\"; say \"how long a lock transaction is \
                 valid\"",
                "crates/node/src/a.rs:2: \"keeper\"; say \"key service\"",
            ]
        );
    }

    #[test]
    fn code_comments_and_other_words_are_left_alone() {
        let code = ("crates/node/src/a.rs", "/// A keeper.\nfn keeper() {} // keeper");
        assert!(texts(&[code, ("docs/a.md", "a shopkeeper"), ("spec/a.md", "keeper")]).is_empty());
    }

    #[test]
    fn a_long_readme_is_refused() {
        assert!(texts(&[("README.md", &"word ".repeat(600))]).is_empty());
        assert_eq!(texts(&[("README.md", &"word ".repeat(601))]).len(), 1);
    }
}
