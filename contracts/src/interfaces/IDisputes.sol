// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Game, Stage} from "../libraries/Games.sol";
import {GameId} from "../types/GameId.sol";
import {IStep} from "./IStep.sol";
import {IVerifier} from "./IVerifier.sol";

/// @notice What a deployment chooses. All of it is immutable.
/// @param token Pays the bonds: a plain ERC-20 that moves exactly what it is asked to.
/// @param market The only caller of `open`.
/// @param step The machine.
/// @param bond What a challenger stakes on a game.
/// @param costBase Paid to the claimant from a lost bond, whatever was played.
/// @param costAnswer And this for each answer that the game drew.
/// @param costReveal And this for each reveal that it drew.
/// @param stepsPerSec Reference speed of checking a claim: re-running with a state hash every 2^30 steps.
/// @param retraceStepsPerSec Reference speed of re-running a segment for its next finer tree, at its worst.
/// @param fetchSecs Allowance of the window for fetching what the job reads.
/// @param censorshipSecs Allowance of the window for getting a transaction in.
/// @param openingSecs From a commitment to its first move.
/// @param clockSecs Each party's clock in each game.
/// @param moveFloorSecs Least time for a move, to which the re-run of its segment is added where it needs one.
struct DisputeParameters {
    IERC20 token;
    address market;
    IStep step;
    uint128 bond;
    uint128 costBase;
    uint128 costAnswer;
    uint128 costReveal;
    uint64 stepsPerSec;
    uint64 retraceStepsPerSec;
    uint32 fetchSecs;
    uint32 censorshipSecs;
    uint32 openingSecs;
    uint32 clockSecs;
    uint32 moveFloorSecs;
}

/// @notice A leaf, and its predecessor on which both sides agree, opened together from the tree in play.
/// @param index The leaf's index, below 2^15.
/// @param predecessor Leaf `index - 1`, or the segment's start if `index` is 0.
/// @param leaf The claimed leaf.
/// @param siblings The proof of both (`Trace.rootFromNeighbours`); of the leaf alone, 15 siblings, if `index` is 0.
struct Pointing {
    uint32 index;
    bytes32 predecessor;
    bytes32 leaf;
    bytes32[] siblings;
}

/// @title The fraud-proof window and its game of three openings (spec/dispute.md)
interface IDisputes is IVerifier {
    // --- events -----------------------------------------------------------------------------------------------------

    event ClaimOpened(
        bytes32 indexed claimId,
        address indexed claimant,
        bytes32 initialState,
        bytes32 traceRoot,
        uint64 opensUntil
    );
    event Committed(GameId indexed id, bytes32 indexed claimId, address indexed challenger, bytes32 commitment);
    event Pointed(
        GameId indexed id, bytes32 indexed claimId, uint8 level, uint32 position, bytes32 start, bytes32 leaf
    );
    event Demanded(GameId indexed id, bytes32 indexed claimId, uint8 level, uint8 depth, uint32 index, bytes32 node);
    event Revealed(bytes32 indexed claimId, bytes32 indexed node, bytes32[] children);
    event Answered(bytes32 indexed claimId, uint8 indexed level, uint32 indexed position, bytes32 root);
    event Stepped(GameId indexed id, bytes32 claimed, bytes32 actual);
    event GameEnded(GameId indexed id, bytes32 indexed claimId, Stage outcome);
    event Collected(GameId indexed id, address indexed payee, uint256 paid, uint256 burned);

    // --- errors -----------------------------------------------------------------------------------------------------

    /// @notice A deployment's parameters contradict each other, or are zero where they must not be.
    error InvalidParameters();
    /// @notice Only the market opens claims.
    error NotMarket(address caller);
    /// @notice The market has already opened this claim.
    error ClaimAlreadyOpen(bytes32 claimId);
    /// @notice No such claim.
    error UnknownClaim(bytes32 claimId);
    /// @notice No such game, or it has ended.
    error GameNotOpen(GameId id, Stage stage);
    /// @notice This window takes no evidence.
    error EvidenceNotEmpty();
    /// @notice The window for new games has closed.
    error WindowClosed(uint64 opensUntil);
    /// @notice The claim is already known to be false.
    error AlreadyFalse(bytes32 claimId);
    /// @notice The claim has another initial state or trace than the challenger believed; the hashes are of both.
    error OtherTrace(bytes32 given, bytes32 actual);
    /// @notice The move is the challenger's.
    error NotChallenger(address caller);
    /// @notice The answer is the claimant's.
    error NotClaimant(address caller);
    /// @notice The game waits for another move.
    error WrongStage(Stage stage);
    /// @notice The game has another level in play than this move is for.
    error WrongLevel(uint8 level);
    /// @notice The move answers another state of the game.
    error StaleState(bytes32 given, bytes32 actual);
    /// @notice The turn ended at `deadline`.
    error TooLate(uint256 deadline);
    /// @notice The turn runs until and including `deadline`.
    error TooEarly(uint256 deadline);
    /// @notice A first move needs a later block than its commitment.
    error OpeningTooSoon();
    /// @notice The first move is not the one that was committed.
    error OpeningMismatch();
    /// @notice The leaf and its predecessor do not open from the tree in play.
    error PointingNotOpened();
    /// @notice The first leaf's predecessor is the segment's start, and this is not it.
    error OtherStart(bytes32 given, bytes32 actual);
    /// @notice The node demanded does not open from the tree in play.
    error NodeNotOpened();
    /// @notice Nodes are demanded at depths 0, 5 and 10, each at most once and ever deeper.
    error WrongDepth(uint8 depth);
    /// @notice The children do not hash to the node demanded, or are not 32.
    error WrongChildren();
    /// @notice The root of the next tree does not end in the leaf that it refines.
    error AnswerNotOpened();
    /// @notice The witness is of another state than the agreed predecessor.
    error WrongWitness(bytes32 given, bytes32 wanted);
    /// @notice The game may still decide who earns the bounty.
    error NotMoot(GameId id);
    /// @notice The game has not ended.
    error GameNotEnded(GameId id, Stage stage);
    /// @notice The game's bond has been paid out.
    error AlreadyCollected(GameId id);

