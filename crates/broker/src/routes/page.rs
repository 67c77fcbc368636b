//! Pages of what the book holds.

use assay_storage::{Entry, OrderBook};

use super::parameters::Range;
use crate::error::Failure;
use crate::state::App;

/// A page of entries, each as it goes over the wire, and where the next page begins if there is
/// more. `read` gets the last sequence seen, and how many entries to read after it. What can't be
/// read is reported and left out: one entry must not hide the others.
pub(super) async fn page<T: Send + 'static>(
    app: &App,
    range: Range,
    read: impl FnOnce(&dyn OrderBook, (u64, usize)) -> assay_storage::Result<Vec<Entry>>
    + Send
    + 'static,
    open: fn(Entry) -> Result<T, Failure>,
) -> Result<(Vec<T>, Option<u64>), Failure> {
    let limit = range.limit as usize;
    let found = app.blocking(move |app| {
        let mut entries = read(&*app.book, (range.after, limit + 1))?;
        let is_more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| is_more).map(|last| last.sequence);
        Ok((entries.into_iter().filter_map(|entry| open(entry).ok()).collect(), next))
    });
    found.await?
}
