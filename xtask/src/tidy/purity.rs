//! Pure crates touch nothing but their arguments, outside their tests.

use super::Finding;
use super::arrows::{PURE, packages};
use super::source::Source;
use super::tree::Tree;

const AREA: &str = "purity";

/// Paths and names that a pure crate's code must not hold: I/O, clocks, randomness, floats,
/// unordered iteration.
const IMPURE: [&str; 12] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "SystemTime",
    "Instant",
    "fastrand",
    "OsRng",
    "HashMap",
    "HashSet",
    "f32",
    "f64",
];

/// Crates that it must not depend on, whatever the feature: runtimes, HTTP, databases, randomness.
const FORBIDDEN: [&str; 15] = [
    "alloy-provider",
    "alloy-transport-http",
    "axum",
    "fastrand",
    "getrandom",
    "hyper",
    "object_store",
    "rand",
    "redb",
    "reqwest",
    "revm",
    "rustls",
    "tokio",
    "tower",
    "tower-http",
];

pub(crate) fn check(tree: &Tree) -> Result<Vec<Finding>, String> {
    let mut texts = Vec::new();
    for package in packages(tree)?.into_iter().filter(|p| PURE.contains(&p.name.as_str())) {
        let name = &package.name;
        let manifest = tree.text(&package.manifest).unwrap_or_default();
        if !manifest.contains("[lints]\nworkspace = true") {
            texts.push(format!("{name} does not take the workspace's lints, so it may be unsafe"));
        }
        let forbidden = package.dependencies.iter().filter(|d| FORBIDDEN.contains(&d.as_str()));
        texts.extend(forbidden.map(|to| format!("{}: {name} is pure, no {to}", package.manifest)));
        let sources = format!("{}/src", package.manifest.trim_end_matches("/Cargo.toml"));
        for (file, text) in tree.below(&sources, "rs").filter(|(file, _)| !is_tests(file)) {
            let source = Source::parse(file, text)?;
            let impure = source.paths().flat_map(|path| {
                let words = IMPURE.iter().filter(|word| path.holds(word));
                words.map(|word| format!("{file}:{}: {name} is pure, no {word}", path.line))
            });
            texts.extend(impure);
        }
    }
    Ok(texts.into_iter().map(|text| Finding::new(AREA, text)).collect())
}

/// `#[cfg(test)] mod tests;` in a file of its own.
fn is_tests(file: &str) -> bool {
    file.ends_with("/tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(manifest: &str, code: &str) -> Vec<String> {
        let manifest = format!("[package]\nname = 'assay-types'\n{manifest}");
        let files = [("crates/types/Cargo.toml", &*manifest), ("crates/types/src/lib.rs", code)];
        let findings = check(&Tree::new(&files)).expect("readable").into_iter();
        findings.map(|finding| finding.text).collect()
    }

    #[test]
    fn clocks_files_and_floats_are_refused() {
        let lints = "[lints]\nworkspace = true\n";
        let code = "use std::{fs, io};\nfn f() -> f64 { std::time::Instant::now() }";
        let refused = [
            "1: assay-types is pure, no std::fs",
            "2: assay-types is pure, no f64",
            "2: assay-types is pure, no Instant",
        ];
        assert_eq!(
            texts(lints, code),
            refused.map(|text| format!("crates/types/src/lib.rs:{text}"))
        );
        let tests = "// std::fs\n#[cfg(test)]\nmod tests { use std::fs; }";
        assert!(texts(lints, tests).is_empty());
    }

    #[test]
    fn runtimes_and_missing_lints_are_refused() {
        let refused = [
            "assay-types does not take the workspace's lints, so it may be unsafe",
            "crates/types/Cargo.toml: assay-types is pure, no tokio",
        ];
        assert_eq!(
            texts("[dependencies]\ntokio = { version = '1', optional = true }\n", ""),
            refused
        );
    }
}