    // --- moves ------------------------------------------------------------------------------------------------------

    /// @notice Opens a game with a hidden first move, and takes the bond. Last possible at the window's last second.
    /// @param initialState Where the run starts, and
    /// @param traceRoot the claim's trace, both as the challenger knows them: a claim keeps only their hash, and a
    /// reorganisation strands no bond.
    /// @param commitment See `commitmentOf`.
    function commit(bytes32 claimId, bytes32 initialState, bytes32 traceRoot, bytes32 commitment)
        external
        returns (GameId id);

    /// @notice The challenger points at the first leaf that differs from its own run. First move, or the second opening.
    /// @param stateHash What `gameOf` gave: the state that this move answers.
    /// @param salt The commitment's salt if this is the first move; not read otherwise.
    function point(GameId id, bytes32 stateHash, bytes32 salt, Pointing calldata pointing) external;

    /// @notice The challenger demands what lies under a node of the tree in play, where its leaves are withheld.
    /// @param depth 0, 5 or 10.
    /// @param index The node's index on its depth.
    /// @param siblings The node's proof: as many as its depth.
    function demand(
        GameId id,
        bytes32 stateHash,
        bytes32 salt,
        uint8 depth,
        uint32 index,
        bytes32 node,
        bytes32[] calldata siblings
    ) external;

    /// @notice Shows the children of the node demanded, once and for all games. Anyone may; it can't be wrong.
    /// @param children The 32 nodes five levels down, in order.
    function reveal(GameId id, bytes32 stateHash, bytes32[] calldata children) external;

    /// @notice The claimant gives the root of the next finer tree, once and for all games.
    /// @param lastLeafProof The proof that its last leaf is the leaf pointed at.
    function answer(GameId id, bytes32 stateHash, bytes32 root, bytes32[15] calldata lastLeafProof) external;

    /// @notice The third opening and its end: the contract executes the step from the predecessor. If the result is not
    /// the leaf, the claim is false; if it is, the challenger has lost.
    /// @param witness A step witness from byte 72 on (spec/machine.md#witnesses).
    function prove(GameId id, bytes32 stateHash, Pointing calldata pointing, bytes calldata witness) external;

    /// @notice Ends a game whose turn has run out, against whoever's turn it was. Anyone may.
    function expire(GameId id) external;

    /// @notice Ends a game that an earlier one has made pointless, and returns its bond. Anyone may.
    function dismiss(GameId id) external;

    /// @notice Pays out the bond of a game that has ended: to its challenger if the game is won or moot; if it is lost,
    /// the costs to the claimant, and the rest stays here for ever. Anyone may.
    function collect(GameId id) external returns (address payee, uint256 paid);

    // --- views ------------------------------------------------------------------------------------------------------

    /// @notice The game as its next move finds it, with what other games have already answered or revealed.
    /// @return game The game.
    /// @return root The tree in play, zero while the claimant owes it.
    /// @return stateHash What the next move must name.
    /// @return deadline The turn's last second; zero if the game has ended.
    function gameOf(GameId id)
        external
        view
        returns (Game memory game, bytes32 root, bytes32 stateHash, uint256 deadline);

    /// @notice What a challenger commits to.
    /// @param depth 15 to point at a leaf; 0, 5 or 10 to demand a node.
    function commitmentOf(bytes32 claimId, address challenger, uint8 depth, uint32 index, bytes32 salt)
        external
        view
        returns (bytes32);

    /// @notice A claim as this contract knows it.
    /// @return claimant Whose key answers.
    /// @return endsHash keccak256 of the initial state's hash and the top trace's root, 64 bytes.
    /// @return opensUntil The last second at which a game may be opened.
    /// @return openGames Games that have not ended.
    /// @return winner The earliest commitment among won games, zero if none is won.
    function claimOf(bytes32 claimId)
        external
        view
        returns (
            address claimant,
            bytes32 endsHash,
            uint64 opensUntil,
            uint64 openGames,
            GameId winner
        );

    /// @notice The root of a claim's tree: the claimant's answer, or at level 0 the trace root once a game has begun; or zero.
    function answerOf(bytes32 claimId, uint8 level, uint32 position) external view returns (bytes32 root);

    /// @notice What a deployment chose.
    function parameters() external view returns (DisputeParameters memory);
}
