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
/// @param bond The least bond: at least twice what a game can cost.
/// @param stakeBps The part of the claimant's stake, in basis points, that a bond has on top.
/// @param costBase Paid to the claimant from a lost bond, whatever was played.
/// @param costAnswer And this for each answer that the game drew.
/// @param costReveal And this for each reveal that it drew.
/// @param stepsPerSec Reference speed of checking a claim: running, with a state hash every 2^30
/// steps, the slowest program.
/// @param retraceStepsPerSec Reference speed of re-running a segment for its next finer tree, of
/// the slowest program.
/// @param runBps The part of an order's `runSecs`, in basis points, that its window leaves for
/// checking at least: 10,000 where an auditor may be as slow as the slowest provider, less where it
/// is known to be faster.
/// @param fetchSecs Allowance of the window for fetching what the job reads, at its largest.
/// @param censorshipSecs Allowance of the window for getting a transaction in.
/// @param openingSecs From a commitment to its first move, at least `censorshipSecs`.
/// @param clockSecs Each party's clock in each game.
/// @param moveFloorSecs Least time for a move, to which the re-run of a segment is added where it
/// needs one.
/// @param spacingSecs What each further answer or reveal adds to the claimant's time, for sending
/// it.
struct DisputeParameters {
    IERC20 token;
    address market;
    IStep step;
    uint96 bond;
    uint16 stakeBps;
    uint96 costBase;
    uint96 costAnswer;
    uint96 costReveal;
    uint64 stepsPerSec;
    uint64 retraceStepsPerSec;
    uint16 runBps;
    uint32 fetchSecs;
    uint32 censorshipSecs;
    uint32 openingSecs;
    uint32 clockSecs;
    uint32 moveFloorSecs;
    uint32 spacingSecs;
}

/// @notice A leaf, and its predecessor on which both sides agree, opened together from the tree in
/// play.
/// @param index The leaf's index, below 2^15.
/// @param predecessor Leaf `index - 1`, or the segment's start if `index` is 0.
/// @param leaf The claimed leaf.
/// @param siblings The proof of both (`Trace.rootFromNeighbours`); of the leaf alone, 15 siblings,
/// if `index` is 0.
struct Pointing {
    uint32 index;
    bytes32 predecessor;
    bytes32 leaf;
    bytes32[] siblings;
}

/// @notice What stands in the place of a pointing's leaf in the challenger's own tree, to which it
/// was bound before.
/// @param root The root of its own tree.
/// @param salt The seal's.
/// @param leaf Its own leaf at the pointing's index: another than the claimed one, behind the same
/// predecessor.
/// @param siblings The proof from its own root, shaped as the pointing's.
struct Own {
    bytes32 root;
    bytes32 salt;
    bytes32 leaf;
    bytes32[] siblings;
}

/// @title The fraud-proof window and its game of three openings (spec/dispute.md)
interface IDisputes is IVerifier {
    // --- events ----------------------------------------------------------------------------------

    event ClaimOpened(
        bytes32 indexed claimId, address indexed claimant, bytes32 initialState, bytes32 traceRoot, uint64 opensUntil
    );
    event Committed(
        GameId indexed id, bytes32 indexed claimId, address indexed challenger, bytes32 commitment, uint96 bond
    );
    event Pointed(
        GameId indexed id, bytes32 indexed claimId, uint8 level, uint32 position, bytes32 start, bytes32 leaf
    );
    event Demanded(GameId indexed id, bytes32 indexed claimId, uint8 level, uint8 depth, uint32 index, bytes32 node);
    event Revealed(bytes32 indexed claimId, bytes32 indexed node, bytes32[] children);
    event Answered(bytes32 indexed claimId, uint8 indexed level, uint32 indexed position, bytes32 root);
    /// @notice A move asked for what another game had drawn before: a tree's root, or the node
    /// whose children are known.
    event TakenUp(GameId indexed id, bytes32 indexed claimId, bytes32 rootOrNode);
    event Stepped(GameId indexed id, bytes32 claimed, bytes32 actual);
    event GameEnded(GameId indexed id, bytes32 indexed claimId, Stage outcome);
    event Collected(GameId indexed id, address indexed payee, uint256 paid, uint256 burned);
    event CostsCollected(GameId indexed id, address indexed challenger, uint256 paid);

    // --- errors ----------------------------------------------------------------------------------

    /// @notice A deployment's parameters contradict each other, or are zero where they must not be.
    error InvalidParameters();
    /// @notice The least bond is below twice what a game can cost.
    error BondTooSmall(uint256 bond, uint256 least);
    /// @notice A commitment's first move has less time than a transaction may need to get in.
    error OpeningTooShort(uint32 openingSecs, uint32 censorshipSecs);
    /// @notice A game could outlast the time after which the market gives a silent verifier up.
    error GamesTooLong(uint256 lengthMax, uint256 unwindSecs);
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
    /// @notice This commitment has its game already: it was sent before.
    error AlreadyCommitted(bytes32 commitment);
    /// @notice More games are open than the challenger meant to follow: the bond has grown.
    error BondAboveMax(uint96 bond, uint96 bondMax);
    /// @notice The claim is already known to be false.
    error AlreadyFalse(bytes32 claimId);
    /// @notice The claim has another initial state, trace or stake than the challenger believed;
    /// the hashes are of all.
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
    /// @notice The challenger's own top tree is the claim's.
    error NoDifference();
    /// @notice The challenger was not bound to this own tree, or it does not differ where it points
    /// and agree before.
    error OwnTreeNotOpened();
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
    /// @notice The game may still decide whether the claim stands or who earns the bounty.
    error NotMoot(GameId id);
    /// @notice The game has not ended.
    error GameNotEnded(GameId id, Stage stage);
    /// @notice The market has credited no costs for this game: it was not right, or the claim has
    /// not been settled.
    error NoCosts(GameId id);
    /// @notice The game's bond, or its costs, have been paid out.
    error AlreadyCollected(GameId id);

