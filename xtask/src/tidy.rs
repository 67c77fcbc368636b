//! Rules that no compiler checks: the map in ARCHITECTURE.md, the direction of dependencies, what
//! pure crates may touch, and what must not be committed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::find;

/// Folders of packages, besides those in `crates/` and `programs/`.
const FOLDERS: [&str; 4] = ["bench", "fuzz", "guest", "xtask"];

/// The pure packages, and what of ours each may depend on.
const ARROWS: [(&str, &[&str]); 13] = [
    ("assay-types", &[]),
    ("assay-merkle", &["assay-types"]),
    ("assay-machine", &["assay-merkle", "assay-types"]),
    ("assay-dispute", &["assay-machine", "assay-merkle", "assay-types"]),
    ("assay-market", &["assay-types"]),
    ("assay-tlog", &["assay-types"]),
    ("assay-contracts", &["assay-market", "assay-types"]),
    ("assay-protocol", &["assay-contracts", "assay-machine", "assay-merkle", "assay-types"]),
    ("assay-seal", &["assay-types"]),
    ("assay-policy", &["assay-types"]),
    ("assay-mask", &["assay-guest", "assay-types"]),
    ("assay-disclosure", &["assay-guest", "assay-merkle", "assay-seal", "assay-types"]),
    (
        "assay-receipt",
        &[
            "assay-contracts",
            "assay-disclosure",
            "assay-market",
            "assay-mask",
            "assay-merkle",
            "assay-protocol",
            "assay-tlog",
            "assay-types",
        ],
    ),
];

/// Words that a pure crate's sources must not hold: I/O, clocks, randomness, floats, unordered
/// iteration.
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

/// Names that lead to a machine or a package registry, in two halves so that this file does not
/// hold them.
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

/// Text files that tidy reads.
const TEXT: [&str; 12] =
    ["rs", "md", "toml", "json", "sol", "js", "mjs", "py", "sh", "ld", "html", "lock"];

/// Checks everything; the error lists all that is wrong.
pub(crate) fn tidy(root: &Path) -> Result<(), String> {
    let mut wrong = Vec::new();
    code_map(root, &mut wrong)?;
    arrows(root, &mut wrong)?;
    purity(root, &mut wrong)?;
    leaks(root, &mut wrong)?;
    if wrong.is_empty() { Ok(()) } else { Err(format!("tidy:\n  {}", wrong.join("\n  "))) }
}

/// The code map has a heading for each package's folder, and for no other: "### `crates/types`".
fn code_map(root: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    let map = read(&root.join("ARCHITECTURE.md"))?;
    let mapped: BTreeSet<String> = map
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    let mut folders: BTreeSet<String> = list(&root.join("crates"))?
        .iter()
        .filter_map(|path| Some(format!("crates/{}", path.file_name()?.to_string_lossy())))
        .collect();
    let others = FOLDERS.iter().chain(&["programs", "contracts"]);
    folders.extend(others.filter(|name| root.join(name).is_dir()).map(|name| name.to_string()));
    let missing = folders.difference(&mapped).map(|f| format!("ARCHITECTURE.md lacks {f}"));
    let stale =
        mapped.difference(&folders).map(|f| format!("ARCHITECTURE.md maps {f}: no such folder"));
    wrong.extend(missing.chain(stale));
    Ok(())
}

/// Left-hand crates depend only on what is left of them.
fn arrows(root: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let mut seen = 0;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = allowed.get(name) else { continue };
        seen += 1;
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for dependency in dependencies.filter(|d| d["kind"].as_str() != Some("dev")) {
            let to = dependency["name"].as_str().unwrap_or_default();
            if to.starts_with("assay-") && !allowed.contains(&to) {
                wrong.push(format!("{name} must not depend on {to}"));
            }
        }
    }
    if seen != ARROWS.len() {
        wrong.push(format!("{seen} packages have a direction, {} should", ARROWS.len()));
    }
    Ok(())
}

/// Pure crates touch nothing but their arguments (before their tests begin).
fn purity(root: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    for (name, _) in ARROWS {
        let folder = root.join("crates").join(name.trim_start_matches("assay-"));
        let manifest = read(&folder.join("Cargo.toml"))?;
        if !manifest.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{name} does not take the workspace's lints, so it may be unsafe"));
        }
        for file in files(&folder.join("src"))? {
            let text = read(&file)?;
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in (1..).zip(code.lines()) {
                let line = line.split("//").next().unwrap_or_default();
                for word in IMPURE.iter().filter(|word| has_word(line, word)) {
                    wrong.push(format!("{}:{number}: {name} is pure, no {word}", file.display()));
                }
            }
        }
    }
    Ok(())
}

/// Nothing that git tracks leads to a machine or a registry.
fn leaks(root: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    if find("git").is_none() {
        println!("skipped: looking for leaked paths (git is not installed)");
        return Ok(());
    }
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
    let output = output.map_err(|error| format!("git ls-files: {error}"))?;
    for name in output.stdout.split(|&byte| byte == 0) {
        let name = String::from_utf8_lossy(name).into_owned();
        let path = root.join(&name);
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        if !TEXT.contains(&extension.as_str()) || !path.is_file() {
            continue;
        }
        let text = read(&path)?;
        for (left, right) in LEAKS {
            if let Some(at) = text.find(&format!("{left}{right}")) {
                let line = text[..at].lines().count();
                wrong.push(format!("{name}:{line}: names a machine's path or a registry's host"));
            }
        }
    }
    Ok(())
}

/// True if the word stands in the line by itself.
fn has_word(line: &str, word: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    line.match_indices(word).any(|(at, _)| {
        edge(line[..at].chars().next_back()) && edge(line[at + word.len()..].chars().next())
    })
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(fail)?.collect();
    let mut paths: Vec<PathBuf> = entries.map_err(fail)?.into_iter().map(|e| e.path()).collect();
    paths.sort();
    Ok(paths)
}

/// Every file below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut all = Vec::new();
    for path in list(folder)? {
        if path.is_dir() { all.extend(files(&path)?) } else { all.push(path) }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_alone() {
        assert!(has_word("let x: f64 = 1.0;", "f64"));
        assert!(has_word("use std::collections::HashMap;", "HashMap"));
        assert!(!has_word("let sha256_f64x = 1;", "f64"));
        assert!(!has_word("Instantly", "Instant"));
    }
}
