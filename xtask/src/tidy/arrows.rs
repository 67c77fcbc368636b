//! Which of our crates may depend on which: ARCHITECTURE.md's code map, as a table.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::Tree;

/// The pure packages: no I/O, clock or randomness; each builds for wasm32-unknown-unknown. From
/// left to right: each may depend only on those before it.
pub(crate) const PURE: [&str; 14] = [
    "assay-types",
    "assay-merkle",
    "assay-machine",
    "assay-dispute",
    "assay-market",
    "assay-tlog",
    "assay-contracts",
    "assay-protocol",
    "assay-seal",
    "assay-policy",
    "assay-mask",
    "assay-disclosure",
    "assay-assurance",
    "assay-receipt",
];

/// What of ours each package may depend on, by normal and build dependencies, without "assay-".
/// Development dependencies are free: a test may hold a crate against what is to its right.
const ARROWS: [(&str, &[&str]); 27] = [
    // Its reader of CSV is what pure crates read tables by.
    ("assay-guest", &[]),
    ("assay-types", &[]),
    ("assay-merkle", &["types"]),
    ("assay-machine", &["merkle", "types"]),
    ("assay-dispute", &["machine", "merkle", "types"]),
    ("assay-market", &["types"]),
    ("assay-tlog", &["types"]),
    ("assay-contracts", &["market", "types"]),
    ("assay-protocol", &["contracts", "machine", "merkle", "types"]),
    ("assay-seal", &["types"]),
    ("assay-policy", &["types"]),
    ("assay-mask", &["guest", "types"]),
    ("assay-disclosure", &["guest", "merkle", "seal", "types"]),
    ("assay-assurance", &["contracts", "dispute", "machine", "market", "merkle", "types"]),
    (
        "assay-receipt",
        &[
            "assurance",
            "contracts",
            "disclosure",
            "market",
            "mask",
            "merkle",
            "protocol",
            "tlog",
            "types",
        ],
    ),
    // Checks receipts and runs programs, for who installs nothing else.
    (
        "assay-verify",
        &[
            "assurance",
            "contracts",
            "disclosure",
            "dispute",
            "machine",
            "market",
            "mask",
            "merkle",
            "policy",
            "protocol",
            "receipt",
            "seal",
            "tlog",
            "types",
        ],
    ),
    ("assay-storage", &["tlog"]),
    ("assay-chain", &["contracts", "types"]),
    ("assay-broker-client", &["contracts", "protocol", "tlog", "types"]),
    ("assay-broker", &["contracts", "machine", "market", "protocol", "storage", "tlog", "types"]),
    (
        "assay-node",
        &[
            "assurance",
            "broker",
            "broker-client",
            "chain",
            "contracts",
            "disclosure",
            "dispute",
            "machine",
            "market",
            "mask",
            "merkle",
            "policy",
            "protocol",
            "receipt",
            "seal",
            "storage",
            "tlog",
            "types",
        ],
    ),
    ("assay-builder", &[]),
    (
        "assay-cli",
        &[
            "assurance",
            "broker",
            "broker-client",
            "builder",
            "chain",
            "contracts",
            "disclosure",
            "machine",
            "market",
            "mask",
            "merkle",
            "node",
            "policy",
            "protocol",
            "receipt",
            "seal",
            "tlog",
            "types",
            "verify",
        ],
    ),
    // Every one of `programs/`.
    ("assay-program", &["guest"]),
    (
        "assay-fuzz",
        &[
            "disclosure",
            "machine",
            "market",
            "mask",
            "merkle",
            "policy",
            "protocol",
            "seal",
            "types",
        ],
    ),
    (
        "assay-bench",
        &[
            "assurance",
            "broker",
            "broker-client",
            "chain",
            "contracts",
            "disclosure",
            "fuzz",
            "machine",
            "market",
            "mask",
            "merkle",
            "node",
            "policy",
            "protocol",
            "receipt",
            "seal",
            "storage",
            "tlog",
            "types",
        ],
    ),
    ("xtask", &["builder", "machine", "types"]),
];

