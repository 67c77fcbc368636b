// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {Disputes} from "../../src/Disputes.sol";
import {DisputeParameters, Own, Pointing} from "../../src/interfaces/IDisputes.sol";
import {ClaimFacts, Verdict} from "../../src/interfaces/IVerifier.sol";
import {Game, Stage} from "../../src/libraries/Games.sol";
import {Step} from "../../src/Step.sol";
import {GameId} from "../../src/types/GameId.sol";
import {Asm, Cpu, MachineFixture} from "./Machine.sol";
import {Leaves, Trees} from "./Trees.sol";

/// @notice Money that can be told to refuse every transfer out.
contract Coin is ERC20("Coin", "COIN") {
    bool public stuck;
    uint256 private taxed;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function stick(bool yes) external {
        stuck = yes;
    }

    function tax(uint256 amount) external {
        taxed = amount;
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        super.transferFrom(from, to, amount);
        if (taxed != 0) _burn(to, taxed);
        return true;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        require(!stuck, "stuck");
        return super.transfer(to, amount);
    }
}

/// @title A market, a claimant, challengers, and a seven-step program whose states are written by
/// hand
abstract contract DisputeFixture is MachineFixture {
    using Trees for Leaves;

    uint96 internal constant BOND = 1000e6;
    uint96 internal constant COST_BASE = 50e6;
    uint96 internal constant COST_ANSWER = 20e6;
    uint96 internal constant COST_REVEAL = 10e6;
    uint64 internal constant WINDOW_SECS = 10_000;
    uint32 internal constant OPENING_SECS = 600;
    uint32 internal constant CLOCK_SECS = 3600;
    uint32 internal constant FLOOR_SECS = 300;
    uint32 internal constant SPACING_SECS = 10;
    /// An eighth of 2^40 steps at 2^30 a second, 2^30 steps at 2^20 a second, and the spacing.
    uint32 internal constant WORK_SECS = 128 + 1024 + SPACING_SECS;
    uint96 internal constant STAKE = 5000e6;

    bytes32 internal constant CLAIM = keccak256("claim");
    bytes32 internal constant SALT = keccak256("salt");
    uint64 internal constant LIMIT = 1 << 40;

    Coin internal coin;
    Step internal stepper;
    Disputes internal disputes;
    address internal claimant;
    address internal alice;
    address internal bob;
    address internal carol;

    /// The honest run: states 0 to 7, and for each but the last the witness of its step.
    bytes32[8] internal states;
    /// The top trace of each open claim.
    mapping(bytes32 claimId => bytes32) internal traceRoots;
    mapping(bytes32 claimId => Leaves) private tops;
    /// Each challenger's own trees, by level.
    mapping(GameId id => mapping(uint256 level => Leaves)) private owns;
    bytes32 internal constant MINE = keccak256("the challenger's own");
    bytes[7] internal witnesses;
    bytes32 internal honestEnd;
    bytes32 internal constant LIE = keccak256("a false final state");

    function setUp() public virtual {
        coin = new Coin();
        stepper = new Step();
        disputes = new Disputes(chosen());
        vm.label(address(disputes), "disputes");
        (claimant, alice, bob, carol) = (named("claimant"), named("alice"), named("bob"), named("carol"));
        address[3] memory challengers = [alice, bob, carol];
        for (uint256 k = 0; k < 3; ++k) {
            coin.mint(challengers[k], 100 * BOND);
            vm.prank(challengers[k]);
            coin.approve(address(disputes), type(uint256).max);
        }
        vm.warp(1_700_000_000);
        vm.roll(1000);
        _run();
    }

    function chosen() internal view virtual returns (DisputeParameters memory) {
        return DisputeParameters({
            token: coin,
            market: address(this),
            step: stepper,
            bond: BOND,
            stakeBps: 0,
            costBase: COST_BASE,
            costAnswer: COST_ANSWER,
            costReveal: COST_REVEAL,
            stepsPerSec: 1 << 30,
            retraceStepsPerSec: 1 << 20,
            runBps: 10_000,
            fetchSecs: 60,
            censorshipSecs: 600,
            openingSecs: OPENING_SECS,
            clockSecs: CLOCK_SECS,
            moveFloorSecs: FLOOR_SECS,
            spacingSecs: SPACING_SECS
        });
    }

    // --- the program -----------------------------------------------------------------------------

    function _run() private {
        uint32[7] memory text = [
            Asm.u(0x37, 2, 0x80000), // x2 = output
            Asm.addi(1, 0, 41),
            Asm.addi(1, 1, 1),
            Asm.s(2, 2, 1, 32), // output[32] = 42
            Asm.addi(17, 0, 93),
            Asm.addi(10, 1, -42),
            Asm.ECALL
        ];
        for (uint32 k = 0; k < 7; ++k) {
            poke32(0x1_0004 + 4 * k, text[k]);
        }
        Cpu memory cpu;
        (cpu.pc, cpu.limit, cpu.textLo, cpu.textHi) = (0x1_0004, LIMIT, 0x1_0000, 0x1_1000);
        _record(cpu, 0, "");
        cpu.x[2] = 0x8000_0000;
        _advance(cpu, 1, "");
        cpu.x[1] = 41;
        _advance(cpu, 2, "");
        cpu.x[1] = 42;
        _advance(cpu, 3, opening(0x8000_0020));
        poke32(0x8000_0020, 42);
        _advance(cpu, 4, "");
        cpu.x[17] = 93;
        _advance(cpu, 5, "");
        cpu.x[10] = 0;
        _advance(cpu, 6, "");
        Cpu memory end;
        (end.status, end.step, end.limit, end.textLo, end.textHi) = (1, 7, LIMIT, 0x1_0000, 0x1_1000);
        states[7] = sha256(preimage(end, memoryRoot()));
        honestEnd = states[7];
    }

    function _advance(Cpu memory cpu, uint256 k, bytes memory data) private {
        cpu.pc += 4;
        cpu.step += 1;
        _record(cpu, k, data);
    }

    function _record(Cpu memory cpu, uint256 k, bytes memory data) private {
        bytes memory image = preimage(cpu, memoryRoot());
        states[k] = sha256(image);
        witnesses[k] = abi.encodePacked(image, opening(cpu.pc), data);
    }

    /// The honest bottom tree of the first segment.
    function honestBottom() internal view returns (Leaves memory tree) {
        tree = Trees.constant_(states[1]);
        for (uint32 k = 2; k <= 7; ++k) {
            tree = tree.then(k - 1, states[k]);
        }
    }

    /// The same, false from leaf `from` on.
    function falseBottom(uint32 from) internal view returns (Leaves memory tree) {
        if (from == 0) return Trees.constant_(LIE);
        tree = Trees.constant_(states[1]);
        for (uint32 k = 2; k <= 7 && k - 1 < from; ++k) {
            tree = tree.then(k - 1, states[k]);
        }
        tree = tree.then(from, LIE);
    }

    // --- moves, each as its party would make it --------------------------------------------------

    function facts(bytes32 traceRoot) internal view returns (ClaimFacts memory) {
        return ClaimFacts({
            claimant: claimant,
            initialState: states[0],
            finalState: honestEnd,
            traceRoot: traceRoot,
            stepLimit: LIMIT,
            windowSecs: WINDOW_SECS,
            runSecs: 600,
            steps: LIMIT,
            stake: STAKE
        });
    }

    function openClaim(bytes32 claimId, Leaves memory top) internal {
        traceRoots[claimId] = top.root();
        tops[claimId] = top;
        disputes.open(claimId, facts(traceRoots[claimId]), "");
    }

    /// A challenger whose own top tree leaves the claim's at the leaf that it points at, or at the
    /// first one under the node that it demands.
    function commitBy(address who, bytes32 claimId, uint8 depth, uint32 index) internal returns (GameId id) {
        return commitBy(who, claimId, depth, index, tops[claimId].cut(index << (15 - depth), MINE));
    }

    function commitBy(address who, bytes32 claimId, uint8 depth, uint32 index, Leaves memory own)
        internal
        returns (GameId id)
    {
        bytes32 commitment = disputes.commitmentOf(claimId, who, depth, index, own.root(), SALT);
        id = commitAs(who, claimId, commitment);
        owns[id][0] = own;
        vm.roll(vm.getBlockNumber() + 1);
    }

    function commitAs(address who, bytes32 claimId, bytes32 commitment) internal returns (GameId id) {
        vm.prank(who);
        return disputes.commit(claimId, states[0], traceRoots[claimId], STAKE, commitment, type(uint96).max);
    }

    function pointing(bytes32 start, Leaves memory tree, uint32 index) internal pure returns (Pointing memory p) {
        p.index = index;
        p.leaf = tree.leaf(index);
        p.predecessor = index == 0 ? start : tree.leaf(index - 1);
        p.siblings = tree.neighbourProof(index);
    }

    function ownAt(GameId id, uint256 level, uint32 index) internal view returns (Own memory own) {
        Leaves memory tree = owns[id][level];
        own.root = tree.root();
        own.salt = SALT;
        own.leaf = tree.leaf(index);
        own.siblings = tree.neighbourProof(index);
    }

    function ownRoot(GameId id) internal view returns (bytes32) {
        Leaves memory tree = owns[id][0];
        return tree.root();
    }

    function sealOf(GameId id, Leaves memory own) internal view returns (bytes32) {
        Game memory now_ = game(id);
        return disputes.sealOf(now_.claimId, now_.challenger, own.root(), SALT);
    }

    /// The honest tree below what is pointed at, in a run of one segment.
    function honestBelow(GameId id) internal view returns (Leaves memory tree) {
        return game(id).level == 0 ? Trees.constant_(honestEnd) : honestBottom();
    }

    function stateHash(GameId id) internal view returns (bytes32 hash) {
        (,, hash,) = disputes.gameOf(id);
    }

    function deadline(GameId id) internal view returns (uint256 at_) {
        (,,, at_) = disputes.gameOf(id);
    }

    function game(GameId id) internal view returns (Game memory found) {
        (found,,,) = disputes.gameOf(id);
    }

    function pointAt(GameId id, Leaves memory tree, uint32 index) internal {
        pointAt(id, tree, index, honestBelow(id));
    }

    function pointAt(GameId id, Leaves memory tree, uint32 index, Leaves memory next) internal {
        Game memory now_ = game(id);
        bytes32 hash = stateHash(id);
        Pointing memory p = pointing(now_.start, tree, index);
        Own memory own = ownAt(id, now_.level, index);
        bytes32 below = sealOf(id, next);
        owns[id][now_.level + 1] = next;
        vm.prank(now_.challenger);
        disputes.point(id, hash, p, own, below);
    }

    function answerWith(GameId id, Leaves memory tree) internal {
        bytes32 hash = stateHash(id);
        bytes32 root = tree.root();
        bytes32[15] memory proof = tree.proof(32767);
        vm.prank(claimant);
        disputes.answer(id, hash, root, proof);
    }

    function proveAt(GameId id, Leaves memory tree, uint32 index, bytes memory witness) internal {
        Game memory now_ = game(id);
        bytes32 hash = stateHash(id);
        Pointing memory p = pointing(now_.start, tree, index);
        Own memory own = ownAt(id, 2, index);
        vm.prank(now_.challenger);
        disputes.prove(id, hash, p, own, witness);
    }

    function demandAt(GameId id, Leaves memory tree, uint8 depth, uint32 index) internal {
        bytes32 hash = stateHash(id);
        bytes32 node = tree.node(15 - depth, index);
        bytes32[] memory siblings = tree.nodeProof(depth, index);
        bytes32 own = ownRoot(id);
        vm.prank(game(id).challenger);
        disputes.demand(id, hash, own, SALT, depth, index, node, siblings);
    }

    function revealBy(address who, GameId id, Leaves memory tree, uint8 depth, uint32 index) internal {
        bytes32 hash = stateHash(id);
        bytes32[] memory children = tree.children(depth, index);
        vm.prank(who);
        disputes.reveal(id, hash, children);
    }

    // --- what must hold --------------------------------------------------------------------------

    function assertStage(GameId id, Stage stage, string memory message) internal view {
        vm.assertEq(uint256(game(id).stage), uint256(stage), message);
    }

    function assertVerdict(bytes32 claimId, Verdict wanted, address informerWanted, string memory message)
        internal
        view
    {
        (Verdict verdict, address informer) = disputes.verdictOf(claimId);
        vm.assertEq(uint256(verdict), uint256(wanted), message);
        vm.assertEq(informer, informerWanted, message);
    }

    function assertCollects(GameId id, address payeeWanted, uint256 amount, string memory message) internal {
        uint256 before = coin.balanceOf(payeeWanted);
        (address payee, uint256 paid) = disputes.collect(id);
        vm.assertEq(payee, payeeWanted, message);
        vm.assertEq(paid, amount, message);
        vm.assertEq(coin.balanceOf(payeeWanted), before + amount, message);
    }

    function afterWindow() internal {
        vm.warp(vm.getBlockTimestamp() + WINDOW_SECS + 1);
    }
}
