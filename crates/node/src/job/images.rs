//! What a slot holds, as bytes and as an image (spec/merkle.md).

use assay_machine::{Engine, slot, slot_pages};
use assay_merkle::{BlobHeader, PAGE_SIZE, Page, blob_root, write_image};
use assay_types::{BlobRoot, Salt};
use zeroize::Zeroizing;

use crate::{Error, Result};

/// A slot's image in memory, wiped when dropped: it may be somebody's secret.
pub type Image = Zeroizing<Vec<u8>>;

/// Whether the blob of a slot's image has a salt.
pub(crate) fn has_salt(image: &[u8]) -> bool {
    let mut is_salted = false;
    let read = assay_merkle::read_image(image, |leaf, bytes| {
        is_salted |= leaf == 0 && bytes[8..32].iter().any(|byte| *byte != 0);
    });
    read.is_ok() && is_salted
}

/// Public bytes as a blob: its root, and its slot's image.
///
/// # Errors
///
/// [`Error::Blob`] if they are too long for a slot.
pub(crate) fn public_blob(bytes: &[u8]) -> Result<(BlobRoot, Vec<u8>)> {
    salted_blob(Salt::PUBLIC, bytes)
}

/// The same with a salt, without which the root tells nothing of what could be guessed.
///
/// # Errors
///
/// [`Error::Blob`] if they are too long for a slot.
pub(crate) fn salted_blob(salt: Salt, bytes: &[u8]) -> Result<(BlobRoot, Vec<u8>)> {
    let root = blob_root(salt, bytes)?;
    Ok((root, image_of(&blob_bytes(salt, bytes)?)))
}

/// A blob as its slot holds it: header and bytes. Wiped when dropped.
pub(crate) fn blob_bytes(salt: Salt, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let header = BlobHeader::new(bytes.len() as u64, salt)?;
    let mut content = Zeroizing::new(Vec::with_capacity(bytes.len() + 32));
    content.extend(header.to_bytes());
    content.extend(bytes);
    Ok(content)
}

/// The image of a slot that begins with these bytes.
pub(crate) fn image_of(content: &[u8]) -> Vec<u8> {
    let page =
        |piece: &[u8]| -> Page { std::array::from_fn(|k| piece.get(k).copied().unwrap_or(0)) };
    let pages: Vec<Page> = content.chunks(PAGE_SIZE as usize).map(page).collect();
    written(pages.iter().enumerate().map(|(number, page)| (number as u32, page)))
}

/// The image of a run's output slot.
pub(crate) fn output_image<E: Engine>(engine: &E) -> Vec<u8> {
    written(slot_pages(engine, slot::OUTPUT))
}

/// A slot's bytes from its start, as its image has them; zeros follow.
///
/// # Errors
///
/// [`Error::Image`] if it is none.
pub(crate) fn slot_bytes(image: &[u8]) -> Result<Vec<u8>> {
    let mut memory = Vec::new();
    let put = |leaf: u32, bytes: &assay_merkle::Leaf| {
        let at = leaf as usize * bytes.len();
        memory.resize(memory.len().max(at + bytes.len()), 0);
        memory[at..at + bytes.len()].copy_from_slice(bytes);
    };
    assay_merkle::read_image(image, put)?;
    Ok(memory)
}

/// The blob that a slot's image holds, if the image has the root.
///
/// # Errors
///
/// [`Error::Output`] if it has another root, or holds no blob; [`Error::Image`].
pub(crate) fn blob_of(root: BlobRoot, image: &[u8]) -> Result<Vec<u8>> {
    let unfit = |cause: String| Error::Output { root, cause };
    let mut memory = slot_bytes(image)?;
    memory.resize(memory.len().max(32), 0);
    let (header, bytes) = memory.split_first_chunk().unwrap_or_else(|| unreachable!("32 bytes"));
    let header = BlobHeader::from_bytes(header).map_err(|error| unfit(error.to_string()))?;
    let length = usize::try_from(header.length()).map_err(|error| unfit(error.to_string()))?;
    let mut bytes = bytes.to_vec();
    if bytes.iter().skip(length).any(|byte| *byte != 0) {
        return Err(unfit("the output holds bytes after its blob's end".into()));
    }
    bytes.resize(length, 0);
    let found = blob_root(header.salt(), &bytes).map_err(|error| unfit(error.to_string()))?;
    if found != root {
        return Err(unfit(format!("what was published has root {found}")));
    }
    Ok(bytes)
}

fn written<'a>(pages: impl Iterator<Item = (u32, &'a Page)> + Clone) -> Vec<u8> {
    let mut image = Vec::new();
    let written: std::result::Result<(), std::convert::Infallible> = write_image(pages, |bytes| {
        image.extend(bytes);
        Ok(())
    });
    written.unwrap_or_else(|never| match never {});
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_without_a_salt_is_told_from_one_with() {
        for content in [&b""[..], b"a secret", &[0; 5_000]] {
            let image = |salt| salted_blob(salt, content).expect("it fits").1;
            assert!(has_salt(&image(Salt([7; 24]))));
            assert!(!has_salt(&image(Salt::PUBLIC)), "its output would not be sealed");
        }
        assert!(!has_salt(b"no image") && !has_salt(b""));
    }
}
