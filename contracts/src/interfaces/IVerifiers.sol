// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice How far a verifier is trusted.
/// None: no such id. Proposed: known, and may not be used. Canary: new orders up to a value. Active: new orders.
/// Retired: claims of orders locked before, and nothing new.
enum VerifierStage {
    None,
    Proposed,
    Canary,
    Active,
    Retired
}

/// @title The registry of verifiers
/// @notice An id names one contract for ever; only its stage changes, and only forwards. So no later decision can put
/// another judge over an old claim (spec/contracts.md#verifiers).
interface IVerifiers {
    /// @notice No verifier has this id.
    error VerifierUnknown(uint16 verifierId);
    /// @notice The verifier is not open to new orders at its stage.
    error VerifierClosed(uint16 verifierId, VerifierStage stage);
    /// @notice The order is worth more than the canary may carry.
    error ValueAboveCap(uint256 value, uint256 cap);
    /// @notice A stage is only left forwards.
    error StageNotForward(VerifierStage from, VerifierStage to);
    /// @notice A verifier is a contract.
    error VerifierWithoutCode(address verifier);

    event VerifierProposed(uint16 indexed verifierId, address indexed verifier);
    event VerifierStaged(uint16 indexed verifierId, VerifierStage stage, uint88 valueCap);

    /// @notice Enters a verifier under the next id, starting from 1. Owner only.
    function propose(address verifier) external returns (uint16 verifierId);

    /// @notice Opens a verifier to orders of at most this value. Owner only; again, to change the cap.
    function startCanary(uint16 verifierId, uint88 valueCap) external;

    /// @notice Opens a verifier to all orders. Owner only.
    function activate(uint16 verifierId) external;

    /// @notice Closes a verifier to new orders, from any stage. Owner only.
    function retire(uint16 verifierId) external;

    /// @notice The verifier, if a new order of this value may use it; reverts otherwise.
    /// @param value The larger of the order's highest escrow, data fee included, and its stake: what a broken verifier could
    /// misdirect.
    function admit(uint16 verifierId, uint256 value) external view returns (address verifier);

    /// @notice The verifier at any stage, for claims already locked; reverts for an unknown id.
    function verifierOf(uint16 verifierId) external view returns (address verifier);

    /// @notice The stage, and the value cap while in the canary stage.
    function stageOf(uint16 verifierId) external view returns (VerifierStage stage, uint88 valueCap);

    /// @notice How many ids were given.
    function count() external view returns (uint16);
}
