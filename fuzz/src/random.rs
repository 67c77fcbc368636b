//! Random programs that go far: biased towards values and addresses where machines differ.

use assay_machine::{Format, OPCODES, Op, Opcode};
use fastrand::Rng;

use crate::asm::{DATA, load_immediate, op};

/// How wild a program is.
#[derive(Debug, Clone, Copy)]
pub struct Wildness {
    /// Words that are no instruction, in a thousand.
    pub illegal: u32,
    /// Memory accesses at any address and alignment, in a thousand.
    pub stray: u32,
    /// Registers may hold anything; otherwise x8 and x9 always point into data, and x1 counts
    /// loops.
    pub free_registers: bool,
}

impl Wildness {
    /// A mix: a third of all programs are tame and run long, the rest trap sooner or later.
    pub fn any(rng: &mut Rng) -> Self {
        Wildness {
            illegal: [0, 2, 50][rng.usize(..3)],
            stray: [0, 5, 200][rng.usize(..3)],
            free_registers: rng.u32(..3) == 0,
        }
    }
}

/// Values at which arithmetic has its edges, and addresses at the borders of what is mapped.
const VALUES: [u32; 24] = [
    0,
    1,
    2,
    31,
    32,
    33,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0xffff_ffff,
    0xffff_fffe,
    0x0000_fffc,
    0x0001_0000,
    0x2000_0000,
    0x4000_0000,
    0x8000_0ffe,
    0xbfff_fffc,
    0xc000_0000,
];

/// The registers that tame programs keep: data pointers and the loop counter.
const KEPT: [u8; 3] = [1, 8, 9];

/// A random value, often an edge.
pub fn value(rng: &mut Rng) -> u32 {
    match rng.u32(..4) {
        0 => VALUES[rng.usize(..VALUES.len())],
        1 => VALUES[rng.usize(..VALUES.len())].wrapping_add(rng.u32(..8)).wrapping_sub(4),
        2 => DATA + rng.u32(..4096),
        _ => rng.u32(..),
    }
}

/// The text of a random program: registers are set, then about `size` instructions that may loop,
/// then `end`.
pub fn text(rng: &mut Rng, size: u32, wild: Wildness, end: &[u32]) -> Vec<u32> {
    let mut text = Vec::new();
    for register in 1..32 {
        text.extend(load_immediate(register, value(rng)));
    }
    text.extend(load_immediate(1, rng.u32(2..400)));
    text.extend(load_immediate(8, DATA + 2048));
    text.extend(load_immediate(9, DATA + 1024 + rng.u32(..512)));
    let body = text.len() as u32;
    let mut marks = Vec::new();
    while (text.len() as u32) < body + size {
        let here = text.len() as u32;
        let mark = marks.last().filter(|&&mark| rng.u32(..30) == 0 && here - mark < 1000);
        if let Some(mark) = mark {
            // Every way back leads to a countdown of x1, so that loops end wherever they are
            // entered.
            text.push(op(Op::Blt, 0, 0, 1, -4 * (here - mark) as i32));
        } else if rng.u32(..30) == 0 {
            marks.push(here);
            text.push(op(Op::Addi, 1, 1, 0, -1));
        } else {
            text.push(instruction(rng, body + size - here, wild));
        }
    }
    text.extend(end);
    text
}

fn instruction(rng: &mut Rng, left: u32, wild: Wildness) -> u32 {
    if rng.u32(..1000) < wild.illegal {
        return illegal(rng);
    }
    loop {
        let row = &OPCODES[rng.usize(..OPCODES.len())];
        if let Some(word) = fill(rng, row, left, wild) {
            return word;
        }
    }
}

/// A row's instruction with random fields, or `None` where a tame program has no use for it.
fn fill(rng: &mut Rng, row: &Opcode, left: u32, wild: Wildness) -> Option<u32> {
    let stray = rng.u32(..1000) < wild.stray;
    let (rs1, rs2) = (rng.u8(..32), rng.u8(..32));
    let mut rd = rng.u8(..32);
    while !wild.free_registers && KEPT.contains(&rd) {
        rd = rng.u8(..32);
    }
    let any = rng.u32(..) as i32;
    let forward = 4 * rng.u32(1..left.clamp(2, 30)) as i32;
    Some(match (row.op, row.format) {
        (Op::Ecall, _) if !stray => return None,
        (Op::Jalr, _) if stray => op(row.op, rd, rs1, 0, any),
        (Op::Jalr, _) => return None,
        (Op::Fence, _) => row.bits | rng.u32(..) & !row.mask,
        (_, Format::J) if stray => op(row.op, rd, 0, 0, any << 20 >> 20),
        (_, Format::J) => op(row.op, rd, 0, 0, forward),
        (_, Format::B) if stray => op(row.op, 0, rs1, rs2, any),
        (_, Format::B) => op(row.op, 0, rs1, rs2, forward),
        (_, Format::Load | Format::S) if stray => op(row.op, rd, rs1, rs2, any),
        (_, Format::Load | Format::S) => {
            let size = 1 << (row.bits >> 12 & 3);
            op(row.op, rd, 8, rs2, (rng.u32(..4096) & !(size - 1)) as i32 - 2048)
        }
        _ => op(row.op, rd, rs1, rs2, any),
    })
}

/// A word that is close to an instruction: a bit of a real one flipped, or a known one that the
/// machine leaves out.
fn illegal(rng: &mut Rng) -> u32 {
    const LEFT_OUT: [u32; 8] = [
        0,
        0xffff_ffff,
        0x0010_0073, // ebreak
        0x3020_0073, // mret
        0x0000_100f, // fence.i
        0xc000_2573, // rdcycle a0
        0x1005_2573, // csrrs
        0x0000_4501, // compressed
    ];
    if rng.bool() {
        return LEFT_OUT[rng.usize(..LEFT_OUT.len())];
    }
    let row = &OPCODES[rng.usize(..OPCODES.len())];
    (row.bits | rng.u32(..) & !row.mask) ^ 1 << rng.u32(..32)
}
