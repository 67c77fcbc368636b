//! Nothing committed leads to a machine or a package registry.

use super::Finding;
use super::tree::Tree;

const AREA: &str = "leaks";

/// Names that do, in two halves so that this file does not hold them.
const LEAKS: [(&str, &str); 8] = [
    ("/work", "/main"),
    ("/home", "/"),
    ("/root", "/"),
    ("index.crates", ".io"),
    ("static.crates", ".io"),
    ("registry.npm", "js.org"),
    ("files.python", "hosted.org"),
    ("deb.deb", "ian.org"),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, text) in tree.files() {
        for (left, right) in LEAKS {
            if let Some(at) = text.find(&format!("{left}{right}")) {
                let line = text[..=at].lines().count();
                let what = "names a machine's path or a registry's host";
                findings.push(Finding::new(AREA, format!("{name}:{line}: {what}")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_machine_is_found() {
        let text = ["one\n", "cd /ho", "me/me\n"].concat();
        let tree = Tree::new(&[("a.md", &text), ("b.md", "cd ~")]);
        let texts: Vec<String> = check(&tree).into_iter().map(|finding| finding.text).collect();
        assert_eq!(texts, ["a.md:2: names a machine's path or a registry's host"]);
    }
}
