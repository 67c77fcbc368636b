// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title The price of an order as time passes
/// @notice Flat at the minimum, then a straight line up, then flat at the maximum
/// (spec/contracts.md#price).
library Ramp {
    /// @notice The price at a moment, rounded down.
    /// @dev The caller has checked `priceMin <= priceMax`. Proved in test/halmos: within its
    /// bounds, flat before and after.
    /// @param priceMin The price until `startAt`.
    /// @param priceMax The price from `startAt + rampSecs`.
    /// @param startAt When the price begins to rise, in Unix seconds.
    /// @param rampSecs How long it rises; 0 jumps to the maximum at `startAt`.
    /// @param time The moment, in Unix seconds.
    function priceAt(uint96 priceMin, uint96 priceMax, uint40 startAt, uint32 rampSecs, uint256 time)
        internal
        pure
        returns (uint96)
    {
        if (time < startAt) return priceMin;
        uint256 elapsedSecs = time - startAt;
        if (elapsedSecs >= rampSecs) return priceMax;
        // Below: elapsed < ramp, so the rise is below max - min, and 96 + 32 bits cannot overflow.
        uint96 price = priceMin + uint96(uint256(priceMax - priceMin) * elapsedSecs / rampSecs);
        // INVARIANT: price <= priceMax, since elapsedSecs < rampSecs. Solvers can't see it through
        // the division, and this bound, which costs less than a thousandth of a lock, lets them.
        return price < priceMax ? price : priceMax;
    }
}
