//! The pure packages build for wasm32-unknown-unknown, where there are no files, clocks or sockets.

use std::path::Path;
use std::process::Command;

use super::Finding;
use super::arrows::{PURE, packages};
use super::tree::Tree;
use crate::install;

const AREA: &str = "wasm";

const TARGET: &str = "wasm32-unknown-unknown";

pub(crate) fn check(root: &Path, tree: &Tree) -> Result<Vec<Finding>, String> {
    if !install::target(TARGET)? {
        println!("skipped: building the pure crates for {TARGET} (rustup target add {TARGET})");
        return Ok(Vec::new());
    }
    // A folder of its own: so nothing waits for a build of the rest, nor it for this. Whether it
    // builds is the question, so nothing is optimised.
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--target", TARGET, "--target-dir", "target/wasm"]);
    build.args(["--config", "profile.dev.package.'*'.opt-level=0"]);
    let packages = packages(tree)?;
    let pure = packages.iter().map(|package| package.name.as_str()).filter(|n| PURE.contains(n));
    build.args(pure.flat_map(|package| ["-p", package]));
    let status =
        build.current_dir(root).status().map_err(|error| format!("cargo build: {error}"))?;
    let text = format!("the pure crates do not build for {TARGET}: see above");
    Ok((!status.success()).then(|| Finding::new(AREA, text)).into_iter().collect())
}
