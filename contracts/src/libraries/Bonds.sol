// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Games} from "./Games.sol";

/// @title What a challenge costs
library Bonds {
    /// @notice The bond of the next game (spec/dispute.md#bonds).
    /// @param bond The least bond.
    /// @param stakeBps The part of the stake on top of it.
    /// @param stake The claimant's stake.
    /// @param openGames How many games are open about the claim.
    function next(uint96 bond, uint16 stakeBps, uint96 stake, uint256 openGames) internal pure returns (uint96) {
        uint256 first = bond + uint256(stake) * stakeBps / 10_000;
        uint256 grown = first + first * openGames / Games.GAMES_PER_BOND;
        // Nobody has so much: a bond that no amount can name keeps everybody out, which a flood
        // must not do to anyone.
        return grown < type(uint96).max ? uint96(grown) : type(uint96).max;
    }
}
