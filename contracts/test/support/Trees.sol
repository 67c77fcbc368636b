// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice A tree of 2^15 leaves, given as runs: from index `from[k]` on, every leaf is `value[k]`.
struct Leaves {
    uint32[] from;
    bytes32[] value;
}

/// @title Trace trees for tests: cheap where they are padded
/// @notice Written from the specification with `sha256`, sharing no code with what it tests.
library Trees {
    uint256 internal constant HEIGHT = 15;

    function constant_(bytes32 value) internal pure returns (Leaves memory tree) {
        tree.from = new uint32[](1);
        tree.value = new bytes32[](1);
        tree.value[0] = value;
    }

    /// As `tree` before `from`, and `value` from there on.
    function then(Leaves memory tree, uint32 from, bytes32 value) internal pure returns (Leaves memory grown) {
        uint256 n = tree.from.length;
        if (from == 0) return constant_(value);
        require(from > tree.from[n - 1], "runs ascend");
        grown.from = new uint32[](n + 1);
        grown.value = new bytes32[](n + 1);
        for (uint256 k = 0; k < n; ++k) {
            (grown.from[k], grown.value[k]) = (tree.from[k], tree.value[k]);
        }
        (grown.from[n], grown.value[n]) = (from, value);
    }

    /// As `tree` before `from`, and `value` from there on, whatever stands there.
    function cut(Leaves memory tree, uint32 from, bytes32 value) internal pure returns (Leaves memory own) {
        uint256 n;
        while (n < tree.from.length && tree.from[n] < from) ++n;
        own.from = new uint32[](n);
        own.value = new bytes32[](n);
        for (uint256 k = 0; k < n; ++k) {
            (own.from[k], own.value[k]) = (tree.from[k], tree.value[k]);
        }
        return n == 0 ? constant_(value) : then(own, from, value);
    }

    function leaf(Leaves memory tree, uint256 index) internal pure returns (bytes32 value) {
        for (uint256 k = 0; k < tree.from.length && tree.from[k] <= index; ++k) {
            value = tree.value[k];
        }
    }

    /// The node at `height` over leaves, the `index`-th on its level.
    function node(Leaves memory tree, uint256 height, uint256 index) internal pure returns (bytes32 hash) {
        uint256 first = index << height;
        uint256 last = first + (1 << height) - 1;
        bool uniform = true;
        for (uint256 k = 0; k < tree.from.length; ++k) {
            if (tree.from[k] > first && tree.from[k] <= last) uniform = false;
        }
        if (uniform) {
            hash = leaf(tree, first);
            for (uint256 k = 0; k < height; ++k) {
                hash = sha256(abi.encode(hash, hash));
            }
            return hash;
        }
        return sha256(abi.encode(node(tree, height - 1, 2 * index), node(tree, height - 1, 2 * index + 1)));
    }

    function root(Leaves memory tree) internal pure returns (bytes32) {
        return node(tree, HEIGHT, 0);
    }

    function proof(Leaves memory tree, uint256 index) internal pure returns (bytes32[15] memory siblings) {
        for (uint256 k = 0; k < HEIGHT; ++k) {
            siblings[k] = node(tree, k, (index >> k) ^ 1);
        }
    }

    /// The proof of a node at `depth` below the root.
    function nodeProof(Leaves memory tree, uint256 depth, uint256 index)
        internal
        pure
        returns (bytes32[] memory siblings)
    {
        siblings = new bytes32[](depth);
        for (uint256 k = 0; k < depth; ++k) {
            siblings[k] = node(tree, HEIGHT - depth + k, (index >> k) ^ 1);
        }
    }

    /// The proof of leaves `index - 1` and `index` together; of leaf 0 alone.
    function neighbourProof(Leaves memory tree, uint256 index) internal pure returns (bytes32[] memory siblings) {
        if (index == 0) return nodeProof(tree, HEIGHT, 0);
        uint256 apart;
        while ((index >> apart) & 1 == 0) ++apart;
        siblings = new bytes32[](14 + apart);
        for (uint256 k = 0; k < apart; ++k) {
            siblings[k] = node(tree, k, ((index - 1) >> k) ^ 1);
            siblings[apart + k] = node(tree, k, (index >> k) ^ 1);
        }
        for (uint256 k = apart + 1; k < HEIGHT; ++k) {
            siblings[apart + k - 1] = node(tree, k, (index >> k) ^ 1);
        }
    }

    /// What a reveal of a node at `depth` shows.
    function children(Leaves memory tree, uint256 depth, uint256 index) internal pure returns (bytes32[] memory group) {
        group = new bytes32[](32);
        for (uint256 k = 0; k < 32; ++k) {
            group[k] = node(tree, HEIGHT - depth - 5, index * 32 + k);
        }
    }

    /// The first leaf in which two trees differ.
    function firstDifference(Leaves memory a, Leaves memory b) internal pure returns (uint32 index) {
        while (index < 1 << HEIGHT) {
            if (leaf(a, index) != leaf(b, index)) return index;
            uint32 next = uint32(1 << HEIGHT);
            for (uint256 k = 0; k < a.from.length; ++k) {
                if (a.from[k] > index && a.from[k] < next) next = a.from[k];
            }
            for (uint256 k = 0; k < b.from.length; ++k) {
                if (b.from[k] > index && b.from[k] < next) next = b.from[k];
            }
            index = next;
        }
        revert("the trees are equal");
    }
}
