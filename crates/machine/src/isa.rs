//! Instructions: one table feeds the decoder, the disassembler and the tests
//! (spec/machine.md#instructions).

use std::fmt;

/// How an instruction's fields lie in its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// rd, upper immediate.
    U,
    /// rd, jump offset.
    J,
    /// rd, rs1, immediate.
    I,
    /// rd, offset(rs1).
    Load,
    /// rs2, offset(rs1).
    S,
    /// rs1, rs2, branch offset.
    B,
    /// rd, rs1, shift amount.
    Shift,
    /// rd, rs1, rs2.
    R,
    /// No fields that count.
    None,
}

/// A row of the table: a word is this instruction if `word & mask == bits`.
#[derive(Debug, Clone, Copy)]
pub struct Opcode {
    /// The operation.
    pub op: Op,
    /// Its mnemonic, lower case.
    pub mnemonic: &'static str,
    /// Its fields.
    pub format: Format,
    /// The bits that decide.
    pub mask: u32,
    /// What they must be.
    pub bits: u32,
}

macro_rules! opcodes {
    ($($op:ident $mnemonic:literal $format:ident $mask:literal $bits:literal)*) => {
        /// An operation of RV32IM, or `Illegal` for every word that is none.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the mnemonics of the RISC-V manual")]
        pub enum Op { $($op,)* Illegal }

        /// Every instruction of the machine.
        pub const OPCODES: [Opcode; Op::Illegal as usize] = [
            $(Opcode {
                op: Op::$op,
                mnemonic: $mnemonic,
                format: Format::$format,
                mask: $mask,
                bits: $bits,
            },)*
        ];
    };
}

opcodes! {
    Lui    "lui"    U     0x0000007f 0x00000037
    Auipc  "auipc"  U     0x0000007f 0x00000017
    Jal    "jal"    J     0x0000007f 0x0000006f
    Jalr   "jalr"   Load  0x0000707f 0x00000067
    Beq    "beq"    B     0x0000707f 0x00000063
    Bne    "bne"    B     0x0000707f 0x00001063
    Blt    "blt"    B     0x0000707f 0x00004063
    Bge    "bge"    B     0x0000707f 0x00005063
    Bltu   "bltu"   B     0x0000707f 0x00006063
    Bgeu   "bgeu"   B     0x0000707f 0x00007063
    Lb     "lb"     Load  0x0000707f 0x00000003
    Lh     "lh"     Load  0x0000707f 0x00001003
    Lw     "lw"     Load  0x0000707f 0x00002003
    Lbu    "lbu"    Load  0x0000707f 0x00004003
    Lhu    "lhu"    Load  0x0000707f 0x00005003
    Sb     "sb"     S     0x0000707f 0x00000023
    Sh     "sh"     S     0x0000707f 0x00001023
    Sw     "sw"     S     0x0000707f 0x00002023
    Addi   "addi"   I     0x0000707f 0x00000013
    Slti   "slti"   I     0x0000707f 0x00002013
    Sltiu  "sltiu"  I     0x0000707f 0x00003013
    Xori   "xori"   I     0x0000707f 0x00004013
    Ori    "ori"    I     0x0000707f 0x00006013
    Andi   "andi"   I     0x0000707f 0x00007013
    Slli   "slli"   Shift 0xfe00707f 0x00001013
    Srli   "srli"   Shift 0xfe00707f 0x00005013
    Srai   "srai"   Shift 0xfe00707f 0x40005013
    Add    "add"    R     0xfe00707f 0x00000033
    Sub    "sub"    R     0xfe00707f 0x40000033
    Sll    "sll"    R     0xfe00707f 0x00001033
    Slt    "slt"    R     0xfe00707f 0x00002033
    Sltu   "sltu"   R     0xfe00707f 0x00003033
    Xor    "xor"    R     0xfe00707f 0x00004033
    Srl    "srl"    R     0xfe00707f 0x00005033
    Sra    "sra"    R     0xfe00707f 0x40005033
    Or     "or"     R     0xfe00707f 0x00006033
    And    "and"    R     0xfe00707f 0x00007033
    Mul    "mul"    R     0xfe00707f 0x02000033
    Mulh   "mulh"   R     0xfe00707f 0x02001033
    Mulhsu "mulhsu" R     0xfe00707f 0x02002033
    Mulhu  "mulhu"  R     0xfe00707f 0x02003033
    Div    "div"    R     0xfe00707f 0x02004033
    Divu   "divu"   R     0xfe00707f 0x02005033
    Rem    "rem"    R     0xfe00707f 0x02006033
    Remu   "remu"   R     0xfe00707f 0x02007033
    Fence  "fence"  None  0x0000707f 0x0000000f
    Ecall  "ecall"  None  0xffffffff 0x00000073
}

/// A decoded instruction, 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub op: Op,
    /// Destination register, 0 to 31.
    pub rd: u8,
    /// First source register, 0 to 31.
    pub rs1: u8,
    /// Second source register, 0 to 31.
    pub rs2: u8,
    /// The immediate, sign-extended, or the shift amount; the word itself if illegal.
    pub imm: u32,
}

/// Where the rows of each major opcode (bits 2 to 6 of the word) begin and end in the table.
const ROWS: [(usize, usize); 32] = {
    let mut rows = [(0, 0); 32];
    let mut i = 0;
    while i < OPCODES.len() {
        let major = (OPCODES[i].bits >> 2 & 31) as usize;
        if rows[major].1 == 0 {
            rows[major] = (i, i + 1);
        } else {
            assert!(rows[major].1 == i, "rows of one major opcode stand together");
            rows[major].1 = i + 1;
        }
        i += 1;
    }
    rows
};

