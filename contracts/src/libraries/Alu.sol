// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Integer arithmetic of RV32IM (spec/machine.md#instructions)
/// @notice Pure functions of an instruction word and its operands. `legal` is false where the word
/// is no instruction.
library Alu {
    struct Result {
        bool legal;
        uint32 value;
    }

    uint32 private constant FUNCT7_PLAIN = 0x00;
    uint32 private constant FUNCT7_MULTIPLY = 0x01;
    uint32 private constant FUNCT7_OTHER = 0x20; // SUB, SRA, SRAI

    /// @notice Opcode 0x13: ADDI, SLTI, SLTIU, XORI, ORI, ANDI, SLLI, SRLI, SRAI.
    function immediate(uint32 word, uint32 a) internal pure returns (Result memory) {
        uint32 funct3 = (word >> 12) & 7;
        if (funct3 == 1 || funct3 == 5) {
            uint32 funct7 = word >> 25;
            bool legal = funct7 == FUNCT7_PLAIN || (funct7 == FUNCT7_OTHER && funct3 == 5);
            return Result(legal, _plain(funct3, funct7 == FUNCT7_OTHER, a, (word >> 20) & 31));
        }
        return Result(true, _plain(funct3, false, a, uint32(int32(word) >> 20)));
    }

    /// @notice Opcode 0x33: ADD, SUB, SLL, SLT, SLTU, XOR, SRL, SRA, OR, AND and the M extension.
    function register(uint32 word, uint32 a, uint32 b) internal pure returns (Result memory) {
        uint32 funct3 = (word >> 12) & 7;
        uint32 funct7 = word >> 25;
        if (funct7 == FUNCT7_MULTIPLY) {
            return Result(true, funct3 < 4 ? _multiply(funct3, a, b) : _divide(funct3, a, b));
        }
        bool other = funct7 == FUNCT7_OTHER && (funct3 == 0 || funct3 == 5);
        return Result(funct7 == FUNCT7_PLAIN || other, _plain(funct3, other, a, b));
    }

    function _plain(uint32 funct3, bool other, uint32 a, uint32 b) private pure returns (uint32) {
        unchecked {
            if (funct3 == 0) return other ? a - b : a + b;
            if (funct3 == 1) return a << (b & 31);
            if (funct3 == 2) return int32(a) < int32(b) ? 1 : 0;
            if (funct3 == 3) return a < b ? 1 : 0;
            if (funct3 == 4) return a ^ b;
            if (funct3 == 5) return other ? uint32(int32(a) >> (b & 31)) : a >> (b & 31);
            if (funct3 == 6) return a | b;
            return a & b;
        }
    }

    /// @dev 33-bit operands fit 256 bits, so the products below are exact.
    function _multiply(uint32 funct3, uint32 a, uint32 b) private pure returns (uint32) {
        unchecked {
            if (funct3 == 0) return a * b;
            int256 left = funct3 == 3 ? int256(uint256(a)) : int256(int32(a));
            int256 right = funct3 == 1 ? int256(int32(b)) : int256(uint256(b));
            return uint32(uint256(left * right) >> 32);
        }
    }

    function _divide(uint32 funct3, uint32 a, uint32 b) private pure returns (uint32) {
        bool remainder = funct3 >= 6;
        if (b == 0) return remainder ? a : type(uint32).max;
        if (funct3 & 1 == 1) return remainder ? a % b : a / b; // DIVU, REMU
        unchecked {
            // In 256 bits MIN / -1 is 2^31, whose low word is MIN, and its remainder is 0: no
            // special case.
            int256 dividend = int256(int32(a));
            int256 divisor = int256(int32(b));
            return uint32(uint256(remainder ? dividend % divisor : dividend / divisor));
        }
    }
}
