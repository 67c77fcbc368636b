//! Cells: a table as a tree of individually salted cells, so that some can be shown without a hint
//! of the others (spec/disclosure.md#cells).

mod disclosure;

use std::collections::BTreeSet;

use assay_guest::csv::{RecordReader, Row, TableError};
use assay_types::{Hash, Tag, sha256_pair};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use disclosure::{DISCLOSURE_SCHEMA, Disclosure, DisclosureError, OutputOpening};

/// The most columns of a table: 2^10.
pub const COLUMNS_MAX: u32 = 1 << ROW_HEIGHT;

/// The most rows of a table, the header included: 2^22.
pub const ROWS_MAX: u32 = 1 << (TREE_HEIGHT - ROW_HEIGHT);

/// Size of a cell's salt in bytes.
pub const CELL_SALT_SIZE: usize = 16;

/// Height of the subtree of a row. Every table's tree is as high as every other's, so that no proof
/// tells a table's size.
const ROW_HEIGHT: u32 = 10;

/// Height of the tree of a table.
const TREE_HEIGHT: u32 = 32;

/// What the preimage of a cell begins with.
const TAG: Tag = *b"assayt\x01\x01";

/// What a table's key is derived under.
const DERIVATION: &[u8] = b"assay table key, version 1";

/// What salts are derived under; paddings are under their height, 0 to 31.
const SALT: u8 = 0xff;

/// The key that a table's salts and paddings follow from, 32 bytes: who has it can guess cells and
/// check the guess.
pub struct TableKey(Hmac<Sha256>);

impl TableKey {
    /// The key of the table in a sealed output, from the output's key, so that whoever can read the
    /// output can show cells of it.
    pub fn derive(output_key: &[u8; 32]) -> Self {
        let key = keyed(output_key).chain_update(DERIVATION).finalize().into_bytes();
        TableKey(keyed(&Zeroizing::new(key.into())))
    }

    fn prf(&self, purpose: u8, index: u32) -> [u8; 32] {
        let keyed = self.0.clone().chain_update(TAG).chain_update([purpose]);
        keyed.chain_update(index.to_le_bytes()).finalize().into_bytes().into()
    }

    fn salt(&self, place: Place) -> CellSalt {
        let mut salt = [0; CELL_SALT_SIZE];
        salt.copy_from_slice(&self.prf(SALT, place.index())[..CELL_SALT_SIZE]);
        CellSalt(salt)
    }

    /// What stands for a subtree without cells: to who lacks the key it looks like any other node.
    fn padding(&self, height: u32, index: u32) -> Hash {
        Hash(self.prf(height as u8, index))
    }
}

impl std::fmt::Debug for TableKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TableKey(secret)")
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let keyed = Hmac::new_from_slice(key);
    keyed.unwrap_or_else(|error| unreachable!("HMAC takes keys of every size: {error}"))
}

/// Where a cell is. Row 0 is the header; both are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    row: u32,
    column: u32,
}

impl Place {
    /// A place; `None` unless `row < `[`ROWS_MAX`] and `column < `[`COLUMNS_MAX`].
    pub fn new(row: u32, column: u32) -> Option<Self> {
        (row < ROWS_MAX && column < COLUMNS_MAX).then_some(Place { row, column })
    }

    /// The row.
    pub fn row(self) -> u32 {
        self.row
    }

    /// The column.
    pub fn column(self) -> u32 {
        self.column
    }

    /// Its leaf in the tree.
    fn index(self) -> u32 {
        self.row << ROW_HEIGHT | self.column
    }
}

