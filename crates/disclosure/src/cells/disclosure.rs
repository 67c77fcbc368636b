//! A file that shows cells of a settled output (spec/disclosure.md#the-file).

use std::collections::BTreeSet;

use assay_merkle::{
    BLOB_HEADER_SIZE, LEAF_SIZE, Leaf, Proof, RootBuilder, SLOT_HEIGHT, zero_subtree,
};
use assay_types::{BlobRoot, Hash, sha256_leaf};
use serde::{Deserialize, Serialize};

use super::{CellError, Place, ShownCells, Table, TableKey};
use assay_seal::envelope::{EnvelopeError, Header};

/// What a disclosure begins with.
pub const DISCLOSURE_SCHEMA: &str = "assay.disclosure/1";

/// The longest disclosure, in bytes.
const DISCLOSURE_BYTES_MAX: usize = 1 << 24;

/// Why a disclosure can't be made, or is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DisclosureError {
    /// It does not parse, or is not written as it must be.
    #[error("it is not written as a disclosure is: it was changed or cut off ({0})")]
    Form(String),
    /// Another version, or no disclosure.
    #[error("it is {0:?}, not {DISCLOSURE_SCHEMA:?}; if it is newer, use a newer program")]
    Version(String),
    /// It is longer than any disclosure.
    #[error("it has {0} bytes; a disclosure has 2^24 at most")]
    Long(usize),
    /// The output is not sealed.
    #[error(
        "the output is no sealed one, so it has no cells to show: a public output is shown whole ({0})"
    )]
    Unsealed(EnvelopeError),
    /// The program did not commit to cells.
    #[error(
        "the output's header has no root of cells: its program writes no table that can be shown in part"
    )]
    NoCells,
    /// The table or the key is another output's.
    #[error("the table under this key has another root of cells than the output's header")]
    Table,
    /// The cells are not those of the output's header.
    #[error("the cells do not lead to the root of cells in the output's header")]
    Root,
    /// The first bytes of the output are not those of the output root.
    #[error("the output's first bytes do not lead to output root {0}")]
    Output(BlobRoot),
    /// It is about another job.
    #[error("it is about job {0}, not job {1}")]
    Job(Hash, Hash),
    /// It is about another output than was settled.
    #[error("it is about output {0}, and the job was settled with output {1}")]
    Settled(BlobRoot, BlobRoot),
    /// The cells.
    #[error(transparent)]
    Cells(#[from] CellError),
}

/// The first leaf of an output slot and its 21 siblings: what ties a root of cells to an output
/// root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOpening {
    leaf: Leaf,
    siblings: Proof<{ SLOT_HEIGHT as usize }>,
}

impl OutputOpening {
    /// Opens an output: the bytes of its slot from the start, at most 2^29; zeros follow.
    pub fn of_slot(bytes: &[u8]) -> Self {
        let mut leaf = [0; LEAF_SIZE as usize];
        let first = bytes.len().min(leaf.len());
        leaf[..first].copy_from_slice(&bytes[..first]);
        let sibling = |height: usize| {
            let bounds =
                [1, 2].map(|end| bytes.len().min((LEAF_SIZE as usize) << height << (end - 1)));
            subtree(&bytes[bounds[0]..bounds[1]], height as u32)
        };
        OutputOpening { leaf, siblings: Proof(std::array::from_fn(sibling)) }
    }

    /// The output's root.
    pub fn root(&self) -> BlobRoot {
        BlobRoot(self.siblings.root(sha256_leaf(&self.leaf), 0))
    }

    /// The root of cells in the header of the sealed output.
    ///
    /// # Errors
    ///
    /// [`DisclosureError::Unsealed`], [`DisclosureError::NoCells`].
    pub fn cells_root(&self) -> Result<Hash, DisclosureError> {
        let header = Header::from_bytes(&self.leaf[BLOB_HEADER_SIZE as usize..]);
        let root = header.map_err(DisclosureError::Unsealed)?.cells_root();
        if root == Hash::default() { Err(DisclosureError::NoCells) } else { Ok(root) }
    }
}

/// The root of a subtree of a height over bytes and the zeros that follow them.
fn subtree(bytes: &[u8], height: u32) -> Hash {
    if bytes.is_empty() {
        return zero_subtree(height);
    }
    let mut builder = RootBuilder::new();
    for chunk in bytes.chunks(LEAF_SIZE as usize) {
        let mut leaf = [0; LEAF_SIZE as usize];
        leaf[..chunk.len()].copy_from_slice(chunk);
        builder.push(sha256_leaf(&leaf));
    }
    builder.finish(height, zero_subtree)
}

