//! An output that is published nowhere, put together from the chunks that its provider has to show
//! on demand.

use std::collections::BTreeMap;
use std::ops::Range;

use assay_merkle::{BlobHeader, PAGE_SIZE};
use assay_protocol::check_slot;
use assay_types::BlobRoot;

use crate::job::images::image_of;

/// How many chunks are demanded at once, at the most: as many as may be open. A claim is final a
/// day after its first chunk was shown, so what is left for another round, a slow answerer keeps.
const DEMANDED_MAX: u32 = 256;

/// What was shown of an output, by number. The contract has checked each against the claim.
#[derive(Debug, Default)]
pub(super) struct Chunks(BTreeMap<u32, Vec<u8>>);

impl Chunks {
    /// Takes one in.
    pub(super) fn put(&mut self, number: u32, content: &[u8]) {
        self.0.insert(number, content.to_vec());
    }

    /// The next that are to be demanded: the first alone, which says how many there are, and then
    /// those that are missing in a row. None if all are there, or the output is no blob.
    pub(super) fn missing(&self) -> Option<Range<u32>> {
        if self.0.is_empty() {
            return Some(0..1);
        }
        let count = self.count()?;
        let first = (0..count).find(|number| !self.0.contains_key(number))?;
        let end = (first..count).find(|number| self.0.contains_key(number)).unwrap_or(count);
        Some(first..end.min(first + DEMANDED_MAX))
    }

    /// The image of the output, if all of it is there and has the root.
    pub(super) fn image(&self, root: BlobRoot) -> Option<Vec<u8>> {
        let count = self.count()?;
        let chunks = (0..count).map(|number| self.0.get(&number).map(Vec::as_slice));
        let content = chunks.collect::<Option<Vec<_>>>()?.concat();
        let image = image_of(&content);
        check_slot(root, &image).is_ok().then_some(image)
    }

    /// How many chunks the output has, by the header of its blob.
    fn count(&self) -> Option<u32> {
        let header = self.0.get(&0)?.first_chunk()?;
        let size = BlobHeader::from_bytes(header).ok()?.length().checked_add(32)?;
        u32::try_from(size.div_ceil(u64::from(PAGE_SIZE))).ok()
    }
}

#[cfg(test)]
mod tests {
    use assay_types::Salt;

    use super::*;
    use crate::job::images::{blob_bytes, public_blob};

    #[test]
    fn chunks_in_any_order_come_to_the_output_once_all_are_there() {
        let bytes: Vec<u8> = (0..1_100_000u32).map(|number| (number % 251) as u8).collect();
        let (root, image) = public_blob(&bytes).expect("it fits");
        let content = blob_bytes(Salt::PUBLIC, &bytes).expect("it fits");
        let pages: Vec<[u8; 4096]> = content
            .chunks(4096)
            .map(|page| std::array::from_fn(|k| page.get(k).copied().unwrap_or(0)))
            .collect();
        let mut chunks = Chunks::default();
        assert_eq!(chunks.missing(), Some(0..1), "how many there are, the first one says");
        chunks.put(0, &pages[0]);
        assert_eq!(chunks.missing(), Some(1..257), "so many at once");
        chunks.put(7, &pages[7]);
        assert_eq!(chunks.missing(), Some(1..7), "what was shown is not demanded again");
        for (number, page) in (0..).zip(&pages).skip(1).collect::<Vec<_>>().into_iter().rev() {
            assert!(chunks.image(root).is_none(), "chunk {number} is missing");
            chunks.put(number, page);
        }
        assert_eq!(chunks.missing(), None);
        assert!(chunks.image(root) == Some(image), "the whole output");
        let (other, _) = public_blob(b"other").expect("it fits");
        assert!(chunks.image(other).is_none(), "of another root");
    }

    #[test]
    fn what_is_no_blob_is_not_demanded_to_its_end() {
        let mut chunks = Chunks::default();
        chunks.put(0, &[0xff; 4096]);
        assert_eq!(chunks.missing(), None);
        chunks.put(0, &[0; 4]);
        assert_eq!(chunks.missing(), None);
    }
}