/// Why cells can't be shown, or are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// A table without a row has no tree.
    #[error("the table is empty: it has no cell to show")]
    Empty,
    /// The bytes are no CSV.
    #[error(transparent)]
    Csv(#[from] TableError),
    /// The table has more rows or columns than a tree has places.
    #[error("row {0} of the table, or a column of it, is beyond 2^22 rows of 2^10 columns")]
    Size(usize),
    /// There is no such cell.
    #[error(
        "the table has no cell in row {row}, column {column} (both counted from 0; row 0 is the header)"
    )]
    Missing {
        /// The row.
        row: u32,
        /// The column.
        column: u32,
    },
    /// No cell was named.
    #[error("no cell is shown: name at least one")]
    Nothing,
    /// The cells are not in the order of their places, each once, or one is nowhere.
    #[error("the cells are not in the order of rows and columns, each once")]
    Order,
    /// There are more or fewer nodes than the cells need.
    #[error("the proof has too many nodes or too few for the cells that it shows")]
    Nodes,
}

/// A table: rows of fields, unquoted. Each row has at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct Table(Vec<Vec<Vec<u8>>>);

impl Table {
    /// Reads CSV (RFC 4180) with the SDK's reader: empty lines are no rows; a line with an empty
    /// quoted field is one. Rows may have other numbers of fields than the first, and names may
    /// come twice: a program may write so, and its cells can be shown all the same.
    ///
    /// # Errors
    ///
    /// [`CellError::Csv`], [`CellError::Empty`], [`CellError::Size`].
    pub fn from_csv(text: &[u8]) -> Result<Self, CellError> {
        let (mut reader, mut rest, mut rows) = (RecordReader::default(), text, Vec::new());
        while reader.read(&mut rest)? || reader.end()? {
            rows.push(fields_of(reader.row()));
        }
        Table::new(rows)
    }

    /// A table of its rows.
    ///
    /// # Errors
    ///
    /// [`CellError::Empty`] if there is no row or one without a field, [`CellError::Size`].
    pub fn new(rows: Vec<Vec<Vec<u8>>>) -> Result<Self, CellError> {
        if rows.is_empty() || rows.iter().any(Vec::is_empty) {
            return Err(CellError::Empty);
        }
        if rows.len() > ROWS_MAX as usize {
            return Err(CellError::Size(rows.len()));
        }
        match rows.iter().position(|row| row.len() > COLUMNS_MAX as usize) {
            Some(wide) => Err(CellError::Size(wide)),
            None => Ok(Table(rows)),
        }
    }

    /// How many rows there are, with the header.
    pub fn rows(&self) -> u32 {
        self.0.len() as u32
    }

    /// The places of a row's cells; none if there is no such row.
    pub fn row(&self, row: u32) -> Vec<Place> {
        let columns = self.0.get(row as usize).map_or(0, Vec::len) as u32;
        (0..columns).map(|column| Place { row, column }).collect()
    }

    /// A cell's bytes.
    pub fn cell(&self, place: Place) -> Option<&[u8]> {
        self.0.get(place.row as usize)?.get(place.column as usize).map(Vec::as_slice)
    }

    /// The root of its tree.
    pub fn root(&self, key: &TableKey) -> Hash {
        self.node(key, TREE_HEIGHT, 0)
    }

    /// Shows some cells: their salts, and what of the tree leads from them to its root.
    ///
    /// # Errors
    ///
    /// [`CellError::Nothing`], [`CellError::Missing`].
    pub fn show(&self, key: &TableKey, places: &BTreeSet<Place>) -> Result<ShownCells, CellError> {
        let shown = |&place: &Place| match self.cell(place) {
            None => Err(CellError::Missing { row: place.row, column: place.column }),
            Some(value) => Ok(ShownCell::new(place, value.to_vec(), key.salt(place))),
        };
        let cells = places.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
        if cells.is_empty() {
            return Err(CellError::Nothing);
        }
        let mut nodes = Vec::new();
        self.hide(key, TREE_HEIGHT, 0, &cells, &mut nodes);
        Ok(ShownCells { cells, nodes })
    }

    /// Collects the nodes over what is not shown, each as high as can be, from left to right.
    fn hide(
        &self,
        key: &TableKey,
        height: u32,
        index: u32,
        shown: &[ShownCell],
        nodes: &mut Vec<Hash>,
    ) {
        if shown.is_empty() {
            nodes.push(self.node(key, height, index));
        } else if height > 0 {
            let (left, right) = halves(shown, height);
            self.hide(key, height - 1, index * 2, left, nodes);
            self.hide(key, height - 1, index * 2 + 1, right, nodes);
        }
    }

