//! Programs: reading an ELF, and the id that it has (spec/machine.md#programs).

use assay_merkle::MemoryTree;
use assay_types::{BlobRoot, ProgramId, Tag, sha256};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, elf::FileHeader32};

use crate::memory::Memory;
use crate::slot;
use crate::state::{TEXT_SIZE_MAX, TextRange};

const TAG: Tag = *b"assayp\x01\x01";

/// Where the loader writes the entry point, as the loaders of zkVMs do.
const ENTRY_ADDRESS: u32 = 0x1_0000;

/// The most program headers that a program may have.
const SEGMENTS_MAX: usize = 64;

const PAGE: u32 = 4096;

/// A program: what slot 0 holds at the start, where it begins and what can be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    entry: u32,
    text: TextRange,
    slot_root: BlobRoot,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    address: u32,
    bytes: Vec<u8>,
    /// Size in memory: the bytes, then zeros.
    size: u32,
    flags: u32,
}

/// Why a file is not a program of this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// No ELF magic, or the headers are cut short.
    #[error("not an ELF file: build the program with `assay program build`")]
    NotElf,
    /// An ELF of 64 bits.
    #[error("a 64-bit ELF; this machine has 32: build for riscv32im-unknown-none-elf")]
    Elf64,
    /// A big-endian ELF.
    #[error("a big-endian ELF; this machine is little-endian")]
    BigEndian,
    /// An ELF for another processor.
    #[error("an ELF for machine {0}; build for riscv32im (EM_RISCV, 243)")]
    Machine(u16),
    /// A shared object, relocatable or core file, or one that wants an interpreter.
    #[error("not a static executable: link without PIE and without shared libraries")]
    Dynamic,
    /// The flags announce compressed instructions.
    #[error("uses compressed instructions: build for riscv32im, without the C extension")]
    Compressed,
    /// The flags announce a hard-float ABI.
    #[error("uses a hard-float ABI; this machine has no floats: build for riscv32im, ABI ilp32")]
    HardFloat,
    /// The file ends before what its headers promise.
    #[error("truncated: the file ends within segment {0}")]
    Truncated(usize),
    /// More program headers than 64.
    #[error("{0} program headers; at most {SEGMENTS_MAX} are allowed")]
    SegmentCount(usize),
    /// A segment with more bytes in the file than in memory.
    #[error("segment {0} has more bytes in the file than in memory")]
    SegmentSize(usize),
    /// A segment outside slot 0, or one that covers the entry word or what is below it.
    #[error("segment {index} at {address:#x}, {size:#x} bytes, is not within 0x10004..0x20000000")]
    SegmentOutside {
        /// Which program header.
        index: usize,
        /// Its address.
        address: u32,
        /// Its size in memory.
        size: u32,
    },
    /// Two segments share an address.
    #[error("the segments at {0:#x} and {1:#x} overlap")]
    SegmentsOverlap(u32, u32),
    /// No segment is executable.
    #[error("no segment is executable")]
    NoText,
    /// The hull of the executable segments is larger than 2^26 bytes.
    #[error("executable segments span {0} bytes; at most {TEXT_SIZE_MAX} are allowed")]
    TextTooLarge(u32),
    /// A writable segment touches a page between the first and the last executable one.
    #[error("the writable segment at {0:#x} touches the pages of the executable ones")]
    WritableText(u32),
    /// The entry point is not a multiple of 4 in the text range.
    #[error("the entry point {0:#x} is not an instruction of the executable segments")]
    Entry(u32),
}

impl Program {
    /// Reads an ELF and roots its slot.
    pub fn from_elf(file: &[u8]) -> Result<Self, ProgramError> {
        let header = parse_header(file)?;
        let segments = parse_segments(header, file)?;
        let text = text_range(&segments)?;
        let entry = header.e_entry(LittleEndian);
        if entry % 4 != 0 || !text.contains(entry) {
            return Err(ProgramError::Entry(entry));
        }
        let mut program = Program { entry, text, slot_root: assay_merkle::empty_slot(), segments };
        program.slot_root = program.root_slot();
        Ok(program)
    }

    /// The id: a hash of the slot's root, the entry and the text range.
    pub fn id(&self) -> ProgramId {
        ProgramId(sha256(&self.id_preimage()))
    }

    /// The 52 bytes that the id is the hash of.
    pub fn id_preimage(&self) -> [u8; 52] {
        let mut bytes = [0; 52];
        bytes[..8].copy_from_slice(&TAG);
        bytes[8..40].copy_from_slice(&self.slot_root.0.0);
        bytes[40..44].copy_from_slice(&self.entry.to_be_bytes());
        bytes[44..48].copy_from_slice(&self.text.low().to_be_bytes());
        bytes[48..].copy_from_slice(&self.text.high().to_be_bytes());
        bytes
    }

    /// The root of slot 0 as loaded.
    pub fn slot_root(&self) -> BlobRoot {
        self.slot_root
    }

    /// The address of the first instruction.
    pub fn entry(&self) -> u32 {
        self.entry
    }

    /// What can be executed.
    pub fn text(&self) -> TextRange {
        self.text
    }

