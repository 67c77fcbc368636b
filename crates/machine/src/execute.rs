//! What each instruction does: the only place that says so (spec/machine.md#instructions).

use crate::isa::{Instruction, Op};
use crate::state::TextRange;

/// Why an instruction could not be done (spec/machine.md#traps). For people: no state holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum TrapCause {
    /// pc is outside the text range.
    #[error("fetch outside text")]
    FetchOutsideText,
    /// The word is no instruction of the machine.
    #[error("illegal instruction")]
    IllegalInstruction,
    /// ECALL with a7 other than 93.
    #[error("unknown system call")]
    UnknownSystemCall,
    /// A jump or taken branch to an address that is not a multiple of 4.
    #[error("misaligned jump")]
    MisalignedJump,
    /// A load from an address that is not a multiple of its size.
    #[error("misaligned load")]
    MisalignedLoad,
    /// A store to an address that is not a multiple of its size.
    #[error("misaligned store")]
    MisalignedStore,
    /// A load from outside the mapped slots.
    #[error("unmapped load")]
    UnmappedLoad,
    /// A store outside the mapped slots.
    #[error("unmapped store")]
    UnmappedStore,
    /// A store into the text range.
    #[error("store into text")]
    StoreIntoText,
}

/// Why a run ends with an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Exit { code: u32 },
    Trap(TrapCause),
}

impl From<TrapCause> for Stop {
    fn from(cause: TrapCause) -> Self {
        Stop::Trap(cause)
    }
}

/// Where loads and stores go. Sizes are 1, 2 or 4 bytes; a value's bytes above its size are zero.
pub(crate) trait Bus {
    fn load<const SIZE: u32>(&mut self, address: u32) -> Result<u32, TrapCause>;
    fn store<const SIZE: u32>(&mut self, address: u32, value: u32) -> Result<(), TrapCause>;
}

/// True if an access at the address, naturally aligned, is within the slots.
#[inline(always)]
pub(crate) fn is_mapped(address: u32) -> bool {
    address.wrapping_sub(0x1_0000) < 0xC000_0000 - 0x1_0000
}

/// May `SIZE` bytes be read here?
#[inline(always)]
pub(crate) fn check_load<const SIZE: u32>(address: u32) -> Result<(), TrapCause> {
    if address % SIZE != 0 {
        return Err(TrapCause::MisalignedLoad);
    }
    if is_mapped(address) { Ok(()) } else { Err(TrapCause::UnmappedLoad) }
}

/// May `SIZE` bytes be written here?
#[inline(always)]
pub(crate) fn check_store<const SIZE: u32>(address: u32, text: TextRange) -> Result<(), TrapCause> {
    if address % SIZE != 0 {
        return Err(TrapCause::MisalignedStore);
    }
    if !is_mapped(address) {
        return Err(TrapCause::UnmappedStore);
    }
    if text.contains(address) { Err(TrapCause::StoreIntoText) } else { Ok(()) }
}

/// Registers while instructions are executed: as long as an index in a byte can reach, so that none
/// needs a check. Only the first 32 are used, and the first is always zero.
pub(crate) type Registers = [u32; 256];

/// The registers of a state, ready to execute.
pub(crate) fn registers(x: &[u32; 32]) -> Registers {
    let mut registers = [0; 256];
    registers[..32].copy_from_slice(x);
    registers
}

/// The registers of a state again.
pub(crate) fn state_registers(registers: &Registers) -> [u32; 32] {
    std::array::from_fn(|i| registers[i])
}

/// Executes one instruction at `pc`, giving the next pc. On `Err` nothing was written.
#[inline(always)]
pub(crate) fn execute(
    instruction: &Instruction,
    pc: u32,
    x: &mut Registers,
    bus: &mut impl Bus,
) -> Result<u32, Stop> {
    let &Instruction { op, rd, rs1, rs2, imm } = instruction;
    let (a, b) = (x[rs1 as usize], x[rs2 as usize]);
    let next = pc.wrapping_add(4);
    let address = a.wrapping_add(imm);
    let relative = pc.wrapping_add(imm);
    let branch = |taken: bool| if taken { aligned(relative) } else { Ok(next) };
    let mut to = next;
    let value = match op {
        Op::Lui => imm,
        Op::Auipc => relative,
        Op::Jal => {
            to = aligned(relative)?;
            next
        }
        Op::Jalr => {
            to = aligned(address & !1)?;
            next
        }
        Op::Beq => return branch(a == b),
        Op::Bne => return branch(a != b),
        Op::Blt => return branch((a as i32) < b as i32),
        Op::Bge => return branch(a as i32 >= b as i32),
        Op::Bltu => return branch(a < b),
        Op::Bgeu => return branch(a >= b),
        Op::Lb => bus.load::<1>(address)? as i8 as u32,
        Op::Lh => bus.load::<2>(address)? as i16 as u32,
        Op::Lw => bus.load::<4>(address)?,
        Op::Lbu => bus.load::<1>(address)?,
        Op::Lhu => bus.load::<2>(address)?,
        Op::Sb => return Ok(bus.store::<1>(address, b & 0xff).map(|()| next)?),
        Op::Sh => return Ok(bus.store::<2>(address, b & 0xffff).map(|()| next)?),
        Op::Sw => return Ok(bus.store::<4>(address, b).map(|()| next)?),
        Op::Addi => address,
        Op::Slti => u32::from((a as i32) < imm as i32),
        Op::Sltiu => u32::from(a < imm),
        Op::Xori => a ^ imm,
        Op::Ori => a | imm,
        Op::Andi => a & imm,
        Op::Slli => a << (imm & 31),
        Op::Srli => a >> (imm & 31),
        Op::Srai => (a as i32 >> (imm & 31)) as u32,
        Op::Add => a.wrapping_add(b),
        Op::Sub => a.wrapping_sub(b),
        Op::Sll => a << (b & 31),
        Op::Slt => u32::from((a as i32) < b as i32),
        Op::Sltu => u32::from(a < b),
        Op::Xor => a ^ b,
        Op::Srl => a >> (b & 31),
        Op::Sra => (a as i32 >> (b & 31)) as u32,
        Op::Or => a | b,
        Op::And => a & b,
        Op::Mul => a.wrapping_mul(b),
        Op::Mulh => ((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32,
        Op::Mulhsu => ((i64::from(a as i32) * i64::from(b)) >> 32) as u32,
        Op::Mulhu => ((u64::from(a) * u64::from(b)) >> 32) as u32,
        Op::Div if b == 0 => u32::MAX,
        Op::Div => (a as i32).wrapping_div(b as i32) as u32,
        Op::Divu => a.checked_div(b).unwrap_or(u32::MAX),
        Op::Rem if b == 0 => a,
        Op::Rem => (a as i32).wrapping_rem(b as i32) as u32,
        Op::Remu => a.checked_rem(b).unwrap_or(a),
        Op::Fence => return Ok(next),
        Op::Ecall if x[17] == 93 => return Err(Stop::Exit { code: x[10] }),
        Op::Ecall => return Err(TrapCause::UnknownSystemCall.into()),
        Op::Illegal => return Err(TrapCause::IllegalInstruction.into()),
    };
    x[rd as usize] = value;
    x[0] = 0;
    Ok(to)
}

#[inline(always)]
fn aligned(target: u32) -> Result<u32, Stop> {
    if target % 4 == 0 { Ok(target) } else { Err(TrapCause::MisalignedJump.into()) }
}