    fn node(&self, key: &TableKey, height: u32, index: u32) -> Hash {
        if !self.has_cell_under(height, index) {
            return key.padding(height, index);
        }
        if height > 0 {
            let [left, right] = [0, 1].map(|side| self.node(key, height - 1, index * 2 + side));
            return sha256_pair(&left, &right);
        }
        let place = Place { row: index >> ROW_HEIGHT, column: index & (COLUMNS_MAX - 1) };
        let value = &self.0[place.row as usize][place.column as usize];
        leaf(place, &key.salt(place), value)
    }

    /// Whether a subtree has a cell: then it has one in its first place, or, if it is of several
    /// rows, in its first row.
    fn has_cell_under(&self, height: u32, index: u32) -> bool {
        let first = u64::from(index) << height;
        let (row, column) = ((first >> ROW_HEIGHT) as usize, first as usize % COLUMNS_MAX as usize);
        self.0.get(row).is_some_and(|row| column < row.len())
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({} rows)", self.0.len())
    }
}

fn fields_of(row: Row<'_>) -> Vec<Vec<u8>> {
    (0..row.len()).map(|index| row.field(index).to_vec()).collect()
}

/// What of cells in order lies in the left and in the right half of a subtree of a height above 0.
fn halves(cells: &[ShownCell], height: u32) -> (&[ShownCell], &[ShownCell]) {
    let is_left = |cell: &ShownCell| cell.place().index() >> (height - 1) & 1 == 0;
    cells.split_at(cells.partition_point(is_left))
}

/// `H(tag ‖ row ‖ column ‖ salt ‖ length ‖ value)`.
fn leaf(place: Place, salt: &CellSalt, value: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(TAG);
    hash.update(place.row.to_le_bytes());
    hash.update(place.column.to_le_bytes());
    hash.update(salt.0);
    hash.update((value.len() as u32).to_le_bytes());
    hash.update(value);
    Hash(hash.finalize().into())
}

/// A cell's salt, 16 bytes: shown with its cell, and of no use for any other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct CellSalt([u8; CELL_SALT_SIZE]);

impl Serialize for CellSalt {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for CellSalt {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut salt = [0; CELL_SALT_SIZE];
        hex::decode_to_slice(text, &mut salt).map_err(serde::de::Error::custom)?;
        Ok(CellSalt(salt))
    }
}

/// A cell that is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownCell {
    row: u32,
    column: u32,
    /// The bytes, where they are UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// The bytes in hexadecimal, where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    salt: CellSalt,
}

impl ShownCell {
    fn new(place: Place, value: Vec<u8>, salt: CellSalt) -> Self {
        let (value, bytes) = match String::from_utf8(value) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(hex::encode(error.as_bytes()))),
        };
        ShownCell { row: place.row, column: place.column, value, bytes, salt }
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        Place { row: self.row, column: self.column }
    }

    /// Its bytes; `None` if they are not written in their one way.
    pub fn value(&self) -> Option<Vec<u8>> {
        match (&self.value, &self.bytes) {
            (Some(text), None) => Some(text.clone().into_bytes()),
            (None, Some(digits)) => {
                let bytes = hex::decode(digits).ok()?;
                let is_text = std::str::from_utf8(&bytes).is_ok();
                (!is_text && hex::encode(&bytes) == *digits).then_some(bytes)
            }
            _ => None,
        }
    }
}

/// Cells that are shown, and the nodes over all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownCells {
    /// The cells, in the order of rows and columns.
    pub cells: Vec<ShownCell>,
    /// The highest nodes that are over no shown cell, from left to right.
    nodes: Vec<Hash>,
}

