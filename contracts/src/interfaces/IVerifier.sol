// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice What a verifier knows of a claim so far. Pending: not decided yet. Upheld: the claim is
/// final and pays. Refuted: the claim is false and the stake is slashed.
enum Verdict {
    Pending,
    Upheld,
    Refuted
}

/// @notice What a verifier is told of a claim, once, by the market. The market has already checked
/// that the final state is final, that the last trace leaf opens to it and that the output root
/// opens from its memory root.
/// @param claimant The provider's account: the only key whose answers count.
/// @param initialState Hash of the job's initial state (spec/machine.md#state).
/// @param finalState Hash of the claimed final state.
/// @param traceRoot Root of the claim's top trace (spec/machine.md#traces).
/// @param stepLimit The order's step limit, 1 to 2^45.
/// @param windowSecs The least window in seconds that the order asks for.
/// @param runSecs The order's time for a run.
/// @param steps The steps of the claimed final state, at most `stepLimit`.
/// @param stake What the claimant loses if the claim is false.
struct ClaimFacts {
    address claimant;
    bytes32 initialState;
    bytes32 finalState;
    bytes32 traceRoot;
    uint64 stepLimit;
    uint64 windowSecs;
    uint64 runSecs;
    uint64 steps;
    uint96 stake;
}

/// @title What makes a claim final
/// @notice One implementation for each kind of assurance: a fraud-proof window, a validity proof,
/// an attestation, a committee.
interface IVerifier {
    /// @notice Takes a claim in. Only the market calls it, once for each claim.
    /// @param claimId The market's id of the claim.
    /// @param facts The claim, as above.
    /// @param evidence What this kind of verifier wants with a claim (empty for the fraud-proof
    /// window).
    /// @return windowSecs The claim's window: what the order asks for, or more where checking so
    /// many steps takes longer. The market takes at most `Limits.WINDOW_SECS_MAX`.
    function open(bytes32 claimId, ClaimFacts calldata facts, bytes calldata evidence)
        external
        returns (uint64 windowSecs);

    /// @notice The verdict so far; once Upheld or Refuted it never changes.
    /// @return verdict The verdict.
    /// @return informer Who earns the bounty if Refuted, else zero.
    function verdictOf(bytes32 claimId) external view returns (Verdict verdict, address informer);

    /// @notice Whether the claim is being challenged, or was with success: neither time nor a halt
    /// then gives the stake back.
    function contested(bytes32 claimId) external view returns (bool);

    /// @notice What those who challenged a Refuted claim are owed for their costs, out of the
    /// bounty; final with the verdict. The market credits it to this contract's purse, or as much
    /// of it as half of the bounty covers.
    function costsOf(bytes32 claimId) external view returns (uint256 amount);

    /// @notice The shortest window, in seconds, in which a claim of so many steps can be checked.
    /// @param steps The claim's steps; of an order its step limit, which no claim exceeds.
    /// @param runSecs The order's time for a run.
    function windowMin(uint64 steps, uint64 runSecs) external view returns (uint64 secs);
}
