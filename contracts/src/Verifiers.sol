// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IVerifiers, VerifierStage} from "./interfaces/IVerifiers.sol";

/// @title The registry of verifiers
/// @dev The owner is meant to be a timelock.
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

    constructor(address governance) Ownable(governance) {}

    /// @inheritdoc IVerifiers
    function propose(address verifier) external onlyOwner returns (uint16 verifierId) {
        if (verifier.code.length == 0) revert VerifierWithoutCode(verifier);
        verifierId = ++count;
        // INVARIANT: the only write of `verifier`, to an id never used before.
        entries[verifierId] = Entry({verifier: verifier, stage: VerifierStage.Proposed, valueCap: 0});
        emit VerifierProposed(verifierId, verifier);
    }

    /// @inheritdoc IVerifiers
    function startCanary(uint16 verifierId, uint88 valueCap) external onlyOwner {
        Entry storage entry = _known(verifierId);
        if (entry.stage > VerifierStage.Canary) revert StageNotForward(entry.stage, VerifierStage.Canary);
        _stage(verifierId, entry, VerifierStage.Canary, valueCap);
    }

    /// @inheritdoc IVerifiers
    function activate(uint16 verifierId) external onlyOwner {
        Entry storage entry = _known(verifierId);
        // INVARIANT: nothing becomes active that was not a canary first.
        if (entry.stage != VerifierStage.Canary) revert StageNotForward(entry.stage, VerifierStage.Active);
        _stage(verifierId, entry, VerifierStage.Active, 0);
    }

    /// @inheritdoc IVerifiers
    function retire(uint16 verifierId) external onlyOwner {
        Entry storage entry = _known(verifierId);
        if (entry.stage == VerifierStage.Retired) revert StageNotForward(entry.stage, VerifierStage.Retired);
        _stage(verifierId, entry, VerifierStage.Retired, 0);
    }

    /// @inheritdoc IVerifiers
    function admit(uint16 verifierId, uint256 value) external view returns (address verifier) {
        Entry storage entry = _known(verifierId);
        VerifierStage stage = entry.stage;
        if (stage == VerifierStage.Canary) {
            // INVARIANT: an order under a canary is worth no more than its cap.
            if (value > entry.valueCap) revert ValueAboveCap(value, entry.valueCap);
        } else if (stage != VerifierStage.Active) {
            revert VerifierClosed(verifierId, stage);
        }
        return entry.verifier;
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
}
