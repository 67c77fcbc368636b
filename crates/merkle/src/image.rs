//! Slot images: the one encoding of any slot (spec/machine.md#slot-images).

use std::ops::Range;

use assay_types::Tag;

use crate::proof::SLOT_HEIGHT;
use crate::{Leaf, PAGE_LEAVES, Page, page_leaf};

const TAG: Tag = *b"assayi\x01\x01";
const ZERO_LEAF: Leaf = [0; 256];
const LEAVES_MAX: u32 = 1 << SLOT_HEIGHT;

/// Why bytes are not a slot image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The first eight bytes are not the tag of a slot image, version 1, suite 1.
    #[error("not a slot image of a known version: make it with a tool that writes version 1")]
    Tag,
    /// The file ends within a run.
    #[error("the image ends at byte {0}, within a run: fetch it again")]
    Truncated(u64),
    /// A run is empty, touches or overlaps the one before it, or passes the slot's end.
    #[error("the run at byte {0} is not in its one place: the image is not canonical")]
    Run(u64),
    /// A leaf is all zeros.
    #[error("the leaf at byte {0} is all zeros: the image is not canonical")]
    ZeroLeaf(u64),
}

/// Writes the image of a slot, given the pages that may hold something, by number within the slot
/// (0 to 2^17 - 1), ascending. `write` gets it piece by piece; nothing is held but the list of
/// runs.
pub fn write_image<'a, E>(
    pages: impl Iterator<Item = (u32, &'a Page)> + Clone,
    mut write: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let leaves = pages
        .flat_map(|(number, page)| {
            (0..PAGE_LEAVES).map(move |leaf| (number * PAGE_LEAVES + leaf, page_leaf(page, leaf)))
        })
        .filter(|(_, leaf)| **leaf != ZERO_LEAF);
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (index, _) in leaves.clone() {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == index => *count += 1,
            _ => runs.push((index, 1)),
        }
    }
    write(&TAG)?;
    let mut leaves = leaves;
    for (first, count) in runs {
        write(&first.to_be_bytes())?;
        write(&count.to_be_bytes())?;
        leaves.by_ref().take(count as usize).try_for_each(|(_, leaf)| write(leaf))?;
    }
    Ok(())
}

/// Reads an image, giving each leaf that is not zero with its index in the slot. What was given
/// before an error is void.
pub fn read_image(image: &[u8], visit: impl FnMut(u32, &Leaf)) -> Result<(), ImageError> {
    let mut reader = ImageReader::new();
    reader.update(image, visit)?;
    reader.finish()
}

/// Reads an image that comes in pieces, holding no more of it than a leaf.
#[derive(Clone, Debug, Default)]
pub struct ImageReader {
    /// How many bytes were read, without those that are pending.
    at: u64,
    /// What has come of the next tag, head or leaf.
    pending: Vec<u8>,
    is_begun: bool,
    /// The leaves of the run that are still to come: the next one and the end.
    run: Range<u32>,
    /// The first leaf at which a run may begin.
    free: u32,
}

impl ImageReader {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next bytes, giving each leaf that ends in them with its index in the slot.
    ///
    /// # Errors
    ///
    /// [`ImageError`]; what was given before is void then.
    pub fn update(
        &mut self,
        mut bytes: &[u8],
        mut visit: impl FnMut(u32, &Leaf),
    ) -> Result<(), ImageError> {
        while !bytes.is_empty() {
            let wanted = if self.run.is_empty() { TAG.len() } else { ZERO_LEAF.len() };
            if self.pending.is_empty()
                && let Some((unit, rest)) = bytes.split_at_checked(wanted)
            {
                self.take(unit, &mut visit)?;
                bytes = rest;
                continue;
            }
            let (piece, rest) = bytes.split_at(bytes.len().min(wanted - self.pending.len()));
            self.pending.extend(piece);
            bytes = rest;
            if self.pending.len() == wanted {
                let unit = std::mem::take(&mut self.pending);
                self.take(&unit, &mut visit)?;
            }
        }
        Ok(())
    }

    /// Nothing comes any more.
    ///
    /// # Errors
    ///
    /// [`ImageError::Tag`] and [`ImageError::Truncated`] if something is missing.
    pub fn finish(self) -> Result<(), ImageError> {
        if !self.is_begun {
            return Err(ImageError::Tag);
        }
        if self.pending.is_empty() && self.run.is_empty() {
            return Ok(());
        }
        Err(ImageError::Truncated(self.at + self.pending.len() as u64))
    }

