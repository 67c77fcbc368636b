// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title SHA-256 and its binary trees (spec/machine.md#roots)
/// @notice Every hash goes through `_sha256` or one of the two loops below, and each checks that
/// the precompile ran: out of gas inside a hash reverts, it never leaves an old word in place of a
/// hash.
library Merkle {
    /// @notice The SHA-256 precompile failed, for want of gas or because the chain has none.
    error HashFailed();
    /// @notice An index is not inside a tree of this height.
    error IndexOutOfRange(uint256 index, uint256 height);
    /// @notice A proof has another number of siblings than its tree is high.
    error ProofLength(uint256 given, uint256 wanted);
    /// @notice A group of nodes is empty or not a power of two.
    error GroupSize(uint256 given);

    /// @notice SHA-256 of bytes in calldata.
    function hash(bytes calldata data) internal view returns (bytes32 digest) {
        uint256 pointer;
        assembly ("memory-safe") {
            pointer := mload(0x40)
            calldatacopy(pointer, data.offset, data.length)
        }
        return hashMemory(pointer, data.length);
    }

    /// @notice SHA-256 of `length` bytes of memory from `pointer`.
    function hashMemory(uint256 pointer, uint256 length) internal view returns (bytes32 digest) {
        bool ok;
        assembly ("memory-safe") {
            ok := staticcall(gas(), 2, pointer, length, 0, 32)
            ok := and(ok, eq(returndatasize(), 32))
            digest := mload(0)
        }
        if (!ok) revert HashFailed();
    }

    /// @notice The node over two children.
    function node(bytes32 left, bytes32 right) internal view returns (bytes32 parent) {
        assembly ("memory-safe") {
            mstore(0, left)
            mstore(32, right)
        }
        return hashMemory(0, 64);
    }

    /// @notice The node `siblings.length` levels above `running`, which stands at `index` on its
    /// own level.
    function climb(bytes32 running, uint256 index, bytes32[] calldata siblings) internal view returns (bytes32 root) {
        uint256 pointer;
        assembly ("memory-safe") {
            pointer := siblings.offset
        }
        return climbAt(running, index, pointer, siblings.length);
    }

    /// @notice As `climb`, over `height` siblings that lie in calldata from byte `pointer`.
    /// The caller has checked that they do: calldata reads as zero past its end, which then proves
    /// nothing false.
    function climbAt(bytes32 running, uint256 index, uint256 pointer, uint256 height)
        internal
        view
        returns (bytes32 root)
    {
        // INVARIANT: an index has one meaning. Higher bits would be ignored below, so they are
        // refused.
        if (index >> height != 0) revert IndexOutOfRange(index, height);
        bool ok = true;
        // Assembly because the scratch space serves all the hashes: half the gas of
        // `sha256(abi.encode(..))`.
        assembly ("memory-safe") {
            for { let end := add(pointer, shl(5, height)) } lt(pointer, end) { pointer := add(pointer, 32) } {
                let right := shl(5, and(index, 1)) // 32 if the running node is the right child
                mstore(right, running)
                mstore(xor(right, 32), calldataload(pointer))
                ok := and(ok, staticcall(gas(), 2, 0, 64, 0, 32))
                ok := and(ok, eq(returndatasize(), 32))
                running := mload(0)
                index := shr(1, index)
            }
        }
        if (!ok) revert HashFailed();
        return running;
    }

    /// @notice The node over a whole group of neighbours, in order; their number is a power of two.
    function rootOf(bytes32[] calldata group) internal view returns (bytes32 root) {
        uint256 width = group.length;
        if (width == 0 || width & (width - 1) != 0) revert GroupSize(width);
        bool ok = true;
        // Assembly folds the group in place: each level's nodes overwrite the front of the level
        // below.
        assembly ("memory-safe") {
            let nodes := mload(0x40)
            calldatacopy(nodes, group.offset, shl(5, width))
            for {} gt(width, 1) {} {
                width := shr(1, width)
                for { let i := 0 } lt(i, width) { i := add(i, 1) } {
                    ok := and(ok, staticcall(gas(), 2, add(nodes, shl(6, i)), 64, add(nodes, shl(5, i)), 32))
                    ok := and(ok, eq(returndatasize(), 32))
                }
            }
            root := mload(nodes)
        }
        if (!ok) revert HashFailed();
    }
}
