// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice The largest checkpoint that an operator anchored for a log.
/// @param root The log's root hash at that size.
/// @param size The number of leaves; zero when nothing was anchored.
/// @param anchoredAt When, in Unix seconds.
struct Checkpoint {
    bytes32 root;
    uint64 size;
    uint40 anchoredAt;
}

/// @title Where logs are anchored
/// @notice A log's operator registers once for each origin and then anchors checkpoints of growing
/// size. Operators do not compete for an origin: a reader names the operator that it believes, and
/// the log's own key vouches for the account in the statement whose hash is registered
/// (spec/contracts.md#anchors).
interface IAnchors {
    /// @notice The account is not registered for this origin.
    error OperatorUnregistered(bytes32 originHash, address operator);
    /// @notice An account registers once for an origin; a new statement would rewrite what readers
    /// relied on.
    error OperatorRegistered(bytes32 originHash, address operator);
    /// @notice A registration names the statement that binds the log's key and this account.
    error StatementMissing();
    /// @notice A log only grows: the size must be above the last one's.
    error SizeNotLarger(uint64 size, uint64 sizeLast);

    event OperatorEnrolled(bytes32 indexed originHash, address indexed operator, bytes32 statementHash);
    event CheckpointAnchored(bytes32 indexed originHash, address indexed operator, uint64 size, bytes32 root);

    /// @notice Registers the caller as an operator of a log.
    /// @param originHash SHA-256 of the log's origin line, without its newline.
    /// @param statementHash Hash of the statement, signed by the log's key and this account, that
    /// binds the two.
    function register(bytes32 originHash, bytes32 statementHash) external;

    /// @notice Anchors a checkpoint of the caller's log.
    function anchor(bytes32 originHash, uint64 size, bytes32 root) external;

    /// @notice The largest checkpoint of an operator's log.
    function latestOf(bytes32 originHash, address operator) external view returns (Checkpoint memory checkpoint);

    /// @notice The root anchored at exactly this size, or zero.
    function rootAt(bytes32 originHash, address operator, uint64 size) external view returns (bytes32 root);

    /// @notice The statement an operator registered with, or zero.
    function statementOf(bytes32 originHash, address operator) external view returns (bytes32 statementHash);
}
