// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IStep} from "../src/interfaces/IStep.sol";
import {MachineState, ProgramFault, StateFault} from "../src/libraries/MachineState.sol";
import {Merkle} from "../src/libraries/Merkle.sol";
import {Step} from "../src/Step.sol";
import {Asm, Cpu, MachineFixture} from "./support/Machine.sol";

/// @notice Every opcode and trap, with results written down by hand from the ISA, never taken from
/// Step.
contract StepTest is MachineFixture {
    Step internal stepper = new Step();

    uint32 internal constant PC = 0x0001_2344;
    uint32 internal constant MIN = 0x8000_0000;
    uint32 internal constant ONES = 0xffff_ffff;

    function machine() internal pure returns (Cpu memory cpu) {
        cpu.pc = PC;
        cpu.step = 41;
        cpu.limit = 1000;
        cpu.textLo = 0x0001_0000;
        cpu.textHi = 0x0001_4000;
        for (uint32 k = 1; k < 32; ++k) {
            cpu.x[k] = 0x0101_0101 * k;
        }
    }

    // --- helpers ---------------------------------------------------------------------------------

    function run(Cpu memory cpu, uint32 word) internal returns (bytes32) {
        poke32(cpu.pc, word);
        return stepper.step(abi.encodePacked(preimage(cpu, memoryRoot()), opening(cpu.pc)));
    }

    function runWith(Cpu memory cpu, uint32 word, uint32 location) internal returns (bytes32) {
        poke32(cpu.pc, word);
        return stepper.step(abi.encodePacked(preimage(cpu, memoryRoot()), opening(cpu.pc), opening(location)));
    }

    /// The state after: as before, one step on, with rd and pc set.
    function next(Cpu memory cpu, uint32 rd, uint32 value, uint32 pc) internal pure returns (Cpu memory post) {
        post = copy(cpu);
        post.step += 1;
        post.pc = pc;
        if (rd != 0) post.x[rd] = value;
    }

    function ended(Cpu memory cpu, uint8 status, uint32 code) internal pure returns (Cpu memory post) {
        post = copy(cpu);
        post.step += 1;
        post.pc = 0;
        delete post.x;
        post.status = status;
        post.exitCode = code;
    }

    function check(string memory name, Cpu memory cpu, uint32 word, Cpu memory post) internal {
        vm.assertEq(run(cpu, word), sha256(preimage(post, memoryRoot())), name);
    }

    function checkTrap(string memory name, Cpu memory cpu, uint32 word) internal {
        check(name, cpu, word, ended(cpu, 2, 0));
    }

    /// An R-type instruction on x5, x6 into x7.
    function alu(string memory name, uint32 funct7, uint32 funct3, uint32 a, uint32 b, uint32 expected) internal {
        Cpu memory cpu = machine();
        (cpu.x[5], cpu.x[6]) = (a, b);
        check(name, cpu, Asm.r(funct7, funct3, 7, 5, 6), next(cpu, 7, expected, PC + 4));
    }

    /// An I-type instruction on x5 into x7.
    function alui(string memory name, uint32 funct3, uint32 a, int32 imm, uint32 expected) internal {
        Cpu memory cpu = machine();
        cpu.x[5] = a;
        check(name, cpu, Asm.i(0x13, funct3, 7, 5, imm), next(cpu, 7, expected, PC + 4));
    }

    // --- register operations ---------------------------------------------------------------------

    function test_add_sub() public {
        alu("add wraps", 0, 0, ONES, 2, 1);
        alu("add", 0, 0, 7, 8, 15);
        alu("sub wraps", 0x20, 0, 1, 2, ONES);
        alu("sub", 0x20, 0, MIN, 1, 0x7fff_ffff);
    }

    function test_shifts_use_five_bits() public {
        alu("sll", 0, 1, 1, 31, MIN);
        alu("sll by 32 is by 0", 0, 1, 5, 32, 5);
        alu("sll by 33 is by 1", 0, 1, 5, 33, 10);
        alu("srl", 0, 5, MIN, 31, 1);
        alu("srl by 0xffffffe1 is by 1", 0, 5, MIN, 0xffff_ffe1, 0x4000_0000);
        alu("sra keeps the sign", 0x20, 5, MIN, 31, ONES);
        alu("sra by 36 is by 4", 0x20, 5, 0xf000_0000, 36, 0xff00_0000);
        alu("sra of a positive", 0x20, 5, 0x7000_0000, 4, 0x0700_0000);
    }

    function test_compare_and_logic() public {
        alu("slt signed", 0, 2, ONES, 0, 1);
        alu("slt not", 0, 2, 0, ONES, 0);
        alu("slt equal", 0, 2, 3, 3, 0);
        alu("sltu unsigned", 0, 3, ONES, 0, 0);
        alu("sltu", 0, 3, 0, ONES, 1);
        alu("xor", 0, 4, 0xff00_ff00, 0x0ff0_0ff0, 0xf0f0_f0f0);
        alu("or", 0, 6, 0xff00_ff00, 0x0ff0_0ff0, 0xfff0_fff0);
        alu("and", 0, 7, 0xff00_ff00, 0x0ff0_0ff0, 0x0f00_0f00);
    }

    function test_multiply() public {
        alu("mul", 1, 0, 0x1234_5678, 0x9abc_def0, 0x242d_2080);
        alu("mul of negatives", 1, 0, ONES, ONES, 1);
        alu("mulh -1 -1", 1, 1, ONES, ONES, 0);
        alu("mulh MIN MIN", 1, 1, MIN, MIN, 0x4000_0000);
        alu("mulh MIN MAX", 1, 1, MIN, 0x7fff_ffff, 0xc000_0000);
        alu("mulhsu -1 max", 1, 2, ONES, ONES, ONES);
        alu("mulhsu MIN max", 1, 2, MIN, ONES, MIN);
        alu("mulhsu 1 max", 1, 2, 1, ONES, 0);
        alu("mulhsu takes rs1 as signed", 1, 2, ONES, 2, ONES);
        alu("mulhsu takes rs2 as unsigned", 1, 2, 2, ONES, 1);
        alu("mulhu max max", 1, 3, ONES, ONES, 0xffff_fffe);
        alu("mulhu MIN 2", 1, 3, MIN, 2, 1);
    }

    function test_divide() public {
        alu("div", 1, 4, 7, 0xffff_fffe, 0xffff_fffd); // 7 / -2 = -3
        alu("div truncates towards zero", 1, 4, 0xffff_fff9, 2, 0xffff_fffd); // -7 / 2 = -3
        alu("div by zero", 1, 4, 5, 0, ONES);
        alu("div MIN / -1", 1, 4, MIN, ONES, MIN);
        alu("divu", 1, 5, ONES, 2, 0x7fff_ffff);
        alu("divu by zero", 1, 5, 5, 0, ONES);
        alu("divu MIN / max", 1, 5, MIN, ONES, 0);
        alu("rem takes the dividend's sign", 1, 6, 0xffff_fff9, 2, ONES); // -7 % 2 = -1
        alu("rem of a positive", 1, 6, 7, 0xffff_fffe, 1);
        alu("rem by zero", 1, 6, 0xffff_fff9, 0, 0xffff_fff9);
        alu("rem MIN % -1", 1, 6, MIN, ONES, 0);
        alu("remu", 1, 7, ONES, 10, 5);
        alu("remu by zero", 1, 7, ONES, 0, ONES);
    }

    function test_immediates() public {
        alui("addi", 0, 1, -2, ONES);
        alui("addi max", 0, 0, 2047, 2047);
        alui("addi min", 0, 0, -2048, 0xffff_f800);
        alui("slti", 2, ONES, 0, 1);
        alui("sltiu sign-extends, then compares unsigned", 3, 5, -1, 1);
        alui("sltiu not", 3, ONES, 1, 0);
        alui("xori -1 is not", 4, 0x0f0f_0f0f, -1, 0xf0f0_f0f0);
        alui("ori", 6, 0xf, 0x7f0, 0x7ff);
        alui("andi", 7, ONES, -16, 0xffff_fff0);
        alui("slli", 1, 1, 31, MIN);
        alui("srli", 5, MIN, 31, 1);
        alui("srai", 5, MIN, int32(0x400 | 31), ONES);
        alui("srai of a positive", 5, 0x7fff_ffff, int32(0x400 | 4), 0x07ff_ffff);
    }

    function test_upper() public {
        Cpu memory cpu = machine();
        check("lui", cpu, Asm.u(0x37, 7, 0xfffff), next(cpu, 7, 0xffff_f000, PC + 4));
        check("auipc", cpu, Asm.u(0x17, 7, 0x1), next(cpu, 7, PC + 0x1000, PC + 4));
        check("auipc wraps", cpu, Asm.u(0x17, 7, 0xfffff), next(cpu, 7, PC - 0x1000, PC + 4));
    }

    function test_writes_to_x0_are_dropped() public {
        Cpu memory cpu = machine();
        check("addi x0", cpu, Asm.addi(0, 5, 1), next(cpu, 0, 0, PC + 4));
        check("lui x0", cpu, Asm.u(0x37, 0, 1), next(cpu, 0, 0, PC + 4));
        check("mul x0", cpu, Asm.r(1, 0, 0, 5, 6), next(cpu, 0, 0, PC + 4));
        check("jal x0", cpu, Asm.j(0, 8), next(cpu, 0, 0, PC + 8));
        check("x0 reads as zero, not as pc", cpu, Asm.addi(7, 0, 3), next(cpu, 7, 3, PC + 4));
    }

    // --- jumps and branches ----------------------------------------------------------------------

    function test_jumps() public {
        Cpu memory cpu = machine();
        check("jal forward", cpu, Asm.j(1, 0x7_fffc), next(cpu, 1, PC + 4, PC + 0x7_fffc));
        check("jal back", cpu, Asm.j(1, -0x100), next(cpu, 1, PC + 4, PC - 0x100));
        check("jal sets imm bit 11", cpu, Asm.j(1, 0x800), next(cpu, 1, PC + 4, PC + 0x800));
        cpu.x[5] = 0x1_3001;
        check("jalr clears bit 0", cpu, Asm.i(0x67, 0, 1, 5, 4), next(cpu, 1, PC + 4, 0x1_3004));
        check("jalr reads rs1 before it writes rd", cpu, Asm.i(0x67, 0, 5, 5, 3), next(cpu, 5, PC + 4, 0x1_3004));
        cpu.x[5] = 0xffff_fffc;
        check("jalr wraps; a jump out of text succeeds", cpu, Asm.i(0x67, 0, 1, 5, 8), next(cpu, 1, PC + 4, 4));
    }

    function test_misaligned_jumps_trap_at_the_jump() public {
        Cpu memory cpu = machine();
        checkTrap("jal", cpu, Asm.j(1, 6));
        cpu.x[5] = 0x1_3002;
        checkTrap("jalr", cpu, Asm.i(0x67, 0, 1, 5, 0));
        cpu.x[5] = 0x1_3003;
        checkTrap("jalr with bit 0 cleared is still odd by two", cpu, Asm.i(0x67, 0, 1, 5, 0));
        checkTrap("a taken branch", cpu, Asm.b(0, 5, 5, 6));
        check("a branch not taken may have any target", cpu, Asm.b(1, 5, 5, 6), next(cpu, 0, 0, PC + 4));
    }

    function branch(string memory name, uint32 funct3, uint32 a, uint32 b, bool taken) internal {
        Cpu memory cpu = machine();
        (cpu.x[5], cpu.x[6]) = (a, b);
        check(name, cpu, Asm.b(funct3, 5, 6, -0x7fc), next(cpu, 0, 0, taken ? PC - 0x7fc : PC + 4));
        check(name, cpu, Asm.b(funct3, 5, 6, 0xffc), next(cpu, 0, 0, taken ? PC + 0xffc : PC + 4));
    }

    function test_branches() public {
        branch("beq", 0, 3, 3, true);
        branch("beq not", 0, 3, 4, false);
        branch("bne", 1, 3, 4, true);
        branch("bne not", 1, 3, 3, false);
        branch("blt signed", 4, ONES, 0, true);
        branch("blt not", 4, 0, ONES, false);
        branch("blt equal", 4, 5, 5, false);
        branch("bge signed", 5, 0, ONES, true);
        branch("bge equal", 5, 5, 5, true);
        branch("bge not", 5, ONES, 0, false);
        branch("bltu", 6, 0, ONES, true);
        branch("bltu not", 6, ONES, 0, false);
        branch("bgeu", 7, ONES, 0, true);
        branch("bgeu equal", 7, 4, 4, true);
        branch("bgeu not", 7, 0, ONES, false);
    }

    // --- memory ----------------------------------------------------------------------------------

    function loads(string memory name, uint32 funct3, uint32 location, uint32 expected) internal {
        Cpu memory cpu = machine();
        cpu.x[5] = location + 16;
        uint32 word = Asm.i(0x03, funct3, 7, 5, -16);
        Cpu memory post = next(cpu, 7, expected, PC + 4);
        vm.assertEq(runWith(cpu, word, location), sha256(preimage(post, memoryRoot())), name);
    }

    function test_loads() public {
        poke32(0x6000_0100, 0x8091_a2b3);
        loads("lw", 2, 0x6000_0100, 0x8091_a2b3);
        loads("lb sign", 0, 0x6000_0100, 0xffff_ffb3);
        loads("lb last byte", 0, 0x6000_0103, 0xffff_ff80);
        loads("lbu", 4, 0x6000_0103, 0x80);
        loads("lbu second", 4, 0x6000_0101, 0xa2);
        loads("lh sign", 1, 0x6000_0100, 0xffff_a2b3);
        loads("lh high", 1, 0x6000_0102, 0xffff_8091);
        loads("lhu", 5, 0x6000_0102, 0x8091);
        poke8(0x6000_01ff, 0x7f);
        loads("lb at the end of a leaf reads no proof byte", 0, 0x6000_01ff, 0x7f);
        loads("lhu at the end of a leaf", 5, 0x6000_01fe, 0x7f00);
        loads("lw of the lowest mapped word", 2, 0x0001_0000, 0);
        loads("lw of the highest mapped word", 2, 0xbfff_fffc, 0);
        loads("memory not written reads as zero", 2, 0x2000_0000, 0);
    }

    function test_load_from_text_is_allowed() public {
        Cpu memory cpu = machine();
        cpu.x[5] = PC;
        uint32 word = Asm.i(0x03, 2, 7, 5, 0);
        Cpu memory post = next(cpu, 7, word, PC + 4);
        vm.assertEq(runWith(cpu, word, PC), sha256(preimage(post, memoryRoot())), "lw of the instruction itself");
    }

    function stores(string memory name, uint32 funct3, uint32 location, uint32 value, uint32 size) internal {
        uint256 id = vm.snapshotState();
        Cpu memory cpu = machine();
        (cpu.x[5], cpu.x[6]) = (location - 7, value);
        bytes32 actual = runWith(cpu, Asm.s(funct3, 5, 6, 7), location);
        for (uint32 k = 0; k < size; ++k) {
            poke8(location + k, uint8(value >> (8 * k)));
        }
        vm.assertEq(actual, sha256(preimage(next(cpu, 0, 0, PC + 4), memoryRoot())), name);
        vm.revertToState(id);
    }

    function test_stores() public {
        poke32(0x8000_0200, 0x1111_1111);
        stores("sw", 2, 0x8000_0200, 0x8091_a2b3, 4);
        stores("sh", 1, 0x8000_0202, 0x8091_a2b3, 2);
        stores("sb", 0, 0x8000_0203, 0x8091_a2b3, 1);
        stores("sb at the end of a leaf", 0, 0x8000_02ff, 0x8091_a2b3, 1);
        stores("sh at the end of a leaf", 1, 0x8000_02fe, 0x8091_a2b3, 2);
        stores("sw to the lowest word past text", 2, 0x0001_4000, 5, 4);
        stores("sw to the highest mapped word", 2, 0xbfff_fffc, 5, 4);
        stores("sw of what was there", 2, 0x8000_0200, 0x1111_1111, 4);
    }

    function test_bad_accesses_trap() public {
        uint32[9] memory locations =
            [uint32(0), 4, 0xfffc, 0xc000_0000, 0xffff_fffc, 0x6000_0001, 0x6000_0002, 0x6000_0003, 0xbfff_ffff];
        for (uint256 k = 0; k < locations.length; ++k) {
            Cpu memory cpu = machine();
            cpu.x[5] = locations[k];
            checkTrap("lw", cpu, Asm.i(0x03, 2, 7, 5, 0));
            checkTrap("sw", cpu, Asm.s(2, 5, 6, 0));
        }
        Cpu memory odd = machine();
        odd.x[5] = 0x6000_0001;
        checkTrap("lh odd", odd, Asm.i(0x03, 1, 7, 5, 0));
        checkTrap("lhu odd", odd, Asm.i(0x03, 5, 7, 5, 0));
        checkTrap("sh odd", odd, Asm.s(1, 5, 6, 0));
        odd.x[5] = 0;
        checkTrap("an address wraps into the upper trap zone", odd, Asm.i(0x03, 2, 7, 5, -4));
        odd.x[5] = 0xffff_fffc;
        checkTrap("an address wraps into the lower trap zone", odd, Asm.i(0x03, 2, 7, 5, 8));
    }

    function test_stores_into_text_trap() public {
        Cpu memory cpu = machine();
        cpu.x[5] = 0x0001_0000;
        checkTrap("first word", cpu, Asm.s(2, 5, 6, 0));
        cpu.x[5] = 0x0001_3fff;
        checkTrap("last byte", cpu, Asm.s(0, 5, 6, 0));
    }

    // --- the rest --------------------------------------------------------------------------------

    function test_fence_does_nothing() public {
        Cpu memory cpu = machine();
        check("fence", cpu, 0x0ff0_000f, next(cpu, 0, 0, PC + 4));
        check("fence with odd fields", cpu, 0xfffb_8f8f & ~uint32(0x7000), next(cpu, 0, 0, PC + 4));
    }

    function test_exit() public {
        Cpu memory cpu = machine();
        (cpu.x[17], cpu.x[10]) = (93, 0xdead_beef);
        check("exit", cpu, Asm.ECALL, ended(cpu, 1, 0xdead_beef));
        cpu.step = cpu.limit - 1;
        check("an exit at the limit is an exit", cpu, Asm.ECALL, ended(cpu, 1, 0xdead_beef));
    }

    function test_illegal_words_trap() public {
        uint32[28] memory words = [
            uint32(0), // zero
            0xffff_ffff,
            0x0010_0073, // EBREAK
            0x3020_0073, // MRET
            0x1050_0073, // WFI
            0x0000_100f, // FENCE.I
            0x3000_1073, // CSRRW
            0xc000_2073, // RDCYCLE
            0x0000_00f3, // ECALL with rd
            0x0000_8073, // ECALL with rs1
            0x0000_0001, // compressed
            0x0000_0012,
            Asm.i(0x67, 1, 1, 5, 0), // JALR funct3
            Asm.i(0x67, 7, 1, 5, 0),
            Asm.i(0x13, 1, 7, 5, 0x400), // SLLI with funct7 0x20
            Asm.i(0x13, 1, 7, 5, 0x20), // SLLI with funct7 1 (shamt 32)
            Asm.i(0x13, 5, 7, 5, 0x20), // SRLI with funct7 1
            Asm.i(0x13, 5, 7, 5, 0x420), // SRAI with funct7 0x21
            Asm.r(0x20, 1, 7, 5, 6), // funct7 0x20 on SLL
            Asm.r(0x20, 4, 7, 5, 6),
            Asm.r(0x20, 7, 7, 5, 6),
            Asm.r(0x02, 0, 7, 5, 6),
            Asm.r(0x21, 0, 7, 5, 6),
            Asm.r(0x40, 5, 7, 5, 6),
            Asm.b(2, 5, 6, 8), // branch funct3
            Asm.b(3, 5, 6, 8),
            0x1005_22af, // LR.W
            0x0000_0007 // float load
        ];
        Cpu memory cpu = machine();
        for (uint256 k = 0; k < words.length; ++k) {
            checkTrap(vm.toString(words[k]), cpu, words[k]);
        }
        cpu.x[5] = 0x6000_0000;
        checkTrap("load funct3 3", cpu, Asm.i(0x03, 3, 7, 5, 0));
        checkTrap("load funct3 6", cpu, Asm.i(0x03, 6, 7, 5, 0));
        checkTrap("load funct3 7", cpu, Asm.i(0x03, 7, 7, 5, 0));
        checkTrap("store funct3 3", cpu, Asm.s(3, 5, 6, 0));
        checkTrap("store funct3 4", cpu, Asm.s(4, 5, 6, 0));
        checkTrap("store funct3 7", cpu, Asm.s(7, 5, 6, 0));
    }

    function test_unknown_system_call_traps() public {
        Cpu memory cpu = machine();
        cpu.x[17] = 94;
        checkTrap("a7 = 94", cpu, Asm.ECALL);
        cpu.x[17] = 0x100 + 93;
        checkTrap("a7 = 349", cpu, Asm.ECALL);
    }

    function test_fetch_outside_text_traps_without_a_leaf() public view {
        uint32[4] memory pcs = [uint32(0x0000_fffc), 0x0001_4000, 0, 0xffff_fffc];
        for (uint256 k = 0; k < pcs.length; ++k) {
            Cpu memory cpu = machine();
            cpu.pc = pcs[k];
            bytes32 expected = sha256(preimage(ended(cpu, 2, 0), memoryRoot()));
            vm.assertEq(stepper.step(preimage(cpu, memoryRoot())), expected, "fetch outside text");
        }
    }

    function test_the_limit() public {
        Cpu memory cpu = machine();
        cpu.step = cpu.limit - 1;
        check("the last step runs out", cpu, Asm.addi(7, 0, 1), ended(cpu, 3, 0));
        checkTrap("a trap at the limit is a trap", cpu, 0);
        cpu.step = cpu.limit - 2;
        check("the step before it does not", cpu, Asm.addi(7, 0, 1), next(cpu, 7, 1, PC + 4));
        cpu.limit = uint64(1) << 45;
        cpu.step = cpu.limit - 1;
        check("the greatest limit", cpu, Asm.addi(7, 0, 1), ended(cpu, 3, 0));
    }

    function test_final_states_stay() public view {
        for (uint8 status = 1; status <= 3; ++status) {
            Cpu memory cpu = machine();
            cpu.step = cpu.limit - 1;
            cpu = ended(cpu, status, status == 1 ? 7 : 0);
            bytes memory image = preimage(cpu, memoryRoot());
            vm.assertEq(stepper.step(image), sha256(image), "a step from a final state is that state");
        }
    }

    // --- refused witnesses -----------------------------------------------------------------------

    function refuse(bytes memory witness, bytes memory reason) internal {
        vm.expectRevert(reason);
        stepper.step(witness);
    }

    function wrongLength(bytes memory witness, uint256 wanted) internal {
        refuse(witness, abi.encodeWithSelector(IStep.WitnessLength.selector, witness.length, wanted));
    }

    function test_wrong_lengths_are_refused() public {
        Cpu memory cpu = machine();
        cpu.x[5] = 0x6000_0000;
        poke32(PC, Asm.addi(7, 0, 1));
        bytes memory image = preimage(cpu, memoryRoot());
        wrongLength("", 197);
        wrongLength(new bytes(196), 197);
        wrongLength(image, 1221);
        wrongLength(abi.encodePacked(image, new bytes(1023)), 1221);
        wrongLength(abi.encodePacked(image, opening(PC), bytes1(0)), 1221);
        wrongLength(abi.encodePacked(image, opening(PC), opening(0x6000_0000)), 1221);
        poke32(PC, Asm.i(0x03, 2, 7, 5, 0));
        image = preimage(cpu, memoryRoot());
        wrongLength(abi.encodePacked(image, opening(PC)), 2245);
        wrongLength(abi.encodePacked(image, opening(PC), opening(0x6000_0000), bytes1(0)), 2245);
        cpu.x[5] = 0; // now the load traps, and takes no leaf
        image = preimage(cpu, memoryRoot());
        wrongLength(abi.encodePacked(image, opening(PC), opening(0x6000_0000)), 1221);
        cpu.pc = 0;
        image = preimage(cpu, memoryRoot());
        wrongLength(abi.encodePacked(image, opening(PC)), 197);
        cpu = ended(machine(), 2, 0);
        wrongLength(abi.encodePacked(preimage(cpu, memoryRoot()), opening(PC)), 197);
    }

    function test_false_openings_are_refused() public {
        Cpu memory cpu = machine();
        cpu.x[5] = 0x6000_0000;
        poke32(PC, Asm.i(0x03, 2, 7, 5, 0));
        poke32(0x6000_0100, 1);
        bytes memory image = preimage(cpu, memoryRoot());
        bytes memory instruction = opening(PC);
        bytes memory data = opening(0x6000_0000);
        bytes memory elsewhere = opening(0x6000_0100);
        bytes memory reason = abi.encodeWithSelector(IStep.InstructionNotOpened.selector);
        refuse(abi.encodePacked(image, data, data), reason);
        instruction[3] ^= 0x01;
        refuse(abi.encodePacked(image, instruction, data), reason);
        instruction[3] ^= 0x01;
        instruction[1023] ^= 0x80;
        refuse(abi.encodePacked(image, instruction, data), reason);
        instruction[1023] ^= 0x80;
        reason = abi.encodeWithSelector(IStep.DataNotOpened.selector);
        refuse(abi.encodePacked(image, instruction, instruction), reason);
        refuse(abi.encodePacked(image, instruction, elsewhere), reason);
        data[0] ^= 0x01;
        refuse(abi.encodePacked(image, instruction, data), reason);
    }

    function refuseState(Cpu memory cpu, StateFault fault) internal {
        refuse(preimage(cpu, memoryRoot()), abi.encodeWithSelector(MachineState.InvalidState.selector, fault));
    }

    function test_malformed_preimages_are_refused() public {
        bytes memory image = preimage(machine(), memoryRoot());
        image[7] = 0x02;
        refuse(image, abi.encodeWithSelector(MachineState.InvalidState.selector, StateFault.Tag));
        Cpu memory cpu = machine();
        cpu.status = 4;
        refuseState(cpu, StateFault.Status);
        cpu.status = 255;
        refuseState(cpu, StateFault.Status);

        uint32[2][7] memory ranges = [
            [uint32(0x1_0000), 0x1_0000], // empty
            [uint32(0x2_0000), 0x1_0000], // reversed
            [uint32(0xf000), 0x1_4000], // too low
            [uint32(0x1_0000), 0x2000_1000], // too high
            [uint32(0x1_0800), 0x1_4000], // not a page
            [uint32(0x1_0000), 0x1_4004],
            [uint32(0x1_0000), 0x0401_1000] // more than 2^26
        ];
        for (uint256 k = 0; k < ranges.length; ++k) {
            cpu = machine();
            (cpu.textLo, cpu.textHi) = (ranges[k][0], ranges[k][1]);
            refuseState(cpu, StateFault.TextRange);
        }
        cpu = machine();
        (cpu.step, cpu.limit) = (0, 0);
        refuseState(cpu, StateFault.StepLimit);
        cpu.limit = (uint64(1) << 45) + 1;
        refuseState(cpu, StateFault.StepLimit);

        cpu = machine();
        cpu.step = cpu.limit;
        refuseState(cpu, StateFault.Running);
        cpu = machine();
        cpu.pc += 2;
        refuseState(cpu, StateFault.Running);
        cpu = machine();
        cpu.exitCode = 1;
        refuseState(cpu, StateFault.Running);

        cpu = ended(machine(), 1, 7);
        cpu.pc = 4;
        refuseState(cpu, StateFault.Final);
        for (uint256 k = 1; k < 32; ++k) {
            cpu = ended(machine(), 1, 7);
            cpu.x[k] = 1;
            refuseState(cpu, StateFault.Final);
        }
        cpu = ended(machine(), 1, 7);
        cpu.step = 0;
        refuseState(cpu, StateFault.Final);
        cpu.step = cpu.limit + 1;
        refuseState(cpu, StateFault.Final);
        cpu = ended(machine(), 3, 0);
        refuseState(cpu, StateFault.Final); // out of steps before the limit
        refuseState(ended(machine(), 2, 1), StateFault.Final); // a trap has no exit code
    }

    function test_text_at_its_largest_is_accepted() public {
        Cpu memory cpu = machine();
        cpu.textHi = 0x0401_0000;
        check("2^26 bytes of text", cpu, Asm.addi(7, 0, 1), next(cpu, 7, 1, PC + 4));
        (cpu.textLo, cpu.textHi) = (0x1fff_f000, 0x2000_0000);
        cpu.pc = 0x1fff_fffc;
        check("the last word of slot 0", cpu, Asm.addi(7, 0, 1), next(cpu, 7, 1, 0x2000_0000));
    }

    /// Field bug: out of gas during a hash leaves a wrong preimage.
    function test_out_of_gas_never_gives_a_wrong_hash() public {
        Cpu memory cpu = machine();
        (cpu.x[5], cpu.x[6]) = (0x8000_0200, 77);
        poke32(PC, Asm.s(2, 5, 6, 0));
        bytes memory witness = abi.encodePacked(preimage(cpu, memoryRoot()), opening(PC), opening(0x8000_0200));
        bytes32 truth = stepper.step(witness);
        uint256 failures;
        for (uint256 allowance = 1_000; allowance < 60_000; allowance += 193) {
            try stepper.step{gas: allowance}(witness) returns (bytes32 post) {
                vm.assertEq(post, truth, "a step short of gas must fail, not answer");
            } catch {
                ++failures;
            }
        }
        vm.assertGt(failures, 10, "the loop must have starved some calls");
    }

    function test_gas_of_the_dearest_step() public {
        Cpu memory cpu = machine();
        (cpu.x[5], cpu.x[6]) = (0x8000_0200, 77);
        poke32(PC, Asm.s(2, 5, 6, 0));
        bytes memory witness = abi.encodePacked(preimage(cpu, memoryRoot()), opening(PC), opening(0x8000_0200));
        stepper.step(witness);
        uint256 used = vm.snapshotGasLastCall("step", "sw");
        vm.assertLt(used, 60_000, "a step must stay far below the budget of the final move");
    }

    function testFuzz_add_wraps(uint32 a, uint32 b) public {
        unchecked {
            alu("add", 0, 0, a, b, a + b);
            alu("sub", 0x20, 0, a, b, a - b);
            alu("mulhu", 1, 3, a, b, uint32((uint256(a) * b) >> 32));
        }
    }

    /// Step is total: any word in text has a next state.
    function testFuzz_any_word_steps(uint32 word, uint32 a) public {
        Cpu memory cpu = machine();
        cpu.x[5] = a;
        poke32(PC, word);
        bytes memory one = abi.encodePacked(preimage(cpu, memoryRoot()), opening(PC));
        // A load or store may want a second leaf; every other word must have a next state.
        try stepper.step(one) returns (bytes32 post) {
            vm.assertNotEq(post, sha256(preimage(cpu, memoryRoot())), "a running state never stays");
        } catch (bytes memory reason) {
            bytes memory wanted = abi.encodeWithSelector(IStep.WitnessLength.selector, 1221, 2245);
            vm.assertEq(reason, wanted, "only a missing data leaf may be refused");
        }
    }

    // --- what the market asks --------------------------------------------------------------------

    function test_initial_hash_is_the_preimage_over_eight_slots() public view {
        bytes memory program = abi.encodePacked(
            "assayp\x01\x01", bytes32(uint256(1)), uint32(0x1_2000), uint32(0x1_0000), uint32(0x1_4000)
        );
        bytes32 low = sha256(
            abi.encode(
                sha256(abi.encode(bytes32(uint256(1)), zeros[21])),
                sha256(abi.encode(bytes32(uint256(2)), bytes32(uint256(3))))
            )
        );
        Cpu memory cpu = machine();
        cpu.pc = 0x1_2000;
        cpu.step = 0;
        delete cpu.x;
        bytes32 expected = sha256(preimage(cpu, sha256(abi.encode(low, zeros[23]))));
        bytes32 actual = this.initialHash(program, bytes32(uint256(2)), bytes32(uint256(3)), 1000);
        vm.assertEq(actual, expected, "the initial state follows from the program, the roots and the limit");
    }

    function initialHash(bytes calldata program, bytes32 input, bytes32 dataset, uint64 limit)
        external
        view
        returns (bytes32)
    {
        return MachineState.initialHash(program, input, dataset, limit);
    }

    function refuseProgram(bytes32 root, uint32 entry, uint32 lo, uint32 hi, ProgramFault fault) internal {
        vm.expectRevert(abi.encodeWithSelector(MachineState.InvalidProgram.selector, fault));
        this.initialHash(abi.encodePacked("assayp\x01\x01", root, entry, lo, hi), 0, 0, 1);
    }

    function test_malformed_programs_are_refused() public {
        refuseProgram(0, 0x1_4000, 0x1_0000, 0x1_4000, ProgramFault.Entry);
        refuseProgram(0, 0x0_fffc, 0x1_0000, 0x1_4000, ProgramFault.Entry);
        refuseProgram(0, 0x1_0002, 0x1_0000, 0x1_4000, ProgramFault.Entry);
        refuseProgram(0, 0x1_0000, 0x1_0000, 0x1_0000, ProgramFault.TextRange);
        refuseProgram(0, 0x1_0000, 0x0_f000, 0x1_4000, ProgramFault.TextRange);
        vm.expectRevert(abi.encodeWithSelector(MachineState.InvalidProgram.selector, ProgramFault.Length));
        this.initialHash(new bytes(51), 0, 0, 1);
        vm.expectRevert(abi.encodeWithSelector(MachineState.InvalidProgram.selector, ProgramFault.Tag));
        this.initialHash(new bytes(52), 0, 0, 1);
    }

    function checkFinal(bytes calldata image, uint64 limit, bytes32 outputRoot, bytes32[3] calldata siblings)
        external
        view
        returns (bytes32, uint8, uint32, uint64)
    {
        MachineState.checkFinal(image, limit, outputRoot, siblings);
        return (
            MachineState.checkFinal(image, limit, outputRoot, siblings).stateHash,
            MachineState.checkFinal(image, limit, outputRoot, siblings).status,
            MachineState.checkFinal(image, limit, outputRoot, siblings).exitCode,
            MachineState.checkFinal(image, limit, outputRoot, siblings).steps
        );
    }

    function test_the_output_root_opens_from_the_final_state() public {
        poke32(0x8000_0000, 99);
        bytes memory image = preimage(ended(machine(), 1, 7), memoryRoot());
        bytes32[3] memory siblings = [subtree(21, 5), subtree(22, 3), subtree(23, 0)];
        bytes32 outputRoot = subtree(21, 4);
        (bytes32 stateHash, uint8 status, uint32 code, uint64 steps) =
            this.checkFinal(image, 1000, outputRoot, siblings);
        vm.assertEq(stateHash, sha256(image), "state hash");
        vm.assertEq(uint256(status), 1, "status");
        vm.assertEq(uint256(code), 7, "exit code");
        vm.assertEq(uint256(steps), 42, "steps");

        vm.expectRevert(MachineState.OutputNotOpened.selector);
        this.checkFinal(image, 1000, siblings[0], siblings);
        siblings[1] = 0;
        vm.expectRevert(MachineState.OutputNotOpened.selector);
        this.checkFinal(image, 1000, outputRoot, siblings);
        vm.expectRevert(abi.encodeWithSelector(MachineState.OtherStepLimit.selector, 1000, 999));
        this.checkFinal(image, 999, outputRoot, siblings);
        image = preimage(machine(), memoryRoot());
        vm.expectRevert(MachineState.NotFinal.selector);
        this.checkFinal(image, 1000, outputRoot, siblings);
    }
}
