// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IMarket} from "../interfaces/IMarket.sol";
import {Merkle} from "./Merkle.sol";

/// @title Chunks of an output
/// @notice A chunk is 16 leaves of 256 bytes, an aligned subtree of height 4 in the slot's tree of height 21.
library Chunks {
    uint256 internal constant HEIGHT = 17;
    uint32 internal constant COUNT = uint32(1 << HEIGHT);
    uint256 internal constant BYTES = 4096;
    uint256 private constant LEAF_BYTES = 256;
    uint256 private constant LEAVES = BYTES / LEAF_BYTES;

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