impl ShownCells {
    /// The root that cells and nodes lead to.
    ///
    /// # Errors
    ///
    /// [`CellError::Nothing`], [`CellError::Order`], [`CellError::Nodes`].
    pub fn root(&self) -> Result<Hash, CellError> {
        let is_somewhere = |cell: &ShownCell| {
            Place::new(cell.row, cell.column).is_some() && cell.value().is_some()
        };
        let in_order = self.cells.is_sorted_by(|a, b| a.place() < b.place());
        if self.cells.is_empty() {
            return Err(CellError::Nothing);
        }
        if !in_order || !self.cells.iter().all(is_somewhere) {
            return Err(CellError::Order);
        }
        let mut nodes = self.nodes.iter();
        let root = climb(TREE_HEIGHT, &self.cells, &mut nodes)?;
        if nodes.next().is_some() { Err(CellError::Nodes) } else { Ok(root) }
    }
}

fn climb(
    height: u32,
    cells: &[ShownCell],
    nodes: &mut std::slice::Iter<'_, Hash>,
) -> Result<Hash, CellError> {
    match cells {
        [] => nodes.next().copied().ok_or(CellError::Nodes),
        [cell] if height == 0 => {
            let value = cell.value().ok_or(CellError::Order)?;
            Ok(leaf(cell.place(), &cell.salt, &value))
        }
        _ if height == 0 => unreachable!("cells in order have one place each"),
        _ => {
            let (left, right) = halves(cells, height);
            let left = climb(height - 1, left, nodes)?;
            Ok(sha256_pair(&left, &climb(height - 1, right, nodes)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_types::sha256;

    fn key() -> TableKey {
        TableKey::derive(&[7; 32])
    }

    fn table() -> Table {
        Table::from_csv(b"name,city\nAda,\"London, UK\"\nBob,\nC\xff,Rome\n").expect("a table")
    }

    fn places(list: &[(u32, u32)]) -> BTreeSet<Place> {
        list.iter().map(|&(row, column)| Place { row, column }).collect()
    }

    #[test]
    fn every_choice_of_cells_leads_to_the_root() {
        let (table, key) = (table(), key());
        let root = table.root(&key);
        let all: Vec<Place> = (0..table.rows()).flat_map(|row| table.row(row)).collect();
        for choice in 1u32..1 << all.len() {
            let chosen = (0..all.len()).filter(|i| choice >> i & 1 == 1).map(|i| all[i]).collect();
            let shown = table.show(&key, &chosen).expect("shown");
            assert_eq!(shown.root(), Ok(root), "cells {chosen:?} must lead to the table's root");
        }
    }

    #[test]
    fn the_root_is_what_it_was() {
        // Computed by an independent program (Python's hashlib and hmac, by spec/disclosure.md
        // alone): see the specification.
        assert_eq!(
            table().root(&key()).to_string(),
            EXPECTED_ROOT,
            "old disclosures would not check any more"
        );
    }

    const EXPECTED_ROOT: &str = "af5fe06b8d0ea1c84612c0cbe852ba1dcf018e0a77fdc470a06b27335cb844c1";

    #[test]
    fn a_proof_has_the_same_size_in_every_table() {
        let key = key();
        let small = Table::from_csv(b"a\n").expect("a table");
        let large = Table::new(vec![vec![b"x".to_vec(); 9]; 1000]).expect("a table");
        let count =
            |table: &Table| table.show(&key, &places(&[(0, 0)])).expect("shown").nodes.len();
        assert_eq!(count(&small), TREE_HEIGHT as usize);
        assert_eq!(count(&small), count(&large), "a proof's size must not tell the table's");
    }

    #[test]
    fn equal_cells_and_empty_places_look_different() {
        let key = key();
        let table = Table::new(vec![vec![b"x".to_vec(); 3]; 3]).expect("a table");
        let shown = table.show(&key, &places(&[(0, 0), (2, 2)])).expect("shown");
        let distinct: BTreeSet<_> = shown.nodes.iter().collect();
        assert_eq!(
            distinct.len(),
            shown.nodes.len(),
            "equal nodes would tell of equal or empty places"
        );
        let other = Table::from_csv(b"x,x,y\nx,x,x\nx,x,x\n").expect("a table");
        assert_ne!(other.root(&key), table.root(&key));
        assert_ne!(table.root(&TableKey::derive(&[8; 32])), table.root(&key));
    }

    #[test]
    fn a_wrong_cell_place_salt_or_node_leads_elsewhere() {
        let (table, key) = (table(), key());
        let root = table.root(&key);
        let shown = table.show(&key, &places(&[(1, 0), (1, 1)])).expect("shown");
        let bend = |change: &dyn Fn(&mut ShownCells)| {
            let mut bent = shown.clone();
            change(&mut bent);
            bent.root()
        };
        assert_ne!(bend(&|s| s.cells[0].value = Some("Eve".into())), Ok(root));
        assert_ne!(bend(&|s| s.cells[0].row = 0), Ok(root), "a cell must not move to another row");
        assert_ne!(bend(&|s| s.cells[1].column = 2), Ok(root), "nor to another column");
        assert_ne!(bend(&|s| s.cells[0].salt.0[0] ^= 1), Ok(root));
        for node in 0..shown.nodes.len() {
            assert_ne!(bend(&|s| s.nodes[node].0[31] ^= 1), Ok(root), "node {node} is unchecked");
        }
        assert_eq!(bend(&|s| s.cells.reverse()), Err(CellError::Order));
        assert_eq!(bend(&|s| s.cells[1] = s.cells[0].clone()), Err(CellError::Order));
        assert_eq!(bend(&|s| s.cells[1].column = COLUMNS_MAX), Err(CellError::Order));
        assert_eq!(bend(&|s| s.cells.clear()), Err(CellError::Nothing));
        assert_eq!(bend(&|s| s.nodes.push(sha256(b"more"))), Err(CellError::Nodes));
        assert_eq!(bend(&|s| s.nodes.truncate(3)), Err(CellError::Nodes));
    }

    #[test]
    fn tables_and_choices_that_can_not_be_are_refused() {
        assert_eq!(Table::from_csv(b"").err(), Some(CellError::Empty));
        assert_eq!(Table::from_csv(b"\n\n").err(), Some(CellError::Empty));
        let wide = vec![b','; COLUMNS_MAX as usize];
        assert_eq!(Table::from_csv(&wide).err(), Some(CellError::Size(0)));
        let (table, key) = (table(), key());
        assert_eq!(table.show(&key, &BTreeSet::new()).err(), Some(CellError::Nothing));
        let missing = table.show(&key, &places(&[(4, 0)]));
        assert_eq!(missing.err(), Some(CellError::Missing { row: 4, column: 0 }));
    }

    #[test]
    fn csv_is_read_as_it_is_written() {
        let table = table();
        let cell = |row, column| table.cell(Place { row, column });
        assert_eq!(cell(1, 1), Some(&b"London, UK"[..]));
        assert_eq!(cell(2, 1), Some(&b""[..]));
        assert_eq!(cell(3, 0), Some(&b"C\xff"[..]), "bytes that are no text stay as they are");
        let lone = Table::from_csv(b"a\n\"\"\n\nb").expect("a table");
        assert_eq!(lone.rows(), 3, "a quoted empty field is a row, an empty line is none");
    }

    #[test]
    fn what_is_no_csv_is_refused_with_its_row() {
        let refused = Table::from_csv(b"a,b\n1,2\n3,\"4\n5,6\n").err();
        let what = "a quote that is never closed";
        assert_eq!(refused, Some(CellError::Csv(TableError::Form { row: 3, what })));
        let ragged = Table::from_csv(b"a,a\n1\n").expect("a program may write so");
        assert_eq!(ragged.row(1).len(), 1);
    }

    #[test]
    fn keys_stay_out_of_debug_output() {
        assert_eq!(format!("{:?}", key()), "TableKey(secret)");
    }
}
