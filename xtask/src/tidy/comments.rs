//! No comment line over 100 columns: rustfmt leaves comments alone, and people read in two panes.

use super::tree::Tree;
use super::{Finding, part};

const COLUMNS_MAX: usize = 100;

/// Their panics name lines, so wrapping a comment changes the bytes of programs/prebuilt, and with
/// them the programs' ids. They are wrapped when the programs are next built anew.
const EXEMPT: [&str; 2] = ["guest/src/", "programs/"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, text) in tree.files() {
        let is_source = name.ends_with(".rs") || name.ends_with(".sol");
        if !is_source || EXEMPT.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX && is_comment(line) && has_room_to_break(line) {
                let text =
                    format!("{name}:{number}: a comment of {columns} columns, not {COLUMNS_MAX}");
                findings.push(Finding::new(format!("comments {}", part(name)), text));
            }
        }
    }
    findings
}

/// Of a line, or a middle line of a block as Solidity's NatSpec has it.
fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    ["//", "/*", "* "].iter().any(|mark| line.starts_with(mark))
}

/// A lone address or hash cannot be wrapped.
fn has_room_to_break(line: &str) -> bool {
    line.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_comments_are_found_and_lone_addresses_spared() {
        let long = format!("    /// {}", "word ".repeat(30));
        let address = format!("// https://example.org/{}", "x".repeat(100));
        let code = format!("    let x = \"{}\";", "word ".repeat(30));
        let fits = format!("// {}", "é".repeat(97));
        let text = [long.as_str(), &address, &code, &fits].join("\n");
        let block = format!("/**\n * {}\n */", "word ".repeat(30));
        let tree = Tree::new(&[("crates/a/src/lib.rs", &text), ("contracts/A.sol", &block)]);
        let areas: Vec<String> = check(&tree).into_iter().map(|f| f.area + " " + &f.text).collect();
        assert_eq!(
            areas,
            [
                "comments contracts contracts/A.sol:2: a comment of 153 columns, not 100",
                "comments crates/a crates/a/src/lib.rs:1: a comment of 158 columns, not 100",
            ]
        );
    }
}
