//! Single steps at the edges where machines were wrong before, by name: each is a test and a
//! recorded vector.

use assay_machine::{
    Engine, Instruction, Interpreter, Machine, Op, Program, Run, State, StepLimit, TrapCause,
    VerifiedStep, Witness, verify_step,
};

use crate::asm::{DATA, ElfSegment, TEXT, elf, op};

/// One step from a known state.
#[derive(Debug, Clone)]
pub struct Edge {
    /// What it is about.
    pub name: &'static str,
    /// The word at [`TEXT`] (or at `pc`).
    pub word: u32,
    /// Where to start, if not at [`TEXT`].
    pub pc: u32,
    /// Registers before, where not zero.
    pub x: Vec<(u8, u32)>,
    /// Words at [`DATA`].
    pub data: Vec<u32>,
    /// The step limit.
    pub limit: u64,
    /// What must come of it.
    pub expect: Expect,
}

/// What must come of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// pc goes on by 4, one register (or none, if 0) gets a value, all else stays.
    Register(u8, u32),
    /// pc is this, one register (or none, if 0) gets a value.
    Jump(u32, u8, u32),
    /// A word of memory gets a value.
    Memory(u32, u32),
    /// Exited with a code.
    Exit(u32),
    /// Trapped.
    Trap(TrapCause),
    /// Out of steps.
    OutOfSteps,
}

use Expect::{Exit, Jump, Memory, OutOfSteps, Register, Trap};

const MIN: u32 = 0x8000_0000;

/// The executable text of every edge ends here: a page and a bit, so that a jump can leave it.
const TEXT_END: u32 = TEXT + 0x1000;

impl Edge {
    fn new(name: &'static str, word: u32, x: &[(u8, u32)], expect: Expect) -> Self {
        Edge { name, word, pc: TEXT, x: x.to_vec(), data: vec![], limit: 10, expect }
    }

    /// rd = x5 from x6 = a and x7 = b.
    fn binary(name: &'static str, code: Op, a: u32, b: u32, expect: u32) -> Self {
        Edge::new(name, op(code, 5, 6, 7, 0), &[(6, a), (7, b)], Register(5, expect))
    }

    fn data(mut self, data: &[u32]) -> Self {
        self.data = data.to_vec();
        self
    }

    fn at(mut self, pc: u32) -> Self {
        self.pc = pc;
        self
    }

    fn limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// A run that stands before the step.
    pub fn run(&self) -> Run<Interpreter> {
        let mut text = vec![0; (TEXT_END - TEXT) as usize];
        let place = (self.pc - TEXT) as usize;
        if let Some(word) = text.get_mut(place..place + 4) {
            word.copy_from_slice(&self.word.to_le_bytes());
        }
        let data = self.data.iter().flat_map(|word| word.to_le_bytes()).collect();
        let segments = [
            ElfSegment { address: TEXT, bytes: text, size: TEXT_END - TEXT, flags: 5 },
            ElfSegment { address: DATA, bytes: data, size: 8192, flags: 6 },
        ];
        let program = Program::from_elf(&elf(TEXT, &segments));
        let program = program.unwrap_or_else(|error| unreachable!("{}: {error}", self.name));
        let limit = StepLimit::new(self.limit).unwrap_or(StepLimit::MAX);
        let mut machine = Machine::new(&program, limit);
        machine.cpu.pc = self.pc;
        for &(register, value) in &self.x {
            machine.cpu.x[register as usize] = value;
        }
        Run::new(Interpreter::new(machine))
    }

    /// The step's witness, once the engine and the witness agree on what is expected. `Err` tells
    /// what differs.
    pub fn check(&self) -> Result<Witness, String> {
        let mut run = self.run();
        let witness = run.witness();
        let verified = verify_step(&witness.to_bytes()).map_err(|error| error.to_string())?;
        run.advance(1);
        let after = run.state();
        if after != verified.state_after {
            return Err(format!("engine {after:?}\nwitness {:?}", verified.state_after));
        }
        let cause = run.engine().trap().map(|trap| trap.cause);
        if cause != verified.trap {
            return Err(format!("engine trapped by {cause:?}, witness by {:?}", verified.trap));
        }
        self.judge(&verified, &run).map(|()| witness)
    }

