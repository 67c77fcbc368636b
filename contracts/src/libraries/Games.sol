// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {GameId} from "../types/GameId.sol";
import {Trace} from "./Trace.sol";

/// @notice What a game waits for, or how it ended (spec/dispute.md#stages).
enum Stage {
    None,
    AwaitingOpening, // the challenger's first move, as committed
    AwaitingAnswer, // the claimant: the root of the next finer tree
    AwaitingReveal, // the claimant or anyone: the children of the node demanded
    AwaitingPoint, // the challenger: the next opening, a demand, or the step
    Won, // the challenger was right: the claim is false
    Lost, // the challenger was wrong or late: its bond is lost
    Moot // the claim fell to an earlier game: the bond returns
}

/// @notice One challenger against one claim.
struct Game {
    bytes32 claimId;
    address challenger;
    uint64 turnAt; // when the present turn began
    Stage stage;
    uint8 level; // of the tree in play: 0 top, 1 middle, 2 bottom
    uint8 demandFrom; // least depth of node that may still be demanded at this level
    uint64 committedBlock;
    uint32 position; // of the tree in play on its level: 0; i; i 2^15 + j
    uint32 claimantLeftSecs;
    uint32 challengerLeftSecs;
    uint8 demands; // made in this game that nobody had answered before
    bool collected; // the bond has left the contract, or will never
    bytes32 start; // leaf -1 of the tree in play
    bytes32 target; // the commitment, the leaf to be refined or the node demanded, as the stage has it
}

/// @notice How long a move may take.
struct Pace {
    uint32 openingSecs; // from commitment to the first move
    uint32 moveFloorSecs; // least time for any move
    uint32 retraceTopSecs; // more for a move that needs a segment of 2^30 steps re-run
    uint32 retraceMiddleSecs; // the same for 2^15 steps
}

/// @title The rules of one game (spec/dispute.md)
/// @notice Pure functions of a game in memory. Whose turn it is, until when, and what passing the turn costs.
library Games {
    /// @notice A reveal shows the 32 nodes five levels below one: three reveals take a tree's 15 levels apart.
    uint8 internal constant FAN_HEIGHT = 5;
    uint256 internal constant FAN_OUT = 1 << FAN_HEIGHT;

    uint8 internal constant BOTTOM = 2;

    function isOpen(Game memory game) internal pure returns (bool) {
        return game.stage >= Stage.AwaitingOpening && game.stage <= Stage.AwaitingPoint;
    }

    function isClaimantsTurn(Game memory game) internal pure returns (bool) {
        return game.stage == Stage.AwaitingAnswer || game.stage == Stage.AwaitingReveal;
    }

    /// @notice The last second at which the present turn's move is in time.
    function deadline(Game memory game, Pace memory pace) internal pure returns (uint256) {
        if (game.stage == Stage.AwaitingOpening) return uint256(game.turnAt) + pace.openingSecs;
        uint256 left = isClaimantsTurn(game) ? game.claimantLeftSecs : game.challengerLeftSecs;
        uint256 floor = _floor(game, pace);
        return game.turnAt + (left > floor ? left : floor);
    }

    /// @dev A tree's first mover must re-run its segment; who reveals or follows up on a reveal has done so.
    function _floor(Game memory game, Pace memory pace) private pure returns (uint256 secs) {
        secs = pace.moveFloorSecs;
        bool retraces =
            game.stage == Stage.AwaitingAnswer || (game.stage == Stage.AwaitingPoint && game.demandFrom == 0);
        if (retraces) secs += game.level == BOTTOM ? pace.retraceMiddleSecs : pace.retraceTopSecs;
    }

    /// @notice Ends the present turn at `nowSecs` and begins the next.
    /// @dev Only the mover's own clock runs, it only ever falls, and the floor never refills it.
    function pass(Game memory game, Stage next, uint256 nowSecs) internal pure {
        uint256 elapsedSecs = nowSecs - game.turnAt;
        if (isClaimantsTurn(game)) {
            game.claimantLeftSecs = _minus(game.claimantLeftSecs, elapsedSecs);
        } else if (game.stage == Stage.AwaitingPoint) {
            game.challengerLeftSecs = _minus(game.challengerLeftSecs, elapsedSecs);
        }
        game.stage = next;
        game.turnAt = uint64(nowSecs);
    }

    function _minus(uint32 leftSecs, uint256 elapsedSecs) private pure returns (uint32) {
        return elapsedSecs >= leftSecs ? 0 : leftSecs - uint32(elapsedSecs);
    }

    /// @notice Moves the game down to the tree that refines leaf `index` of the tree in play.
    function descend(Game memory game, uint32 index, bytes32 predecessor, bytes32 leaf) internal pure {
        // INVARIANT: index < 2^15, checked where the leaf was opened, so positions are unique on their level.
        game.position = (game.position << uint32(Trace.HEIGHT)) | index;
        game.level += 1;
        game.demandFrom = 0;
        game.start = predecessor;
        game.target = leaf;
    }

    /// @notice The key of the top tree: level 0, position 0.
    uint256 internal constant TOP_TREE = 0;

    /// @notice Where the tree in play is kept; one word for (level, position).
    function treeKey(Game memory game) internal pure returns (uint256) {
        return (uint256(game.level) << 32) | game.position;
    }

    /// @notice Whether a node at this depth may be demanded now.
    /// INVARIANT: each demand at a level is deeper than the one before, so a level has at most three.
    function mayDemand(Game memory game, uint8 depth) internal pure returns (bool) {
        return depth >= game.demandFrom && depth < Trace.HEIGHT && depth % FAN_HEIGHT == 0;
    }

    /// @notice What a move must name: everything that the move answers, and no clock.
    /// @param root The tree in play, zero while the claimant owes it.
    function stateHash(Game memory game, GameId id, bytes32 root) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                block.chainid,
                address(this),
                id,
                game.claimId,
                game.challenger,
                game.stage,
                game.level,
                game.position,
                game.demandFrom,
                game.start,
                game.target,
                root
            )
        );
    }

    /// @notice What a claim keeps of its run's two ends: the initial state's hash and the top trace's root.
    function endsHash(bytes32 initialState, bytes32 traceRoot) internal pure returns (bytes32) {
        return keccak256(abi.encode(initialState, traceRoot));
    }

    /// @notice What a challenger commits to.
    /// @param depth 15 for a pointing, else the depth of the node demanded.
    /// @param index The leaf's or the node's index on its depth.
    function commitment(bytes32 claimId, address challenger, uint8 depth, uint32 index, bytes32 salt)
        internal
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, address(this), claimId, challenger, depth, index, salt));
    }
}
