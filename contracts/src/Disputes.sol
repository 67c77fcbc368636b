// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {DisputeParameters, IDisputes, Pointing} from "./interfaces/IDisputes.sol";
import {IStep} from "./interfaces/IStep.sol";
import {ClaimFacts, IVerifier, Verdict} from "./interfaces/IVerifier.sol";
import {Game, Games, Pace, Stage} from "./libraries/Games.sol";
import {MachineState} from "./libraries/MachineState.sol";
import {Merkle} from "./libraries/Merkle.sol";
import {Trace} from "./libraries/Trace.sol";
import {GameId} from "./types/GameId.sol";

/// @title The fraud-proof window
/// @notice Keeps claims, games, answers and bonds; the rules of a game are in `Games`, the machine is `Step`.
/// No move calls a party or moves money: bonds leave only by `collect`, so nobody can stop a game or another's payment.
contract Disputes is IDisputes {
    using SafeERC20 for IERC20;
    using Games for Game;

    struct Claim {
        address claimant;
        uint64 opensUntil; // 0: unknown
        bytes32 endsHash; // binds the initial state and the trace root, which a first game brings again
        uint64 openGames;
        GameId winner; // the earliest commitment among won games
    }

    struct Answer {
        bytes32 root;
        uint64 answeredAt; // 0: none yet
    }

    uint8 private constant LEAF_DEPTH = uint8(Trace.HEIGHT);
    uint256 private constant ANSWERS_MAX = 2;
    uint256 private constant DEMANDS_MAX = 9; // three depths on three levels

    IERC20 private immutable TOKEN;
    address private immutable MARKET;
    IStep private immutable STEP;
    uint128 private immutable BOND;
    uint128 private immutable COST_BASE;
    uint128 private immutable COST_ANSWER;
    uint128 private immutable COST_REVEAL;
    uint64 private immutable STEPS_PER_SEC;
    uint64 private immutable RETRACE_STEPS_PER_SEC;
    uint32 private immutable FETCH_SECS;
    uint32 private immutable CENSORSHIP_SECS;
    uint32 private immutable OPENING_SECS;
    uint32 private immutable CLOCK_SECS;
    uint32 private immutable MOVE_FLOOR_SECS;
    uint32 private immutable RETRACE_TOP_SECS;
    uint32 private immutable RETRACE_MIDDLE_SECS;

    uint64 private gameCount;
    mapping(bytes32 claimId => Claim) private claims;
    mapping(GameId id => Game) private games;
    mapping(bytes32 claimId => mapping(uint256 treeKey => Answer)) private answers;
    mapping(bytes32 claimId => mapping(bytes32 node => uint64 revealedAt)) private reveals;

    constructor(DisputeParameters memory chosen) {
        uint256 costMax = uint256(chosen.costBase) + ANSWERS_MAX * chosen.costAnswer + DEMANDS_MAX * chosen.costReveal;
        if (
            address(chosen.token) == address(0) || chosen.market == address(0) || address(chosen.step) == address(0)
                || chosen.bond == 0 || chosen.bond < costMax || chosen.stepsPerSec == 0
                || chosen.retraceStepsPerSec == 0 || chosen.openingSecs == 0 || chosen.clockSecs == 0
                || chosen.moveFloorSecs == 0
        ) revert InvalidParameters();
        TOKEN = chosen.token;
        MARKET = chosen.market;
        STEP = chosen.step;
        BOND = chosen.bond;
        COST_BASE = chosen.costBase;
        COST_ANSWER = chosen.costAnswer;
        COST_REVEAL = chosen.costReveal;
        STEPS_PER_SEC = chosen.stepsPerSec;
        RETRACE_STEPS_PER_SEC = chosen.retraceStepsPerSec;
        FETCH_SECS = chosen.fetchSecs;
        CENSORSHIP_SECS = chosen.censorshipSecs;
        OPENING_SECS = chosen.openingSecs;
        CLOCK_SECS = chosen.clockSecs;
        MOVE_FLOOR_SECS = chosen.moveFloorSecs;
        // Both quotients are at most 2^30 + 1.
        RETRACE_TOP_SECS = uint32(_divideUp(1 << 30, chosen.retraceStepsPerSec));
        RETRACE_MIDDLE_SECS = uint32(_divideUp(1 << 15, chosen.retraceStepsPerSec));
    }

    // --- the market's side ------------------------------------------------------------------------------------------

    /// @inheritdoc IVerifier
    function open(bytes32 claimId, ClaimFacts calldata facts, bytes calldata evidence) external {
        if (msg.sender != MARKET) revert NotMarket(msg.sender);
        if (evidence.length != 0) revert EvidenceNotEmpty();
        Claim storage claim = claims[claimId];
        // INVARIANT: a claim is opened once, so its window never extends.
        if (claim.opensUntil != 0) revert ClaimAlreadyOpen(claimId);
        uint256 opensUntil = block.timestamp + facts.windowSecs;
        if (opensUntil > type(uint64).max) opensUntil = type(uint64).max;
        claim.claimant = facts.claimant;
        claim.opensUntil = uint64(opensUntil);
        claim.endsHash = Games.endsHash(facts.initialState, facts.traceRoot);
        emit ClaimOpened(claimId, facts.claimant, facts.initialState, facts.traceRoot, uint64(opensUntil));
    }

    /// @inheritdoc IVerifier
    /// @dev Refuted waits for open games too: an earlier commitment may still win the bounty.
    function verdictOf(bytes32 claimId) external view returns (Verdict verdict, address informer) {
        Claim storage claim = _claim(claimId);
        // INVARIANT: no verdict while a game is open, and no game opens after a verdict: `commit` needs the window open
        // and no winner.
        if (claim.openGames != 0) return (Verdict.Pending, address(0));
        if (!claim.winner.isNone()) return (Verdict.Refuted, games[claim.winner].challenger);
        if (block.timestamp > claim.opensUntil) return (Verdict.Upheld, address(0));
        return (Verdict.Pending, address(0));
    }

    /// @inheritdoc IVerifier
    function windowMin(uint64 stepLimit) external view returns (uint64 secs) {
        return uint64(_divideUp(stepLimit, STEPS_PER_SEC)) + FETCH_SECS + CENSORSHIP_SECS;
    }

    // --- the challenger's moves -------------------------------------------------------------------------------------

    /// @inheritdoc IDisputes
    function commit(bytes32 claimId, bytes32 initialState, bytes32 traceRoot, bytes32 commitment)
        external
        returns (GameId id)
    {
        Claim storage claim = _claim(claimId);
        if (block.timestamp > claim.opensUntil) revert WindowClosed(claim.opensUntil);
        if (!claim.winner.isNone()) revert AlreadyFalse(claimId);
        bytes32 endsHash = Games.endsHash(initialState, traceRoot);
        if (endsHash != claim.endsHash) revert OtherTrace(endsHash, claim.endsHash);
        claim.openGames += 1;
        id = GameId.wrap(++gameCount);
        Game storage game = games[id];
        game.claimId = claimId;
        game.challenger = msg.sender;
        game.turnAt = uint64(block.timestamp);
        game.stage = Stage.AwaitingOpening;
        game.committedBlock = uint64(block.number);
        game.claimantLeftSecs = CLOCK_SECS;
        game.challengerLeftSecs = CLOCK_SECS;
        game.start = initialState;
        game.target = commitment;
        // The top tree stands where answers do. Only games read it, so an undisputed claim need not pay for keeping it.
        answers[claimId][Games.TOP_TREE].root = traceRoot;
        emit Committed(id, claimId, msg.sender, commitment);
        TOKEN.safeTransferFrom(msg.sender, address(this), BOND);
    }

    /// @inheritdoc IDisputes
    function point(GameId id, bytes32 stateHash, bytes32 salt, Pointing calldata pointing) external {
        (Game memory game, bytes32 root) = _challengersTurn(id, stateHash);
        if (game.level == Games.BOTTOM) revert WrongLevel(game.level);
        _checkOpening(game, LEAF_DEPTH, pointing.index, salt);
        _checkPointing(game, root, pointing);
        game.descend(pointing.index, pointing.predecessor, pointing.leaf);
        game.pass(Stage.AwaitingAnswer, block.timestamp);
        games[id] = game;
        emit Pointed(id, game.claimId, game.level - 1, game.position, pointing.predecessor, pointing.leaf);
    }

    /// @inheritdoc IDisputes
    function demand(
        GameId id,
        bytes32 stateHash,
        bytes32 salt,
        uint8 depth,
        uint32 index,
        bytes32 node,
        bytes32[] calldata siblings
    ) external {
        (Game memory game, bytes32 root) = _challengersTurn(id, stateHash);
        _checkOpening(game, depth, index, salt);
        if (!game.mayDemand(depth)) revert WrongDepth(depth);
        if (siblings.length != depth) revert Merkle.ProofLength(siblings.length, depth);
        if (Merkle.climb(node, index, siblings) != root) revert NodeNotOpened();
        game.demandFrom = depth + Games.FAN_HEIGHT;
        // A node that another game has had revealed may be demanded still, for that may be the committed first move; it
        // costs the claimant nothing, and the turn comes straight back.
        if (reveals[game.claimId][node] == 0) game.demands += 1;
        game.target = node;
        game.pass(Stage.AwaitingReveal, block.timestamp);
        games[id] = game;
        emit Demanded(id, game.claimId, game.level, depth, index, node);
    }

    /// @inheritdoc IDisputes
    function prove(GameId id, bytes32 stateHash, Pointing calldata pointing, bytes calldata witness) external {
        (Game memory game, bytes32 root) = _challengersTurn(id, stateHash);
        if (game.level != Games.BOTTOM) revert WrongLevel(game.level);
        _checkPointing(game, root, pointing);
        bytes32 actual = STEP.step(witness);
        bytes32 before = Merkle.hash(witness[:MachineState.SIZE]);
        if (before != pointing.predecessor) revert WrongWitness(before, pointing.predecessor);
        emit Stepped(id, pointing.leaf, actual);
        _end(id, game, actual != pointing.leaf);
    }

    // --- the claimant's moves ---------------------------------------------------------------------------------------

    /// @inheritdoc IDisputes
    function answer(GameId id, bytes32 stateHash, bytes32 root, bytes32[15] calldata lastLeafProof) external {
        (Game memory game,) = _turn(id, stateHash);
        if (game.stage != Stage.AwaitingAnswer) revert WrongStage(game.stage);
        if (msg.sender != claims[game.claimId].claimant) revert NotClaimant(msg.sender);
        if (!Trace.endsIn(root, game.target, lastLeafProof)) revert AnswerNotOpened();
        // INVARIANT: answered once. Had any game's answer for this tree come in time, this game would not await one;
        // had one come too late for this game, its turn would be over.
        answers[game.claimId][game.treeKey()] = Answer(root, uint64(block.timestamp));
        emit Answered(game.claimId, game.level, game.position, root);
    }

    /// @inheritdoc IDisputes
    function reveal(GameId id, bytes32 stateHash, bytes32[] calldata children) external {
        (Game memory game,) = _turn(id, stateHash);
        if (game.stage != Stage.AwaitingReveal) revert WrongStage(game.stage);
        if (children.length != Games.FAN_OUT || Merkle.rootOf(children) != game.target) revert WrongChildren();
        // Kept by the node alone: whatever its place in whatever tree, a node has only these children.
        reveals[game.claimId][game.target] = uint64(block.timestamp);
        // The children are logged and not only in calldata, where a contract that reveals would hide them.
        emit Revealed(game.claimId, game.target, children);
    }

    // --- anyone's moves ---------------------------------------------------------------------------------------------

    /// @inheritdoc IDisputes
    function expire(GameId id) external {
        (Game memory game,) = _current(id);
        if (!game.isOpen()) revert GameNotOpen(id, game.stage);
        uint256 deadline = game.deadline(_pace());
        if (block.timestamp <= deadline) revert TooEarly(deadline);
        _end(id, game, game.isClaimantsTurn());
    }

    /// @inheritdoc IDisputes
    function dismiss(GameId id) external {
        (Game memory game,) = _current(id);
        if (!game.isOpen()) revert GameNotOpen(id, game.stage);
        if (!_isMoot(id, claims[game.claimId])) revert NotMoot(id);
        _end(id, game, false);
    }

    /// @inheritdoc IDisputes
    function collect(GameId id) external returns (address payee, uint256 paid) {
        Game storage game = games[id];
        Stage stage = game.stage;
        if (stage < Stage.Won) revert GameNotEnded(id, stage);
        // INVARIANT: a bond leaves once.
        if (game.collected) revert AlreadyCollected(id);
        game.collected = true;
        (payee, paid) = stage == Stage.Lost ? (claims[game.claimId].claimant, _costs(game)) : (game.challenger, BOND);
        emit Collected(id, payee, paid, BOND - paid);
        if (paid != 0) TOKEN.safeTransfer(payee, paid);
    }

    /// @dev What a lost game costs the claimant. One that is known to lie is paid nothing.
    function _costs(Game storage game) private view returns (uint256) {
        if (!claims[game.claimId].winner.isNone()) return 0;
        // A game is lost on the challenger's turn, so it has drawn an answer for each level below the top.
        // INVARIANT: costs <= BOND, by the constructor and the bounds on levels and demands.
        return COST_BASE + uint256(game.level) * COST_ANSWER + uint256(game.demands) * COST_REVEAL;
    }

    // --- views ------------------------------------------------------------------------------------------------------

    /// @inheritdoc IDisputes
    function gameOf(GameId id)
        external
        view
        returns (Game memory game, bytes32 root, bytes32 stateHash, uint256 deadline)
    {
        (game, root) = _current(id);
        stateHash = game.stateHash(id, root);
        if (game.isOpen()) deadline = game.deadline(_pace());
    }

    /// @inheritdoc IDisputes
    function commitmentOf(bytes32 claimId, address challenger, uint8 depth, uint32 index, bytes32 salt)
        external
        view
        returns (bytes32)
    {
        return Games.commitment(claimId, challenger, depth, index, salt);
    }

    /// @inheritdoc IDisputes
    function claimOf(bytes32 claimId)
        external
        view
        returns (
            address claimant,
            bytes32 endsHash,
            uint64 opensUntil,
            uint64 openGames,
            GameId winner
        )
    {
        Claim storage claim = _claim(claimId);
        return (claim.claimant, claim.endsHash, claim.opensUntil, claim.openGames, claim.winner);
    }

    /// @inheritdoc IDisputes
    function answerOf(bytes32 claimId, uint8 level, uint32 position) external view returns (bytes32 root) {
        return answers[claimId][(uint256(level) << 32) | position].root;
    }

    /// @inheritdoc IDisputes
    function parameters() external view returns (DisputeParameters memory) {
        return DisputeParameters({
            token: TOKEN,
            market: MARKET,
            step: STEP,
            bond: BOND,
            costBase: COST_BASE,
            costAnswer: COST_ANSWER,
            costReveal: COST_REVEAL,
            stepsPerSec: STEPS_PER_SEC,
            retraceStepsPerSec: RETRACE_STEPS_PER_SEC,
            fetchSecs: FETCH_SECS,
            censorshipSecs: CENSORSHIP_SECS,
            openingSecs: OPENING_SECS,
            clockSecs: CLOCK_SECS,
            moveFloorSecs: MOVE_FLOOR_SECS
        });
    }

    // --- a turn -----------------------------------------------------------------------------------------------------

    /// @dev The game as of now. Answers and reveals are shared, so they are kept apart from games, and a game looks for
    /// its own when it is next touched. One that came after this game's deadline does not count, so the outcome does
    /// not depend on who calls `expire` when.
    function _current(GameId id) private view returns (Game memory game, bytes32 root) {
        game = games[id];
        if (game.stage == Stage.AwaitingAnswer) {
            _catchUp(game, answers[game.claimId][game.treeKey()].answeredAt);
        } else if (game.stage == Stage.AwaitingReveal) {
            _catchUp(game, reveals[game.claimId][game.target]);
        }
        if (game.stage != Stage.AwaitingAnswer) root = answers[game.claimId][game.treeKey()].root;
    }

    function _catchUp(Game memory game, uint64 givenAt) private view {
        if (givenAt == 0 || givenAt > game.deadline(_pace())) return;
        // An answer from before this turn began costs the claimant's clock nothing.
        game.pass(Stage.AwaitingPoint, givenAt > game.turnAt ? givenAt : game.turnAt);
    }

    function _turn(GameId id, bytes32 stateHash) private view returns (Game memory game, bytes32 root) {
        (game, root) = _current(id);
        if (!game.isOpen()) revert GameNotOpen(id, game.stage);
        bytes32 actual = game.stateHash(id, root);
        if (stateHash != actual) revert StaleState(stateHash, actual);
        uint256 deadline = game.deadline(_pace());
        // INVARIANT: a move is in time or the turn can be expired, never both.
        if (block.timestamp > deadline) revert TooLate(deadline);
    }

    function _challengersTurn(GameId id, bytes32 stateHash) private view returns (Game memory game, bytes32 root) {
        (game, root) = _turn(id, stateHash);
        if (msg.sender != game.challenger) revert NotChallenger(msg.sender);
        if (game.isClaimantsTurn()) revert WrongStage(game.stage);
    }

    /// @dev A first move must be the committed one, and in a later block: by the time that it can be seen and copied,
    /// its commitment stands before the copy's.
    function _checkOpening(Game memory game, uint8 depth, uint32 index, bytes32 salt) private view {
        if (game.stage != Stage.AwaitingOpening) return;
        if (block.number <= game.committedBlock) revert OpeningTooSoon();
        if (Games.commitment(game.claimId, game.challenger, depth, index, salt) != game.target) {
            revert OpeningMismatch();
        }
    }

    function _checkPointing(Game memory game, bytes32 root, Pointing calldata pointing) private view {
        bytes32 opened;
        if (pointing.index == 0) {
            if (pointing.predecessor != game.start) revert OtherStart(pointing.predecessor, game.start);
            uint256 height = pointing.siblings.length;
            if (height != Trace.HEIGHT) revert Merkle.ProofLength(height, Trace.HEIGHT);
            opened = Merkle.climb(pointing.leaf, 0, pointing.siblings);
        } else {
            opened = Trace.rootFromNeighbours(pointing.predecessor, pointing.leaf, pointing.index, pointing.siblings);
        }
        if (opened != root) revert PointingNotOpened();
    }

    // --- a game's end -----------------------------------------------------------------------------------------------

    function _end(GameId id, Game memory game, bool won) private {
        Claim storage claim = claims[game.claimId];
        // INVARIANT: only an open game ends, so the count never underflows.
        claim.openGames -= 1;
        Stage outcome = _isMoot(id, claim) ? Stage.Moot : won ? Stage.Won : Stage.Lost;
        if (outcome == Stage.Won) claim.winner = id;
        games[id].stage = outcome;
        emit GameEnded(id, game.claimId, outcome);
    }

    /// @dev Whether an earlier commitment has won: then this game decides nothing.
    function _isMoot(GameId id, Claim storage claim) private view returns (bool) {
        return !claim.winner.isNone() && claim.winner < id;
    }

    // --- small things -----------------------------------------------------------------------------------------------

    function _claim(bytes32 claimId) private view returns (Claim storage claim) {
        claim = claims[claimId];
        if (claim.opensUntil == 0) revert UnknownClaim(claimId);
    }

    function _pace() private view returns (Pace memory) {
        return Pace(OPENING_SECS, MOVE_FLOOR_SECS, RETRACE_TOP_SECS, RETRACE_MIDDLE_SECS);
    }

    function _divideUp(uint256 amount, uint256 divisor) private pure returns (uint256) {
        return (amount + divisor - 1) / divisor;
    }
}
