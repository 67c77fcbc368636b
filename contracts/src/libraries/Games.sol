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
    Moot // the claim fell to another game: the bond returns, less what the game drew
}

/// @notice One challenger against one claim.
/// @dev A rank is a place in the order in which the claim's challengers bound themselves. A game
/// has two: of the own tree that it opened last, and of the one that it is bound to and has not
/// opened yet.
struct Game {
    bytes32 claimId;
    address challenger;
    uint40 turnAt; // when the present turn's clock begins: for an answer, when its work is due
    Stage stage;
    uint8 level; // of the tree in play: 0 top, 1 middle, 2 bottom
    uint8 demandFrom; // least depth of node that may still be demanded at this level
    uint8 answers; // that this game waited for and got
    uint8 reveals; // the same
    bool collected; // the bond has left the contract, or will never
    bool costsCollected; // the same of the costs of a game that was right
    uint32 position; // of the tree in play on its level: 0; i; i 2^15 + j
    uint32 claimantLeftSecs;
    uint32 challengerLeftSecs;
    uint96 bond;
    uint24 rankOpened;
    uint24 rankBound;
    bytes32 start; // leaf -1 of the tree in play
    bytes32 target; // the commitment, the leaf to be refined or the node demanded, as the stage has it
    bytes32 own; // the commitment's block; from the first move on, the seal of the challenger's own tree on this level
}

/// @notice How long a move may take.
struct Pace {
    uint32 openingSecs; // from commitment to the first move
    uint32 moveFloorSecs; // least time for any move
    uint32 workSecs; // of this claim: reaching a segment and re-running it for its next finer tree
}