    fn judge(&self, step: &VerifiedStep, run: &Run<Interpreter>) -> Result<(), String> {
        let before = &step.state_before;
        let mut cpu = before.cpu.clone();
        let mut outcome = |pc: u32, rd: u8, value: u32| {
            cpu.pc = pc;
            cpu.x[rd as usize] = value;
            cpu.step += 1;
            State { cpu: cpu.clone(), memory_root: before.memory_root }
        };
        let after = &step.state_after;
        let fits = match self.expect {
            Register(rd, value) => *after == outcome(self.pc + 4, rd, value),
            Jump(pc, rd, value) => *after == outcome(pc, rd, value),
            Memory(address, value) => {
                let page = run.engine().page(address / 4096);
                let at = address as usize % 4096;
                page.is_some_and(|page| page[at..at + 4] == value.to_le_bytes())
                    && after.cpu == outcome(self.pc + 4, 0, 0).cpu
            }
            Exit(code) => after.cpu.status == assay_machine::Status::Exited { code },
            Trap(cause) => step.trap == Some(cause),
            OutOfSteps => after.cpu.status == assay_machine::Status::OutOfSteps,
        };
        let cleared = !after.cpu.status.is_final() || after.cpu.pc == 0 && after.cpu.x == [0; 32];
        if fits && cleared && after.cpu.step == 1 {
            return Ok(());
        }
        let instruction = Instruction::decode(self.word);
        Err(format!("{instruction}: expected {:?}, got {after:?} ({:?})", self.expect, step.trap))
    }
}

/// Every edge.
pub fn edges() -> Vec<Edge> {
    [arithmetic(), encodings(), jumps(), memory(), ends(), every_opcode()].concat()
}

fn arithmetic() -> Vec<Edge> {
    let b = Edge::binary;
    let i = |name, code, a, imm, expect| {
        Edge::new(name, op(code, 5, 6, 0, imm), &[(6, a)], Register(5, expect))
    };
    vec![
        b("div_min_by_minus_one", Op::Div, MIN, u32::MAX, MIN),
        b("rem_min_by_minus_one", Op::Rem, MIN, u32::MAX, 0),
        b("div_by_zero", Op::Div, 7, 0, u32::MAX),
        b("divu_by_zero", Op::Divu, 7, 0, u32::MAX),
        b("rem_by_zero", Op::Rem, 0xffff_fff9, 0, 0xffff_fff9),
        b("remu_by_zero", Op::Remu, 0xffff_fff9, 0, 0xffff_fff9),
        b("div_rounds_to_zero", Op::Div, -7i32 as u32, 2, -3i32 as u32),
        b("rem_has_the_dividends_sign", Op::Rem, -7i32 as u32, 2, -1i32 as u32),
        b("mulh_min_min", Op::Mulh, MIN, MIN, 0x4000_0000),
        b("mulhsu_negative_by_large", Op::Mulhsu, u32::MAX, u32::MAX, u32::MAX),
        b("mulhsu_large_by_negative", Op::Mulhsu, 0x7fff_ffff, u32::MAX, 0x7fff_fffe),
        b("mulhu_max_max", Op::Mulhu, u32::MAX, u32::MAX, 0xffff_fffe),
        b("mul_wraps", Op::Mul, 0x1_0001, 0x1_0001, 0x2_0001),
        b("sll_by_32_is_by_0", Op::Sll, 5, 32, 5),
        b("srl_by_33_is_by_1", Op::Srl, MIN, 33, 0x4000_0000),
        b("sra_by_63_is_by_31", Op::Sra, MIN, 63, u32::MAX),
        b("sra_keeps_the_sign", Op::Sra, 0x8000_0010, 4, 0xf800_0001),
        b("srl_drops_the_sign", Op::Srl, 0x8000_0010, 4, 0x0800_0001),
        i("srai_keeps_the_sign", Op::Srai, MIN, 31, u32::MAX),
        i("srli_drops_the_sign", Op::Srli, MIN, 31, 1),
        i("sltiu_immediate_is_sign_extended", Op::Sltiu, 5, -1, 1),
        b("slt_is_signed", Op::Slt, MIN, 1, 1),
        b("sltu_is_unsigned", Op::Sltu, MIN, 1, 0),
        b("sub_wraps", Op::Sub, 0, 1, u32::MAX),
        Edge::new("write_to_x0_is_lost", op(Op::Addi, 0, 6, 0, 5), &[(6, 1)], Register(0, 0)),
        Edge::new("x0_reads_as_zero", op(Op::Add, 5, 0, 0, 0), &[(5, 9)], Register(5, 0)),
        Edge::new("auipc_adds_pc", op(Op::Auipc, 5, 0, 0, -4096), &[], Register(5, TEXT - 4096)),
    ]
}