    // --- moves -----------------------------------------------------------------------------------

    /// @notice Opens a game with a hidden first move, and takes the bond. Last possible at the
    /// window's last second.
    /// @param initialState Where the run starts,
    /// @param traceRoot the claim's trace, and
    /// @param stake the claimant's stake, all as the challenger knows them: a claim keeps only
    /// their hash, and a reorganisation strands no bond.
    /// @param commitment See `commitmentOf`.
    /// @param bondMax The most that the challenger puts down: a bond grows with the games that are
    /// open (`bondOf`).
    function commit(
        bytes32 claimId,
        bytes32 initialState,
        bytes32 traceRoot,
        uint96 stake,
        bytes32 commitment,
        uint96 bondMax
    ) external returns (GameId id);

    /// @notice The challenger points at the first leaf that differs from its own run. First move,
    /// or the second opening.
    /// @param stateHash What `gameOf` gave: the state that this move answers.
    /// @param own Its own tree, to which it was bound: by the commitment at the top, by the last
    /// pointing's `next` below.
    /// @param next The seal (`sealOf`) of its own tree under this leaf, one level down.
    function point(GameId id, bytes32 stateHash, Pointing calldata pointing, Own calldata own, bytes32 next) external;

    /// @notice The challenger demands what lies under a node of the tree in play, where its leaves
    /// are withheld.
    /// @param ownRoot The root of its own top tree if this is the first move, and
    /// @param salt its salt; neither is read otherwise.
    /// @param depth 0, 5 or 10.
    /// @param index The node's index on its depth.
    /// @param siblings The node's proof: as many as its depth.
    function demand(
        GameId id,
        bytes32 stateHash,
        bytes32 ownRoot,
        bytes32 salt,
        uint8 depth,
        uint32 index,
        bytes32 node,
        bytes32[] calldata siblings
    ) external;

    /// @notice Shows the children of the node demanded, once and for all games. Anyone may; it
    /// can't be wrong.
    /// @param children The 32 nodes five levels down, in order.
    function reveal(GameId id, bytes32 stateHash, bytes32[] calldata children) external;

    /// @notice The claimant gives the root of the next finer tree, once and for all games.
    /// @param lastLeafProof The proof that its last leaf is the leaf pointed at.
    function answer(GameId id, bytes32 stateHash, bytes32 root, bytes32[15] calldata lastLeafProof) external;

    /// @notice The third opening and its end: the contract executes the step from the predecessor.
    /// If the result is not the leaf, the claim is false; if it is, the challenger has lost.
    /// @param own Its own bottom tree, whose leaf there is the result. One that does not open costs
    /// the challenger its place in the order, and not the game.
    /// @param witness A step witness from byte 72 on (spec/machine.md#witnesses).
    function prove(GameId id, bytes32 stateHash, Pointing calldata pointing, Own calldata own, bytes calldata witness)
        external;

    /// @notice Ends a game whose turn has run out, against whoever's turn it was. Anyone may.
    function expire(GameId id) external;

    /// @notice Ends a game about a claim that is known to be false. Moot, if another showed the
    /// false step and this one can't come before it any more; won, if it waits for the claimant,
    /// who has no more time. Anyone may.
    function dismiss(GameId id) external;

    /// @notice Pays out the bond of a game that has ended: to its challenger if the game is won, or
    /// moot less what it drew; if it is lost, the costs to the claimant. The rest stays here for
    /// ever. Anyone may.
    function collect(GameId id) external returns (address payee, uint256 paid);

    /// @notice Pays a challenger that was right its costs, once the market has credited them out of
    /// the bounty. Anyone may.
    function collectCosts(GameId id) external returns (uint256 paid);

    // --- views -----------------------------------------------------------------------------------

    /// @notice The game as its next move finds it, with what other games have already answered or
    /// revealed.
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
    /// @param ownRoot The root of its own top tree.
    function commitmentOf(bytes32 claimId, address challenger, uint8 depth, uint32 index, bytes32 ownRoot, bytes32 salt)
        external
        view
        returns (bytes32);

    /// @notice What binds a challenger to a finer tree of its own.
    /// @param ownRoot That tree's root.
    function sealOf(bytes32 claimId, address challenger, bytes32 ownRoot, bytes32 salt) external view returns (bytes32);

    /// @notice The bond that a game opened now would take.
    /// @param stake The claimant's stake.
    function bondOf(bytes32 claimId, uint96 stake) external view returns (uint96 bond);

    /// @notice A claim as this contract knows it.
    /// @return claimant Whose key answers.
    /// @return endsHash keccak256 of the initial state's hash, the top trace's root and the stake,
    /// a word each.
    /// @return opensUntil The last second at which a game may be opened.
    /// @return openGames Games that have not ended.
    /// @return winner The first among won games (spec/dispute.md#who-is-first), zero if none is
    /// won.
    /// @return workSecs What one answer takes at the reference speeds.
    /// @return workUntil When the claimant can have answered all that it was asked for so far.
    function claimOf(bytes32 claimId)
        external
        view
        returns (
            address claimant,
            bytes32 endsHash,
            uint64 opensUntil,
            uint64 openGames,
            GameId winner,
            uint64 workSecs,
            uint64 workUntil
        );

    /// @notice The root of a claim's tree: the claimant's answer, or at level 0 the trace root once
    /// a game has begun; or zero.
    function answerOf(bytes32 claimId, uint8 level, uint32 position) external view returns (bytes32 root);

    /// @notice What a deployment chose.
    function parameters() external view returns (DisputeParameters memory);
}
