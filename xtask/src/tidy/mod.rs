//! Rules that no compiler checks. A file for each; each is a pure function of a tree of files, so
//! its tests run it on a small made-up one. Only `offline` and `wasm` ask cargo.

mod arrows;
mod circles;
mod code_map;
mod comments;
mod env;
mod leaks;
mod modules;
mod offline;
mod purity;
mod source;
mod tree;
mod wasm;
mod words;

use std::path::Path;

use tree::Tree;

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// The rule and the part of the tree: "circles crates/broker".
    area: String,
    /// The file, what is wrong with it, and what to do.
    text: String,
}

impl Finding {
    fn new(area: impl Into<String>, text: impl Into<String>) -> Self {
        Finding { area: area.into(), text: text.into() }
    }
}

/// Checks everything; the error lists all that is wrong.
pub(crate) fn tidy(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root)?;
    let mut findings = Vec::new();
    findings.extend(code_map::check(&tree));
    findings.extend(arrows::check(&tree)?);
    findings.extend(circles::check(&tree)?);
    findings.extend(purity::check(&tree)?);
    findings.extend(env::check(&tree)?);
    findings.extend(comments::check(&tree));
    findings.extend(words::check(&tree)?);
    findings.extend(leaks::check(&tree));
    findings.extend(offline::check(root)?);
    findings.extend(wasm::check(root, &tree)?);
    let wrong: Vec<String> =
        findings.iter().map(|finding| format!("{}: {}", finding.area, finding.text)).collect();
    if wrong.is_empty() { Ok(()) } else { Err(format!("tidy:\n  {}", wrong.join("\n  "))) }
}

/// The part of the tree that a file is in, as findings name it: "crates/cli", "contracts",
/// "README.md".
fn part(file: &str) -> &str {
    let slashes = if file.starts_with("crates/") { 2 } else { 1 };
    file.match_indices('/').nth(slashes - 1).map_or(file, |(at, _)| &file[..at])
}

/// True if the word stands in the text by itself.
fn has_word(text: &str, word: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    text.match_indices(word).any(|(at, _)| {
        edge(text[..at].chars().next_back()) && edge(text[at + word.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_alone() {
        assert!(has_word("a keeper of keys", "keeper"));
        assert!(has_word("keeper", "keeper"));
        assert!(!has_word("a shopkeeper", "keeper"));
        assert!(!has_word("the keepers", "keeper"));
    }
}
