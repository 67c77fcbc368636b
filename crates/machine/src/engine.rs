//! What runs a machine, and what can be asked of it.

use assay_merkle::{
    BLOB_HEADER_SIZE, BlobError, BlobHeader, PAGE_SIZE, Page, SLOT_PAGES, SLOT_SIZE,
};

use crate::state::Cpu;

/// An engine runs a machine to an exact step and tells what changed. All engines agree on every bit
/// of what they show here.
pub trait Engine {
    /// Runs until `step` steps were taken in all, or a final state. Does nothing if that is so
    /// already.
    fn run_until(&mut self, step: u64);

    /// Registers and counters now.
    fn cpu(&self) -> &Cpu;

    /// A page's bytes now by its number (address / 4096), or `None` if it holds only zeros and
    /// never held anything else.
    fn page(&self, page: u32) -> Option<&Page>;

    /// The pages changed since the last call, ascending, each with its changed leaves of 256 bytes,
    /// a bit each. The first call tells of every page that the machine was loaded with. Telling too
    /// much costs time, too little is a bug.
    fn take_changes(&mut self) -> Vec<(u32, u16)>;
}

/// The pages of a slot that exist, by their number within the slot, ascending.
pub fn slot_pages<E: Engine + ?Sized>(
    engine: &E,
    slot: u32,
) -> impl Iterator<Item = (u32, &Page)> + Clone {
    (0..SLOT_PAGES).filter_map(move |page| Some((page, engine.page(slot * SLOT_PAGES + page)?)))
}

/// The header of the blob in a slot, if the slot is a blob (spec/machine.md#blobs).
pub fn slot_blob<E: Engine + ?Sized>(engine: &E, slot: u32) -> Result<BlobHeader, BlobError> {
    let first = engine.page(slot * SLOT_PAGES).map(|page| std::array::from_fn(|i| page[i]));
    let header = BlobHeader::from_bytes(&first.unwrap_or_default())?;
    let end = u64::from(BLOB_HEADER_SIZE) + header.length();
    for (number, page) in slot_pages(engine, slot) {
        let start = u64::from(number) * u64::from(PAGE_SIZE);
        let kept = end.saturating_sub(start).min(u64::from(PAGE_SIZE)) as usize;
        if let Some(odd) = page[kept..].iter().position(|&byte| byte != 0) {
            return Err(BlobError::Tail(start + (kept + odd) as u64 - end));
        }
    }
    Ok(header)
}

/// The bytes of the blob in a slot, in pieces of at most a page, without its header.
pub fn blob_bytes<E: Engine + ?Sized>(
    engine: &E,
    slot: u32,
    header: BlobHeader,
) -> impl Iterator<Item = &[u8]> {
    const ZEROS: Page = [0; PAGE_SIZE as usize];
    let page_size = u64::from(PAGE_SIZE);
    let end = (u64::from(BLOB_HEADER_SIZE) + header.length()).min(SLOT_SIZE);
    (0..end.div_ceil(page_size) as u32).map(move |number| {
        let page = engine.page(slot * SLOT_PAGES + number).unwrap_or(&ZEROS);
        let skipped = if number == 0 { BLOB_HEADER_SIZE as usize } else { 0 };
        let kept = (end - u64::from(number) * page_size).min(page_size) as usize;
        &page[skipped..kept]
    })
}
