// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {DisputeParameters, IDisputes, Own, Pointing} from "./interfaces/IDisputes.sol";
import {IMarket} from "./interfaces/IMarket.sol";
import {IStep} from "./interfaces/IStep.sol";
import {ClaimFacts, IVerifier, Verdict} from "./interfaces/IVerifier.sol";
import {Bonds} from "./libraries/Bonds.sol";
import {Game, Games, Pace, Stage} from "./libraries/Games.sol";
import {Limits} from "./libraries/Limits.sol";
import {MachineState} from "./libraries/MachineState.sol";
import {Merkle} from "./libraries/Merkle.sol";
import {Payments} from "./libraries/Payments.sol";
import {Trace} from "./libraries/Trace.sol";
import {GameId} from "./types/GameId.sol";

/// @title The fraud-proof window
/// @notice Keeps claims, games, answers and bonds; the rules of a game are in `Games`, the machine
/// is `Step`. No move calls a party or moves money: bonds leave only by `collect`, so nobody can
/// stop a game or another's payment.
contract Disputes is IDisputes {
    using Payments for IERC20;
    using Games for Game;

    struct Claim {
        address claimant;
        uint40 opensUntil; // 0: unknown
        uint32 workSecs; // what one tree takes at the reference speeds
        bytes32 endsHash; // binds the initial state, the trace root and the stake, which a first game brings again
        uint32 openGames;
        GameId winner; // the first among won games
        uint40 workUntil; // when the claimant can have answered all that was asked so far
        uint24 ranks; // how many were given
        uint96 costs; // of the challengers that were right
    }

    /// @dev A tree that the claimant was asked for. All games share it.
    struct Answer {
        bytes32 root;
        uint40 dueAt; // 0: not asked for
        uint40 givenAt; // 0: not yet
    }

    /// @dev A node whose children were demanded; of itself, so all games share it.
    struct Reveal {
        uint40 dueAt;
        uint40 givenAt;
    }

    uint8 private constant LEAF_DEPTH = uint8(Trace.HEIGHT);

    IERC20 private immutable TOKEN;
    address private immutable MARKET;
    IStep private immutable STEP;
    uint96 private immutable BOND;
    uint16 private immutable STAKE_BPS;
    uint96 private immutable COST_BASE;
    uint96 private immutable COST_ANSWER;
    uint96 private immutable COST_REVEAL;
    uint64 private immutable STEPS_PER_SEC;
    uint64 private immutable RETRACE_STEPS_PER_SEC;
    uint16 private immutable RUN_BPS;
    uint32 private immutable FETCH_SECS;
    uint32 private immutable CENSORSHIP_SECS;
    uint32 private immutable OPENING_SECS;
    uint32 private immutable CLOCK_SECS;
    uint32 private immutable MOVE_FLOOR_SECS;
    uint32 private immutable SPACING_SECS;

    uint64 private gameCount;
    mapping(bytes32 claimId => Claim) private claims;
    mapping(GameId id => Game) private games;
    mapping(bytes32 claimId => mapping(uint256 treeKey => Answer)) private answers;
    mapping(bytes32 claimId => mapping(bytes32 node => Reveal)) private reveals;
    mapping(bytes32 sent => bool) private committed; // by claim, challenger and commitment

    constructor(DisputeParameters memory chosen) {
        TOKEN = chosen.token;
        MARKET = chosen.market;
        STEP = chosen.step;
        BOND = chosen.bond;
        STAKE_BPS = chosen.stakeBps;
        COST_BASE = chosen.costBase;
        COST_ANSWER = chosen.costAnswer;
        COST_REVEAL = chosen.costReveal;
        STEPS_PER_SEC = chosen.stepsPerSec;
        RETRACE_STEPS_PER_SEC = chosen.retraceStepsPerSec;
        RUN_BPS = chosen.runBps;
        FETCH_SECS = chosen.fetchSecs;
        CENSORSHIP_SECS = chosen.censorshipSecs;
        OPENING_SECS = chosen.openingSecs;
        CLOCK_SECS = chosen.clockSecs;
        MOVE_FLOOR_SECS = chosen.moveFloorSecs;
        SPACING_SECS = chosen.spacingSecs;
        if (
            address(chosen.token) == address(0) || chosen.market == address(0) || address(chosen.step) == address(0)
                || chosen.stepsPerSec == 0 || chosen.retraceStepsPerSec == 0 || chosen.fetchSecs == 0
                || chosen.openingSecs == 0 || chosen.clockSecs == 0 || chosen.moveFloorSecs == 0
                || chosen.spacingSecs == 0
        ) revert InvalidParameters();
        // INVARIANT: a lost game costs its challenger at least twice what it pays the claimant.
        uint256 costMax = _costs(Games.ANSWERS_MAX, Games.REVEALS_MAX);
        if (costMax == 0 || chosen.bond < 2 * costMax) revert BondTooSmall(chosen.bond, 2 * costMax);
        // INVARIANT: who can be kept from the chain for so long can still open what it committed
        // to.
        if (chosen.openingSecs < chosen.censorshipSecs) {
            revert OpeningTooShort(chosen.openingSecs, chosen.censorshipSecs);
        }
        // INVARIANT: a game ends before a job that waits for it could be given up. The longest run
        // is what fits the longest window.
        uint256 runMax = uint256(Limits.WINDOW_SECS_MAX) * chosen.stepsPerSec;
        uint256 lengthMax = Games.lengthMax(_pace(_workSecs(runMax)), chosen.clockSecs, chosen.spacingSecs);
        if (lengthMax > Limits.UNWIND_SECS) revert GamesTooLong(lengthMax, Limits.UNWIND_SECS);
    }

    // --- the market's side -----------------------------------------------------------------------

    /// @inheritdoc IVerifier
    function open(bytes32 claimId, ClaimFacts calldata facts, bytes calldata evidence)
        external
        returns (uint64 windowSecs)
    {
        if (msg.sender != MARKET) revert NotMarket(msg.sender);
        if (evidence.length != 0) revert EvidenceNotEmpty();
        Claim storage claim = claims[claimId];
        // INVARIANT: a claim is opened once, so its window never extends.
        if (claim.opensUntil != 0) revert ClaimAlreadyOpen(claimId);
        // INVARIANT: no claim becomes final sooner than it can be checked, whatever was ordered.
        windowSecs = windowMin(facts.steps, facts.runSecs);
        if (windowSecs < facts.windowSecs) windowSecs = facts.windowSecs;
        uint256 opensUntil = block.timestamp + windowSecs;
        if (opensUntil > type(uint40).max) opensUntil = type(uint40).max;
        claim.claimant = facts.claimant;
        claim.opensUntil = uint40(opensUntil);
        claim.workSecs = _workSecs(facts.steps);
        claim.endsHash = Games.endsHash(facts.initialState, facts.traceRoot, facts.stake);
        emit ClaimOpened(claimId, facts.claimant, facts.initialState, facts.traceRoot, uint64(opensUntil));
    }

    /// @inheritdoc IVerifier
    /// @dev Refuted waits for open games too: another may still win the bounty.
    function verdictOf(bytes32 claimId) external view returns (Verdict verdict, address informer) {
        Claim storage claim = _claim(claimId);
        // INVARIANT: no verdict while a game is open, and no game opens after a verdict: `commit`
        // needs the window open and no winner.
        if (claim.openGames != 0) return (Verdict.Pending, address(0));
        if (!claim.winner.isNone()) return (Verdict.Refuted, games[claim.winner].challenger);
        if (block.timestamp > claim.opensUntil) return (Verdict.Upheld, address(0));
        return (Verdict.Pending, address(0));
    }

    /// @inheritdoc IVerifier
    function contested(bytes32 claimId) external view returns (bool) {
        Claim storage claim = _claim(claimId);
        return claim.openGames != 0 || !claim.winner.isNone();
    }

    /// @inheritdoc IVerifier
    function costsOf(bytes32 claimId) external view returns (uint256 amount) {
        return _claim(claimId).costs;
    }

    /// @inheritdoc IVerifier
    function windowMin(uint64 steps, uint64 runSecs) public view returns (uint64 secs) {
        // A run that goes on behind a claim's last step shows that the claim is false, and where.
        uint256 run = uint256(steps) + Games.OVERRUN_STEPS;
        uint256 check = _divideUp(run, STEPS_PER_SEC);
        uint256 asGiven = _divideUp(uint256(runSecs) * RUN_BPS, 10_000);
        if (asGiven > check) check = asGiven;
        // A challenger is bound to its own finer tree before it points, so it has retraced a
        // segment by then.
        return uint64(check + _retraceSecs(run) + FETCH_SECS + CENSORSHIP_SECS);
    }

    // --- the challenger's moves ------------------------------------------------------------------

    /// @inheritdoc IDisputes
    function commit(
        bytes32 claimId,
        bytes32 initialState,
        bytes32 traceRoot,
        uint96 stake,
        bytes32 commitment,
        uint96 bondMax
    ) external returns (GameId id) {
        Claim storage claim = _claim(claimId);
        if (block.timestamp > claim.opensUntil) revert WindowClosed(claim.opensUntil);
        if (!claim.winner.isNone()) revert AlreadyFalse(claimId);
        // INVARIANT: a commitment takes one bond, however often it is sent. Another's copy of it is
        // another, or it could keep the challenger out.
        bytes32 sent = keccak256(abi.encode(claimId, msg.sender, commitment));
        if (committed[sent]) revert AlreadyCommitted(commitment);
        committed[sent] = true;
        bytes32 endsHash = Games.endsHash(initialState, traceRoot, stake);
        if (endsHash != claim.endsHash) revert OtherTrace(endsHash, claim.endsHash);
        uint96 bond = Bonds.next(BOND, STAKE_BPS, stake, claim.openGames);
        if (bond > bondMax) revert BondAboveMax(bond, bondMax);
        claim.openGames += 1;
        uint24 rank = ++claim.ranks;
        id = GameId.wrap(++gameCount);
        Game storage game = games[id];
        game.claimId = claimId;
        game.challenger = msg.sender;
        game.turnAt = uint40(block.timestamp);
        game.stage = Stage.AwaitingOpening;
        game.claimantLeftSecs = CLOCK_SECS;
        game.challengerLeftSecs = CLOCK_SECS;
        game.bond = bond;
        (game.rankOpened, game.rankBound) = (rank, rank);
        game.start = initialState;
        game.target = commitment;
        game.own = bytes32(block.number);
        // The top tree stands where answers do. Only games read it, so an undisputed claim need not
        // pay for keeping it.
        answers[claimId][Games.TOP_TREE].root = traceRoot;
        emit Committed(id, claimId, msg.sender, commitment, bond);
        TOKEN.take(msg.sender, bond);
    }

    /// @inheritdoc IDisputes
    function point(GameId id, bytes32 stateHash, Pointing calldata pointing, Own calldata own, bytes32 next) external {
        (Game memory game, bytes32 root) = _challengersTurn(id, stateHash);
        if (game.level == Games.BOTTOM) revert WrongLevel(game.level);
        _checkOpening(game, root, LEAF_DEPTH, pointing.index, own.root, own.salt);
        _requireOpened(game, root, pointing.index, pointing.predecessor, pointing.leaf, pointing.siblings);
        // INVARIANT: a challenger points at nothing but the first place where the claim leaves a
        // tree that it was bound to before it could see where others point.
        if (!_ownDiffers(game, pointing, own)) revert OwnTreeNotOpened();
        Claim storage claim = claims[game.claimId];
        game.descend(pointing.index, pointing.predecessor, pointing.leaf, next, ++claim.ranks);
        emit Pointed(id, game.claimId, game.level - 1, game.position, pointing.predecessor, pointing.leaf);
        Answer storage tree = answers[game.claimId][game.treeKey()];
        if (tree.givenAt != 0) {
            game.pass(Stage.AwaitingPoint, block.timestamp);
            emit TakenUp(id, game.claimId, tree.root);
        } else {
            if (tree.dueAt == 0) tree.dueAt = _ask(claim, claim.workSecs);
            game.pass(Stage.AwaitingAnswer, block.timestamp);
            if (tree.dueAt > game.turnAt) game.turnAt = tree.dueAt;
        }
        games[id] = game;
    }

    /// @inheritdoc IDisputes
    function demand(
        GameId id,
        bytes32 stateHash,
        bytes32 ownRoot,
        bytes32 salt,
        uint8 depth,
        uint32 index,
        bytes32 node,
        bytes32[] calldata siblings
    ) external {
        (Game memory game, bytes32 root) = _challengersTurn(id, stateHash);
        _checkOpening(game, root, depth, index, ownRoot, salt);
        if (!game.mayDemand(depth)) revert WrongDepth(depth);
        if (siblings.length != depth) revert Merkle.ProofLength(siblings.length, depth);
        if (Merkle.climb(node, index, siblings) != root) revert NodeNotOpened();
        game.demandFrom = depth + Games.FAN_HEIGHT;
        game.target = node;
        emit Demanded(id, game.claimId, game.level, depth, index, node);
        Reveal storage shown = reveals[game.claimId][node];
        if (shown.givenAt != 0) {
            // May be demanded still, for that may be the committed first move; the turn comes
            // straight back.
            game.pass(Stage.AwaitingPoint, block.timestamp);
            emit TakenUp(id, game.claimId, node);
        } else {
            if (shown.dueAt == 0) shown.dueAt = _ask(claims[game.claimId], SPACING_SECS);
            game.pass(Stage.AwaitingReveal, block.timestamp);
            if (shown.dueAt > game.turnAt) game.turnAt = shown.dueAt;
        }
        games[id] = game;
    }

    /// @inheritdoc IDisputes
    function prove(GameId id, bytes32 stateHash, Pointing calldata pointing, Own calldata own, bytes calldata witness)
        external
    {
        (Game memory game, bytes32 root) = _challengersTurn(id, stateHash);
        if (game.level != Games.BOTTOM) revert WrongLevel(game.level);
        _requireOpened(game, root, pointing.index, pointing.predecessor, pointing.leaf, pointing.siblings);
        bytes32 actual = STEP.step(witness);
        bytes32 before = Merkle.hash(witness[:MachineState.SIZE]);
        if (before != pointing.predecessor) revert WrongWitness(before, pointing.predecessor);
        emit Stepped(id, pointing.leaf, actual);
        if (actual == pointing.leaf) return _end(id, game, Stage.Lost);
        // A false step is false, whoever shows it. But only who was bound to the true one keeps its
        // place in the order.
        bool knew = own.leaf == actual && _ownDiffers(game, pointing, own);
        game.rankOpened = knew ? game.rankBound : ++claims[game.claimId].ranks;
        _end(id, game, Stage.Won);
    }

    // --- the claimant's moves --------------------------------------------------------------------

    /// @inheritdoc IDisputes
    function answer(GameId id, bytes32 stateHash, bytes32 root, bytes32[15] calldata lastLeafProof) external {
        (Game memory game,) = _turn(id, stateHash);
        if (game.stage != Stage.AwaitingAnswer) revert WrongStage(game.stage);
        if (msg.sender != claims[game.claimId].claimant) revert NotClaimant(msg.sender);
        if (!Trace.endsIn(root, game.target, lastLeafProof)) revert AnswerNotOpened();
        Answer storage tree = answers[game.claimId][game.treeKey()];
        // INVARIANT: answered once. Had any game's answer for this tree come in time, this game
        // would not await one; had one come too late for this game, its turn would be over.
        (tree.root, tree.givenAt) = (root, uint40(block.timestamp));
        emit Answered(game.claimId, game.level, game.position, root);
    }

    /// @inheritdoc IDisputes
    function reveal(GameId id, bytes32 stateHash, bytes32[] calldata children) external {
        (Game memory game,) = _turn(id, stateHash);
        if (game.stage != Stage.AwaitingReveal) revert WrongStage(game.stage);
        if (children.length != Games.FAN_OUT || Merkle.rootOf(children) != game.target) revert WrongChildren();
        // Kept by the node alone: whatever its place in whatever tree, a node has only these
        // children.
        reveals[game.claimId][game.target].givenAt = uint40(block.timestamp);
        // The children are logged and not only in calldata, where a contract that reveals would
        // hide them.
        emit Revealed(game.claimId, game.target, children);
    }

    // --- anyone's moves --------------------------------------------------------------------------

    /// @inheritdoc IDisputes
    function expire(GameId id) external {
        Game memory game = _openGame(id);
        uint256 deadline = _deadline(game);
        if (block.timestamp <= deadline) revert TooEarly(deadline);
        if (game.isClaimantsTurn()) return _end(id, game, Stage.Won);
        _end(id, game, _isMoot(game) ? Stage.Moot : Stage.Lost);
    }

    /// @inheritdoc IDisputes
    function dismiss(GameId id) external {
        Game memory game = _openGame(id);
        if (_isMoot(game)) return _end(id, game, Stage.Moot);
        // A claimant that is known to lie is not waited for, or its friends' games could hold up
        // the verdict.
        bool conceded = !claims[game.claimId].winner.isNone() && game.isClaimantsTurn();
        if (!conceded) revert NotMoot(id);
        _end(id, game, Stage.Won);
    }

    /// @inheritdoc IDisputes
    function collect(GameId id) external returns (address payee, uint256 paid) {
        Game storage game = games[id];
        Stage stage = game.stage;
        if (stage < Stage.Won) revert GameNotEnded(id, stage);
        // INVARIANT: a bond leaves once.
        if (game.collected) revert AlreadyCollected(id);
        game.collected = true;
        uint256 bond = game.bond;
        payee = game.challenger;
        if (stage == Stage.Won) {
            paid = bond;
        } else if (stage == Stage.Moot) {
            // INVARIANT: what a game drew is below its bond, by the constructor and the bounds on
            // levels and demands.
            paid = bond - (_costs(game.answers, game.reveals) - COST_BASE);
        } else {
            payee = claims[game.claimId].claimant;
            // A claimant that is known to lie is paid nothing.
            bool isFalse = !claims[game.claimId].winner.isNone();
            // INVARIANT: at most half of the bond.
            if (!isFalse) paid = _costs(game.answers, game.reveals) + (bond - BOND) / 2;
        }
        emit Collected(id, payee, paid, bond - paid);
        if (paid != 0) TOKEN.pay(payee, paid);
    }

    /// @inheritdoc IDisputes
    function collectCosts(GameId id) external returns (uint256 paid) {
        Game storage game = games[id];
        uint256 due = _costsDue(game);
        uint256 credited = IMarket(MARKET).challengeCostsOf(game.claimId);
        if (due == 0 || credited == 0) revert NoCosts(id);
        if (game.costsCollected) revert AlreadyCollected(id);
        game.costsCollected = true;
        // INVARIANT: the shares add up to no more than was credited for this claim.
        uint256 total = claims[game.claimId].costs;
        paid = credited < total ? due * credited / total : due;
        emit CostsCollected(id, game.challenger, paid);
        IMarket(MARKET).withdraw(game.challenger, paid);
    }

    // --- views -----------------------------------------------------------------------------------

    /// @inheritdoc IDisputes
    function gameOf(GameId id)
        external
        view
        returns (Game memory game, bytes32 root, bytes32 stateHash, uint256 deadline)
    {
        (game, root) = _current(id);
        stateHash = game.stateHash(id, root);
        if (game.isOpen()) deadline = _deadline(game);
    }

    /// @inheritdoc IDisputes
    function commitmentOf(bytes32 claimId, address challenger, uint8 depth, uint32 index, bytes32 ownRoot, bytes32 salt)
        external
        view
        returns (bytes32)
    {
        return Games.commitment(depth, index, Games.seal(claimId, challenger, ownRoot, salt));
    }

    /// @inheritdoc IDisputes
    function sealOf(bytes32 claimId, address challenger, bytes32 ownRoot, bytes32 salt)
        external
        view
        returns (bytes32)
    {
        return Games.seal(claimId, challenger, ownRoot, salt);
    }

    /// @inheritdoc IDisputes
    function bondOf(bytes32 claimId, uint96 stake) external view returns (uint96 bond) {
        return Bonds.next(BOND, STAKE_BPS, stake, _claim(claimId).openGames);
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
            GameId winner,
            uint64 workSecs,
            uint64 workUntil
        )
    {
        Claim storage claim = _claim(claimId);
        return (
            claim.claimant,
            claim.endsHash,
            claim.opensUntil,
            claim.openGames,
            claim.winner,
            claim.workSecs,
            claim.workUntil
        );
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
            stakeBps: STAKE_BPS,
            costBase: COST_BASE,
            costAnswer: COST_ANSWER,
            costReveal: COST_REVEAL,
            stepsPerSec: STEPS_PER_SEC,
            retraceStepsPerSec: RETRACE_STEPS_PER_SEC,
            runBps: RUN_BPS,
            fetchSecs: FETCH_SECS,
            censorshipSecs: CENSORSHIP_SECS,
            openingSecs: OPENING_SECS,
            clockSecs: CLOCK_SECS,
            moveFloorSecs: MOVE_FLOOR_SECS,
            spacingSecs: SPACING_SECS
        });
    }

    // --- a turn ----------------------------------------------------------------------------------

    /// @dev The game as of now. Answers and reveals are shared, so they are kept apart from games,
    /// and a game looks for its own when it is next touched. One that came after this game's
    /// deadline does not count, so the outcome does not depend on who calls `expire` when.
    function _current(GameId id) private view returns (Game memory game, bytes32 root) {
        game = games[id];
        if (game.stage == Stage.AwaitingAnswer) {
            if (_passes(game, answers[game.claimId][game.treeKey()].givenAt)) ++game.answers;
        } else if (game.stage == Stage.AwaitingReveal) {
            if (_passes(game, reveals[game.claimId][game.target].givenAt)) ++game.reveals;
        }
        if (game.stage != Stage.AwaitingAnswer) root = answers[game.claimId][game.treeKey()].root;
    }

    /// @dev Passes the turn to the challenger if what it waits for was given in time.
    function _passes(Game memory game, uint40 givenAt) private view returns (bool given) {
        if (givenAt == 0 || givenAt > _deadline(game)) return false;
        game.pass(Stage.AwaitingPoint, givenAt);
        return true;
    }

    function _openGame(GameId id) private view returns (Game memory game) {
        (game,) = _current(id);
        if (!game.isOpen()) revert GameNotOpen(id, game.stage);
    }

    function _turn(GameId id, bytes32 stateHash) private view returns (Game memory game, bytes32 root) {
        (game, root) = _current(id);
        if (!game.isOpen()) revert GameNotOpen(id, game.stage);
        bytes32 actual = game.stateHash(id, root);
        if (stateHash != actual) revert StaleState(stateHash, actual);
        uint256 deadline = _deadline(game);
        // INVARIANT: a move is in time or the turn can be expired, never both.
        if (block.timestamp > deadline) revert TooLate(deadline);
    }

    function _challengersTurn(GameId id, bytes32 stateHash) private view returns (Game memory game, bytes32 root) {
        (game, root) = _turn(id, stateHash);
        if (msg.sender != game.challenger) revert NotChallenger(msg.sender);
        if (game.isClaimantsTurn()) revert WrongStage(game.stage);
    }

    /// @dev A first move must be the committed one, and in a later block: by the time that it can
    /// be seen and copied, its commitment stands before the copy's. It shows the challenger's own
    /// top root, which must be another.
    function _checkOpening(Game memory game, bytes32 root, uint8 depth, uint32 index, bytes32 ownRoot, bytes32 salt)
        private
        view
    {
        if (game.stage != Stage.AwaitingOpening) return;
        if (block.number <= uint256(game.own)) revert OpeningTooSoon();
        bytes32 own = Games.seal(game.claimId, game.challenger, ownRoot, salt);
        if (Games.commitment(depth, index, own) != game.target) revert OpeningMismatch();
        if (ownRoot == root) revert NoDifference();
        game.own = own;
    }

    /// @dev Whether the challenger's own tree, to which it is bound, holds the same predecessor and
    /// another leaf.
    function _ownDiffers(Game memory game, Pointing calldata pointing, Own calldata own) private view returns (bool) {
        return own.leaf != pointing.leaf && Games.seal(game.claimId, game.challenger, own.root, own.salt) == game.own
            && Trace.opens(own.root, pointing.index, pointing.predecessor, own.leaf, own.siblings);
    }

    function _requireOpened(
        Game memory game,
        bytes32 root,
        uint32 index,
        bytes32 predecessor,
        bytes32 leaf,
        bytes32[] calldata siblings
    ) private view {
        if (index == 0 && predecessor != game.start) revert OtherStart(predecessor, game.start);
        if (!Trace.opens(root, index, predecessor, leaf, siblings)) revert PointingNotOpened();
    }

    /// @dev Queues work for the claimant behind all that it was asked for before.
    function _ask(Claim storage claim, uint32 secs) private returns (uint40 dueAt) {
        uint256 from = claim.workUntil > block.timestamp ? claim.workUntil : block.timestamp;
        // INVARIANT: a claimant that answers in the order of asking, at the reference speeds, is
        // done with each by then.
        dueAt = uint40(from + secs);
        claim.workUntil = dueAt;
    }

    // --- a game's end ----------------------------------------------------------------------------

    function _end(GameId id, Game memory game, Stage outcome) private {
        Claim storage claim = claims[game.claimId];
        // INVARIANT: only an open game ends, so the count never underflows.
        claim.openGames -= 1;
        bool opened = game.stage != Stage.AwaitingOpening;
        if (outcome == Stage.Won && (claim.winner.isNone() || game.place() < games[claim.winner].place())) {
            claim.winner = id;
        }
        game.stage = outcome;
        // Who never made a move is owed nothing but its bond.
        if (!opened) game.costsCollected = true;
        games[id] = game;
        claim.costs += uint96(_costsDue(games[id]));
        emit GameEnded(id, game.claimId, outcome);
    }

    /// @dev Whether a step was shown to be false by a game that this one can't come before any
    /// more.
    function _isMoot(Game memory game) private view returns (bool) {
        GameId winner = claims[game.claimId].winner;
        return !winner.isNone() && games[winner].place() < game.placeMin();
    }

    // --- money -----------------------------------------------------------------------------------

    /// @dev What so many answers and reveals cost: the claimant that gave them, or the challenger
    /// that drew them.
    function _costs(uint256 answered, uint256 revealed) private view returns (uint256) {
        return COST_BASE + answered * COST_ANSWER + revealed * COST_REVEAL;
    }

    /// @dev What a challenger that was right is to be repaid out of the bounty.
    function _costsDue(Game storage game) private view returns (uint256) {
        bool right = game.stage == Stage.Won || (game.stage == Stage.Moot && !game.costsCollected);
        return right ? _costs(game.answers, game.reveals) : 0;
    }

    // --- small things ----------------------------------------------------------------------------

    function _claim(bytes32 claimId) private view returns (Claim storage claim) {
        claim = claims[claimId];
        if (claim.opensUntil == 0) revert UnknownClaim(claimId);
    }

    function _deadline(Game memory game) private view returns (uint256) {
        return game.deadline(_pace(claims[game.claimId].workSecs));
    }

    function _pace(uint32 workSecs) private view returns (Pace memory) {
        return Pace(OPENING_SECS, MOVE_FLOOR_SECS, workSecs);
    }

    /// @dev What one tree of a run of so many steps takes: reaching its segment, re-running it, and
    /// sending the answer.
    function _workSecs(uint256 steps) private view returns (uint32) {
        uint256 reachSecs = _divideUp(steps, Games.REACH_PARTS * STEPS_PER_SEC);
        uint256 secs = reachSecs + _retraceSecs(steps) + SPACING_SECS;
        return secs < type(uint32).max ? uint32(secs) : type(uint32).max;
    }

    /// @dev A segment is 2^30 steps, or the whole of a shorter run.
    function _retraceSecs(uint256 steps) private view returns (uint256) {
        return _divideUp(steps < 1 << 30 ? steps : 1 << 30, RETRACE_STEPS_PER_SEC);
    }

    /// @dev Of amounts of at most 80 bits, by divisors of at most 67, neither of which is zero (see
    /// the constructor).
    function _divideUp(uint256 amount, uint256 divisor) private pure returns (uint256) {
        unchecked {
            return (amount + divisor - 1) / divisor;
        }
    }
}