pub(crate) fn check(tree: &Tree) -> Result<Vec<Finding>, String> {
    let mut missing: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let mut findings = Vec::new();
    for package in packages(tree)? {
        let row = row(&package.name);
        missing.remove(row);
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == row) else {
            findings.push(Finding::new(
                format!("arrows {row}"),
                format!(
                    "{} has no row in xtask/src/tidy/arrows.rs: say what it may depend on",
                    package.name
                ),
            ));
            continue;
        };
        for to in &package.dependencies {
            let ours = to.strip_prefix("assay-");
            if to == "xtask" || ours.is_some_and(|to| !allowed.contains(&to)) {
                findings.push(Finding::new(
                    format!("arrows {row}"),
                    format!("{}: {} must not depend on {to}", package.manifest, package.name),
                ));
            }
        }
    }
    findings.extend(missing.into_keys().map(|row| {
        let text = format!("xtask/src/tidy/arrows.rs has a row for {row}: no such package");
        Finding::new(format!("arrows {row}"), text)
    }));
    Ok(findings)
}

/// A package of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    /// The path of its `Cargo.toml`.
    pub(crate) manifest: String,
    /// Names of its normal and build dependencies, optional ones too.
    pub(crate) dependencies: Vec<String>,
}

/// Every package of the tree.
pub(crate) fn packages(tree: &Tree) -> Result<Vec<Package>, String> {
    let mut packages = Vec::new();
    for (name, text) in tree.files().filter(|(name, _)| name.ends_with("Cargo.toml")) {
        // A template is filled in when a program is made of it.
        if name.contains("/template/") {
            continue;
        }
        let manifest: toml::Table =
            text.parse().map_err(|error: toml::de::Error| format!("{name}: {error}"))?;
        let package = manifest.get("package").and_then(|package| package.get("name"));
        let Some(package) = package.and_then(toml::Value::as_str) else { continue };
        packages.push(Package {
            name: package.to_owned(),
            manifest: name.to_owned(),
            dependencies: dependencies(&manifest),
        });
    }
    Ok(packages)
}

/// The row of a package: the programs share one.
fn row(name: &str) -> &str {
    if name.starts_with("assay-program-") { "assay-program" } else { name }
}

fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let of_targets = targets.into_iter().flat_map(toml::Table::values);
    let tables = std::iter::once(manifest).chain(of_targets.filter_map(toml::Value::as_table));
    let mut names = Vec::new();
    for table in tables {
        for kind in ["dependencies", "build-dependencies"] {
            let dependencies = table.get(kind).and_then(toml::Value::as_table);
            for (key, value) in dependencies.into_iter().flatten() {
                let renamed = value.get("package").and_then(toml::Value::as_str);
                names.push(renamed.unwrap_or(key).to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(tree: &Tree) -> Vec<String> {
        let findings = check(tree).expect("manifests are read").into_iter();
        findings
            .map(|finding| finding.text)
            .filter(|text| !text.contains("no such package"))
            .collect()
    }

    #[test]
    fn a_forbidden_arrow_is_refused_by_both_names() {
        let types = "[package]\nname = 'assay-types'\n[dependencies]\n";
        let receipt = "[package]\nname = 'assay-receipt'\n[dependencies]\nassay-types = {}\n";
        let tree = |receipt: &str| {
            Tree::new(&[("crates/types/Cargo.toml", types), ("crates/receipt/Cargo.toml", receipt)])
        };
        assert!(texts(&tree(receipt)).is_empty());
        let refused = ["crates/receipt/Cargo.toml: assay-receipt must not depend on assay-node"];
        for forbidden in [
            "assay-node.workspace = true\n",
            "renamed = { package = 'assay-node' }\n",
            "[build-dependencies]\nassay-node = { path = '../node' }\n",
            "[target.'cfg(unix)'.dependencies]\nassay-node = {}\n",
        ] {
            assert_eq!(texts(&tree(&format!("{receipt}{forbidden}"))), refused, "{forbidden}");
        }
        let dev = format!("{receipt}[dev-dependencies]\nassay-node = {{}}\n");
        assert!(texts(&tree(&dev)).is_empty(), "a test may depend on what is to its right");
    }

    #[test]
    fn a_package_without_a_row_is_refused() {
        let tree = Tree::new(&[("crates/new/Cargo.toml", "[package]\nname = 'assay-new'\n")]);
        let text = texts(&tree).join("\n");
        assert!(text.starts_with("assay-new has no row"), "{text}");
    }

    #[test]
    fn every_arrow_points_to_a_row_above() {
        for (place, (name, allowed)) in ARROWS.iter().enumerate() {
            for to in allowed.iter() {
                let row = ARROWS.iter().position(|(row, _)| row.strip_prefix("assay-") == Some(to));
                assert!(row.is_some_and(|row| row < place), "{name} points down, to {to}");
                let is_pure = *to == "guest" || PURE.contains(&&*format!("assay-{to}"));
                assert!(is_pure || !PURE.contains(name), "{name} is pure, {to} is not");
            }
        }
    }
}
