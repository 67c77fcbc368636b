// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IMarket} from "../interfaces/IMarket.sol";
import {Merkle} from "./Merkle.sol";

/// @title Chunks of an output
/// @notice A chunk is 16 leaves of 256 bytes, an aligned subtree of height 4 in the slot's tree of
/// height 21.
library Chunks {
    uint256 internal constant HEIGHT = 17;
    uint32 internal constant COUNT = uint32(1 << HEIGHT);
    uint256 internal constant BYTES = 4096;
    uint256 private constant LEAF_BYTES = 256;
    uint256 private constant LEAVES = BYTES / LEAF_BYTES;
    uint256 private constant SLOT_HEIGHT = 21;
    /// @dev A blob's header: its length as u64 little-endian, and 24 bytes of salt
    /// (spec/machine.md#blobs).
    uint256 private constant HEADER_BYTES = 32;
    uint256 private constant SLOT_BYTES = 1 << 29;
    /// @notice Demands are kept by groups of neighbours.
    uint32 internal constant GROUP = 32;

    /// @notice Refuses bytes that do not open from the output root at this chunk.
    /// @param proof The siblings, from the chunk's own upwards.
    function check(bytes32 outputRoot, uint32 chunk, bytes calldata data, bytes32[HEIGHT] calldata proof)
        internal
        view
    {
        if (data.length != BYTES) revert IMarket.ChunkLengthWrong(data.length);
        uint256 pointer;
        assembly ("memory-safe") {
            pointer := proof
        }
        // INVARIANT: the index is below 2^17 (climbAt refuses others), so one chunk has one proof.
        if (Merkle.climbAt(_root(data), chunk, pointer, HEIGHT) != outputRoot) revert IMarket.ChunkNotInOutput(chunk);
    }

    /// @notice How many chunks of an output hold anything, by its first bytes.
    /// @dev An output that is no blob has no length, so all of its slot may be wanted.
    function countOf(bytes calldata start) internal pure returns (uint32) {
        uint256 length;
        for (uint256 i = 8; i > 0; --i) {
            length = length << 8 | uint8(start[i - 1]);
        }
        if (length > SLOT_BYTES - HEADER_BYTES) return COUNT;
        return uint32((HEADER_BYTES + length + BYTES - 1) / BYTES);
    }

    /// @notice The same by the slot's first leaf, 256 bytes, and its 21 siblings.
    function countOf(bytes32 outputRoot, bytes calldata leaf, bytes32[SLOT_HEIGHT] calldata proof)
        internal
        view
        returns (uint32)
    {
        if (leaf.length != LEAF_BYTES) revert IMarket.ChunkLengthWrong(leaf.length);
        uint256 pointer;
        assembly ("memory-safe") {
            pointer := proof
        }
        if (Merkle.climbAt(Merkle.hash(leaf), 0, pointer, SLOT_HEIGHT) != outputRoot) {
            revert IMarket.ChunkNotInOutput(0);
        }
        return countOf(leaf);
    }

    /// @notice What one answer is worth now: the order's fee, and more where gas costs more than
    /// the fee was made for.
    /// @param baseline The base fee that fees are made for; zero where they do not follow it.
    function feeAt(uint96 chunkFee, uint256 baseFee, uint256 baseline) internal pure returns (uint256) {
        if (baseline == 0 || baseFee <= baseline) return chunkFee;
        return uint256(chunkFee) * baseFee / baseline;
    }

    /// @notice How many bits of a group's mask are set.
    function bits(uint32 mask) internal pure returns (uint256 set) {
        for (; mask != 0; mask &= mask - 1) {
            ++set;
        }
    }

    function _root(bytes calldata data) private view returns (bytes32) {
        // Filled by the first loop.
        // slither-disable-next-line uninitialized-local
        bytes32[LEAVES] memory nodes;
        for (uint256 i = 0; i < LEAVES; ++i) {
            nodes[i] = Merkle.hash(data[i * LEAF_BYTES:(i + 1) * LEAF_BYTES]);
        }
        for (uint256 width = LEAVES / 2; width > 0; width /= 2) {
            for (uint256 i = 0; i < width; ++i) {
                nodes[i] = Merkle.node(nodes[2 * i], nodes[2 * i + 1]);
            }
        }
        return nodes[0];
    }
}