/// Cells of the output of a job, which anyone checks against the output root that was settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Disclosure {
    schema: String,
    /// The job.
    pub job: Hash,
    /// The root of its output slot.
    pub output_root: BlobRoot,
    /// The root of the cells.
    pub cells_root: Hash,
    /// The slot's first leaf, 256 bytes in hexadecimal.
    leaf: String,
    /// From the leaf's sibling up.
    siblings: Vec<Hash>,
    /// The cells, and what leads to their root.
    shown: ShownCells,
}

impl Disclosure {
    /// Shows cells of a table that a job's output holds.
    ///
    /// # Errors
    ///
    /// [`DisclosureError::Unsealed`], [`DisclosureError::NoCells`], [`DisclosureError::Table`],
    /// [`DisclosureError::Cells`].
    pub fn new(
        job: Hash,
        output: &OutputOpening,
        table: &Table,
        key: &TableKey,
        places: &BTreeSet<Place>,
    ) -> Result<Self, DisclosureError> {
        let cells_root = output.cells_root()?;
        let shown = table.show(key, places)?;
        if shown.root()? != cells_root {
            return Err(DisclosureError::Table);
        }
        Ok(Disclosure {
            schema: DISCLOSURE_SCHEMA.to_owned(),
            job,
            output_root: output.root(),
            cells_root,
            leaf: hex::encode(output.leaf),
            siblings: output.siblings.0.to_vec(),
            shown,
        })
    }

    /// The cells.
    pub fn cells(&self) -> &[super::ShownCell] {
        &self.shown.cells
    }

