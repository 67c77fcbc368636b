//! The bytes of a machine: sparse pages that know which of their leaves changed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use assay_merkle::{BlobHeader, ImageError, LEAF_SIZE, PAGE_SIZE, Page, read_image};

use crate::execute::{Bus, TrapCause, check_load, check_store, is_mapped};
use crate::program::Program;
use crate::slot;
use crate::state::{Cpu, StepLimit, TextRange};

const PAGES: usize = 1 << 20;

/// How many tables are kept for the next memories.
const SPARE_TABLES_MAX: usize = 32;

/// 2^32 bytes, of which only pages that were written exist.
#[derive(Debug, Clone)]
pub struct Memory {
    table: Table,
    frames: Vec<Frame>,
    /// Pages with a changed leaf.
    changed: Vec<u32>,
    text: TextRange,
}

/// For each page of the address space: 0 if absent, else one more than its place among the frames.
#[derive(Debug)]
struct Table {
    /// None only while it is dropped.
    places: Option<Places>,
    /// The pages that are not absent, by their places.
    pages: Vec<u32>,
}

type Places = Box<[u32; PAGES]>;

/// Tables that are all zeros. Most memories touch a few of a table's 4 MiB, so that making one
/// costs far more than undoing what was done to it: a market's jobs are many and short.
static SPARE_TABLES: Mutex<Vec<Places>> = Mutex::new(Vec::new());

#[derive(Debug, Clone)]
#[repr(align(64))]
struct Frame {
    bytes: Page,
    /// Leaves written since the changes were last taken, a bit each.
    changed: u16,
}

/// A machine: registers, and memory with a program in it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Registers and counters.
    pub cpu: Cpu,
    /// The memory.
    pub memory: Memory,
}

impl Machine {
    /// A machine with a program in slot 0 and all other slots empty.
    pub fn new(program: &Program, step_limit: StepLimit) -> Self {
        let mut memory = Memory::new(program.text());
        program.load(&mut memory);
        Machine { cpu: Cpu::new(program.entry(), program.text(), step_limit), memory }
    }
}

impl Memory {
    pub(crate) fn new(text: TextRange) -> Self {
        Memory { table: Table::new(), frames: Vec::new(), changed: Vec::new(), text }
    }

    /// Writes bytes at an address, as a loader does: text may be written, and zeros make no page.
    ///
    /// # Panics
    /// If not all of the bytes are mapped: an unmapped page that exists could be read.
    pub fn put(&mut self, mut address: u32, mut bytes: &[u8]) {
        let Some(last) = (bytes.len() as u32).checked_sub(1) else { return };
        let end = u64::from(address) + bytes.len() as u64;
        assert!(end <= 1 << 32 && is_mapped(address) && is_mapped(address + last), "unmapped");
        while !bytes.is_empty() {
            let (page, offset) = (address / PAGE_SIZE, address % PAGE_SIZE);
            let (piece, rest) = bytes.split_at(bytes.len().min((PAGE_SIZE - offset) as usize));
            if self.page(page).is_some() || piece.iter().any(|&byte| byte != 0) {
                let leaves = offset / LEAF_SIZE..=(offset + piece.len() as u32 - 1) / LEAF_SIZE;
                let leaves = leaves.fold(0, |bits, leaf| bits | 1 << leaf);
                let frame = self.touch(page, leaves);
                frame.bytes[offset as usize..][..piece.len()].copy_from_slice(piece);
            }
            address += piece.len() as u32;
            bytes = rest;
        }
    }

    /// Writes a blob into an empty slot.
    pub fn put_blob(&mut self, slot: u32, header: BlobHeader, bytes: &[u8]) {
        self.put(slot::base(slot), &header.to_bytes());
        self.put(slot::base(slot) + 32, bytes);
    }

    /// Writes a slot image into an empty slot. After an error the slot's content is void.
    pub fn put_image(&mut self, slot: u32, image: &[u8]) -> Result<(), ImageError> {
        read_image(image, |leaf, bytes| self.put(slot::base(slot) + leaf * LEAF_SIZE, bytes))
    }

