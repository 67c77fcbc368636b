// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IStep} from "./interfaces/IStep.sol";
import {Alu} from "./libraries/Alu.sol";
import {MachineState, State} from "./libraries/MachineState.sol";
import {Merkle} from "./libraries/Merkle.sol";

/// @title One step of the machine
/// @notice Stateless. Disputes ends its games here, and anyone can replay a recorded step by a
/// call.
contract Step is IStep {
    // Witness layout, from the preimage on.
    uint256 private constant LEAF_BYTES = 256;
    uint256 private constant LEAF_MASK = 255;
    uint256 private constant MEMORY_HEIGHT = 24;
    uint256 private constant OPENING_BYTES = LEAF_BYTES + MEMORY_HEIGHT * 32;
    uint256 private constant INSTRUCTION_AT = MachineState.SIZE;
    uint256 private constant DATA_AT = INSTRUCTION_AT + OPENING_BYTES;
    uint256 private constant END = DATA_AT + OPENING_BYTES;

    uint256 private constant MAPPED_LO = 0x0001_0000;
    uint256 private constant MAPPED_HI = 0xC000_0000;

    uint32 private constant ECALL = 0x0000_0073;
    uint32 private constant A0 = 10;
    uint32 private constant A7 = 17;
    uint32 private constant CALL_EXIT = 93;

    /// @dev What an instruction does to a running state, besides its memory write. Applied only in
    /// `step`, so that a trap leaves registers as they were by construction.
    struct Effect {
        uint8 status;
        uint32 exitCode;
        uint32 nextPc;
        uint32 rd; // 0 if none
        uint32 value;
    }

    /// @inheritdoc IStep
    function step(bytes calldata witness) external view returns (bytes32 post) {
        if (witness.length < INSTRUCTION_AT) revert WitnessLength(witness.length, INSTRUCTION_AT);
        State state = MachineState.parse(witness[:INSTRUCTION_AT]);
        if (state.status() != MachineState.RUNNING) {
            _expectLength(witness, INSTRUCTION_AT);
            return state.hash();
        }

        Effect memory effect = _execute(state, witness);

        state.countStep();
        if (effect.status == MachineState.RUNNING) {
            state.setRegister(effect.rd, effect.value);
            state.setPc(effect.nextPc);
            if (state.stepCount() == state.limit()) effect.status = MachineState.OUT_OF_STEPS;
        }
        if (effect.status != MachineState.RUNNING) state.finish(effect.status, effect.exitCode);
        return state.hash();
    }

    function _execute(State state, bytes calldata witness) private view returns (Effect memory effect) {
        uint32 pc = state.pc();
        if (pc < state.textLo() || pc >= state.textHi()) {
            _expectLength(witness, INSTRUCTION_AT);
            effect.status = MachineState.TRAPPED;
            return effect;
        }
        uint32 word = _fetch(state, witness, pc);
        uint32 opcode = word & 0x7f;
        // Loads and stores say themselves which length they need.
        if (opcode == 0x03) return _load(state, witness, word);
        if (opcode == 0x23) return _store(state, witness, word);
        _expectLength(witness, DATA_AT);

        effect.nextPc = _add(pc, 4);
        effect.rd = (word >> 7) & 31;
        if (opcode == 0x13) {
            _operate(effect, Alu.immediate(word, state.register((word >> 15) & 31)));
        } else if (opcode == 0x33) {
            _operate(effect, Alu.register(word, state.register((word >> 15) & 31), state.register((word >> 20) & 31)));
        } else if (opcode == 0x63) {
            _branch(effect, state, word);
        } else if (opcode == 0x37) {
            effect.value = word & 0xffff_f000;
        } else if (opcode == 0x17) {
            effect.value = _add(pc, word & 0xffff_f000);
        } else if (opcode == 0x6f) {
            _jump(effect, _add(pc, _immediateJ(word)));
        } else if (opcode == 0x67 && _funct3(word) == 0) {
            _jump(effect, _add(state.register((word >> 15) & 31), _immediateI(word)) & ~uint32(1));
        } else if (opcode == 0x0f && _funct3(word) == 0) {
            effect.rd = 0; // FENCE does nothing
        } else if (word == ECALL && state.register(A7) == CALL_EXIT) {
            effect.status = MachineState.EXITED;
            effect.exitCode = state.register(A0);
        } else {
            effect.status = MachineState.TRAPPED;
        }
    }

    // --- kinds of instruction --------------------------------------------------------------------

    function _operate(Effect memory effect, Alu.Result memory result) private pure {
        if (result.legal) effect.value = result.value;
        else effect.status = MachineState.TRAPPED;
    }

    /// @dev The link is the address after this instruction, which `nextPc` holds until now.
    function _jump(Effect memory effect, uint32 target) private pure {
        if (target & 3 != 0) {
            effect.status = MachineState.TRAPPED;
        } else {
            effect.value = effect.nextPc;
            effect.nextPc = target;
        }
    }

    function _branch(Effect memory effect, State state, uint32 word) private pure {
        uint32 a = state.register((word >> 15) & 31);
        uint32 b = state.register((word >> 20) & 31);
        uint32 funct3 = _funct3(word);
        effect.rd = 0;
        bool taken;
        // Bit 0 of funct3 inverts the test; 2 and 3 are no branches.
        if (funct3 >> 1 == 0) {
            taken = a == b;
        } else if (funct3 >> 1 == 2) {
            taken = int32(a) < int32(b);
        } else if (funct3 >> 1 == 3) {
            taken = a < b;
        } else {
            effect.status = MachineState.TRAPPED;
            return;
        }
        if (taken == (funct3 & 1 == 1)) return;
        uint32 target = _add(state.pc(), _immediateB(word));
        if (target & 3 != 0) effect.status = MachineState.TRAPPED;
        else effect.nextPc = target;
    }

    function _load(State state, bytes calldata witness, uint32 word) private view returns (Effect memory effect) {
        uint32 funct3 = _funct3(word);
        uint32 size = uint32(1) << (funct3 & 3);
        uint32 location = _add(state.register((word >> 15) & 31), _immediateI(word));
        bool legal = funct3 <= 5 && funct3 != 3;
        if (!legal || !_isMapped(location, size)) {
            _expectLength(witness, DATA_AT);
            effect.status = MachineState.TRAPPED;
            return effect;
        }
        _openData(state, witness, location);
        uint32 value = _littleEndian(witness, DATA_AT + (location & LEAF_MASK), size);
        if (funct3 == 0) value = uint32(int32(int8(uint8(value))));
        else if (funct3 == 1) value = uint32(int32(int16(uint16(value))));
        effect.nextPc = _add(state.pc(), 4);
        effect.rd = (word >> 7) & 31;
        effect.value = value;
    }

    function _store(State state, bytes calldata witness, uint32 word) private view returns (Effect memory effect) {
        uint32 funct3 = _funct3(word);
        uint32 size = uint32(1) << (funct3 & 3);
        uint32 location = _add(state.register((word >> 15) & 31), _immediateS(word));
        bool intoText = location >= state.textLo() && location < state.textHi();
        if (funct3 > 2 || !_isMapped(location, size) || intoText) {
            _expectLength(witness, DATA_AT);
            effect.status = MachineState.TRAPPED;
            return effect;
        }
        uint256 siblings = _openData(state, witness, location);
        bytes32 leaf = _written(witness, location & LEAF_MASK, size, state.register((word >> 20) & 31));
        state.setMemoryRoot(Merkle.climbAt(leaf, location / LEAF_BYTES, siblings, MEMORY_HEIGHT));
        effect.nextPc = _add(state.pc(), 4);
    }

    // --- memory ----------------------------------------------------------------------------------

    /// @dev An aligned access never crosses a leaf or a zone, so its first byte decides.
    function _isMapped(uint32 location, uint32 size) private pure returns (bool) {
        return location & (size - 1) == 0 && location >= MAPPED_LO && location < MAPPED_HI;
    }

    function _fetch(State state, bytes calldata witness, uint32 pc) private view returns (uint32 word) {
        if (witness.length < DATA_AT) revert WitnessLength(witness.length, DATA_AT);
        (bool opened,) = _open(state, witness, INSTRUCTION_AT, pc);
        if (!opened) revert InstructionNotOpened();
        return _littleEndian(witness, INSTRUCTION_AT + (pc & LEAF_MASK), 4);
    }

    /// @return siblings Where the leaf's proof lies in calldata.
    function _openData(State state, bytes calldata witness, uint32 location) private view returns (uint256 siblings) {
        _expectLength(witness, END);
        bool opened;
        (opened, siblings) = _open(state, witness, DATA_AT, location);
        if (!opened) revert DataNotOpened();
    }

    function _open(State state, bytes calldata witness, uint256 offset, uint32 location)
        private
        view
        returns (bool opened, uint256 siblings)
    {
        bytes32 leaf = Merkle.hash(witness[offset:offset + LEAF_BYTES]);
        assembly ("memory-safe") {
            siblings := add(add(witness.offset, offset), LEAF_BYTES)
        }
        opened = Merkle.climbAt(leaf, location / LEAF_BYTES, siblings, MEMORY_HEIGHT) == state.memoryRoot();
    }

    /// @dev The hash of the data leaf with `size` bytes of `value` written at `offset`.
    function _written(bytes calldata witness, uint256 offset, uint256 size, uint32 value)
        private
        view
        returns (bytes32)
    {
        bytes calldata leaf = witness[DATA_AT:DATA_AT + LEAF_BYTES];
        uint256 pointer;
        assembly ("memory-safe") {
            pointer := mload(0x40) // used as scratch up to the hash
            calldatacopy(pointer, leaf.offset, LEAF_BYTES)
            for { let i := 0 } lt(i, size) { i := add(i, 1) } {
                mstore8(add(pointer, add(offset, i)), shr(shl(3, i), value))
            }
        }
        return Merkle.hashMemory(pointer, LEAF_BYTES);
    }

    /// @dev `size` bytes (1, 2 or 4) of the witness from `offset`, the first the least.
    function _littleEndian(bytes calldata witness, uint256 offset, uint256 size) private pure returns (uint32 value) {
        uint256 head;
        assembly ("memory-safe") {
            head := shr(224, calldataload(add(witness.offset, offset)))
        }
        // `head` holds the bytes b0 b1 b2 b3, b0 highest; swap, then keep the low `size`.
        uint256 swapped =
            (head >> 24) | ((head >> 8) & 0xff00) | ((head << 8) & 0xff_0000) | ((head << 24) & 0xff00_0000);
        return uint32(swapped & ((1 << (8 * size)) - 1));
    }

    // --- fields of an instruction ----------------------------------------------------------------

    function _funct3(uint32 word) private pure returns (uint32) {
        return (word >> 12) & 7;
    }

    function _immediateI(uint32 word) private pure returns (uint32) {
        return uint32(int32(word) >> 20);
    }

    function _immediateS(uint32 word) private pure returns (uint32) {
        return (uint32(int32(word) >> 20) & ~uint32(31)) | ((word >> 7) & 31);
    }

    function _immediateB(uint32 word) private pure returns (uint32) {
        return (uint32(int32(word) >> 19) & 0xffff_f000) | ((word << 4) & 0x800) | ((word >> 20) & 0x7e0)
            | ((word >> 7) & 0x1e);
    }

    function _immediateJ(uint32 word) private pure returns (uint32) {
        return
            (uint32(int32(word) >> 11) & 0xfff0_0000) | (word & 0xf_f000) | ((word >> 9) & 0x800)
                | ((word >> 20) & 0x7fe);
    }

    /// @dev Addresses wrap.
    function _add(uint32 a, uint32 b) private pure returns (uint32) {
        unchecked {
            return a + b;
        }
    }

    function _expectLength(bytes calldata witness, uint256 wanted) private pure {
        if (witness.length != wanted) revert WitnessLength(witness.length, wanted);
    }
}
