// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Merkle} from "../../src/libraries/Merkle.sol";
import {Trace} from "../../src/libraries/Trace.sol";
import {Test} from "../support/Test.sol";
import {Leaves, Trees} from "../support/Trees.sol";

/// @notice Trees against a second implementation that uses Solidity's own `sha256`.
contract MerkleTest is Test {
    using Trees for Leaves;

    // The libraries read calldata, so the tests go through a call.
    function climb(bytes32 leaf, uint256 index, bytes32[] calldata siblings) external view returns (bytes32) {
        return Merkle.climb(leaf, index, siblings);
    }

    function rootOf(bytes32[] calldata group) external view returns (bytes32) {
        return Merkle.rootOf(group);
    }

    function hash(bytes calldata data) external view returns (bytes32) {
        return Merkle.hash(data);
    }

    function neighbours(bytes32 predecessor, bytes32 leaf, uint32 index, bytes32[] calldata siblings)
        external
        view
        returns (bytes32)
    {
        return Trace.rootFromNeighbours(predecessor, leaf, index, siblings);
    }

    function endsIn(bytes32 root, bytes32 leaf, bytes32[15] calldata proof) external view returns (bool) {
        return Trace.endsIn(root, leaf, proof);
    }

    function varied(uint256 seed) private pure returns (Leaves memory tree) {
        tree = Trees.constant_(bytes32(seed));
        for (uint256 k = 0; k < 6; ++k) {
            uint32 from = uint32(1 + uint256(keccak256(abi.encode(seed, k))) % 5000 + 5400 * k);
            tree = tree.then(from, keccak256(abi.encode(seed, "leaf", k)));
        }
    }

    function testFuzz_hash_is_sha256(bytes calldata data) public view {
        vm.assertEq(this.hash(data), sha256(data), "the precompile's answer");
    }

    function testFuzz_a_leaf_climbs_to_the_root(uint256 seed, uint256 index) public view {
        Leaves memory tree = varied(seed);
        index = bound(index, 0, 32767);
        vm.assertEq(this.climb(tree.leaf(index), index, tree.nodeProof(15, index)), tree.root(), "its own proof");
    }

    function testFuzz_neighbours_climb_together(uint256 seed, uint32 index) public view {
        Leaves memory tree = varied(seed);
        index = uint32(bound(index, 1, 32767));
        bytes32 root = this.neighbours(tree.leaf(index - 1), tree.leaf(index), index, tree.neighbourProof(index));
        vm.assertEq(root, tree.root(), "both leaves in one proof");
    }

    /// Every power of two: where the two paths climb apart for longest.
    function test_neighbours_at_every_fork() public view {
        Leaves memory tree = varied(1);
        for (uint256 z = 0; z < 15; ++z) {
            uint32 index = uint32(1 << z);
            bytes32[] memory proof = tree.neighbourProof(index);
            vm.assertEq(proof.length, 14 + z, "14 + z siblings");
            bytes32 root = this.neighbours(tree.leaf(index - 1), tree.leaf(index), index, proof);
            vm.assertEq(root, tree.root(), "both leaves in one proof");
        }
    }

    function test_indices_outside_the_tree_are_refused() public {
        uint32[3] memory outside = [uint32(0), 32768, type(uint32).max];
        for (uint256 k = 0; k < 3; ++k) {
            vm.expectRevert(abi.encodeWithSelector(Merkle.IndexOutOfRange.selector, outside[k], 15));
            this.neighbours(0, 0, outside[k], new bytes32[](15));
        }
        vm.expectRevert(abi.encodeWithSelector(Merkle.IndexOutOfRange.selector, 1, 0));
        this.climb(0, 1, new bytes32[](0));
        vm.expectRevert(abi.encodeWithSelector(Merkle.IndexOutOfRange.selector, 8, 3));
        this.climb(0, 8, new bytes32[](3));
    }

    function test_groups_fold_to_their_node() public {
        Leaves memory tree = varied(2);
        for (uint256 height = 0; height <= 7; ++height) {
            bytes32[] memory group = new bytes32[](1 << height);
            for (uint256 k = 0; k < group.length; ++k) {
                group[k] = tree.node(8, k);
            }
            vm.assertEq(this.rootOf(group), tree.node(8 + height, 0), "the node over the group");
        }
        uint256[3] memory odd = [uint256(0), 3, 33];
        for (uint256 k = 0; k < 3; ++k) {
            vm.expectRevert(abi.encodeWithSelector(Merkle.GroupSize.selector, odd[k]));
            this.rootOf(new bytes32[](odd[k]));
        }
    }

    function testFuzz_only_the_last_leaf_ends_a_tree(uint256 seed, uint256 index) public view {
        Leaves memory tree = varied(seed);
        vm.assertTrue(this.endsIn(tree.root(), tree.leaf(32767), tree.proof(32767)), "the last leaf");
        index = bound(index, 0, 26000);
        vm.assertFalse(this.endsIn(tree.root(), tree.leaf(index), tree.proof(index)), "another leaf, at its own place");
    }

    /// Field bug: out of gas during a hash. A starved climb reverts, it never answers.
    function test_starved_hashes_revert() public view {
        Leaves memory tree = varied(3);
        bytes32[] memory proof = tree.nodeProof(15, 77);
        bytes32 leaf = tree.leaf(77);
        bytes32 root = tree.root();
        uint256 starved;
        for (uint256 allowance = 500; allowance < 20_000; allowance += 37) {
            try this.climb{gas: allowance}(leaf, 77, proof) returns (bytes32 answer) {
                vm.assertEq(answer, root, "a climb short of gas must fail, not answer");
            } catch {
                ++starved;
            }
        }
        vm.assertGt(starved, 10, "the loop must have starved some");
    }
}
