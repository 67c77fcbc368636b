// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Disputes} from "../src/Disputes.sol";
import {DisputeParameters, IDisputes, Own, Pointing} from "../src/interfaces/IDisputes.sol";
import {IStep} from "../src/interfaces/IStep.sol";
import {ClaimFacts, Verdict} from "../src/interfaces/IVerifier.sol";
import {Game, Stage} from "../src/libraries/Games.sol";
import {Merkle} from "../src/libraries/Merkle.sol";
import {GameId} from "../src/types/GameId.sol";
import {DisputeFixture} from "./support/DisputeFixture.sol";
import {Leaves, Trees} from "./support/Trees.sol";

/// @notice Whole games, played as their parties would.
contract DisputesTest is DisputeFixture {
    using Trees for Leaves;

    // --- whole games -----------------------------------------------------------------------------

    /// A claimant that lies from step 4 of 7, and a challenger that re-ran the job. Leaves are
    /// published.
    /// forge-config: default.isolate = true
    function test_an_honest_challenger_wins() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        vm.snapshotGasLastCall("disputes", "open");
        uint256 total;
        GameId id = commitBy(alice, CLAIM, 15, 0);
        total += spent("commit");
        pointAt(id, lie, 0);
        total += spent("point (first move)");
        answerWith(id, lie);
        total += spent("answer (middle)");
        pointAt(id, lie, 0);
        total += spent("point (second)");
        answerWith(id, falseBottom(3));
        total += spent("answer (bottom)");
        proveAt(id, falseBottom(3), 3, witnesses[3]);
        total += spent("prove (a store)");

        assertStage(id, Stage.Won, "the challenger was right");
        assertVerdict(CLAIM, Verdict.Refuted, alice, "one game lost makes the claim false");
        disputes.collect(id);
        total += spent("collect");
        vm.assertEq(coin.balanceOf(alice), 100 * BOND, "a winner's bond returns in full");
        vm.snapshotValue("disputes", "whole dispute, leaves published", total);
        vm.assertLe(total, 950_000, "the budget of a dispute with published leaves");
    }

    /// The dearest game: on each level nothing is published and all three depths are demanded.
    /// forge-config: default.isolate = true
    function test_an_honest_challenger_wins_though_leaves_are_withheld() public {
        Leaves[3] memory trees = deepTrees();
        uint32[3] memory indices = [uint32(5), 100, 1001];
        Leaves[3] memory mine = deepOwn(trees);
        openClaim(CLAIM, trees[0]);
        uint256 total;
        GameId id = commitBy(alice, CLAIM, 0, 0, mine[0]);
        total += spent("commit");
        for (uint256 level = 0; level < 3; ++level) {
            for (uint8 depth = 0; depth < 15; depth += 5) {
                uint32 index = indices[level] >> (15 - depth);
                demandAt(id, trees[level], depth, index);
                total += spent(depth == 0 ? "demand (depth 0)" : depth == 5 ? "demand (depth 5)" : "demand (depth 10)");
                revealBy(claimant, id, trees[level], depth, index);
                total += spent("reveal");
            }
            if (level == 2) break;
            pointAt(id, trees[level], indices[level], mine[level + 1]);
            total += spent("point");
            answerWith(id, trees[level + 1]);
            total += spent("answer");
        }
        proveAt(id, trees[2], 1001, witnesses[3]);
        total += spent("prove (a store, deep)");
        assertVerdict(CLAIM, Verdict.Refuted, alice, "withholding must not save a lie");
        vm.snapshotValue("disputes", "whole dispute, leaves withheld", total);
        vm.assertLe(total, 2_500_000, "the budget of a dispute with withheld leaves");
    }

    /// Gas of the last transaction as its sender pays it: the test runs isolated, so 21000 and
    /// calldata are in it.
    function spent(string memory name) private returns (uint256 gas) {
        gas = vm.lastCallGas().gasTotalUsed;
        vm.snapshotValue("disputes", name, gas);
    }

    /// A run that goes wrong at top leaf 5, middle leaf 100, bottom leaf 1001, where the step is a
    /// real one.
    function deepTrees() private view returns (Leaves[3] memory trees) {
        trees[0] = Trees.constant_("A").then(5, "end of segment 5").then(6, LIE);
        trees[1] = Trees.constant_("B").then(100, "end of segment 5, 100").then(32767, "end of segment 5");
        trees[2] = Trees.constant_("C").then(1000, states[3]).then(1001, LIE).then(32767, "end of segment 5, 100");
    }

    /// The true run, as its challenger has it.
    function deepOwn(Leaves[3] memory trees) private view returns (Leaves[3] memory mine) {
        mine[0] = trees[0].cut(5, "the true end of segment 5");
        mine[1] = trees[1].cut(100, "the true end of segment 5, 100").then(32767, "the true end of segment 5");
        mine[2] = trees[2].cut(1001, states[4]).then(32767, "the true end of segment 5, 100");
    }

    function test_an_honest_challenger_wins_deep_in_a_long_run() public {
        Leaves[3] memory trees = deepTrees();
        Leaves[3] memory mine = deepOwn(trees);
        openClaim(CLAIM, trees[0]);
        GameId id = commitBy(alice, CLAIM, 15, 5, mine[0]);
        pointAt(id, trees[0], 5, mine[1]);
        answerWith(id, trees[1]);
        pointAt(id, trees[1], 100, mine[2]);
        answerWith(id, trees[2]);
        vm.assertEq(uint256(game(id).position), (5 << 15) | 100, "the place in the trace");
        proveAt(id, trees[2], 1001, witnesses[3]);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "a lie deep in the run must fall");
    }

    function toTheLastStep(GameId id) private {
        Leaves memory top = Trees.constant_(honestEnd);
        pointAt(id, top, 0, wrong(top, 0));
        answerWith(id, top);
        pointAt(id, top, 0, wrong(honestBottom(), 3));
        answerWith(id, honestBottom());
    }

    /// The tree of a challenger that is wrong: the claim's up to the leaf that it points at.
    function wrong(Leaves memory tree, uint32 index) private pure returns (Leaves memory) {
        return tree.cut(index, MINE);
    }

    function test_an_honest_claimant_wins() public {
        openClaim(CLAIM, Trees.constant_(honestEnd));
        GameId id = commitBy(alice, CLAIM, 15, 0);
        toTheLastStep(id);
        proveAt(id, honestBottom(), 3, witnesses[3]);
        assertStage(id, Stage.Lost, "the challenger was wrong");
        assertVerdict(CLAIM, Verdict.Pending, address(0), "a game won by the claimant makes nothing final");
        assertCollects(id, claimant, COST_BASE + 2 * COST_ANSWER, "a lost bond pays the claimant's costs");
        vm.assertEq(coin.balanceOf(address(disputes)), BOND - COST_BASE - 2 * COST_ANSWER, "the rest is burned");
        afterWindow();
        assertVerdict(CLAIM, Verdict.Upheld, address(0), "the claim stands after its window");
    }

    /// Whichever step a challenger picks of a true trace, and of its padding, the claimant wins.
    function testFuzz_a_true_claim_survives_any_challenger(uint256 seed) public {
        Leaves memory top = Trees.constant_(honestEnd);
        openClaim(CLAIM, top);
        uint32 i = uint32(bound(seed, 0, 32767));
        uint32 j = uint32(bound(seed >> 32, 0, 32767));
        uint32 k = uint32(bound(seed >> 64, 0, 12));
        if (seed >> 255 == 0) (i, j) = (0, 0);
        bool first = i == 0 && j == 0;
        Leaves memory bottom = first ? honestBottom() : top;
        GameId id = commitBy(alice, CLAIM, 15, i);
        pointAt(id, top, i, wrong(top, j));
        answerWith(id, top);
        pointAt(id, top, j);
        answerWith(id, bottom);
        bytes memory witness = first && k < 7 ? witnesses[k] : finalWitness();
        proveAt(id, bottom, k, witness);
        assertStage(id, Stage.Lost, "a true step refutes nothing");
        afterWindow();
        assertVerdict(CLAIM, Verdict.Upheld, address(0), "a true claim stands");
    }

    /// Wherever a claimant begins to lie, the challenger wins.
    function testFuzz_a_false_claim_falls(uint32 from) public {
        from = uint32(bound(from, 0, 6));
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId id = commitBy(alice, CLAIM, 15, 0);
        pointAt(id, lie, 0);
        answerWith(id, lie);
        pointAt(id, lie, 0);
        answerWith(id, falseBottom(from));
        uint32 index = Trees.firstDifference(falseBottom(from), honestBottom());
        vm.assertEq(uint256(index), from, "the first difference");
        proveAt(id, falseBottom(from), index, witnesses[from]);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "a false claim falls");
    }

    function finalWitness() private view returns (bytes memory) {
        return abi.encodePacked(
            "assaym\x01\x01",
            uint8(1),
            uint32(0),
            uint32(0),
            new bytes(124),
            uint64(7),
            LIMIT,
            uint32(0x1_0000),
            uint32(0x1_1000),
            memoryRoot()
        );
    }

    // --- timeouts, at their exact seconds --------------------------------------------------------

    function expireRefused(GameId id) private {
        uint256 last = deadline(id);
        vm.warp(last);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooEarly.selector, last));
        disputes.expire(id);
        vm.warp(last + 1);
    }

    function test_a_challenger_that_never_opens_loses_its_bond() public {
        openClaim(CLAIM, Trees.constant_(LIE));
        GameId id = commitBy(alice, CLAIM, 15, 0);
        vm.assertEq(deadline(id), vm.getBlockTimestamp() + OPENING_SECS, "the opening's own time");
        expireRefused(id);
        disputes.expire(id);
        assertStage(id, Stage.Lost, "a commitment must be opened");
        assertCollects(id, claimant, COST_BASE, "the claimant waited for it");
    }

    function test_a_claimant_that_never_answers_is_refuted() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId id = commitBy(alice, CLAIM, 15, 0);
        pointAt(id, lie, 0);
        vm.assertEq(deadline(id), vm.getBlockTimestamp() + WORK_SECS + CLOCK_SECS, "its work, and then its clock");
        expireRefused(id);
        disputes.expire(id);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "silence refutes");
    }

    function test_a_claimant_that_never_reveals_is_refuted() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId id = commitBy(alice, CLAIM, 0, 0);
        demandAt(id, lie, 0, 0);
        expireRefused(id);
        disputes.expire(id);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "an unanswered demand refutes");
    }

    function test_a_challenger_that_never_points_loses() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId id = commitBy(alice, CLAIM, 15, 0);
        pointAt(id, lie, 0);
        answerWith(id, lie);
        expireRefused(id);
        disputes.expire(id);
        assertStage(id, Stage.Lost, "a challenger must finish what it began");
    }

    /// Field bug: last-second moves winning. In time up to and with the deadline; one second later
    /// only `expire` works.
    function test_a_last_second_move_counts_and_a_later_one_does_not() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId b = commitBy(bob, CLAIM, 15, 1);
        pointAt(a, lie, 0);
        pointAt(b, lie, 1);
        vm.warp(deadline(a));
        answerWith(a, lie);
        assertStage(a, Stage.AwaitingPoint, "the last second is in time");
        uint256 last = deadline(b);
        vm.warp(last + 1);
        bytes32 hash = stateHash(b);
        bytes32 root = lie.root();
        bytes32[15] memory proof = lie.proof(32767);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooLate.selector, last));
        vm.prank(claimant);
        disputes.answer(b, hash, root, proof);
        disputes.expire(b);
        assertStage(b, Stage.Won, "one second later the turn is lost");
    }

    function test_every_late_move_is_refused() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId id = commitBy(alice, CLAIM, 15, 0);
        uint256 id_ = vm.snapshotState();

        uint256 last = deadline(id);
        bytes32 hash = stateHash(id);
        Pointing memory p = pointing(states[0], lie, 0);
        Own memory none;
        vm.warp(last + 1);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooLate.selector, last));
        vm.prank(alice);
        disputes.point(id, hash, p, none, "next");

        vm.revertToState(id_);
        pointAt(id, lie, 0);
        answerWith(id, lie);
        last = deadline(id);
        hash = stateHash(id);
        vm.warp(last + 1);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooLate.selector, last));
        vm.prank(alice);
        disputes.point(id, hash, p, none, "next");
        bytes32 node = lie.root();
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooLate.selector, last));
        vm.prank(alice);
        disputes.demand(id, hash, "", SALT, 0, 0, node, new bytes32[](0));

        vm.revertToState(id_);
        id = commitBy(alice, CLAIM, 0, 0);
        demandAt(id, lie, 0, 0);
        last = deadline(id);
        hash = stateHash(id);
        bytes32[] memory children = lie.children(0, 0);
        vm.warp(last + 1);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooLate.selector, last));
        disputes.reveal(id, hash, children);
    }

    // --- clocks ----------------------------------------------------------------------------------

    /// Field bugs: clocks inherited from the opponent; timeouts that restore time.
    function test_each_party_spends_only_its_own_clock() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId id = commitBy(alice, CLAIM, 15, 0);
        vm.warp(vm.getBlockTimestamp() + 500);
        pointAt(id, lie, 0);
        vm.assertEq(uint256(game(id).challengerLeftSecs), CLOCK_SECS, "the opening has its own time");
        vm.warp(vm.getBlockTimestamp() + WORK_SECS + 3000);
        answerWith(id, lie);
        vm.assertEq(uint256(game(id).claimantLeftSecs), 600, "the claimant spent 3000 after its work was due");
        vm.assertEq(uint256(game(id).challengerLeftSecs), CLOCK_SECS, "the challenger spent nothing");
        vm.warp(vm.getBlockTimestamp() + 100);
        pointAt(id, lie, 0);
        vm.assertEq(uint256(game(id).challengerLeftSecs), CLOCK_SECS - 100, "the challenger spent 100");
        vm.assertEq(deadline(id), vm.getBlockTimestamp() + WORK_SECS + 600, "the claimant's clock did not refill");
    }

    function test_an_early_answer_costs_the_claimant_no_time() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId id = commitBy(alice, CLAIM, 15, 0);
        pointAt(id, lie, 0);
        vm.warp(vm.getBlockTimestamp() + WORK_SECS - 1);
        answerWith(id, lie);
        vm.assertEq(uint256(game(id).claimantLeftSecs), CLOCK_SECS, "its clock begins when the work is due");
        vm.assertEq(uint256(game(id).turnAt), vm.getBlockTimestamp(), "the challenger's begins with the answer");
    }

    function test_a_floor_covers_the_rerun_and_refills_nothing() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId id = commitBy(alice, CLAIM, 15, 0);
        pointAt(id, lie, 0);
        vm.warp(deadline(id));
        answerWith(id, lie);
        vm.assertEq(uint256(game(id).claimantLeftSecs), 0, "the clock is spent");
        vm.warp(deadline(id));
        pointAt(id, lie, 0);
        vm.assertEq(uint256(game(id).challengerLeftSecs), 0, "the challenger spent its own");
        vm.assertEq(deadline(id), vm.getBlockTimestamp() + WORK_SECS + FLOOR_SECS, "the work and a floor");
        vm.warp(deadline(id));
        answerWith(id, falseBottom(3));
        vm.assertEq(uint256(game(id).claimantLeftSecs), 0, "a floor is not time won");
        vm.assertEq(deadline(id), vm.getBlockTimestamp() + FLOOR_SECS + WORK_SECS, "the challenger's floor");
        vm.warp(deadline(id));
        proveAt(id, falseBottom(3), 3, witnesses[3]);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "all moves in the last second: the game is the same");
    }

    function test_a_reveal_has_only_the_time_to_send_it() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId id = commitBy(alice, CLAIM, 0, 0);
        demandAt(id, lie, 0, 0);
        vm.assertEq(deadline(id), vm.getBlockTimestamp() + SPACING_SECS + CLOCK_SECS, "a reveal re-runs nothing");
        vm.warp(deadline(id));
        revealBy(claimant, id, lie, 0, 0);
        vm.warp(deadline(id));
        demandAt(id, lie, 5, 0);
        vm.assertEq(deadline(id), vm.getBlockTimestamp() + SPACING_SECS + FLOOR_SECS, "a floor when the clock is out");
        revealBy(claimant, id, lie, 5, 0);
        vm.assertEq(
            deadline(id),
            vm.getBlockTimestamp() + FLOOR_SECS + WORK_SECS,
            "who points next must have retraced a segment"
        );
        pointAt(id, lie, 0);
        vm.assertEq(
            deadline(id), vm.getBlockTimestamp() + SPACING_SECS + WORK_SECS + FLOOR_SECS, "behind the work asked before"
        );
    }

    // --- many games ------------------------------------------------------------------------------

    function test_one_answer_serves_all_games() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId b = commitBy(bob, CLAIM, 15, 0);
        GameId c = commitBy(carol, CLAIM, 15, 0);
        pointAt(a, lie, 0);
        vm.warp(vm.getBlockTimestamp() + 10);
        pointAt(b, lie, 0);
        vm.warp(vm.getBlockTimestamp() + 20);
        bytes32 stale = stateHash(b);
        answerWith(a, lie);
        assertStage(b, Stage.AwaitingPoint, "the other game has its answer too");
        vm.assertEq(uint256(game(b).claimantLeftSecs), CLOCK_SECS, "which came before it was due");
        vm.warp(vm.getBlockTimestamp() + 30);
        pointAt(c, lie, 0);
        assertStage(c, Stage.AwaitingPoint, "a later game finds the answer");
        vm.assertEq(uint256(game(c).claimantLeftSecs), CLOCK_SECS, "at no cost of time");
        vm.assertEq(uint256(game(c).turnAt), vm.getBlockTimestamp(), "and its turn begins now");

        // A second, different answer to the same tree is impossible, through any game.
        bytes32 fresh = stateHash(b);
        Leaves memory other = Trees.constant_("x").then(32767, LIE);
        bytes32 root = other.root();
        bytes32[15] memory proof = other.proof(32767);
        vm.startPrank(claimant);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.StaleState.selector, stale, fresh));
        disputes.answer(b, stale, root, proof);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.WrongStage.selector, Stage.AwaitingPoint));
        disputes.answer(b, fresh, root, proof);
        vm.stopPrank();
    }

    /// The outcome must not depend on who calls `expire` when: an answer after a game's deadline is
    /// none for that game.
    function test_an_answer_in_another_game_does_not_save_an_expired_turn() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId b = commitBy(bob, CLAIM, 15, 0);
        pointAt(a, lie, 0);
        uint256 last = deadline(a);
        vm.warp(vm.getBlockTimestamp() + 100);
        pointAt(b, lie, 0);
        vm.warp(last + 1);
        vm.assertEq(deadline(b), last, "both wait for the same work");
        GameId c = commitBy(carol, CLAIM, 15, 0);
        pointAt(c, lie, 0);
        answerWith(c, lie);
        assertStage(a, Stage.AwaitingAnswer, "too late for the first game");
        disputes.expire(a);
        assertStage(a, Stage.Won, "which the claimant has lost");
    }

    function test_a_game_won_by_the_claimant_protects_no_lie() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId b = commitBy(bob, CLAIM, 15, 0);
        pointAt(a, lie, 0);
        pointAt(b, lie, 0);
        answerWith(a, lie);
        pointAt(a, lie, 0);
        pointAt(b, lie, 0);
        answerWith(a, falseBottom(3));
        proveAt(a, falseBottom(3), 2, witnesses[2]); // a friend of the claimant's loses on purpose
        assertStage(a, Stage.Lost, "step 2 is true");
        assertVerdict(CLAIM, Verdict.Pending, address(0), "nothing is final");
        proveAt(b, falseBottom(3), 3, witnesses[3]);
        assertVerdict(CLAIM, Verdict.Refuted, bob, "the lie falls all the same");
    }

    /// The bounty goes to who was bound first to the tree with the false step; everyone else's bond
    /// returns.
    function test_the_bounty_goes_to_who_was_bound_first() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId b = commitBy(bob, CLAIM, 15, 0);
        GameId c = commitBy(carol, CLAIM, 15, 0);
        pointAt(b, lie, 0);
        pointAt(c, lie, 0);
        answerWith(b, lie);
        pointAt(a, lie, 0);
        pointAt(b, lie, 0); // bob is bound to his bottom tree first
        pointAt(a, lie, 0);
        answerWith(b, falseBottom(3));
        vm.expectRevert(abi.encodeWithSelector(IDisputes.NotMoot.selector, c));
        disputes.dismiss(c);
        proveAt(a, falseBottom(3), 3, witnesses[3]); // alice shows the step first

        assertVerdict(CLAIM, Verdict.Pending, address(0), "bob was bound earlier and still plays");
        vm.expectRevert(abi.encodeWithSelector(IDisputes.NotMoot.selector, b));
        disputes.dismiss(b);
        disputes.dismiss(c);
        assertStage(c, Stage.Moot, "carol can win nothing any more");
        assertCollects(c, carol, game(c).bond - COST_ANSWER, "her bond returns, less the answer that she drew");

        proveAt(b, falseBottom(3), 3, witnesses[3]);
        assertVerdict(CLAIM, Verdict.Refuted, bob, "the first to be bound earns the bounty");
        assertCollects(a, alice, BOND, "alice's bond");
        assertCollects(b, bob, game(b).bond, "bob's bond");
    }

    function test_a_liar_is_paid_nothing_from_bonds_lost_after_it_fell() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId b = commitBy(bob, CLAIM, 15, 0);
        pointAt(b, lie, 0);
        vm.warp(deadline(b) + 1);
        disputes.expire(b);
        disputes.expire(a);
        assertStage(a, Stage.Lost, "the earlier game was never opened");
        assertCollects(a, claimant, 0, "a liar has no costs");
        assertVerdict(CLAIM, Verdict.Refuted, bob, "and the winner stays");
    }

    function test_a_moot_game_cannot_lose_its_bond() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId b = commitBy(bob, CLAIM, 15, 0);
        pointAt(a, lie, 0);
        answerWith(a, lie);
        pointAt(a, lie, 0);
        answerWith(a, falseBottom(3));
        proveAt(a, falseBottom(3), 3, witnesses[3]);
        vm.warp(deadline(b) + 1);
        disputes.expire(b); // late itself, but the claim had fallen: its bond returns
        assertStage(b, Stage.Moot, "the claim fell to another game");
        assertCollects(b, bob, game(b).bond, "its bond returns");
        vm.expectRevert(abi.encodeWithSelector(IDisputes.GameNotOpen.selector, b, Stage.Moot));
        disputes.dismiss(b);
    }

    /// A claim that fell by silence may still be shown to be false, so a challenger that stops then
    /// has given up.
    function test_silence_ends_nobody_elses_game() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId b = commitBy(bob, CLAIM, 15, 1);
        pointAt(a, lie, 0);
        vm.warp(deadline(b));
        pointAt(b, lie, 1);
        vm.warp(deadline(a) + 1);
        disputes.expire(a);
        disputes.dismiss(b);
        assertStage(b, Stage.Won, "a claimant that is known to lie has no more time");
        assertVerdict(CLAIM, Verdict.Refuted, alice, "alice was bound first");
        assertCollects(b, bob, game(b).bond, "bob's bond");
    }

    /// Two segments past a program's end have the same middle root but not the same start. Were
    /// answers kept by parent root, the answer given for one would convict an honest claimant in
    /// the other.
    function test_equal_roots_at_two_places_are_answered_apart() public {
        Leaves memory top = Trees.constant_(honestEnd);
        openClaim(CLAIM, top);
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId b = commitBy(bob, CLAIM, 15, 1);
        pointAt(b, top, 1, wrong(top, 0));
        answerWith(b, top);
        pointAt(b, top, 0);
        answerWith(b, top); // segment (1, 0) starts at the end: all padding
        pointAt(a, top, 0, wrong(top, 0));
        assertStage(a, Stage.AwaitingAnswer, "the other segment's answer does not stand here");
        answerWith(a, top);
        pointAt(a, top, 0);
        assertStage(a, Stage.AwaitingAnswer, "nor does its bottom tree");
        answerWith(a, honestBottom());
        proveAt(a, honestBottom(), 0, witnesses[0]);
        proveAt(b, top, 0, finalWitness());
        assertStage(a, Stage.Lost, "the first step is true");
        assertStage(b, Stage.Lost, "padding is true");
    }

    /// Each distinct tree gives an honest claimant the time to make it. One known to lie gets no
    /// more of it.
    function test_many_games_against_a_liar_end_with_the_first() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId[] memory ids = new GameId[](12);
        for (uint32 k = 0; k < 12; ++k) {
            ids[k] = commitBy(alice, CLAIM, 15, k);
        }
        uint256 begin = vm.getBlockTimestamp();
        for (uint32 k = 0; k < 12; ++k) {
            pointAt(ids[k], lie, k);
            vm.assertEq(deadline(ids[k]), begin + (k + 1) * WORK_SECS + CLOCK_SECS, "a tree more, a tree's time more");
        }
        vm.warp(deadline(ids[0]) + 1);
        disputes.expire(ids[0]);
        for (uint32 k = 1; k < 12; ++k) {
            disputes.dismiss(ids[k]);
            assertCollects(ids[k], alice, game(ids[k]).bond, "all bonds return");
        }
        assertVerdict(CLAIM, Verdict.Refuted, alice, "a liar's delay does not grow with the number of games");
    }

    // --- the window ------------------------------------------------------------------------------

    function test_the_window_bounds_commitments_and_never_extends() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        bytes32 root = lie.root();
        vm.warp(vm.getBlockTimestamp() + WINDOW_SECS);
        assertVerdict(CLAIM, Verdict.Pending, address(0), "the window's last second is inside");
        GameId id = commitBy(alice, CLAIM, 15, 0);
        vm.warp(vm.getBlockTimestamp() + 1);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.WindowClosed.selector, uint64(vm.getBlockTimestamp() - 1)));
        vm.prank(bob);
        disputes.commit(CLAIM, states[0], root, STAKE, bytes32(0), BOND);
        assertVerdict(CLAIM, Verdict.Pending, address(0), "an open game holds the verdict");
        pointAt(id, lie, 0);
        vm.warp(deadline(id) + 1);
        disputes.expire(id);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "a game opened in the window may end after it");
    }

    function test_a_claim_without_games_stands_one_second_after_its_window() public {
        openClaim(CLAIM, Trees.constant_(honestEnd));
        vm.warp(vm.getBlockTimestamp() + WINDOW_SECS);
        assertVerdict(CLAIM, Verdict.Pending, address(0), "last second");
        vm.warp(vm.getBlockTimestamp() + 1);
        assertVerdict(CLAIM, Verdict.Upheld, address(0), "one second later");
    }

    function test_a_verdict_never_changes() public {
        Leaves memory lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
        GameId id = commitBy(alice, CLAIM, 15, 0);
        pointAt(id, lie, 0);
        vm.warp(deadline(id) + 1);
        disputes.expire(id);
        bytes32 root = lie.root();
        vm.expectRevert(abi.encodeWithSelector(IDisputes.AlreadyFalse.selector, CLAIM));
        vm.prank(bob);
        disputes.commit(CLAIM, states[0], root, STAKE, bytes32(0), BOND);
        afterWindow();
        assertVerdict(CLAIM, Verdict.Refuted, alice, "refuted for ever");
    }

    function test_an_endless_window_does_not_stop_the_claim() public {
        ClaimFacts memory f = facts(Trees.constant_(LIE).root());
        f.windowSecs = type(uint64).max;
        disputes.open(CLAIM, f, "");
        assertVerdict(CLAIM, Verdict.Pending, address(0), "it opens, and waits");
    }

    function test_the_window_follows_the_steps_the_time_for_a_run_and_the_fetching() public view {
        uint256 rest = 60 + 600;
        vm.assertEq(uint256(disputes.windowMin(1, 0)), 1 + 1 + rest, "a second to run one step, one to retrace it");
        uint64 over = 1 << 15; // how far a check may have to run behind the claim's last step
        vm.assertEq(uint256(disputes.windowMin((1 << 30) - over, 0)), 1 + 1024 + rest, "a whole segment");
        vm.assertEq(uint256(disputes.windowMin((1 << 30) - over + 1, 0)), 2 + 1024 + rest, "rounded up");
        vm.assertEq(uint256(disputes.windowMin((1 << 45) - over, 0)), 32768 + 1024 + rest, "about the greatest limit");
        vm.assertEq(uint256(disputes.windowMin(1, 600)), 600 + 1 + rest, "an auditor has the time that a provider had");
        vm.assertEq(
            uint256(disputes.windowMin(1 << 45, 600)), 32769 + 1024 + rest, "and never less than the steps take"
        );
    }

    /// Whatever the order asked for: a window that is over sooner would make a lie final.
    function test_a_claim_has_the_window_that_checking_its_steps_takes() public {
        ClaimFacts memory f = facts("root");
        (f.windowSecs, f.steps) = (0, 1 << 38);
        uint64 least = disputes.windowMin(f.steps, f.runSecs);
        vm.assertEq(uint256(disputes.open(CLAIM, f, "")), least, "no less than it takes");
        vm.warp(vm.getBlockTimestamp() + least);
        assertVerdict(CLAIM, Verdict.Pending, address(0), "until its last second");
        vm.warp(vm.getBlockTimestamp() + 1);
        assertVerdict(CLAIM, Verdict.Upheld, address(0), "and then it is final");
        f.windowSecs = least + 1;
        vm.assertEq(uint256(disputes.open("another", f, "")), least + 1, "and no less than was asked for");
    }

    // --- opening a claim -------------------------------------------------------------------------

    function test_only_the_market_opens_and_only_once() public {
        ClaimFacts memory f = facts("root");
        vm.expectRevert(abi.encodeWithSelector(IDisputes.NotMarket.selector, alice));
        vm.prank(alice);
        disputes.open(CLAIM, f, "");
        vm.expectRevert(IDisputes.EvidenceNotEmpty.selector);
        disputes.open(CLAIM, f, "x");
        disputes.open(CLAIM, f, "");
        vm.warp(vm.getBlockTimestamp() + 100);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.ClaimAlreadyOpen.selector, CLAIM));
        disputes.open(CLAIM, f, "");
    }

    function test_unknown_claims_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(IDisputes.UnknownClaim.selector, CLAIM));
        disputes.verdictOf(CLAIM);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.UnknownClaim.selector, CLAIM));
        vm.prank(alice);
        disputes.commit(CLAIM, states[0], "root", STAKE, "commitment", BOND);
    }

    function test_parameters_that_contradict_each_other_are_refused() public {
        vm.assertEq(keccak256(abi.encode(disputes.parameters())), keccak256(abi.encode(chosen())), "kept as chosen");
        DisputeParameters memory p = chosen();
        p.stepsPerSec = 0;
        refuseParameters(p);
        p = chosen();
        p.retraceStepsPerSec = 0;
        refuseParameters(p);
        p = chosen();
        p.fetchSecs = 0;
        refuseParameters(p);
        p = chosen();
        p.moveFloorSecs = 0;
        refuseParameters(p);
        p = chosen();
        p.spacingSecs = 0;
        refuseParameters(p);
        p = chosen();
        p.clockSecs = 0;
        refuseParameters(p);
        p = chosen();
        (p.openingSecs, p.censorshipSecs) = (0, 0);
        refuseParameters(p);
        p = chosen();
        p.market = address(0);
        refuseParameters(p);
    }

    function test_a_bond_is_at_least_twice_what_a_game_can_cost() public {
        DisputeParameters memory p = chosen();
        uint96 least = 2 * (COST_BASE + 2 * COST_ANSWER + 9 * COST_REVEAL);
        p.bond = least;
        new Disputes(p);
        p.bond -= 1;
        vm.expectRevert(abi.encodeWithSelector(IDisputes.BondTooSmall.selector, least - 1, least));
        new Disputes(p);
    }

    function test_an_opening_has_at_least_the_time_of_the_censorship_allowance() public {
        DisputeParameters memory p = chosen();
        p.openingSecs = p.censorshipSecs;
        new Disputes(p);
        p.openingSecs -= 1;
        vm.expectRevert(
            abi.encodeWithSelector(IDisputes.OpeningTooShort.selector, p.censorshipSecs - 1, p.censorshipSecs)
        );
        new Disputes(p);
    }

    /// The longest game, of the longest run that fits the longest window.
    function test_a_game_ends_before_the_market_gives_a_verifier_up() public {
        DisputeParameters memory p = chosen();
        uint256 work = 30 days / 8 + 1024 + SPACING_SECS;
        uint256 rest = OPENING_SECS + 22 * FLOOR_SECS + 13 * work + 9 * SPACING_SECS;
        p.clockSecs = uint32((90 days - rest) / 2);
        new Disputes(p);
        p.clockSecs += 1;
        vm.expectRevert(
            abi.encodeWithSelector(IDisputes.GamesTooLong.selector, rest + 2 * uint256(p.clockSecs), 90 days)
        );
        new Disputes(p);
    }

    function refuseParameters(DisputeParameters memory p) private {
        vm.expectRevert(IDisputes.InvalidParameters.selector);
        new Disputes(p);
    }
}