    /// The segments: address, size in memory, bytes from the file, flags (1 executable, 2 writable,
    /// 4 readable).
    pub fn segments(&self) -> impl Iterator<Item = (u32, u32, &[u8], u32)> {
        self.segments.iter().map(|s| (s.address, s.size, &s.bytes[..], s.flags))
    }

    pub(crate) fn load(&self, memory: &mut Memory) {
        memory.put(ENTRY_ADDRESS, &self.entry.to_le_bytes());
        for segment in &self.segments {
            memory.put(segment.address, &segment.bytes);
        }
    }

    fn root_slot(&self) -> BlobRoot {
        let mut memory = Memory::new(self.text);
        self.load(&mut memory);
        let changes = memory.take_changes();
        let pages: Vec<_> =
            changes.iter().filter_map(|&(n, leaves)| Some((n, leaves, memory.page(n)?))).collect();
        let mut tree = MemoryTree::new();
        tree.update(&pages);
        tree.slot_root(slot::PROGRAM)
    }
}

fn parse_header(file: &[u8]) -> Result<&FileHeader32<LittleEndian>, ProgramError> {
    let ident = file.get(..16).ok_or(ProgramError::NotElf)?;
    if ident[..4] != elf::ELFMAG {
        return Err(ProgramError::NotElf);
    }
    match ident[4] {
        1 => {}
        2 => return Err(ProgramError::Elf64),
        _ => return Err(ProgramError::NotElf),
    }
    match ident[5] {
        1 => {}
        2 => return Err(ProgramError::BigEndian),
        _ => return Err(ProgramError::NotElf),
    }
    let (header, _) = object::pod::from_bytes::<FileHeader32<LittleEndian>>(file)
        .map_err(|()| ProgramError::NotElf)?;
    let machine = header.e_machine(LittleEndian);
    if machine != elf::EM_RISCV {
        return Err(ProgramError::Machine(machine.0));
    }
    if header.e_type(LittleEndian) != elf::ET_EXEC {
        return Err(ProgramError::Dynamic);
    }
    let flags = header.e_flags(LittleEndian).0;
    if flags & elf::EF_RISCV_RVC.0 != 0 {
        return Err(ProgramError::Compressed);
    }
    if flags & elf::EF_RISCV_FLOAT_ABI != 0 {
        return Err(ProgramError::HardFloat);
    }
    Ok(header)
}

fn parse_segments(
    header: &FileHeader32<LittleEndian>,
    file: &[u8],
) -> Result<Vec<Segment>, ProgramError> {
    let headers = header.program_headers(LittleEndian, file).map_err(|_| ProgramError::NotElf)?;
    if headers.len() > SEGMENTS_MAX {
        return Err(ProgramError::SegmentCount(headers.len()));
    }
    let mut segments: Vec<Segment> = Vec::new();
    for (index, header) in headers.iter().enumerate() {
        match header.p_type(LittleEndian) {
            elf::PT_DYNAMIC | elf::PT_INTERP => return Err(ProgramError::Dynamic),
            elf::PT_LOAD if header.p_memsz(LittleEndian) > 0 => {
                segments.push(parse_segment(index, header, file)?);
            }
            _ => {}
        }
    }
    segments.sort_by_key(|segment| segment.address);
    for pair in segments.windows(2) {
        if pair[0].address + pair[0].size > pair[1].address {
            return Err(ProgramError::SegmentsOverlap(pair[0].address, pair[1].address));
        }
    }
    Ok(segments)
}

fn parse_segment(
    index: usize,
    header: &elf::ProgramHeader32<LittleEndian>,
    file: &[u8],
) -> Result<Segment, ProgramError> {
    let (address, size) = (header.p_vaddr(LittleEndian), header.p_memsz(LittleEndian));
    if header.p_filesz(LittleEndian) > size {
        return Err(ProgramError::SegmentSize(index));
    }
    let end = u64::from(address) + u64::from(size);
    if address < ENTRY_ADDRESS + 4 || end > u64::from(slot::base(slot::SCRATCH)) {
        return Err(ProgramError::SegmentOutside { index, address, size });
    }
    let bytes =
        header.data(LittleEndian, file).map_err(|()| ProgramError::Truncated(index))?.to_vec();
    Ok(Segment { address, bytes, size, flags: header.p_flags(LittleEndian).0 })
}

/// The page hull of the executable segments.
fn text_range(segments: &[Segment]) -> Result<TextRange, ProgramError> {
    let executable = || segments.iter().filter(|segment| segment.flags & elf::PF_X.0 != 0);
    let low = executable().map(|s| s.address).min().ok_or(ProgramError::NoText)?;
    let high = executable().map(|s| s.address + s.size).max().ok_or(ProgramError::NoText)?;
    let (low, high) = (low / PAGE * PAGE, high.next_multiple_of(PAGE));
    let text = TextRange::new(low, high).map_err(|_| ProgramError::TextTooLarge(high - low))?;
    let writable = segments.iter().filter(|segment| segment.flags & elf::PF_W.0 != 0);
    for segment in writable {
        if segment.address < high && segment.address + segment.size > low {
            return Err(ProgramError::WritableText(segment.address));
        }
    }
    Ok(text)
}
