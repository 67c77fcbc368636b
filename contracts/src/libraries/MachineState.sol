// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Merkle} from "./Merkle.sol";

/// @notice A valid state's preimage in memory: the address of its 197 bytes.
type State is uint256;

/// @notice Why a preimage is no state.
enum StateFault {
    Length,
    Tag,
    Status,
    TextRange,
    StepLimit,
    Running,
    Final
}

/// @notice Why a preimage is no program id's.
enum ProgramFault {
    Length,
    Tag,
    TextRange,
    Entry
}

/// @notice What a claim says of the run's end, read from its final state.
struct FinalState {
    bytes32 stateHash;
    bytes32 outputRoot;
    uint8 status;
    uint32 exitCode;
    uint64 steps;
}

using MachineState for State global;

/// @title States and programs of the machine (spec/machine.md#state, #programs)
/// @notice `parse` is the only way to a `State`, so a `State` is always a valid one; the setters
/// are for `Step`.
library MachineState {
    /// @notice Bytes of a state's preimage, and of a program id's.
    uint256 internal constant SIZE = 197;
    uint256 internal constant PROGRAM_SIZE = 52;

    uint8 internal constant RUNNING = 0;
    uint8 internal constant EXITED = 1;
    uint8 internal constant TRAPPED = 2;
    uint8 internal constant OUT_OF_STEPS = 3;

    uint64 internal constant STEP_LIMIT_MAX = 1 << 45;

    bytes8 private constant STATE_TAG = "assaym\x01\x01";
    bytes8 private constant PROGRAM_TAG = "assayp\x01\x01";

    uint256 private constant TEXT_MIN = 0x1_0000;
    uint256 private constant TEXT_MAX = 0x2000_0000;
    uint256 private constant TEXT_BYTES_MAX = 1 << 26;
    uint256 private constant PAGE_MASK = 4095;

    /// @dev Roots of all-zero subtrees: one slot, two slots.
    bytes32 private constant ZEROS_21 = 0xaa424a13e7907b7cc4ea8d32248da41c21967341218e2a9feb1efe3f2ff36e61;
    bytes32 private constant ZEROS_22 = 0x5ce8fbdb888b3f13ff1112f3d477f1490e7949a79d983caa5b3835247dd00a82;

    // Offsets in the preimage.
    uint256 private constant STATUS = 8;
    uint256 private constant EXIT_CODE = 9;
    uint256 private constant PC = 13;
    uint256 private constant STEP = 141;
    uint256 private constant LIMIT = 149;
    uint256 private constant TEXT_LO = 157;
    uint256 private constant TEXT_HI = 161;
    uint256 private constant MEMORY_ROOT = 165;

    /// @notice Bytes that are no valid state.
    error InvalidState(StateFault fault);
    /// @notice Bytes that are no valid program preimage.
    error InvalidProgram(ProgramFault fault);
    /// @notice A claim's state has not ended.
    error NotFinal();
    /// @notice A claim's state was run under another limit than the order's.
    error OtherStepLimit(uint64 given, uint64 wanted);
    /// @notice The output root does not open from the final memory root.
    error OutputNotOpened();

    // --- a claim's end points --------------------------------------------------------------------

    /// @notice The program id of a 52-byte preimage, which need not be valid: see `initialHash`.
    function programId(bytes calldata program) internal view returns (bytes32) {
        return Merkle.hash(program);
    }

    /// @notice The hash of a job's initial state.
    /// @param program The program id's preimage, 52 bytes, checked here in full.
    function initialHash(bytes calldata program, bytes32 inputRoot, bytes32 datasetRoot, uint64 stepLimit)
        internal
        view
        returns (bytes32)
    {
        _checkProgram(program);
        if (stepLimit == 0 || stepLimit > STEP_LIMIT_MAX) revert InvalidState(StateFault.StepLimit);
        bytes32 low = Merkle.node(
            Merkle.node(bytes32(program[8:40]), ZEROS_21), // program, scratch
            Merkle.node(inputRoot, datasetRoot)
        );
        bytes32 root = Merkle.node(low, Merkle.node(ZEROS_22, ZEROS_22)); // output, spare, and the two trap slots
        bytes memory preimage = abi.encodePacked(
            STATE_TAG,
            RUNNING,
            uint32(0), // exit code
            bytes4(program[40:44]), // pc is the entry
            new bytes(124), // x1 .. x31
            uint64(0), // step
            stepLimit,
            bytes8(program[44:52]), // text range
            root
        );
        uint256 pointer;
        assembly ("memory-safe") {
            pointer := add(preimage, 32)
        }
        return Merkle.hashMemory(pointer, SIZE);
    }

    /// @notice Reads a claim's final state, and opens the output root from its memory root.
    /// @param preimage The state's 197 bytes.
    /// @param stepLimit The order's limit, which the state must carry.
    /// @param outputRoot The root of slot 4.
    /// @param siblings Slot 5, the node over slots 6 and 7, the node over slots 0 to 3.
    function checkFinal(bytes calldata preimage, uint64 stepLimit, bytes32 outputRoot, bytes32[3] calldata siblings)
        internal
        view
        returns (FinalState memory end)
    {
        State state = parse(preimage);
        if (state.status() == RUNNING) revert NotFinal();
        if (state.limit() != stepLimit) revert OtherStepLimit(state.limit(), stepLimit);
        uint256 pointer;
        assembly ("memory-safe") {
            pointer := siblings
        }
        if (Merkle.climbAt(outputRoot, 4, pointer, 3) != state.memoryRoot()) revert OutputNotOpened();
        end.stateHash = state.hash();
        end.outputRoot = outputRoot;
        end.status = state.status();
        end.exitCode = state.exitCode();
        end.steps = state.stepCount();
    }

    // --- parsing ---------------------------------------------------------------------------------

    /// @notice A state from exactly 197 bytes that are a valid preimage; anything else reverts with
    /// its fault.
    function parse(bytes calldata preimage) internal pure returns (State state) {
        if (preimage.length != SIZE) revert InvalidState(StateFault.Length);
        assembly ("memory-safe") {
            state := mload(0x40)
            calldatacopy(state, preimage.offset, SIZE)
            mstore(0x40, add(state, 224))
        }
        _check(state);
    }

    function _check(State state) private pure {
        if (bytes8(bytes32(_word(state, 0))) != STATE_TAG) revert InvalidState(StateFault.Tag);
        uint8 status_ = state.status();
        if (status_ > OUT_OF_STEPS) revert InvalidState(StateFault.Status);
        if (!_isTextRange(state.textLo(), state.textHi())) revert InvalidState(StateFault.TextRange);
        uint64 limit_ = state.limit();
        if (limit_ == 0 || limit_ > STEP_LIMIT_MAX) revert InvalidState(StateFault.StepLimit);
        uint64 step = state.stepCount();
        if (status_ == RUNNING) {
            if (step >= limit_ || state.pc() & 3 != 0 || state.exitCode() != 0) {
                revert InvalidState(StateFault.Running);
            }
            return;
        }
        bool cleared = _word(state, PC) | _word(state, PC + 32) | _word(state, PC + 64) | _word(state, PC + 96) == 0;
        bool counted = step >= 1 && step <= limit_ && (status_ != OUT_OF_STEPS || step == limit_);
        bool coded = status_ == EXITED || state.exitCode() == 0;
        if (!cleared || !counted || !coded) revert InvalidState(StateFault.Final);
    }

    function _checkProgram(bytes calldata program) private pure {
        if (program.length != PROGRAM_SIZE) revert InvalidProgram(ProgramFault.Length);
        if (bytes8(program[0:8]) != PROGRAM_TAG) revert InvalidProgram(ProgramFault.Tag);
        uint32 entry = uint32(bytes4(program[40:44]));
        uint32 lo = uint32(bytes4(program[44:48]));
        uint32 hi = uint32(bytes4(program[48:52]));
        if (!_isTextRange(lo, hi)) revert InvalidProgram(ProgramFault.TextRange);
        if (entry & 3 != 0 || entry < lo || entry >= hi) revert InvalidProgram(ProgramFault.Entry);
    }

    function _isTextRange(uint256 lo, uint256 hi) private pure returns (bool) {
        return lo >= TEXT_MIN && lo < hi && hi <= TEXT_MAX && (lo | hi) & PAGE_MASK == 0 && hi - lo <= TEXT_BYTES_MAX;
    }

    // --- fields ----------------------------------------------------------------------------------

    function hash(State state) internal view returns (bytes32) {
        return Merkle.hashMemory(State.unwrap(state), SIZE);
    }

    function status(State state) internal pure returns (uint8) {
        return uint8(_word(state, STATUS) >> 248);
    }

    function exitCode(State state) internal pure returns (uint32) {
        return _uint32(state, EXIT_CODE);
    }

    function pc(State state) internal pure returns (uint32) {
        return _uint32(state, PC);
    }

    function stepCount(State state) internal pure returns (uint64) {
        return uint64(_word(state, STEP) >> 192);
    }

    function limit(State state) internal pure returns (uint64) {
        return uint64(_word(state, LIMIT) >> 192);
    }

    function textLo(State state) internal pure returns (uint32) {
        return _uint32(state, TEXT_LO);
    }

    function textHi(State state) internal pure returns (uint32) {
        return _uint32(state, TEXT_HI);
    }

    function memoryRoot(State state) internal pure returns (bytes32) {
        return bytes32(_word(state, MEMORY_ROOT));
    }

    /// @notice Register x0 .. x31. x0 is not in the preimage: its place would be pc's.
    function register(State state, uint256 index) internal pure returns (uint32) {
        return index == 0 ? 0 : _uint32(state, PC + 4 * index);
    }

    // --- for Step only ---------------------------------------------------------------------------

    /// @notice Writes x1 .. x31; a write to x0 is dropped.
    function setRegister(State state, uint256 index, uint32 value) internal pure {
        if (index != 0) _setUint32(state, PC + 4 * index, value);
    }

    function setPc(State state, uint32 value) internal pure {
        _setUint32(state, PC, value);
    }

    function setMemoryRoot(State state, bytes32 root) internal pure {
        // The last field: the 27 bytes after it are ours and unused.
        _setWord(state, MEMORY_ROOT, uint256(root));
    }

    /// @notice Counts one step.
    function countStep(State state) internal pure {
        // INVARIANT: a running state has step < limit <= 2^45, so the low u64 of this addition
        // never carries.
        _setWord(state, STEP, _word(state, STEP) + (1 << 192));
    }

    /// @notice Enters a final status: pc and registers become zero.
    function finish(State state, uint8 status_, uint32 exitCode_) internal pure {
        for (uint256 i = 0; i < 4; ++i) {
            _setWord(state, PC + 32 * i, 0);
        }
        assembly ("memory-safe") {
            mstore8(add(state, STATUS), status_)
        }
        _setUint32(state, EXIT_CODE, exitCode_);
    }

    function _word(State state, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(state, offset))
        }
    }

    function _setWord(State state, uint256 offset, uint256 word) private pure {
        assembly ("memory-safe") {
            mstore(add(state, offset), word)
        }
    }

    function _uint32(State state, uint256 offset) private pure returns (uint32) {
        return uint32(_word(state, offset) >> 224);
    }

    function _setUint32(State state, uint256 offset, uint32 value) private pure {
        uint256 rest = _word(state, offset) & (type(uint256).max >> 32);
        _setWord(state, offset, rest | (uint256(value) << 224));
    }
}