    /// A page's bytes by its number (address / 4096), if it was ever written.
    pub fn page(&self, page: u32) -> Option<&Page> {
        let place = self.table.get(page)?.checked_sub(1)?;
        Some(&self.frames[place as usize].bytes)
    }

    /// The pages changed since the last call, ascending, with their changed leaves, a bit each.
    pub fn take_changes(&mut self) -> Vec<(u32, u16)> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        let leaves = |page: u32| {
            let place = self.table.place(page) - 1;
            (page, std::mem::take(&mut self.frames[place as usize].changed))
        };
        changed.into_iter().map(leaves).collect()
    }

    /// The frame of a page, made if absent, with the leaves marked as changed.
    fn touch(&mut self, page: u32, leaves: u16) -> &mut Frame {
        if self.table.place(page) == 0 {
            self.frames.push(Frame { bytes: [0; PAGE_SIZE as usize], changed: 0 });
            self.table.add(page);
        }
        let frame = &mut self.frames[self.table.place(page) as usize - 1];
        if frame.changed == 0 {
            self.changed.push(page);
        }
        frame.changed |= leaves;
        frame
    }

    #[cold]
    fn store_new<const SIZE: u32>(&mut self, address: u32, value: u32) -> Result<(), TrapCause> {
        check_store::<SIZE>(address, self.text)?;
        let frame = self.touch(address / PAGE_SIZE, leaf_bit(address));
        write::<SIZE>(&mut frame.bytes, address, value);
        Ok(())
    }
}

impl Bus for Memory {
    #[inline(always)]
    fn load<const SIZE: u32>(&mut self, address: u32) -> Result<u32, TrapCause> {
        let place = self.table.place(address / PAGE_SIZE).wrapping_sub(1);
        match self.frames.get(place as usize) {
            // A page that exists is mapped: loaders and stores make no other.
            Some(frame) if address % SIZE == 0 => Ok(read::<SIZE>(&frame.bytes, address)),
            _ => check_load::<SIZE>(address).map(|()| 0),
        }
    }

    #[inline(always)]
    fn store<const SIZE: u32>(&mut self, address: u32, value: u32) -> Result<(), TrapCause> {
        let place = self.table.place(address / PAGE_SIZE).wrapping_sub(1);
        match self.frames.get_mut(place as usize) {
            Some(frame)
                if frame.changed != 0 && address % SIZE == 0 && !self.text.contains(address) =>
            {
                frame.changed |= leaf_bit(address);
                write::<SIZE>(&mut frame.bytes, address, value);
                Ok(())
            }
            _ => self.store_new::<SIZE>(address, value),
        }
    }
}

impl Table {
    fn new() -> Self {
        let places = spare_tables().pop().unwrap_or_else(|| {
            // From a vector, since 4 MiB of zeros come untouched from the allocator that way.
            let places = vec![0; PAGES].into_boxed_slice().try_into();
            places.unwrap_or_else(|_| unreachable!("a vector of that size"))
        });
        Table { places: Some(places), pages: Vec::new() }
    }

    /// The entry of a page of the address space.
    #[inline(always)]
    fn place(&self, page: u32) -> u32 {
        self.places.as_ref().map_or(0, |places| places[page as usize])
    }

    /// The same for any number; none beyond the address space.
    fn get(&self, page: u32) -> Option<u32> {
        self.places.as_ref()?.get(page as usize).copied()
    }

    /// Gives a page the next place.
    fn add(&mut self, page: u32) {
        self.pages.push(page);
        if let Some(places) = &mut self.places {
            places[page as usize] = self.pages.len() as u32;
        }
    }
}

impl Clone for Table {
    fn clone(&self) -> Self {
        let mut table = Table::new();
        self.pages.iter().for_each(|page| table.add(*page));
        table
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let Some(mut places) = self.places.take() else { return };
        self.pages.iter().for_each(|page| places[*page as usize] = 0);
        let mut spare = spare_tables();
        if spare.len() < SPARE_TABLES_MAX {
            spare.push(places);
        }
    }
}

fn spare_tables() -> MutexGuard<'static, Vec<Places>> {
    // A table is in the list only once it is all zeros, so a panic elsewhere spoils nothing.
    SPARE_TABLES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn leaf_bit(address: u32) -> u16 {
    1 << (address / LEAF_SIZE % 16)
}