fn encodings() -> Vec<Edge> {
    let illegal = Trap(TrapCause::IllegalInstruction);
    let e = |name, word| Edge::new(name, word, &[(6, 1), (7, 1), (17, 93)], illegal.clone());
    vec![
        e("add_with_wrong_funct7", 0x0473_02b3),
        e("sub_like_and_with_wrong_funct7", 0x4073_72b3),
        e("slli_with_shamt_32", 0x0203_1293),
        e("srai_with_shamt_32", 0x4203_5293),
        e("slli_with_funct7_of_srai", 0x4013_1293),
        e("jalr_with_funct3_1", 0x0003_12e7),
        e("branch_with_funct3_2", 0x0073_2463),
        e("load_with_funct3_3", 0x0003_3283),
        e("lwu_of_64_bit", 0x0003_6283),
        e("store_with_funct3_3", 0x0073_3023),
        e("addiw_of_64_bit", 0x0013_029b),
        e("word_zero", 0),
        e("word_ones", u32::MAX),
        e("compressed_word", 0x0000_4501),
        e("fence_i", 0x0000_100f),
        e("ebreak", 0x0010_0073),
        e("mret", 0x3020_0073),
        e("csr_read", 0xc000_2573),
        e("ecall_with_rd", 0x0000_00f3),
        e("amo_word", 0x0073_202f),
        Edge::new("fence_ignores_its_fields", 0xffff_8f8f, &[], Register(0, 0)),
    ]
}

fn jumps() -> Vec<Edge> {
    let jalr = |rd, rs1, imm| op(Op::Jalr, rd, rs1, 0, imm);
    let bad = Trap(TrapCause::MisalignedJump);
    let e = Edge::new;
    vec![
        e("jalr_with_rd_equal_rs1", jalr(6, 6, 8), &[(6, TEXT)], Jump(TEXT + 8, 6, TEXT + 4)),
        e("jalr_clears_bit_0", jalr(1, 6, 1), &[(6, TEXT + 8)], Jump(TEXT + 8, 1, TEXT + 4)),
        e("jalr_to_bit_1_traps", jalr(1, 6, 2), &[(6, TEXT)], bad.clone()),
        e("jal_to_bit_1_traps", op(Op::Jal, 1, 0, 0, 6), &[], bad.clone()),
        e("taken_branch_to_bit_1_traps", op(Op::Beq, 0, 6, 7, 6), &[], bad),
        e("branch_not_taken_to_bit_1", op(Op::Bne, 0, 6, 7, 6), &[], Register(0, 0)),
        e("jal_x0_writes_nothing", op(Op::Jal, 0, 0, 0, 8), &[], Jump(TEXT + 8, 0, 0)),
        e("jump_out_of_text_succeeds", jalr(1, 6, 0), &[(6, 12)], Jump(12, 1, TEXT + 4)),
        e("jump_wraps", jalr(1, 6, 16), &[(6, 0xffff_fff8)], Jump(8, 1, TEXT + 4)),
        e("fetch_past_text_traps", 0, &[], Trap(TrapCause::FetchOutsideText)).at(TEXT_END),
        e("fetch_of_data_traps", 0, &[], Trap(TrapCause::FetchOutsideText)).at(DATA),
        e("bgeu_is_unsigned", op(Op::Bgeu, 0, 6, 7, 8), &[(6, MIN), (7, 1)], Jump(TEXT + 8, 0, 0)),
        e("bge_is_signed", op(Op::Bge, 0, 6, 7, 8), &[(6, MIN), (7, 1)], Register(0, 0)),
        e("branch_back", op(Op::Beq, 0, 0, 0, -4), &[], Jump(TEXT, 0, 0)).at(TEXT + 4),
        e("last_word_of_text", op(Op::Addi, 5, 0, 0, 1), &[], Register(5, 1)).at(TEXT_END - 4),
    ]
}

