// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "./Test.sol";

/// @notice A machine state as a test writes it down, encoded by `preimage` from the specification
/// alone.
struct Cpu {
    uint8 status;
    uint32 exitCode;
    uint32 pc;
    uint32[32] x;
    uint64 step;
    uint64 limit;
    uint32 textLo;
    uint32 textHi;
}

/// @notice Instruction words, by format.
library Asm {
    function r(uint32 funct7, uint32 funct3, uint32 rd, uint32 rs1, uint32 rs2) internal pure returns (uint32) {
        return (funct7 << 25) | (rs2 << 20) | (rs1 << 15) | (funct3 << 12) | (rd << 7) | 0x33;
    }

    function i(uint32 opcode, uint32 funct3, uint32 rd, uint32 rs1, int32 imm) internal pure returns (uint32) {
        return (uint32(imm) << 20) | (rs1 << 15) | (funct3 << 12) | (rd << 7) | opcode;
    }

    function s(uint32 funct3, uint32 rs1, uint32 rs2, int32 imm) internal pure returns (uint32) {
        uint32 v = uint32(imm);
        return ((v >> 5) & 0x7f) << 25 | (rs2 << 20) | (rs1 << 15) | (funct3 << 12) | ((v & 31) << 7) | 0x23;
    }

    function b(uint32 funct3, uint32 rs1, uint32 rs2, int32 imm) internal pure returns (uint32) {
        uint32 v = uint32(imm);
        return (((v >> 12) & 1) << 31) | (((v >> 5) & 0x3f) << 25) | (rs2 << 20) | (rs1 << 15) | (funct3 << 12)
            | (((v >> 1) & 0xf) << 8) | (((v >> 11) & 1) << 7) | 0x63;
    }

    function u(uint32 opcode, uint32 rd, uint32 upper) internal pure returns (uint32) {
        return (upper << 12) | (rd << 7) | opcode;
    }

    function j(uint32 rd, int32 imm) internal pure returns (uint32) {
        uint32 v = uint32(imm);
        return (((v >> 20) & 1) << 31) | (((v >> 1) & 0x3ff) << 21) | (((v >> 11) & 1) << 20)
            | (((v >> 12) & 0xff) << 12) | (rd << 7) | 0x6f;
    }

    function addi(uint32 rd, uint32 rs1, int32 imm) internal pure returns (uint32) {
        return i(0x13, 0, rd, rs1, imm);
    }

    uint32 internal constant ECALL = 0x0000_0073;
}

/// @title A sparse memory and state encoding for tests
/// @notice Written from the specification with `sha256`, sharing no code with what it tests.
abstract contract MachineFixture is Test {
    bytes32[25] internal zeros;

    uint32[] private leafIndex;
    mapping(uint32 index => bytes) private leafData;

    constructor() {
        zeros[0] = sha256(new bytes(256));
        for (uint256 k = 0; k < 24; ++k) {
            zeros[k + 1] = sha256(abi.encode(zeros[k], zeros[k]));
        }
    }

    function preimage(Cpu memory cpu, bytes32 memoryRoot_) internal pure returns (bytes memory out) {
        out = abi.encodePacked("assaym\x01\x01", cpu.status, cpu.exitCode, cpu.pc);
        for (uint256 k = 1; k < 32; ++k) {
            out = abi.encodePacked(out, cpu.x[k]);
        }
        return abi.encodePacked(out, cpu.step, cpu.limit, cpu.textLo, cpu.textHi, memoryRoot_);
    }

    function copy(Cpu memory cpu) internal pure returns (Cpu memory) {
        return abi.decode(abi.encode(cpu), (Cpu));
    }

    // --- memory ----------------------------------------------------------------------------------

    function poke8(uint32 location, uint8 value) internal {
        uint32 index = location / 256;
        if (leafData[index].length == 0) {
            leafData[index] = new bytes(256);
            leafIndex.push(index);
        }
        leafData[index][location % 256] = bytes1(value);
    }

    function poke32(uint32 location, uint32 value) internal {
        for (uint32 k = 0; k < 4; ++k) {
            poke8(location + k, uint8(value >> (8 * k)));
        }
    }

    function leafOf(uint32 location) internal view returns (bytes memory data) {
        data = leafData[location / 256];
        if (data.length == 0) data = new bytes(256);
    }

    function subtree(uint256 height, uint256 index) internal view returns (bytes32) {
        bool empty = true;
        for (uint256 k = 0; k < leafIndex.length && empty; ++k) {
            empty = leafIndex[k] >> height != index;
        }
        if (empty) return zeros[height];
        if (height == 0) return sha256(leafData[uint32(index)]);
        return sha256(abi.encode(subtree(height - 1, 2 * index), subtree(height - 1, 2 * index + 1)));
    }

    function memoryRoot() internal view returns (bytes32) {
        return subtree(24, 0);
    }

    function memoryProof(uint32 location) internal view returns (bytes memory proof) {
        uint256 index = location / 256;
        for (uint256 k = 0; k < 24; ++k) {
            proof = abi.encodePacked(proof, subtree(k, (index >> k) ^ 1));
        }
    }

    function opening(uint32 location) internal view returns (bytes memory) {
        return abi.encodePacked(leafOf(location), memoryProof(location));
    }
}
