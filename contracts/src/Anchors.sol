// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Checkpoint, IAnchors} from "./interfaces/IAnchors.sol";

/// @title Where logs are anchored
/// @dev No owner, no money, no deletion: what was anchored stays readable.
contract Anchors is IAnchors {
    mapping(bytes32 originHash => mapping(address operator => bytes32)) public statementOf;
    mapping(bytes32 originHash => mapping(address operator => mapping(uint64 size => bytes32))) public rootAt;
    mapping(bytes32 originHash => mapping(address operator => Checkpoint)) private latest;

    /// @inheritdoc IAnchors
    function register(bytes32 originHash, bytes32 statementHash) external {
        if (statementHash == 0) revert StatementMissing();
        if (statementOf[originHash][msg.sender] != 0) revert OperatorRegistered(originHash, msg.sender);
        statementOf[originHash][msg.sender] = statementHash;
        emit OperatorEnrolled(originHash, msg.sender, statementHash);
    }

    /// @inheritdoc IAnchors
    function anchor(bytes32 originHash, uint64 size, bytes32 root) external {
        if (statementOf[originHash][msg.sender] == 0) revert OperatorUnregistered(originHash, msg.sender);
        Checkpoint storage last = latest[originHash][msg.sender];
        // INVARIANT: an operator's sizes only grow, so a root once anchored at a size never
        // changes.
        if (size <= last.size) revert SizeNotLarger(size, last.size);
        latest[originHash][msg.sender] = Checkpoint({root: root, size: size, anchoredAt: uint40(block.timestamp)});
        rootAt[originHash][msg.sender][size] = root;
        emit CheckpointAnchored(originHash, msg.sender, size, root);
    }

    /// @inheritdoc IAnchors
    function latestOf(bytes32 originHash, address operator) external view returns (Checkpoint memory checkpoint) {
        return latest[originHash][operator];
    }
}
