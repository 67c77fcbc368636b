// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Who gets a slashed stake
/// @notice The requester first, then whoever showed the fault or delivers late, then the cover pool
/// (spec/contracts.md#shares). Shares are in basis points of the stake.
library Split {
    uint256 internal constant BPS = 10_000;

    /// @notice The requester's least share: a slash always reaches the one who was harmed.
    uint16 internal constant COMPENSATION_BPS_MIN = 1_000;

    /// @notice The bounty's bounds: enough to be worth earning, and too little for a liar who earns
    /// its own.
    uint16 internal constant BOUNTY_BPS_MIN = 500;
    uint16 internal constant BOUNTY_BPS_MAX = 4_000;

    /// @notice The cover pool's least share: what a provider, requester and challenger who are one
    /// person always lose.
    uint16 internal constant COVER_BPS_MIN = 1_000;

    /// @notice Whether an order may name these shares.
    function sharesValid(uint16 compensationBps, uint16 bountyBps) internal pure returns (bool) {
        return compensationBps >= COMPENSATION_BPS_MIN && bountyBps >= BOUNTY_BPS_MIN && bountyBps <= BOUNTY_BPS_MAX
            && uint256(compensationBps) + bountyBps + COVER_BPS_MIN <= BPS;
    }

    /// @notice Cuts a stake in three. Rounding goes to the cover pool.
    /// @dev The caller has checked the shares. Proved in test/halmos: the parts add up to the
    /// stake, and something is left for the cover pool.
    function slashed(uint96 stake, uint16 compensationBps, uint16 bountyBps)
        internal
        pure
        returns (uint96 compensation, uint96 bounty, uint96 cover)
    {
        compensation = uint96(uint256(stake) * compensationBps / BPS);
        bounty = uint96(uint256(stake) * bountyBps / BPS);
        cover = stake - compensation - bounty;
    }

    /// @notice The most that either side pays when a lock lapses: a part of what it stands to gain
    /// or lose.
    uint16 internal constant LAPSE_FEE_BPS_MAX = 500;

    /// @notice Whether an order may name this fee: both sides can always pay it, from the price and
    /// from the stake.
    function lapseFeeValid(uint96 lapseFee, uint96 priceMin, uint96 stake) internal pure returns (bool) {
        uint256 least = priceMin < stake ? priceMin : stake;
        return uint256(lapseFee) * BPS <= least * LAPSE_FEE_BPS_MAX;
    }
}
