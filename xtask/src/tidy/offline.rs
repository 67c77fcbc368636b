//! What checks a receipt needs no async runtime, HTTP or database: nothing in its tree does.

use std::path::Path;
use std::process::Command;

use super::Finding;

/// Packages that check offline.
const OFFLINE: [&str; 2] = ["assay-receipt", "assay-verify"];

/// Crates that none of theirs may be. A name that ends with `-` stands for all that begin with it.
const ONLINE: [&str; 12] = [
    "axum",
    "cedar-",
    "hyper",
    "object_store",
    "redb",
    "reqwest",
    "revm",
    "revm-",
    "rustls",
    "tokio",
    "tower",
    "tracing-subscriber",
];

pub(crate) fn check(root: &Path) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for package in OFFLINE {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--prefix", "none", "-e", "normal", "-p", package])
            .current_dir(root)
            .output()
            .map_err(|error| format!("cargo tree: {error}"))?;
        if tree.status.success() {
            findings.extend(online(package, &String::from_utf8_lossy(&tree.stdout)));
        } else {
            let cause = String::from_utf8_lossy(&tree.stderr).trim().replace('\n', "\n    ");
            let text = format!("cargo tree -p {package}: {cause}");
            findings.push(Finding::new(area(package), text));
        }
    }
    Ok(findings)
}

fn area(package: &str) -> String {
    format!("offline {package}")
}

/// What is online of what `cargo tree --prefix none` lists: "tokio v1.2.3", a line each.
fn online(package: &str, tree: &str) -> Vec<Finding> {
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let mut names: Vec<&str> = names
        .filter(|name| {
            ONLINE.iter().any(|one| name == one || (one.ends_with('-') && name.starts_with(one)))
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let text =
        |name| format!("{package} needs {name}: see cargo tree -e normal -p {package} -i {name}");
    names.into_iter().map(|name| Finding::new(area(package), text(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_online_is_named_once() {
        let tree = "assay-receipt v0.1.0\ntokio v1.2.3\ntokio-util v0.7.0\ncedar-policy v4.1.0\n\
                    tokio v1.2.3 (*)\n";
        let texts: Vec<String> =
            online("assay-receipt", tree).into_iter().map(|finding| finding.text).collect();
        let named: Vec<&str> =
            texts.iter().filter_map(|text| text.split([' ', ':']).nth(2)).collect();
        assert_eq!(named, ["cedar-policy", "tokio"]);
    }
}