    /// The file: JSON without white space, and a line feed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = serde_json::to_vec(self);
        let mut bytes = text.unwrap_or_else(|error| unreachable!("plain structs: {error}"));
        bytes.push(b'\n');
        bytes
    }

    /// Reads a file, and checks that its cells stand in an output of the root that it names. What
    /// is read would be written as the same bytes.
    ///
    /// # Errors
    ///
    /// [`DisclosureError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DisclosureError> {
        if bytes.len() > DISCLOSURE_BYTES_MAX {
            return Err(DisclosureError::Long(bytes.len()));
        }
        let form = |error: &dyn std::fmt::Display| DisclosureError::Form(error.to_string());
        let read: Self = serde_json::from_slice(bytes).map_err(|error| form(&error))?;
        if read.schema != DISCLOSURE_SCHEMA {
            return Err(DisclosureError::Version(read.schema));
        }
        if read.to_bytes() != bytes {
            return Err(form(&"the same content is written otherwise"));
        }
        let output = read.opening().ok_or_else(|| form(&"its leaf or siblings are not whole"))?;
        if output.root() != read.output_root {
            return Err(DisclosureError::Output(read.output_root));
        }
        if output.cells_root()? != read.cells_root || read.shown.root()? != read.cells_root {
            return Err(DisclosureError::Root);
        }
        Ok(read)
    }

    fn opening(&self) -> Option<OutputOpening> {
        let mut leaf = [0; LEAF_SIZE as usize];
        hex::decode_to_slice(&self.leaf, &mut leaf)
            .ok()
            .filter(|()| hex::encode(leaf) == self.leaf)?;
        let siblings = self.siblings.as_slice().try_into().ok()?;
        Some(OutputOpening { leaf, siblings: Proof(siblings) })
    }

    /// Whether it is about what a job was settled with.
    ///
    /// # Errors
    ///
    /// [`DisclosureError::Job`], [`DisclosureError::Settled`].
    pub fn is_of(&self, job: Hash, settled: BlobRoot) -> Result<(), DisclosureError> {
        if self.job != job {
            return Err(DisclosureError::Job(self.job, job));
        }
        if self.output_root != settled {
            return Err(DisclosureError::Settled(self.output_root, settled));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_merkle::blob_root;
    use assay_seal::envelope::seal_output;
    use assay_types::{Salt, sha256};

    const SALT: Salt = Salt([5; 24]);

    /// A table in a sealed output as its slot holds it.
    fn slot(rows: usize) -> (Vec<u8>, Table, TableKey) {
        let text: String = (0..rows).map(|row| format!("name {row},{}\n", row * 7)).collect();
        let table = Table::from_csv(text.as_bytes()).expect("a table");
        let key = TableKey::derive(assay_seal::output_key(&SALT).as_bytes());
        let sealed = seal_output(&SALT, text.as_bytes(), table.root(&key)).expect("sealed");
        let length = (sealed.len() as u64).to_le_bytes();
        ([&length[..], &[9; 24], &sealed].concat(), table, key)
    }

    fn made(places: &[(u32, u32)]) -> Disclosure {
        let (slot, table, key) = slot(12);
        let places = places.iter().filter_map(|&(row, column)| Place::new(row, column)).collect();
        let output = OutputOpening::of_slot(&slot);
        Disclosure::new(sha256(b"job"), &output, &table, &key, &places).expect("made")
    }

    #[test]
    fn an_opening_has_the_root_of_its_slot() {
        for rows in [1, 20, 400, 9_000] {
            let (slot, ..) = slot(rows);
            let root = blob_root(Salt([9; 24]), &slot[BLOB_HEADER_SIZE as usize..]);
            assert_eq!(OutputOpening::of_slot(&slot).root(), root.expect("a blob"), "{rows} rows");
        }
        assert_eq!(OutputOpening::of_slot(&[]).root(), assay_merkle::empty_slot());
    }

    #[test]
    fn cells_are_shown_and_checked() {
        let made = made(&[(3, 1), (0, 0), (0, 1)]);
        let read = Disclosure::from_bytes(&made.to_bytes()).expect("good");
        let values: Vec<_> =
            read.cells().iter().filter_map(super::super::ShownCell::value).collect();
        assert_eq!(values, [&b"name 0"[..], b"0", b"21"]);
        assert_eq!(read.is_of(sha256(b"job"), read.output_root), Ok(()));
        let other = sha256(b"other");
        assert_eq!(read.is_of(other, read.output_root), Err(DisclosureError::Job(made.job, other)));
        let settled = read.is_of(made.job, BlobRoot(other));
        assert_eq!(settled, Err(DisclosureError::Settled(made.output_root, BlobRoot(other))));
        let text = String::from_utf8(made.to_bytes()).expect("text");
        assert!(!text.contains("name 5"), "what is not shown must not be there");
    }

    #[test]
    fn every_change_of_a_byte_is_refused() {
        let made = made(&[(2, 0)]);
        let bytes = made.to_bytes();
        // The job is nothing that the output commits to: who checks compares it with the receipt's.
        let holds = |bytes: &[u8]| {
            Disclosure::from_bytes(bytes)
                .is_ok_and(|read| read.is_of(made.job, made.output_root).is_ok())
        };
        assert!(holds(&bytes));
        for at in 0..bytes.len() {
            let mut bent = bytes.clone();
            for byte in [bytes[at] ^ 1, bytes[at] ^ 0x20, b'0', b' ', b'"', 0xff] {
                bent[at] = byte;
                assert_eq!(holds(&bent), bent == bytes, "byte {at} as {byte} was taken");
            }
            bent.remove(at);
            assert!(!holds(&bent) && !holds(&bytes[..at]), "without byte {at} it was taken");
        }
    }

    #[test]
    fn what_can_not_be_shown_says_why() {
        let (slot, table, key) = slot(3);
        let places = BTreeSet::from([Place { row: 0, column: 0 }]);
        let make = |slot: &[u8], table: &Table, key: &TableKey| {
            Disclosure::new(sha256(b"job"), &OutputOpening::of_slot(slot), table, key, &places)
                .err()
        };
        let other = Table::from_csv(b"x\n").expect("a table");
        assert_eq!(make(&slot, &other, &key), Some(DisclosureError::Table));
        assert_eq!(make(&slot, &table, &TableKey::derive(&[1; 32])), Some(DisclosureError::Table));
        let mut plain = slot.clone();
        plain[BLOB_HEADER_SIZE as usize..].fill(b'x');
        assert!(matches!(make(&plain, &table, &key), Some(DisclosureError::Unsealed(_))));
        let sealed = seal_output(&SALT, b"no table", Hash::default()).expect("sealed");
        let without = [&slot[..BLOB_HEADER_SIZE as usize], &sealed].concat();
        assert_eq!(make(&without, &table, &key), Some(DisclosureError::NoCells));
        assert!(matches!(Disclosure::from_bytes(b""), Err(DisclosureError::Form(_))));
        let long = vec![b' '; DISCLOSURE_BYTES_MAX + 1];
        assert_eq!(Disclosure::from_bytes(&long), Err(DisclosureError::Long(long.len())));
        let newer = String::from_utf8(made(&[(0, 0)]).to_bytes()).expect("text");
        let newer = newer.replace(DISCLOSURE_SCHEMA, "assay.disclosure/2");
        let version = DisclosureError::Version("assay.disclosure/2".into());
        assert_eq!(Disclosure::from_bytes(newer.as_bytes()), Err(version));
    }
}
