//! Programs by hand: instructions, and ELF files around them.

use assay_machine::{Instruction, Op, Program, ProgramError};

/// Where test programs have their text.
pub const TEXT: u32 = 0x1_1000;

/// Where test programs have their data, a page or more.
pub const DATA: u32 = 0x0010_0000;

/// Any instruction; fields that its format lacks are ignored.
pub fn op(op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) -> u32 {
    Instruction { op, rd, rs1, rs2, imm: imm as u32 }.encode()
}

/// Two instructions that put any value into a register.
pub fn load_immediate(rd: u8, value: u32) -> [u32; 2] {
    let low = (value << 20) as i32 >> 20;
    let high = value.wrapping_sub(low as u32);
    [op(Op::Lui, rd, 0, 0, high as i32), op(Op::Addi, rd, rd, 0, low)]
}

/// A segment of an ELF: address, bytes, size in memory, flags (4 read, 2 write, 1 execute).
#[derive(Debug, Clone)]
pub struct ElfSegment {
    /// Address in memory.
    pub address: u32,
    /// Bytes in the file.
    pub bytes: Vec<u8>,
    /// Size in memory.
    pub size: u32,
    /// Permissions.
    pub flags: u32,
}

/// An executable ELF32 for RISC-V: 52 bytes of header, 32 for each segment, then the bytes of each
/// at a multiple of 4096.
pub fn elf(entry: u32, segments: &[ElfSegment]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(b"\x7fELF\x01\x01\x01");
    file.resize(16, 0);
    for half in [2u16, 243] {
        file.extend(half.to_le_bytes());
    }
    for word in [1, entry, 52, 0, 0] {
        file.extend(u32::to_le_bytes(word));
    }
    for half in [52, 32, segments.len() as u16, 40, 0, 0] {
        file.extend(u16::to_le_bytes(half));
    }
    let mut offset = (52 + 32 * segments.len() as u32).next_multiple_of(4096);
    for s in segments {
        let in_file = s.bytes.len() as u32;
        for word in [1, offset, s.address, s.address, in_file, s.size, s.flags, 4096] {
            file.extend(u32::to_le_bytes(word));
        }
        offset += in_file.next_multiple_of(4096);
    }
    for s in segments {
        file.resize(file.len().next_multiple_of(4096), 0);
        file.extend(&s.bytes);
    }
    file
}

/// An ELF with text at [`TEXT`] and data at [`DATA`].
pub fn elf_of(text: &[u32], data: &[u8]) -> Vec<u8> {
    let bytes: Vec<u8> = text.iter().flat_map(|word| word.to_le_bytes()).collect();
    let size = bytes.len() as u32;
    let code = ElfSegment { address: TEXT, bytes, size, flags: 5 };
    let size = (data.len() as u32).max(4096);
    let data = ElfSegment { address: DATA, bytes: data.to_vec(), size, flags: 6 };
    elf(TEXT, &[code, data])
}

/// The program of [`elf_of`].
pub fn program(text: &[u32], data: &[u8]) -> Result<Program, ProgramError> {
    Program::from_elf(&elf_of(text, data))
}
