// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Disputes} from "../src/Disputes.sol";
import {DisputeParameters, IDisputes} from "../src/interfaces/IDisputes.sol";
import {Verdict} from "../src/interfaces/IVerifier.sol";
import {Stage} from "../src/libraries/Games.sol";
import {GameId} from "../src/types/GameId.sol";
import {DisputeFixture} from "./support/DisputeFixture.sol";
import {Leaves, Trees} from "./support/Trees.sol";

/// @notice What two audits found: honest claims made false for gas, bounties taken by who knew
/// nothing, auditors left with their costs. The test stands in for the market.
contract ChallengesTest is DisputeFixture {
    using Trees for Leaves;

    // --- what the disputes ask of a market -------------------------------------------------------

    mapping(bytes32 claimId => uint256) public challengeCostsOf;

    function credit(bytes32 claimId, uint256 amount) private {
        challengeCostsOf[claimId] = amount;
        coin.mint(address(this), amount);
    }

    function withdraw(address to, uint256 amount) external {
        vm.assertEq(msg.sender, address(disputes), "only the verifier's own purse");
        coin.transfer(to, amount);
    }

    // --- the bounty (F1) -------------------------------------------------------------------------

    /// The lie begins with the fourth step; the leaves are published, and everybody can copy.
    Leaves private lie;

    function lying() private {
        lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
    }

    /// F1: bob knows nothing of the job. He sees alice's `commit` pending, gets one in before it
    /// that demands the root, under a tree that he made up, and copies all that she does.
    function test_a_commitment_without_knowledge_takes_no_bounty() public {
        lying();
        GameId b = commitBy(bob, CLAIM, 0, 0, Trees.constant_("made up"));
        GameId a = commitBy(alice, CLAIM, 15, 0);
        demandAt(b, lie, 0, 0);
        revealBy(bob, b, lie, 0, 0);
        pointAt(a, lie, 0); // alice shows where the lie is ...
        pointAt(b, lie, 0, Trees.constant_("made up")); // ... and bob copies it
        answerWith(a, lie);
        pointAt(a, lie, 0);
        pointAt(b, lie, 0, Trees.constant_("made up"));
        answerWith(a, falseBottom(3));
        proveAt(a, falseBottom(3), 3, witnesses[3]);
        assertVerdict(CLAIM, Verdict.Pending, address(0), "bob was bound to something, and may have known");
        proveAt(b, falseBottom(3), 3, witnesses[3]);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "the bounty is hers who found the lie");
    }

    /// He waits with his own moves until hers have shown everything. Then he is bound too late.
    function test_who_is_bound_after_the_step_was_shown_takes_no_bounty() public {
        lying();
        GameId b = commitBy(bob, CLAIM, 15, 0);
        GameId a = commitBy(alice, CLAIM, 15, 0);
        pointAt(a, lie, 0);
        answerWith(a, lie);
        pointAt(a, lie, 0);
        answerWith(a, falseBottom(3));
        proveAt(a, falseBottom(3), 3, witnesses[3]);
        disputes.dismiss(b);
        assertStage(b, Stage.Moot, "nothing that he does can come before her");
        assertVerdict(CLAIM, Verdict.Refuted, alice, "the bounty is hers");
    }

    /// He points elsewhere, where the liar answers nobody any more.
    function test_silence_about_another_place_takes_no_bounty_from_who_shows_the_step() public {
        lying();
        GameId b = commitBy(bob, CLAIM, 15, 9);
        GameId a = commitBy(alice, CLAIM, 15, 0);
        pointAt(b, lie, 9);
        pointAt(a, lie, 0);
        vm.warp(deadline(b));
        answerWith(a, lie);
        pointAt(a, lie, 0);
        answerWith(a, falseBottom(3));
        vm.warp(deadline(b) + 1);
        disputes.expire(b);
        assertStage(b, Stage.Won, "the claimant was silent");
        assertVerdict(CLAIM, Verdict.Pending, address(0), "alice still plays");
        proveAt(a, falseBottom(3), 3, witnesses[3]);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "who shows the step comes first");
    }

    /// The limit of it: a claimant that says nothing at all shows nothing of who knew. Then the
    /// order of commitment decides, and in a run of one segment there is but one place to guess.
    /// The costs are paid all the same.
    function test_where_the_claimant_is_silent_throughout_the_first_commitment_takes_the_bounty() public {
        lying();
        GameId b = commitBy(bob, CLAIM, 15, 0, Trees.constant_("made up"));
        GameId a = commitBy(alice, CLAIM, 15, 0);
        pointAt(a, lie, 0);
        pointAt(b, lie, 0);
        vm.warp(deadline(b) + 1);
        disputes.expire(b);
        disputes.expire(a);
        assertVerdict(CLAIM, Verdict.Refuted, bob, "nobody showed anything");
        vm.assertEq(disputes.costsOf(CLAIM), 2 * COST_BASE, "and both are owed their costs");
    }

    // --- an honest claim under a flood (F2) ------------------------------------------------------

    /// F2: wrong challenges at many leaves, the first game at the last segment. The claimant makes
    /// one tree after another, in the order of asking, each in exactly the reference time.
    function flood(uint32 count, bool worst) private {
        Leaves memory honest = Trees.constant_(honestEnd);
        openClaim(CLAIM, honest);
        coin.mint(alice, 1_000_000 * uint256(BOND));
        uint256 attackers = coin.balanceOf(alice);
        GameId[] memory ids = new GameId[](count);
        if (worst) vm.warp(vm.getBlockTimestamp() + WINDOW_SECS); // the window's last second
        for (uint32 k = 0; k < count; ++k) {
            ids[k] = commitBy(alice, CLAIM, 15, count - 1 - k);
        }
        uint256 begin = vm.getBlockTimestamp() + (worst ? OPENING_SECS : 0); // and the opening's
        vm.warp(begin);
        for (uint32 k = 0; k < count; ++k) {
            pointAt(ids[k], honest, count - 1 - k, wrong(honest, k % 7));
        }
        for (uint32 k = 0; k < count; ++k) {
            vm.warp(begin + (k + 1) * WORK_SECS);
            vm.assertGe(deadline(ids[k]), vm.getBlockTimestamp() + FLOOR_SECS, "a floor to send the answer in");
            answerWith(ids[k], honest);
            pointAt(ids[k], honest, k % 7); // and on to the bottom trees, all distinct too
        }
        begin = vm.getBlockTimestamp();
        for (uint32 k = 0; k < count; ++k) {
            if (begin + (k + 1) * WORK_SECS > vm.getBlockTimestamp()) vm.warp(begin + (k + 1) * WORK_SECS);
            vm.assertGe(deadline(ids[k]), vm.getBlockTimestamp() + FLOOR_SECS, "the same for the bottom trees");
            answerWith(ids[k], count - 1 - k == 0 && k % 7 == 0 ? honestBottom() : honest);
        }
        uint256 paid;
        uint256 bonds;
        for (uint32 k = 0; k < count; ++k) {
            if (vm.getBlockTimestamp() <= deadline(ids[k])) vm.warp(deadline(ids[k]) + 1);
            disputes.expire(ids[k]);
            (address payee, uint256 one) = disputes.collect(ids[k]);
            vm.assertEq(payee, claimant, "an honest claimant loses no game");
            vm.assertGe(one, COST_BASE + 2 * COST_ANSWER, "and is paid what each cost it");
            (paid, bonds) = (paid + one, bonds + game(ids[k]).bond);
        }
        assertVerdict(CLAIM, Verdict.Upheld, address(0), "an honest claim stands");
        vm.assertEq(attackers - coin.balanceOf(alice), bonds, "every bond is lost");
        vm.assertGe(bonds, 2 * paid, "which is at least twice what the claimant has spent and got back");
    }

    /// The tree of a challenger that is wrong: the claim's up to the leaf that it points at.
    function wrong(Leaves memory tree, uint32 index) private pure returns (Leaves memory) {
        return tree.cut(index, MINE);
    }

    function test_an_honest_claim_survives_a_flood_of_games() public {
        flood(40, false);
    }

    function test_an_honest_claim_survives_a_flood_at_the_worst_moments() public {
        flood(40, true);
    }

    function test_a_flood_grows_dearer_with_every_game() public {
        openClaim(CLAIM, Trees.constant_(honestEnd));
        uint256 sum;
        for (uint32 k = 0; k < 32; ++k) {
            GameId id = commitBy(alice, CLAIM, 15, k);
            vm.assertEq(game(id).bond, BOND + uint256(BOND) * k / 16, "a sixteenth of the first for each that is open");
            sum += game(id).bond;
        }
        vm.assertEq(sum, 63 * uint256(BOND), "32 games cost as much as 63 apart");
        vm.warp(deadline(GameId.wrap(32)) + 1);
        disputes.expire(GameId.wrap(1));
        vm.assertEq(disputes.bondOf(CLAIM, STAKE), BOND + uint256(BOND) * 31 / 16, "and less once games have ended");
    }

    /// Games wait for the same tree together: no challenger can make another's answer late.
    function test_games_about_one_tree_cost_the_claimant_one_answer() public {
        Leaves memory honest = Trees.constant_(honestEnd);
        openClaim(CLAIM, honest);
        GameId a = commitBy(alice, CLAIM, 15, 3);
        GameId b = commitBy(bob, CLAIM, 15, 3);
        pointAt(a, honest, 3);
        pointAt(b, honest, 3);
        (,,,,,, uint64 workUntil) = disputes.claimOf(CLAIM);
        vm.assertEq(uint256(workUntil), vm.getBlockTimestamp() + WORK_SECS, "one tree, one tree's time");
    }

    /// Nor does time given for a flood ever run out backwards: what was asked for keeps its
    /// deadline.
    function test_a_deadline_once_given_stays() public {
        Leaves memory honest = Trees.constant_(honestEnd);
        openClaim(CLAIM, honest);
        GameId a = commitBy(alice, CLAIM, 15, 3);
        GameId b = commitBy(bob, CLAIM, 15, 5);
        pointAt(a, honest, 3);
        pointAt(b, honest, 5);
        uint256 last = deadline(b);
        answerWith(a, honest);
        vm.assertEq(deadline(b), last, "answering one early takes no time from the other");
    }

    function test_a_deposit_of_reveals_has_its_spacing() public {
        Leaves memory tree = Trees.constant_("x").then(9, honestEnd);
        openClaim(CLAIM, tree);
        GameId a = commitBy(alice, CLAIM, 5, 0, tree.cut(8, MINE));
        GameId b = commitBy(bob, CLAIM, 5, 1, tree.cut(1030, MINE));
        demandAt(a, tree, 5, 0);
        demandAt(b, tree, 5, 1);
        vm.assertEq(deadline(a), vm.getBlockTimestamp() + SPACING_SECS + CLOCK_SECS, "the first");
        vm.assertEq(deadline(b), vm.getBlockTimestamp() + 2 * SPACING_SECS + CLOCK_SECS, "and the second behind it");
    }

    // --- bonds and stakes ------------------------------------------------------------------------

    /// F3b: a decoy cost a constant, whatever was at stake.
    function test_a_bond_grows_with_the_stake() public {
        DisputeParameters memory p = chosen();
        p.stakeBps = 200;
        disputes = new Disputes(p);
        vm.prank(alice);
        coin.approve(address(disputes), type(uint256).max);
        openClaim(CLAIM, Trees.constant_(honestEnd));
        vm.assertEq(disputes.bondOf(CLAIM, STAKE), BOND + STAKE / 50, "a fiftieth of the stake on top");
        GameId id = commitBy(alice, CLAIM, 15, 0);
        vm.warp(deadline(id) + 1);
        disputes.expire(id);
        assertCollects(id, claimant, COST_BASE + STAKE / 100, "half of which pays for the claimant's waiting");
    }

    // --- costs (F3) ------------------------------------------------------------------------------

    /// F3: the liar's own game, committed in the claim's block, took the bounty and left auditors
    /// nothing.
    function test_a_decoy_leaves_auditors_their_costs() public {
        lying();
        GameId decoy = commitBy(carol, CLAIM, 15, 0);
        GameId a = commitBy(alice, CLAIM, 15, 0);
        pointAt(decoy, lie, 0);
        pointAt(a, lie, 0);
        answerWith(a, lie);
        pointAt(decoy, lie, 0);
        pointAt(a, lie, 0);
        vm.warp(deadline(decoy) + 1);
        disputes.expire(decoy); // the claimant lets both fall, and ends its own first
        disputes.dismiss(a);
        assertStage(a, Stage.Won, "an auditor that is right is right, whoever was first");
        assertVerdict(CLAIM, Verdict.Refuted, carol, "the decoy has the bounty");
        uint256 each = COST_BASE + COST_ANSWER;
        vm.assertEq(disputes.costsOf(CLAIM), 2 * each, "costs of both, out of the bounty");

        vm.expectRevert(abi.encodeWithSelector(IDisputes.NoCosts.selector, a));
        disputes.collectCosts(a);
        credit(CLAIM, 2 * each);
        uint256 before = coin.balanceOf(alice);
        vm.prank(bob);
        disputes.collectCosts(a);
        vm.assertEq(coin.balanceOf(alice), before + each, "the auditor has its costs, whoever asked");
        vm.expectRevert(abi.encodeWithSelector(IDisputes.AlreadyCollected.selector, a));
        disputes.collectCosts(a);
        disputes.collectCosts(decoy);
        vm.assertEq(coin.balanceOf(address(this)), 0, "no more than was credited");
    }

    /// Many decoys can thin an auditor's costs, each at its own.
    function test_costs_are_shared_where_the_bounty_does_not_cover_them() public {
        lying();
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId b = commitBy(bob, CLAIM, 15, 1);
        pointAt(a, lie, 0);
        pointAt(b, lie, 1);
        vm.warp(deadline(a) + 1);
        disputes.expire(a);
        disputes.dismiss(b);
        vm.assertEq(disputes.costsOf(CLAIM), 2 * COST_BASE, "two games, no answers");
        credit(CLAIM, COST_BASE + 1);
        vm.assertEq(disputes.collectCosts(a), COST_BASE / 2, "half, rounded down");
        vm.assertEq(disputes.collectCosts(b), COST_BASE / 2, "the same");
    }

    function test_who_never_moved_or_was_wrong_is_owed_no_costs() public {
        lying();
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId idle = commitBy(bob, CLAIM, 15, 0);
        GameId false_ = commitBy(carol, CLAIM, 15, 0);
        pointAt(false_, lie, 0);
        pointAt(a, lie, 0);
        answerWith(a, lie);
        pointAt(false_, lie, 0);
        pointAt(a, lie, 0);
        answerWith(a, falseBottom(3));
        proveAt(false_, falseBottom(3), 2, witnesses[2]);
        assertStage(false_, Stage.Lost, "step 2 is true");
        proveAt(a, falseBottom(3), 3, witnesses[3]);
        disputes.dismiss(idle);
        vm.assertEq(disputes.costsOf(CLAIM), COST_BASE + 2 * COST_ANSWER, "alice's alone");
        credit(CLAIM, COST_BASE + 2 * COST_ANSWER);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.NoCosts.selector, idle));
        disputes.collectCosts(idle);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.NoCosts.selector, false_));
        disputes.collectCosts(false_);
        disputes.collectCosts(a);
    }

    /// A game dismissed because another showed the step pays for the answers that it drew, and is
    /// owed them like its costs.
    function test_a_dismissed_game_pays_for_its_answers_and_is_repaid() public {
        lying();
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId b = commitBy(bob, CLAIM, 15, 4);
        pointAt(a, lie, 0);
        pointAt(b, lie, 4);
        answerWith(b, lie);
        answerWith(a, lie);
        pointAt(a, lie, 0);
        answerWith(a, falseBottom(3));
        proveAt(a, falseBottom(3), 3, witnesses[3]);
        disputes.dismiss(b);
        assertCollects(b, bob, game(b).bond - COST_ANSWER, "less the answer");
        credit(CLAIM, disputes.costsOf(CLAIM));
        vm.assertEq(disputes.collectCosts(b), COST_BASE + COST_ANSWER, "and repaid out of the bounty");
    }
}
