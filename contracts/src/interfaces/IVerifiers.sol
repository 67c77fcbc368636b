// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice How far a verifier is trusted. None: no such id. Proposed: known, and may not be used.
/// Canary: new orders, all open ones together up to a value. Active: new orders. Retired: claims of
/// orders locked before, and nothing new. Halted: found to be broken; jobs that nobody has
/// challenged unwind, and both sides have their own back.
enum VerifierStage {
    None,
    Proposed,
    Canary,
    Active,
    Retired,
    Halted
}

/// @title The registry of verifiers
/// @notice An id names one contract for ever; only its stage changes, and only forwards. So no
/// later decision can put another judge over an old claim (spec/contracts.md#verifiers).
interface IVerifiers {
    /// @notice No verifier has this id.
    error VerifierUnknown(uint16 verifierId);
    /// @notice The verifier is not open to new orders at its stage.
    error VerifierClosed(uint16 verifierId, VerifierStage stage);
    /// @notice A stage is only left forwards.
    error StageNotForward(VerifierStage from, VerifierStage to);
    /// @notice A verifier is a contract.
    error VerifierWithoutCode(address verifier);
    /// @notice Only the owner, or the founder while there is one, may do this.
    error NotGovernance(address caller);
    /// @notice Only the guardian or the owner may do this.
    error NotGuardian(address caller);

    event VerifierProposed(uint16 indexed verifierId, address indexed verifier);
    event VerifierStaged(uint16 indexed verifierId, VerifierStage stage, uint88 valueCap);
    event GuardianChanged(address indexed guardian);
    event FoundingEnded(address indexed founder);

    /// @notice Enters a verifier under the next id, starting from 1. Owner or founder.
    function propose(address verifier) external returns (uint16 verifierId);

    /// @notice Opens a verifier to orders that are worth at most this much while they are open, all
    /// together. Owner or founder; again, to change the cap.
    function startCanary(uint16 verifierId, uint88 valueCap) external;

    /// @notice Opens a verifier to all orders. Owner or founder.
    function activate(uint16 verifierId) external;

    /// @notice Closes a verifier to new orders. Owner or founder.
    function retire(uint16 verifierId) external;

    /// @notice Says that a verifier is broken, for good. Guardian or owner.
    function halt(uint16 verifierId) external;

    /// @notice Names who may halt, or nobody but the owner. Owner or founder.
    function setGuardian(address guardian) external;

    /// @notice Ends what the deployer may do here. Founder or owner.
    function endFounding() external;

    /// @notice The verifier, if new orders may use it, and what they may be worth while open;
    /// reverts otherwise.
    /// @return verifier Its contract.
    /// @return cap The most, for all open orders together; the highest number for no cap.
    function admit(uint16 verifierId) external view returns (address verifier, uint256 cap);

    /// @notice The verifier at any stage, for claims already locked; reverts for an unknown id.
    /// @return verifier Its contract.
    /// @return halted Whether it was found to be broken.
    function judgeOf(uint16 verifierId) external view returns (address verifier, bool halted);

    /// @notice The same without its stage.
    function verifierOf(uint16 verifierId) external view returns (address verifier);

    /// @notice The stage, and the value cap while in the canary stage.
    function stageOf(uint16 verifierId) external view returns (VerifierStage stage, uint88 valueCap);

    /// @notice How many ids were given.
    function count() external view returns (uint16);

    /// @notice Who may halt a verifier besides the owner.
    function guardian() external view returns (address);

    /// @notice The deployer, as long as it acts for the owner: then this is a test market. Zero
    /// once it does not.
    function founder() external view returns (address);
}
