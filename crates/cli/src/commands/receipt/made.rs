//! What a command that shows a part of a receipt says of the file that it wrote.

use std::path::Path;

use alloy_primitives::B256;
use serde::Serialize;

/// `assay.present/1`, `assay.disclose/1`.
#[derive(Serialize)]
pub(super) struct Made<'a> {
    pub(super) schema: &'static str,
    pub(super) job: B256,
    pub(super) file: &'a Path,
    pub(super) shown: Vec<String>,
}
