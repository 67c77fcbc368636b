//! Where a market's contracts are.

use std::path::Path;

use assay_contracts::Deployment;

use crate::output::failure::Failure;

/// Reads a deployment from its file.
pub(crate) fn read_deployment(path: &Path) -> Result<Deployment, Failure> {
    let failed = |verb, error: &dyn std::fmt::Display| {
        Failure::file(verb, path, error).next("give the file that `assay chain deploy` wrote")
    };
    let text = std::fs::read(path).map_err(|error| failed("read", &error))?;
    serde_json::from_slice(&text).map_err(|error| failed("use", &error))
}
