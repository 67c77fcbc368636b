//! What another account lets this one do at a broker.

use std::path::Path;

use assay_protocol::CapabilityChain;

use crate::output::failure::Failure;
use crate::output::files::read_bounded;

/// A capability from its file: the header's text and a newline (spec/access.md#capabilities).
pub(crate) fn read_capability(path: &Path) -> Result<CapabilityChain, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::file("use", path, error)
            .next("give a file that `assay access issue` or `narrow` wrote")
    };
    let bytes = read_bounded(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| failed(&error))?;
    text.strip_suffix('\n').unwrap_or(text).parse().map_err(|error| failed(&error))
}
