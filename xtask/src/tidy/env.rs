//! Roles reach the world through `Env` only: clock, sleep, randomness and network are handed to
//! them, so that a simulator can hand in its own.

use super::Finding;
use super::source::Source;
use super::tree::Tree;

const AREA: &str = "env";

/// The node's rooms that are held to it. `base` has `Env` itself, `chain` and `market` wire it up.
const ROOMS: [&str; 9] =
    ["log", "board", "job", "role", "provider", "requester", "auditor", "owner", "key_service"];

/// Paths and names that stand for the world itself.
const WORLD: [&str; 14] = [
    "SystemTime",
    "Instant",
    "UdpSocket",
    "TcpListener",
    "TcpStream",
    "OsRng",
    "getrandom",
    "rand",
    "reqwest",
    "std::thread::sleep",
    "tokio::net",
    "tokio::spawn",
    "tokio::task::spawn",
    "tokio::time",
];

pub(crate) fn check(tree: &Tree) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for room in ROOMS {
        let folder = format!("crates/node/src/{room}");
        let alone = format!("{folder}.rs");
        let alone = tree.text(&alone).map(|text| (alone.as_str(), text));
        for (file, text) in tree.below(&folder, "rs").chain(alone) {
            for path in Source::parse(file, text)?.paths() {
                for word in WORLD.iter().filter(|word| path.holds(word)) {
                    let text = format!("{file}:{}: {word}, where Env should be asked", path.line);
                    findings.push(Finding::new(AREA, text));
                }
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_no_clock_of_its_own() {
        let role = "use std::time::{Duration, Instant};\nfn f() { tokio::time::sleep(d) }";
        let base = ("crates/node/src/base/env.rs", role);
        assert_eq!(check(&Tree::new(&[base])), Ok(Vec::new()));
        let tree = Tree::new(&[base, ("crates/node/src/auditor/mod.rs", role)]);
        let texts: Vec<String> =
            check(&tree).expect("Rust").into_iter().map(|finding| finding.text).collect();
        assert_eq!(
            texts,
            ["Instant", "tokio::time"]
                .iter()
                .zip(1..)
                .map(|(word, line)| format!(
                    "crates/node/src/auditor/mod.rs:{line}: {word}, where Env should be asked"
                ))
                .collect::<Vec<_>>()
        );
    }
}