/// Reads `SIZE` aligned bytes, little-endian.
#[inline(always)]
pub(crate) fn read<const SIZE: u32>(bytes: &[u8], address: u32) -> u32 {
    let at = address as usize & (bytes.len() - 1) & !(SIZE as usize - 1);
    match SIZE {
        1 => u32::from(bytes[at]),
        2 => u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]])),
        _ => u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]),
    }
}

/// Writes `SIZE` aligned bytes, little-endian.
#[inline(always)]
pub(crate) fn write<const SIZE: u32>(bytes: &mut [u8], address: u32, value: u32) {
    let at = address as usize & (bytes.len() - 1) & !(SIZE as usize - 1);
    bytes[at..at + SIZE as usize].copy_from_slice(&value.to_le_bytes()[..SIZE as usize]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        Memory::new(TextRange::new(0x1_1000, 0x1_2000).unwrap())
    }

    #[test]
    fn a_table_that_was_used_before_is_as_good_as_new() {
        for _ in 0..3 {
            let mut used = memory();
            used.put(0x4000_0000, &[7; 3 * PAGE_SIZE as usize]);
            let copy = used.clone();
            assert_eq!(copy.page(0x4_0002), used.page(0x4_0002), "a copy has the same pages");
            used.put(0x8000_0000, &[7]);
            assert!(copy.page(0x8_0000).is_none(), "and stays as it was");
            drop((used, copy));
            let fresh = memory();
            assert!((0..PAGES as u32).all(|page| fresh.page(page).is_none()));
            assert!(fresh.page(u32::MAX).is_none(), "there is no such page");
        }
    }

    #[test]
    fn zeros_make_no_page() {
        let mut memory = memory();
        memory.put(0x4000_0000, &[0; 10_000]);
        assert!(memory.take_changes().is_empty(), "nothing to remember");
        memory.put(0x4000_0ffe, &[0, 0, 1]);
        assert_eq!(memory.take_changes(), [(0x4_0001, 1)], "only the page with the one");
        memory.put(0x4000_1000, &[0; 600]);
        assert_eq!(memory.take_changes(), [(0x4_0001, 7)], "zeros over something do count");
    }

    #[test]
    fn changes_are_told_once_and_by_leaf() {
        let mut memory = memory();
        assert_eq!(memory.store::<4>(0x8000_0100, 5), Ok(()));
        assert_eq!(memory.store::<1>(0x8000_0fff, 5), Ok(()));
        assert_eq!(memory.take_changes(), [(0x8_0000, 0x8002)]);
        assert_eq!(memory.take_changes(), []);
        assert_eq!(memory.store::<2>(0x8000_0100, 5), Ok(()));
        assert_eq!(memory.take_changes(), [(0x8_0000, 2)]);
    }

    #[test]
    fn alignment_comes_before_mapping_before_text() {
        let mut memory = memory();
        memory.put(0x1_1000, &[1; 4]);
        assert_eq!(memory.load::<4>(2), Err(TrapCause::MisalignedLoad));
        assert_eq!(memory.load::<4>(0xfffc), Err(TrapCause::UnmappedLoad));
        assert_eq!(memory.load::<4>(0x1_1000), Ok(0x0101_0101), "text can be read");
        assert_eq!(memory.load::<2>(0x1_1001), Err(TrapCause::MisalignedLoad), "on a page too");
        assert_eq!(memory.store::<2>(0x1_1001, 0), Err(TrapCause::MisalignedStore));
        assert_eq!(memory.store::<1>(0x1_1001, 0), Err(TrapCause::StoreIntoText));
        assert_eq!(memory.store::<1>(0x1_1fff, 0), Err(TrapCause::StoreIntoText));
        assert_eq!(memory.store::<1>(0x1_2000, 0), Ok(()));
        assert_eq!(memory.store::<1>(0xc000_0000, 0), Err(TrapCause::UnmappedStore));
        assert_eq!(memory.store::<4>(0xbfff_fffc, 7), Ok(()));
        assert_eq!(memory.load::<1>(0xbfff_fffc), Ok(7));
        assert_eq!(memory.load::<1>(0xffff_ffff), Err(TrapCause::UnmappedLoad));
    }
}
