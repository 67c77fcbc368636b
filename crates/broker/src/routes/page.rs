//! Pages of what the book holds.

use assay_storage::Entry;

use super::parameters::Range;
use crate::error::Failure;

/// A page of entries, and where the next one begins if there is more.
pub(super) fn page(
    range: Range,
    read: impl FnOnce(u64, usize) -> assay_storage::Result<Vec<Entry>>,
) -> Result<(Vec<Entry>, Option<u64>), Failure> {
    let limit = range.limit as usize;
    let mut entries = read(range.after, limit + 1)?;
    let is_more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| is_more).map(|last| last.sequence);
    Ok((entries, next))
}
