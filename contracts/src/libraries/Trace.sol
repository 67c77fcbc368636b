// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Merkle} from "./Merkle.sol";

/// @title Trace trees (spec/machine.md#traces)
library Trace {
    /// @notice Height of each of the three trees.
    uint256 internal constant HEIGHT = 15;
    /// @notice Index of the last leaf, the one that its parent's leaf opens to.
    uint32 internal constant LAST = uint32((1 << HEIGHT) - 1);

    /// @notice The root of the tree whose leaf `index` is `leaf`, by a proof of constant length.
    function rootFrom(bytes32 leaf, uint32 index, bytes32[HEIGHT] calldata proof) internal view returns (bytes32) {
        uint256 pointer;
        assembly ("memory-safe") {
            pointer := proof
        }
        return Merkle.climbAt(leaf, index, pointer, HEIGHT);
    }

    /// @notice Whether the last leaf of the tree under `root` is `leaf`.
    function endsIn(bytes32 root, bytes32 leaf, bytes32[HEIGHT] calldata proof) internal view returns (bool) {
        return rootFrom(leaf, LAST, proof) == root;
    }
}
