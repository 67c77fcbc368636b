#[cfg(not(target_os = "none"))]
use crate::blob;
use crate::cells::TableKey;
use core::fmt;

#[cfg(not(target_os = "none"))]
use alloc::vec::Vec;

/// Where a program writes its answer: the output slot on the machine, a vector elsewhere.
///
/// On the machine the bytes go straight to their place, and the blob's header is right after every
/// write, so there is nothing to flush; in a private job they wait in the spare slot and are sealed
/// as the program ends. `write!` works on it.
pub struct Output {
    #[cfg(not(target_os = "none"))]
    bytes: Vec<u8>,
    #[cfg(target_os = "none")]
    slot: crate::machine::OutputSlot,
}

/// The output would be larger than a blob can be: 2^29 - 32 bytes, and if it is to be sealed some
/// 130 kB less ([`seal::MAX_BYTES`](crate::seal::MAX_BYTES)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputFull {
    max_bytes: u32,
}

impl fmt::Display for OutputFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the output is larger than a blob can be ({} bytes)", self.max_bytes)
    }
}

impl core::error::Error for OutputFull {}

#[cfg(not(target_os = "none"))]
impl Output {
    /// An empty output, for tests and native runs.
    #[expect(clippy::new_without_default, reason = "on the machine there is only the one slot")]
    pub fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// What was written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn max_bytes(&self) -> u32 {
        blob::MAX_BYTES
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn keep_cells_root(&mut self, _root: [u8; 32]) {}

    fn output_key(&self) -> Option<[u8; 32]> {
        None
    }
}

#[cfg(target_os = "none")]
impl Output {
    pub(crate) fn new(slot: crate::machine::OutputSlot) -> Self {
        Self { slot }
    }

    fn len(&self) -> usize {
        self.slot.len()
    }

    fn max_bytes(&self) -> u32 {
        self.slot.max_bytes()
    }

    fn append(&mut self, bytes: &[u8]) {
        self.slot.append(bytes);
    }

    fn keep_cells_root(&mut self, root: [u8; 32]) {
        self.slot.set_cells_root(root);
    }

    fn output_key(&self) -> Option<[u8; 32]> {
        self.slot.output_key()
    }
}

impl Output {
    /// Appends bytes. Errors, and writes nothing, when the blob would grow past its bound.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), OutputFull> {
        let max_bytes = self.max_bytes();
        if bytes.len() > max_bytes as usize - self.len() {
            return Err(OutputFull { max_bytes });
        }
        self.append(bytes);
        Ok(())
    }

    /// The key of the cells of a table in this output; nothing where the output is public, as in
    /// native runs.
    pub fn table_key(&self) -> Option<TableKey> {
        self.output_key().map(|key| TableKey::new(&key))
    }

    /// Puts the root of a table's cells, each salted, into the sealed output's header, where it
    /// stands in the clear: single cells can be shown against it later. It changes nothing where
    /// the output is public, as in native runs.
    pub fn set_cells_root(&mut self, root: [u8; 32]) {
        self.keep_cells_root(root);
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes()).map_err(|OutputFull { .. }| fmt::Error)
    }
}
