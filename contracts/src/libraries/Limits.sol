// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Bounds of the market
/// @notice Every length that an order may name has a bound, and every bound a name
/// (spec/contracts.md#limits).
library Limits {
    /// @notice The longest time from lock to `begin` of a sealed order.
    uint32 internal constant BEGIN_SECS_MAX = 7 days;

    /// @notice The longest run.
    uint32 internal constant RUN_SECS_MAX = 60 days;

    /// @notice The longest window.
    uint32 internal constant WINDOW_SECS_MAX = 30 days;

    /// @notice How long after a missed deadline another provider may still lock the job for its
    /// bounty.
    uint32 internal constant LATE_LOCK_SECS = 3 days;

    /// @notice How long an answer to a first demand for an output chunk may take.
    uint32 internal constant ANSWER_SECS = 1 days;

    /// @notice How much later each further answer may come, so that no flood of demands can be too
    /// fast to answer.
    uint32 internal constant ANSWER_SPACING_SECS = 30;

    /// @notice After the window, how long a verifier may stay undecided before both sides may take
    /// back their own.
    uint32 internal constant UNWIND_SECS = 90 days;

    /// @notice From `unbond` to `withdraw`: the longest window, and as long again for its disputes.
    uint32 internal constant UNBOND_SECS = 2 * WINDOW_SECS_MAX + 1 days;

    /// @notice How many chunks of an output may be demanded and not answered at a time.
    uint32 internal constant CHUNKS_OPEN_MAX = 256;

    /// @notice A demand prepays so many times the going fee: an answer may come when gas is dearer,
    /// and what it does not cost goes back.
    uint256 internal constant CHUNK_FEE_HEADROOM = 2;

    /// @notice The gas that a verifier is given to answer; more than that, or none, counts as no
    /// answer.
    uint256 internal constant VERDICT_GAS_MIN = 2_000_000;
}