    /// A whole tag, head or leaf.
    fn take(&mut self, unit: &[u8], visit: &mut impl FnMut(u32, &Leaf)) -> Result<(), ImageError> {
        let at = self.at;
        self.at += unit.len() as u64;
        if !std::mem::replace(&mut self.is_begun, true) {
            return if unit == TAG { Ok(()) } else { Err(ImageError::Tag) };
        }
        let Ok(leaf) = <&Leaf>::try_from(unit) else {
            return self.begin_run(unit).ok_or(ImageError::Run(at));
        };
        if *leaf == ZERO_LEAF {
            return Err(ImageError::ZeroLeaf(at));
        }
        visit(self.run.start, leaf);
        self.run.start += 1;
        Ok(())
    }

    fn begin_run(&mut self, head: &[u8]) -> Option<()> {
        let [first, count] = [word(&head[..4]), word(&head[4..])];
        let end = first.checked_add(count).filter(|&end| count > 0 && end <= LEAVES_MAX)?;
        if first < self.free {
            return None;
        }
        self.run = first..end;
        // A run that touched its predecessor would be the same slot written another way.
        self.free = end + 1;
        Some(())
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    fn write(pages: &BTreeMap<u32, Page>) -> Vec<u8> {
        let mut image = Vec::new();
        let Ok(()) = write_image(pages.iter().map(|(n, p)| (*n, p)), |bytes| {
            image.extend_from_slice(bytes);
            Ok::<_, Infallible>(())
        });
        image
    }

    fn read(image: &[u8]) -> Result<BTreeMap<u32, Page>, ImageError> {
        let mut pages: BTreeMap<u32, Page> = BTreeMap::new();
        read_image(image, |index, leaf| {
            let page = pages.entry(index / PAGE_LEAVES).or_insert([0; 4096]);
            page.as_chunks_mut().0[(index % PAGE_LEAVES) as usize] = *leaf;
        })?;
        Ok(pages)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn images_travel_and_have_one_encoding(
            writes in prop::collection::vec((0u32..1 << 17, 0usize..4096, 1u8..), 0..30),
            flip in any::<prop::sample::Index>(),
        ) {
            let mut pages: BTreeMap<u32, Page> = BTreeMap::new();
            for (page, offset, byte) in writes {
                let page = if page % 2 == 0 { page % 8 } else { page };
                pages.entry(page).or_insert([0; 4096])[offset] = byte;
            }
            let image = write(&pages);
            prop_assert_eq!(read(&image), Ok(pages));
            // However it is cut into pieces, it reads the same.
            let mut reader = ImageReader::new();
            let (mut whole, mut pieces) = (Vec::new(), Vec::new());
            prop_assert_eq!(read_image(&image, |index, leaf| whole.push((index, *leaf))), Ok(()));
            for piece in image.chunks(flip.index(600) + 1) {
                let taken = reader.update(piece, |index, leaf| pieces.push((index, *leaf)));
                prop_assert_eq!(taken, Ok(()));
            }
            prop_assert_eq!(reader.finish(), Ok(()));
            prop_assert_eq!(whole, pieces);
            // Whatever a changed image reads as, it writes as itself.
            let mut bent = image.clone();
            let at = flip.index(bent.len());
            bent[at] ^= 1;
            if let Ok(other) = read(&bent) {
                prop_assert_eq!(write(&other), bent);
            }
            prop_assert!(image.len() == 8 || read(&image[..image.len() - 1]).is_err());
        }
    }

    #[test]
    fn odd_images_are_refused_by_name() {
        let run = |first: u32, count: u32, leaf: u8| {
            let leaves = vec![leaf; 256 * count as usize];
            [&first.to_be_bytes()[..], &count.to_be_bytes(), &leaves].concat()
        };
        let image = |runs: &[Vec<u8>]| [&TAG[..], &runs.concat()].concat();
        assert_eq!(read(b""), Err(ImageError::Tag));
        assert_eq!(read(b"assayi\x02\x01"), Err(ImageError::Tag));
        assert_eq!(read(&image(&[run(0, 0, 1)])), Err(ImageError::Run(8)), "empty run");
        assert_eq!(read(&image(&[run(0, 1, 1), run(1, 1, 1)])), Err(ImageError::Run(272)), "touch");
        assert_eq!(
            read(&image(&[run(5, 1, 1), run(0, 1, 1)])),
            Err(ImageError::Run(272)),
            "descend"
        );
        assert_eq!(read(&image(&[run(LEAVES_MAX, 1, 1)])), Err(ImageError::Run(8)), "past the end");
        assert_eq!(read(&image(&[run(u32::MAX, 2, 1)])), Err(ImageError::Run(8)), "overflow");
        assert_eq!(read(&image(&[run(3, 1, 0)])), Err(ImageError::ZeroLeaf(16)));
        assert_eq!(read(&image(&[run(3, 2, 1)])[..300]), Err(ImageError::Truncated(300)));
    }
}
