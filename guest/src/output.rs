use crate::blob::MAX_BYTES;
use core::fmt;

#[cfg(not(target_os = "none"))]
use alloc::vec::Vec;

/// Where a program writes its answer: the output slot on the machine, a vector elsewhere.
///
/// On the machine the bytes go straight to their place, and the blob's header is right after every write, so there
/// is nothing to flush. `write!` works on it.
pub struct Output {
    #[cfg(not(target_os = "none"))]
    bytes: Vec<u8>,
    #[cfg(target_os = "none")]
    slot: crate::machine::OutputSlot,
}

/// The output would be larger than a blob can be, 2^29 - 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputFull;

impl fmt::Display for OutputFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the output is larger than a blob can be ({MAX_BYTES} bytes)")
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

    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
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

    fn append(&mut self, bytes: &[u8]) {
        self.slot.append(bytes);
    }
}

impl Output {
    /// Appends bytes. Errors, and writes nothing, when the blob would grow past 2^29 - 32 bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), OutputFull> {
        if bytes.len() > MAX_BYTES as usize - self.len() {
            return Err(OutputFull);
        }
        self.append(bytes);
        Ok(())
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes()).map_err(|OutputFull| fmt::Error)
    }
}
