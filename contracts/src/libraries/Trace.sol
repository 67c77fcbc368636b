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

    /// @notice The root of the tree in which `leaf` stands at `index` and `predecessor` right
    /// before it.
    /// @param index The leaf's index, at least 1.
    /// @param siblings Over the z levels on which the two climb apart, z being the number of
    /// trailing zero bits of `index`: the predecessor's z siblings, then the leaf's; then the 14 -
    /// z of the node over both. Each part is from the leaves upwards, and there are 14 + z in all.
    function rootFromNeighbours(bytes32 predecessor, bytes32 leaf, uint32 index, bytes32[] calldata siblings)
        internal
        view
        returns (bytes32)
    {
        // INVARIANT: 0 < index < 2^15, so z <= 14 and the two paths meet inside the tree.
        if (index == 0 || index > LAST) revert Merkle.IndexOutOfRange(index, HEIGHT);
        uint256 apart;
        while ((index >> apart) & 1 == 0) ++apart;
        uint256 together = HEIGHT - 1 - apart;
        if (siblings.length != 2 * apart + together) revert Merkle.ProofLength(siblings.length, 2 * apart + together);
        uint256 pointer;
        assembly ("memory-safe") {
            pointer := siblings.offset
        }
        // Below their meeting the predecessor is the right child throughout, and the leaf the left
        // one.
        bytes32 left = Merkle.climbAt(predecessor, (1 << apart) - 1, pointer, apart);
        bytes32 right = Merkle.climbAt(leaf, 0, pointer + 32 * apart, apart);
        return Merkle.climbAt(Merkle.node(left, right), index >> (apart + 1), pointer + 64 * apart, together);
    }

    /// @notice Whether a leaf opens at its index from the tree under `root`, right behind
    /// `predecessor` where there is one.
    /// @param siblings As for `rootFromNeighbours`; for the first leaf, which stands behind none,
    /// its own 15.
    function opens(bytes32 root, uint32 index, bytes32 predecessor, bytes32 leaf, bytes32[] calldata siblings)
        internal
        view
        returns (bool)
    {
        if (index != 0) return rootFromNeighbours(predecessor, leaf, index, siblings) == root;
        if (siblings.length != HEIGHT) revert Merkle.ProofLength(siblings.length, HEIGHT);
        return Merkle.climb(leaf, 0, siblings) == root;
    }

    /// @notice Whether the last leaf of the tree under `root` is `leaf`.
    function endsIn(bytes32 root, bytes32 leaf, bytes32[HEIGHT] calldata proof) internal view returns (bool) {
        return rootFrom(leaf, LAST, proof) == root;
    }
}
