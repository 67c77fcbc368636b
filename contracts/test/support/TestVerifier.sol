// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ClaimFacts, IVerifier, Verdict} from "../../src/interfaces/IVerifier.sol";

/// @title A verifier that says what it is told
contract TestVerifier is IVerifier {
    /// @dev Calldata that `open` sends to its caller, as a hostile verifier would; empty for none.
    bytes public reentry;
    bool public reentered;
    bool public broken;
    uint64 public windowSecs = 1 hours;
    uint64 public needed;

    mapping(bytes32 claimId => ClaimFacts) private facts;
    mapping(bytes32 claimId => bytes) public evidenceOf;
    mapping(bytes32 claimId => Verdict) private verdicts;
    mapping(bytes32 claimId => address) private informers;
    mapping(bytes32 claimId => bool) private challenged;
    mapping(bytes32 claimId => uint256) private costs;

    function decide(bytes32 claimId, Verdict verdict, address informer) external {
        (verdicts[claimId], informers[claimId]) = (verdict, informer);
    }

    function challenge(bytes32 claimId, bool yes) external {
        challenged[claimId] = yes;
    }

    function owe(bytes32 claimId, uint256 amount) external {
        costs[claimId] = amount;
    }

    function setReentry(bytes calldata data) external {
        reentry = data;
    }

    function setBroken(bool broken_) external {
        broken = broken_;
    }

    function setWindowMin(uint64 secs) external {
        windowSecs = secs;
    }

    /// What every claim needs from now on, whatever the order asks for.
    function setNeeded(uint64 secs) external {
        needed = secs;
    }

    function factsOf(bytes32 claimId) external view returns (ClaimFacts memory) {
        return facts[claimId];
    }

    function open(bytes32 claimId, ClaimFacts calldata facts_, bytes calldata evidence) external returns (uint64 secs) {
        require(!broken, "broken");
        require(facts[claimId].claimant == address(0), "opened twice");
        facts[claimId] = facts_;
        if (evidence.length != 0) evidenceOf[claimId] = evidence;
        if (reentry.length != 0) (reentered,) = msg.sender.call(reentry);
        return needed;
    }

    function verdictOf(bytes32 claimId) external view returns (Verdict verdict, address informer) {
        require(!broken, "broken");
        return (verdicts[claimId], informers[claimId]);
    }

    function contested(bytes32 claimId) external view returns (bool yes) {
        require(!broken, "broken");
        return challenged[claimId] || verdicts[claimId] == Verdict.Refuted;
    }

    function costsOf(bytes32 claimId) external view returns (uint256 amount) {
        require(!broken, "broken");
        return costs[claimId];
    }

    function windowMin(uint64, uint64) external view returns (uint64 secs) {
        return windowSecs;
    }
}