fn memory() -> Vec<Edge> {
    use TrapCause::{MisalignedLoad, MisalignedStore, StoreIntoText, UnmappedLoad, UnmappedStore};
    let load = |name, code, address: u32, imm, expect| {
        Edge::new(name, op(code, 5, 6, 0, imm), &[(6, address)], expect)
            .data(&[0x8182_f3f4, 0x0102_0304])
    };
    let store = |name, code, address: u32, imm, expect| {
        Edge::new(name, op(code, 0, 6, 7, imm), &[(6, address), (7, 0x1234_5678)], expect)
            .data(&[0x8182_f3f4, 0x0102_0304])
    };
    vec![
        load("lb_extends_the_sign", Op::Lb, DATA, 3, Register(5, 0xffff_ff81)),
        load("lbu_does_not", Op::Lbu, DATA, 3, Register(5, 0x81)),
        load("lh_extends_the_sign", Op::Lh, DATA, 0, Register(5, 0xffff_f3f4)),
        load("lhu_does_not", Op::Lhu, DATA, 0, Register(5, 0xf3f4)),
        load("lw_unaligned_traps", Op::Lw, DATA, 2, Trap(MisalignedLoad)),
        load("lh_unaligned_traps", Op::Lh, DATA, 1, Trap(MisalignedLoad)),
        load("lw_across_a_page_traps", Op::Lw, DATA + 4096, -2, Trap(MisalignedLoad)),
        load("lhu_across_a_leaf_traps", Op::Lhu, DATA + 256, -1, Trap(MisalignedLoad)),
        load("load_wraps_to_zero_zone", Op::Lw, u32::MAX - 3, 8, Trap(UnmappedLoad)),
        load("load_wraps_to_high_zone", Op::Lw, 4, -8, Trap(UnmappedLoad)),
        load("load_below_program", Op::Lw, 0xfffc, 0, Trap(UnmappedLoad)),
        load("load_of_entry_word", Op::Lw, 0x1_0000, 0, Register(5, TEXT)),
        load("load_above_slots", Op::Lbu, 0xc000_0000, 0, Trap(UnmappedLoad)),
        load("load_last_mapped", Op::Lw, 0xbfff_fffc, 0, Register(5, 0)),
        load("load_untouched_is_zero", Op::Lw, 0x6000_0000, 4, Register(5, 0)),
        load("load_from_text", Op::Lbu, TEXT, 0, Register(5, 0x83)),
        load("load_to_x0_still_traps", Op::Lw, 0, 0, Trap(UnmappedLoad)),
        store("sb_keeps_neighbours", Op::Sb, DATA, 1, Memory(DATA, 0x8182_78f4)),
        store("sh_keeps_neighbours", Op::Sh, DATA, 2, Memory(DATA, 0x5678_f3f4)),
        store("sw_writes_all", Op::Sw, DATA, 4, Memory(DATA + 4, 0x1234_5678)),
        store("sw_to_new_page", Op::Sw, 0x8000_0000, 4, Memory(0x8000_0004, 0x1234_5678)),
        store("sw_to_input", Op::Sw, 0x4000_0000, 0, Memory(0x4000_0000, 0x1234_5678)),
        store("sw_unaligned_traps", Op::Sw, DATA, 1, Trap(MisalignedStore)),
        store("sh_unaligned_traps", Op::Sh, DATA, 1, Trap(MisalignedStore)),
        store("sw_across_a_page_traps", Op::Sw, DATA + 4096, -2, Trap(MisalignedStore)),
        store("store_into_text_traps", Op::Sw, TEXT, 0, Trap(StoreIntoText)),
        store("store_into_last_text_byte", Op::Sb, TEXT_END, -1, Trap(StoreIntoText)),
        store("store_after_text", Op::Sw, TEXT_END, 0, Memory(TEXT_END, 0x1234_5678)),
        store("store_wraps_to_zero_zone", Op::Sw, u32::MAX - 3, 8, Trap(UnmappedStore)),
        store("store_above_slots", Op::Sb, 0xc000_0000, 0, Trap(UnmappedStore)),
        store("store_below_program", Op::Sb, 0xffff, 0, Trap(UnmappedStore)),
        store("store_last_mapped", Op::Sw, 0xbfff_fffc, 0, Memory(0xbfff_fffc, 0x1234_5678)),
        store("unaligned_store_into_text_is_misaligned", Op::Sw, TEXT, 1, Trap(MisalignedStore)),
    ]
}