impl Instruction {
    /// Decodes a word.
    pub fn decode(word: u32) -> Self {
        let (first, end) = ROWS[(word >> 2 & 31) as usize];
        let row = OPCODES[first..end].iter().find(|row| word & row.mask == row.bits);
        let register = |shift: u32| (word >> shift & 31) as u8;
        let (op, imm) =
            row.map_or((Op::Illegal, word), |row| (row.op, immediate(row.format, word)));
        Instruction { op, rd: register(7), rs1: register(15), rs2: register(20), imm }
    }
}

impl Instruction {
    /// The word of an instruction: the inverse of [`Instruction::decode`] for fields that its
    /// format has. Bits of the immediate that the format has no room for are lost.
    pub fn encode(self) -> u32 {
        let Some(row) = OPCODES.get(self.op as usize) else { return self.imm };
        let [rd, rs1, rs2] = [self.rd, self.rs1, self.rs2].map(|r| u32::from(r) & 31);
        let (rd, rs1, rs2) = (rd << 7, rs1 << 15, rs2 << 20);
        let imm = self.imm;
        let bits = |from: u32, count: u32, to: u32| (imm >> from & ((1 << count) - 1)) << to;
        row.bits
            | match row.format {
                Format::U => rd | imm & 0xffff_f000,
                Format::J => {
                    rd | bits(20, 1, 31) | bits(1, 10, 21) | bits(11, 1, 20) | bits(12, 8, 12)
                }
                Format::I | Format::Load => rd | rs1 | bits(0, 12, 20),
                Format::S => rs1 | rs2 | bits(5, 7, 25) | bits(0, 5, 7),
                Format::B => {
                    rs1 | rs2 | bits(12, 1, 31) | bits(5, 6, 25) | bits(1, 4, 8) | bits(11, 1, 7)
                }
                Format::Shift => rd | rs1 | bits(0, 5, 20),
                Format::R => rd | rs1 | rs2,
                Format::None => 0,
            }
    }
}

fn immediate(format: Format, word: u32) -> u32 {
    let signed = word as i32;
    let field = |shift: u32, bits: u32| word >> shift & ((1 << bits) - 1);
    match format {
        Format::U => word & 0xffff_f000,
        Format::J => {
            (signed >> 31 << 20) as u32
                | field(12, 8) << 12
                | field(20, 1) << 11
                | field(21, 10) << 1
        }
        Format::I | Format::Load => (signed >> 20) as u32,
        Format::S => (signed >> 25 << 5) as u32 | field(7, 5),
        Format::B => {
            (signed >> 31 << 12) as u32 | field(7, 1) << 11 | field(25, 6) << 5 | field(8, 4) << 1
        }
        Format::Shift => field(20, 5),
        Format::R | Format::None => 0,
    }
}

/// The ABI's names of the registers (RISC-V psABI, "Integer Register Convention").
const REGISTERS: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];

/// Assembly as GNU tools write it; jumps and branches show their offset from pc.
impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(row) = OPCODES.get(self.op as usize) else {
            return write!(f, "illegal {:#010x}", self.imm);
        };
        let [rd, rs1, rs2] = [self.rd, self.rs1, self.rs2].map(|r| REGISTERS[r as usize]);
        let (name, imm) = (row.mnemonic, self.imm as i32);
        match row.format {
            Format::U => write!(f, "{name} {rd}, {:#x}", self.imm >> 12),
            Format::J => write!(f, "{name} {rd}, {imm}"),
            Format::I | Format::Shift => write!(f, "{name} {rd}, {rs1}, {imm}"),
            Format::Load => write!(f, "{name} {rd}, {imm}({rs1})"),
            Format::S => write!(f, "{name} {rs2}, {imm}({rs1})"),
            Format::B => write!(f, "{name} {rs1}, {rs2}, {imm}"),
            Format::R => write!(f, "{name} {rd}, {rs1}, {rs2}"),
            Format::None => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_do_not_overlap() {
        for (i, a) in OPCODES.iter().enumerate() {
            assert_eq!(a.op as usize, i, "a row stands at its operation's number");
            assert_eq!(Instruction::decode(a.bits).op, a.op, "{} decodes to itself", a.mnemonic);
            for b in &OPCODES[i + 1..] {
                let common = a.mask & b.mask;
                assert_ne!(a.bits & common, b.bits & common, "{} {}", a.mnemonic, b.mnemonic);
            }
        }
    }

    #[test]
    fn encoding_undoes_decoding() {
        for row in &OPCODES {
            for fill in [0, u32::MAX, 0x5a5a_5a5a, 0xa5a5_a5a5, 0x1234_5678] {
                let word = row.bits | fill & !row.mask;
                let word = if row.op == Op::Fence { row.bits } else { word };
                assert_eq!(Instruction::decode(word).encode(), word, "{} {word:#x}", row.mnemonic);
            }
        }
    }

    /// Words and what GNU objdump 2.40 says of them.
    #[test]
    fn disassembly() {
        for (word, expect) in [
            (0xfe01_0113, "addi sp, sp, -32"),
            (0x0011_2e23, "sw ra, 28(sp)"),
            (0xfe84_2783, "lw a5, -24(s0)"),
            (0x0010_0537, "lui a0, 0x100"),
            (0xfddf_f06f, "jal zero, -36"),
            (0x0000_8067, "jalr zero, 0(ra)"),
            (0xfe05_9ee3, "bne a1, zero, -4"),
            (0x4037_d793, "srai a5, a5, 3"),
            (0x02e7_d7b3, "divu a5, a5, a4"),
            (0x0ff0_000f, "fence"),
            (0x0000_0073, "ecall"),
            (0x0010_0073, "illegal 0x00100073"),
            (0x0000_0000, "illegal 0x00000000"),
        ] {
            assert_eq!(Instruction::decode(word).to_string(), expect);
        }
    }
}
