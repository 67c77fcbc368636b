// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IVerifiers, VerifierStage} from "./interfaces/IVerifiers.sol";

/// @title The registry of verifiers
/// @dev The owner is meant to be a timelock, from the first block on: the deployer enters the first
/// verifiers as founder, and ends that in the same batch. The guardian can do nothing but halt.
contract Verifiers is IVerifiers, Ownable2Step {
    /// @dev One slot.
    struct Entry {
        address verifier;
        VerifierStage stage;
        uint88 valueCap;
    }

    mapping(uint16 verifierId => Entry) private entries;

    /// @inheritdoc IVerifiers
    uint16 public count;

    /// @inheritdoc IVerifiers
    address public guardian;

    /// @inheritdoc IVerifiers
    address public founder;

    modifier onlyGovernance() {
        if (msg.sender != owner() && msg.sender != founder) revert NotGovernance(msg.sender);
        _;
    }

    constructor(address governance, address guardian_) Ownable(governance) {
        founder = msg.sender;
        _setGuardian(guardian_);
    }

    /// @inheritdoc IVerifiers
    function propose(address verifier) external onlyGovernance returns (uint16 verifierId) {
        if (verifier.code.length == 0) revert VerifierWithoutCode(verifier);
        verifierId = ++count;
        // INVARIANT: the only write of `verifier`, to an id never used before.
        entries[verifierId] = Entry({verifier: verifier, stage: VerifierStage.Proposed, valueCap: 0});
        emit VerifierProposed(verifierId, verifier);
    }

    /// @inheritdoc IVerifiers
    function startCanary(uint16 verifierId, uint88 valueCap) external onlyGovernance {
        Entry storage entry = _known(verifierId);
        if (entry.stage > VerifierStage.Canary) revert StageNotForward(entry.stage, VerifierStage.Canary);
        _stage(verifierId, entry, VerifierStage.Canary, valueCap);
    }

    /// @inheritdoc IVerifiers
    function activate(uint16 verifierId) external onlyGovernance {
        Entry storage entry = _known(verifierId);
        // INVARIANT: nothing becomes active that was not a canary first.
        if (entry.stage != VerifierStage.Canary) revert StageNotForward(entry.stage, VerifierStage.Active);
        _stage(verifierId, entry, VerifierStage.Active, 0);
    }

    /// @inheritdoc IVerifiers
    function retire(uint16 verifierId) external onlyGovernance {
        Entry storage entry = _known(verifierId);
        if (entry.stage >= VerifierStage.Retired) revert StageNotForward(entry.stage, VerifierStage.Retired);
        _stage(verifierId, entry, VerifierStage.Retired, 0);
    }

    /// @inheritdoc IVerifiers
    function halt(uint16 verifierId) external {
        if (msg.sender != guardian && msg.sender != owner()) revert NotGuardian(msg.sender);
        Entry storage entry = _known(verifierId);
        // INVARIANT: a halt is for good, so nobody is unwound by one and slashed by its end.
        if (entry.stage == VerifierStage.Halted) revert StageNotForward(entry.stage, VerifierStage.Halted);
        _stage(verifierId, entry, VerifierStage.Halted, 0);
    }

    /// @inheritdoc IVerifiers
    function setGuardian(address guardian_) external onlyGovernance {
        _setGuardian(guardian_);
    }

    /// @inheritdoc IVerifiers
    function endFounding() external onlyGovernance {
        emit FoundingEnded(founder);
        founder = address(0);
    }

    /// @inheritdoc IVerifiers
    function admit(uint16 verifierId) external view returns (address verifier, uint256 cap) {
        Entry storage entry = _known(verifierId);
        VerifierStage stage = entry.stage;
        if (stage == VerifierStage.Active) return (entry.verifier, type(uint256).max);
        if (stage != VerifierStage.Canary) revert VerifierClosed(verifierId, stage);
        return (entry.verifier, entry.valueCap);
    }

    /// @inheritdoc IVerifiers
    function judgeOf(uint16 verifierId) external view returns (address verifier, bool halted) {
        Entry storage entry = _known(verifierId);
        return (entry.verifier, entry.stage == VerifierStage.Halted);
    }

    /// @inheritdoc IVerifiers
    function verifierOf(uint16 verifierId) external view returns (address verifier) {
        return _known(verifierId).verifier;
    }

    /// @inheritdoc IVerifiers
    function stageOf(uint16 verifierId) external view returns (VerifierStage stage, uint88 valueCap) {
        Entry storage entry = entries[verifierId];
        return (entry.stage, entry.valueCap);
    }

    function _known(uint16 verifierId) private view returns (Entry storage entry) {
        entry = entries[verifierId];
        if (entry.stage == VerifierStage.None) revert VerifierUnknown(verifierId);
    }

    function _stage(uint16 verifierId, Entry storage entry, VerifierStage stage, uint88 valueCap) private {
        entry.stage = stage;
        entry.valueCap = valueCap;
        emit VerifierStaged(verifierId, stage, valueCap);
    }

    function _setGuardian(address guardian_) private {
        guardian = guardian_;
        emit GuardianChanged(guardian_);
    }
}