fn ends() -> Vec<Edge> {
    let ecall = |name, a7, a0, expect| Edge::new(name, 0x73, &[(17, a7), (10, a0)], expect);
    let unknown = Trap(TrapCause::UnknownSystemCall);
    vec![
        ecall("exit_with_zero", 93, 0, Exit(0)),
        ecall("exit_with_all_32_bits", 93, 0xdead_beef, Exit(0xdead_beef)),
        ecall("unknown_system_call_write", 64, 1, unknown.clone()),
        ecall("unknown_system_call_zero", 0, 0, unknown.clone()),
        ecall("exit_group_is_unknown", 94, 0, unknown),
        ecall("exit_at_the_limit_exits", 93, 3, Exit(3)).limit(1),
        Edge::new("trap_at_the_limit_traps", 0, &[], Trap(TrapCause::IllegalInstruction)).limit(1),
        Edge::new("limit_ends_a_run", op(Op::Addi, 5, 0, 0, 1), &[(9, 9)], OutOfSteps).limit(1),
        Edge::new("jump_at_the_limit", op(Op::Jal, 1, 0, 0, 8), &[], OutOfSteps).limit(1),
    ]
}

/// One plain use of each operation that is not above, so that the vectors hold them all.
fn every_opcode() -> Vec<Edge> {
    let b = Edge::binary;
    let i = |name, code, imm, expect| {
        Edge::new(name, op(code, 5, 6, 0, imm), &[(6, 0x0ff0_00f0)], Register(5, expect))
    };
    let taken = |name, code, a, b| {
        Edge::new(name, op(code, 0, 6, 7, 2048), &[(6, a), (7, b)], Jump(TEXT + 2048, 0, 0))
    };
    vec![
        b("add", Op::Add, 3, 4, 7),
        b("xor", Op::Xor, 6, 5, 3),
        b("or", Op::Or, 6, 5, 7),
        b("and", Op::And, 6, 5, 4),
        b("divu", Op::Divu, MIN, 3, 0x2aaa_aaaa),
        b("remu", Op::Remu, MIN, 3, 2),
        i("slti", Op::Slti, -1, 0),
        i("xori", Op::Xori, -1, 0xf00f_ff0f),
        i("ori", Op::Ori, 0x70f, 0x0ff0_07ff),
        i("andi", Op::Andi, -256, 0x0ff0_0000),
        i("slli", Op::Slli, 4, 0xff00_0f00),
        i("srli", Op::Srli, 4, 0x00ff_000f),
        i("addi", Op::Addi, -241, 0x0fef_ffff),
        Edge::new("lui", op(Op::Lui, 5, 0, 0, 0x1234_5000), &[], Register(5, 0x1234_5000)),
        taken("beq", Op::Beq, 9, 9),
        taken("bne", Op::Bne, 9, 8),
        taken("blt", Op::Blt, MIN, 0),
        taken("bltu", Op::Bltu, 0, MIN),
        Edge::new("lw", op(Op::Lw, 5, 6, 0, -4), &[(6, DATA + 4)], Register(5, 77)).data(&[77]),
    ]
}
