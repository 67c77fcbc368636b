//! Slot images: the one encoding of any slot (spec/machine.md#slot-images).

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
pub fn read_image(image: &[u8], mut visit: impl FnMut(u32, &Leaf)) -> Result<(), ImageError> {
    let mut rest = image.strip_prefix(&TAG).ok_or(ImageError::Tag)?;
    let mut free = 0;
    while !rest.is_empty() {
        let at = (image.len() - rest.len()) as u64;
        let (head, after) =
            rest.split_at_checked(8).ok_or(ImageError::Truncated(image.len() as u64))?;
        let [first, count] = [word(&head[..4]), word(&head[4..])];
        let end = first.checked_add(count).filter(|&end| count > 0 && end <= LEAVES_MAX);
        let end = end.filter(|_| first >= free).ok_or(ImageError::Run(at))?;
        let (bytes, after) = after
            .split_at_checked(count as usize * ZERO_LEAF.len())
            .ok_or(ImageError::Truncated(image.len() as u64))?;
        for (index, leaf) in (first..).zip(bytes.as_chunks().0) {
            if *leaf == ZERO_LEAF {
                return Err(ImageError::ZeroLeaf(at + 8 + 256 * u64::from(index - first)));
            }
            visit(index, leaf);
        }
        // A run that touched its predecessor would be the same slot written another way.
        free = end + 1;
        rest = after;
    }
    Ok(())
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
