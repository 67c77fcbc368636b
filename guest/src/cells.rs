//! Cells: a table's root, over individually salted cells, so that some can be shown later without a
//! hint of the others (spec/disclosure.md#cells).
//!
//! The root is the same as `assay-disclosure` computes from the finished table.
//! [`csv::TableWriter`](crate::csv::TableWriter) does it all.

use crate::{Error, bail};
use alloc::vec::Vec;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The most columns of a table.
pub const MAX_COLUMNS: u32 = 1 << ROW_HEIGHT;

/// The most rows of a table, with its header.
pub const MAX_ROWS: u32 = 1 << (TREE_HEIGHT - ROW_HEIGHT);

const ROW_HEIGHT: u32 = 10;
const TREE_HEIGHT: u32 = 32;

const TAG: &[u8; 8] = b"assayt\x01\x01";
const DERIVATION: &[u8] = b"assay table key, version 1";
const SALT: u8 = 0xff;
const SALT_BYTES: usize = 16;

type Node = [u8; 32];

/// What a table's salts and paddings follow from.
pub struct TableKey(Hmac<Sha256>);

impl TableKey {
    /// By the key of the output that the table stands in.
    pub fn new(output_key: &[u8; 32]) -> Self {
        let key = keyed(output_key).chain_update(DERIVATION).finalize().into_bytes();
        Self(keyed(&key.into()))
    }

    fn prf(&self, purpose: u8, index: u32) -> Node {
        let keyed = self.0.clone().chain_update(TAG).chain_update([purpose]);
        keyed.chain_update(index.to_le_bytes()).finalize().into_bytes().into()
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let Ok(keyed) = Hmac::new_from_slice(key) else { unreachable!("HMAC takes a key of any size") };
    keyed
}

/// The cells of a table so far, in memory that does not grow with it.
pub struct Cells {
    key: TableKey,
    /// Roots of complete subtrees from the left, the highest first, with their heights.
    subtrees: Vec<(u32, Node)>,
    /// The next leaf: 2^10 for each row.
    next: u64,
    row: u32,
    column: u32,
}

impl Cells {
    /// An empty table.
    pub fn new(key: TableKey) -> Self {
        Self { key, subtrees: Vec::new(), next: 0, row: 0, column: 0 }
    }

    /// Appends a cell to the row. Errors if the row, or the table, has its most already.
    pub fn cell(&mut self, value: &[u8]) -> Result<(), Error> {
        if self.row == MAX_ROWS || self.column == MAX_COLUMNS {
            bail!("a table has at most {MAX_ROWS} rows of {MAX_COLUMNS} cells");
        }
        let mut hash = Sha256::new();
        hash.update(TAG);
        hash.update(self.row.to_le_bytes());
        hash.update(self.column.to_le_bytes());
        hash.update(&self.key.prf(SALT, self.next as u32)[..SALT_BYTES]);
        hash.update((value.len() as u32).to_le_bytes());
        hash.update(value);
        self.column += 1;
        self.push(0, hash.finalize().into());
        Ok(())
    }

    /// Ends the row. A row without a cell is none.
    pub fn end_row(&mut self) {
        if self.column > 0 {
            self.row += 1;
            self.column = 0;
            self.pad(u64::from(self.row) << ROW_HEIGHT);
        }
    }

    /// The table's root, or nothing if it has no row. A row that was begun is ended.
    pub fn root(mut self) -> Option<[u8; 32]> {
        self.end_row();
        if self.row == 0 {
            return None;
        }
        self.pad(1 << TREE_HEIGHT);
        self.subtrees.first().map(|(_, root)| *root)
    }

    /// Fills up to a leaf, a multiple of 2^10, with the highest subtrees that fit.
    fn pad(&mut self, end: u64) {
        while self.next < end {
            let height = self.next.trailing_zeros();
            let padding = self.key.prf(height as u8, (self.next >> height) as u32);
            self.push(height, padding);
        }
    }

    fn push(&mut self, mut height: u32, mut node: Node) {
        self.next += 1 << height;
        while let Some((_, left)) = self.subtrees.pop_if(|(own, _)| *own == height) {
            let mut hash = Sha256::new();
            hash.update(left);
            hash.update(node);
            node = hash.finalize().into();
            height += 1;
        }
        self.subtrees.push((height, node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_wide_is_an_error_and_nothing_has_no_root() {
        let mut cells = Cells::new(TableKey::new(&[1; 32]));
        cells.end_row();
        (0..MAX_COLUMNS).for_each(|_| cells.cell(b"x").unwrap());
        assert!(cells.cell(b"x").is_err());
        assert!(cells.root().is_some());
        assert_eq!(Cells::new(TableKey::new(&[1; 32])).root(), None);
    }

    #[test]
    fn the_root_is_what_others_compute() {
        // By Python's hashlib and hmac, from spec/disclosure.md.
        let mut cells = Cells::new(TableKey::new(&[7; 32]));
        for row in
            [[&b"name"[..], b"city"], [b"Ada", b"London, UK"], [b"Bob", b""], [b"C\xff", b"Rome"]]
        {
            row.iter().for_each(|cell| cells.cell(cell).unwrap());
            cells.end_row();
        }
        assert_eq!(cells.root().unwrap(), EXPECTED_ROOT, "a true table could not be shown");
    }

    const EXPECTED_ROOT: [u8; 32] = [
        0xaf, 0x5f, 0xe0, 0x6b, 0x8d, 0x0e, 0xa1, 0xc8, 0x46, 0x12, 0xc0, 0xcb, 0xe8, 0x52, 0xba,
        0x1d, 0xcf, 0x01, 0x8e, 0x0a, 0x77, 0xfd, 0xc4, 0x70, 0xa0, 0x6b, 0x27, 0x33, 0x5c, 0xb8,
        0x44, 0xc1,
    ];
}
