// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title What a finished run costs
/// @notice A base plus a rate times the steps that the final state attests, capped by the price
/// locked (spec/contracts.md#metering).
library Meter {
    /// @dev A mebistep is 2^20 steps.
    uint256 internal constant MEBISTEP_LOG2 = 20;

    /// @notice The amount due to the provider, rounded down.
    /// @dev 96 + 48 bits cannot overflow. Proved in test/halmos: never above the cap, and a fixed
    /// price in full.
    /// @param priceCap The price locked.
    /// @param priceBase The part that does not depend on the steps.
    /// @param priceMebistep The price of 2^20 steps.
    /// @param steps The steps of the final state, at most 2^45.
    function due(uint96 priceCap, uint96 priceBase, uint96 priceMebistep, uint48 steps)
        internal
        pure
        returns (uint96 amount)
    {
        uint256 metered = uint256(priceBase) + ((uint256(priceMebistep) * steps) >> MEBISTEP_LOG2);
        return metered < priceCap ? uint96(metered) : priceCap;
    }
}
