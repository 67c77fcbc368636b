//! ARCHITECTURE.md has a heading for each package's folder, and for no other: "### `crates/types`".

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

const AREA: &str = "code map";

/// Folders with a heading of their own, besides those in `crates/`.
const FOLDERS: [&str; 6] = ["bench", "contracts", "fuzz", "guest", "programs", "xtask"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let map = tree.text("ARCHITECTURE.md").unwrap_or_default();
    let mapped: BTreeSet<String> = map
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    let mut folders: BTreeSet<String> =
        tree.folders("crates").iter().map(|name| format!("crates/{name}")).collect();
    let is_there =
        |folder: &&str| tree.files().any(|(name, _)| name.starts_with(&format!("{folder}/")));
    folders.extend(FOLDERS.iter().copied().filter(is_there).map(str::to_owned));
    let missing = folders.difference(&mapped).map(|f| format!("ARCHITECTURE.md lacks {f}"));
    let stale =
        mapped.difference(&folders).map(|f| format!("ARCHITECTURE.md maps {f}: no such folder"));
    missing.chain(stale).map(|text| Finding::new(AREA, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_and_folders_are_held_together() {
        let map = "### `crates/a`\n### `crates/gone`\n";
        let tree = Tree::new(&[("ARCHITECTURE.md", map), ("crates/a/x.rs", ""), ("fuzz/x.rs", "")]);
        let texts: Vec<String> = check(&tree).into_iter().map(|finding| finding.text).collect();
        assert_eq!(
            texts,
            ["ARCHITECTURE.md lacks fuzz", "ARCHITECTURE.md maps crates/gone: no such folder"]
        );
    }
}