/// @title The rules of one game (spec/dispute.md)
library Games {
    using Games for Game;

    /// @notice A reveal shows the nodes five levels below the one demanded.
    uint8 internal constant FAN_HEIGHT = 5;
    uint256 internal constant FAN_OUT = 1 << FAN_HEIGHT;
    /// @notice The level whose leaves are single steps.
    uint8 internal constant BOTTOM = 2;
    uint8 internal constant ANSWERS_MAX = BOTTOM;
    /// @notice Three depths on three levels.
    uint8 internal constant REVEALS_MAX = 9;
    /// @notice With so many games open, the next one's bond is twice the first one's.
    uint256 internal constant GAMES_PER_BOND = 16;
    /// @notice How much further than a claim's steps a check may have to run: to the next leaf of
    /// a middle tree.
    uint256 internal constant OVERRUN_STEPS = 1 << Trace.HEIGHT;
    /// @notice A re-run starts from a snapshot at most this part of the run before its segment.
    uint256 internal constant REACH_PARTS = 8;

    function isOpen(Game memory game) internal pure returns (bool) {
        return game.stage >= Stage.AwaitingOpening && game.stage <= Stage.AwaitingPoint;
    }

    function isClaimantsTurn(Game memory game) internal pure returns (bool) {
        return game.stage == Stage.AwaitingAnswer || game.stage == Stage.AwaitingReveal;
    }

    // --- time ------------------------------------------------------------------------------------

    /// @notice The last second at which the present turn's move is in time.
    function deadline(Game memory game, Pace memory pace) internal pure returns (uint256) {
        if (game.stage == Stage.AwaitingOpening) return uint256(game.turnAt) + pace.openingSecs;
        (uint256 left, uint256 floor) = isClaimantsTurn(game)
            ? (uint256(game.claimantLeftSecs), uint256(pace.moveFloorSecs))
            : (uint256(game.challengerLeftSecs), uint256(pace.moveFloorSecs) + pace.workSecs);
        return game.turnAt + (left > floor ? left : floor);
    }

    /// @notice Ends the present turn at `nowSecs` and begins the next.
    /// @dev Only the mover's own clock runs, it only ever falls, and the floor never refills it.
    /// What a claimant gives before its work was due costs it nothing.
    function pass(Game memory game, Stage next, uint256 nowSecs) internal pure {
        uint256 elapsedSecs = nowSecs > game.turnAt ? nowSecs - game.turnAt : 0;
        if (isClaimantsTurn(game)) {
            game.claimantLeftSecs = _minus(game.claimantLeftSecs, elapsedSecs);
        } else if (game.stage == Stage.AwaitingPoint) {
            game.challengerLeftSecs = _minus(game.challengerLeftSecs, elapsedSecs);
        }
        game.stage = next;
        game.turnAt = uint40(nowSecs);
    }

    function _minus(uint32 leftSecs, uint256 elapsedSecs) private pure returns (uint32) {
        return elapsedSecs >= leftSecs ? 0 : leftSecs - uint32(elapsedSecs);
    }

    /// @notice The longest that a game can last that waits for no other game's answers.
    /// @dev An opening, both clocks, a floor for each of 11 turns a side, the claimant's work for
    /// two answers and the challenger's before each of its turns after the first, and the spacing
    /// of the reveals.
    function lengthMax(Pace memory pace, uint256 clockSecs, uint256 spacingSecs) internal pure returns (uint256) {
        uint256 turns = uint256(ANSWERS_MAX) + REVEALS_MAX;
        return pace.openingSecs + 2 * clockSecs + 2 * turns * pace.moveFloorSecs + (turns + ANSWERS_MAX) * pace.workSecs
            + REVEALS_MAX * spacingSecs;
    }

    // --- place -----------------------------------------------------------------------------------

    /// @notice Moves the game down to the tree that refines leaf `index` of the tree in play.
    /// @param next The seal of the challenger's own tree down there.
    /// @param rank Its place in the order.
    function descend(Game memory game, uint32 index, bytes32 predecessor, bytes32 leaf, bytes32 next, uint24 rank)
        internal
        pure
    {
        // INVARIANT: index < 2^15, checked where the leaf was opened, so positions are unique on
        // their level.
        game.position = (game.position << uint32(Trace.HEIGHT)) | index;
        game.level += 1;
        game.demandFrom = 0;
        game.start = predecessor;
        game.target = leaf;
        game.own = next;
        (game.rankOpened, game.rankBound) = (game.rankBound, rank);
    }

    /// @notice The key of the top tree: level 0, position 0.
    uint256 internal constant TOP_TREE = 0;

    /// @notice Where the tree in play is kept; one word for (level, position).
    function treeKey(Game memory game) internal pure returns (uint256) {
        return (uint256(game.level) << 32) | game.position;
    }

    /// @notice Whether a node at this depth may be demanded now.
    /// INVARIANT: each demand at a level is deeper than the one before, so a level has at most
    /// three.
    function mayDemand(Game memory game, uint8 depth) internal pure returns (bool) {
        return depth >= game.demandFrom && depth < Trace.HEIGHT && depth % FAN_HEIGHT == 0;
    }

    // --- order -----------------------------------------------------------------------------------

    /// @notice A won game's place in the order that decides the bounty; the least is first.
    /// @dev What was shown counts before when: a step, then silence about a finer tree before one
    /// about a coarser. Among equals the rank of the own tree that the game opened last decides:
    /// whoever copies a move was bound later.
    function place(Game memory game) internal pure returns (uint256) {
        bool proved = game.level == BOTTOM && game.rankOpened == game.rankBound;
        uint256 depth = proved ? 0 : BOTTOM + 1 - game.level;
        return depth << 24 | game.rankOpened;
    }

    /// @notice The first place that an open game can still reach.
    function placeMin(Game memory game) internal pure returns (uint256) {
        // Whoever is not bound to a bottom tree yet will be bound to it after everybody who is.
        return game.level == BOTTOM ? game.rankBound : type(uint24).max;
    }

    // --- hashes ----------------------------------------------------------------------------------

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

    /// @notice What a claim keeps of its facts: the initial state's hash, the top trace's root and
    /// the stake.
    function endsHash(bytes32 initialState, bytes32 traceRoot, uint96 stake) internal pure returns (bytes32) {
        return keccak256(abi.encode(initialState, traceRoot, stake));
    }

    /// @notice What binds a challenger to a tree of its own before it shows it.
    /// @param root The root of its own tree.
    function seal(bytes32 claimId, address challenger, bytes32 root, bytes32 salt) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), claimId, challenger, root, salt));
    }

    /// @notice What a challenger commits to.
    /// @param depth 15 for a pointing, else the depth of the node demanded.
    /// @param index The leaf's or the node's index on its depth.
    /// @param own The seal of its own top tree.
    function commitment(uint8 depth, uint32 index, bytes32 own) internal pure returns (bytes32) {
        return keccak256(abi.encode(depth, index, own));
    }
}
