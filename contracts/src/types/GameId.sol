// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice A game's number: the order of commitment over all claims, from 1. Zero is no game.
type GameId is uint64;

using {isBefore as <, isNone} for GameId global;

function isBefore(GameId a, GameId b) pure returns (bool) {
    return GameId.unwrap(a) < GameId.unwrap(b);
}

function isNone(GameId id) pure returns (bool) {
    return GameId.unwrap(id) == 0;
}
