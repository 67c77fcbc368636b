// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Disputes} from "../src/Disputes.sol";
import {IDisputes, Own, Pointing} from "../src/interfaces/IDisputes.sol";
import {IStep} from "../src/interfaces/IStep.sol";
import {ClaimFacts, Verdict} from "../src/interfaces/IVerifier.sol";
import {Game, Stage} from "../src/libraries/Games.sol";
import {Merkle} from "../src/libraries/Merkle.sol";
import {Payments} from "../src/libraries/Payments.sol";
import {GameId} from "../src/types/GameId.sol";
import {DisputeFixture} from "./support/DisputeFixture.sol";
import {Leaves, Trees} from "./support/Trees.sol";

/// @notice Moves that must not work. Several are bugs that other dispute games have shipped; each
/// is named.
contract DisputesAttacksTest is DisputeFixture {
    using Trees for Leaves;

    Leaves internal lie;

    function setUp() public override {
        super.setUp();
        lie = Trees.constant_(LIE);
        openClaim(CLAIM, lie);
    }

    function refusePoint(GameId id, address who, bytes32 hash, bytes32 salt, Pointing memory p, bytes memory reason)
        private
    {
        Own memory own = ownAt(id, game(id).level, p.index % 32768);
        own.salt = salt;
        vm.expectRevert(reason);
        vm.prank(who);
        disputes.point(id, hash, p, own, "next");
    }

    function refuseDemand(
        GameId id,
        address who,
        uint8 depth,
        uint32 index,
        bytes32 node,
        bytes32[] memory siblings,
        bytes memory reason
    ) private {
        bytes32 hash = stateHash(id);
        bytes32 own = ownRoot(id);
        vm.expectRevert(reason);
        vm.prank(who);
        disputes.demand(id, hash, own, SALT, depth, index, node, siblings);
    }

    // --- copying ---------------------------------------------------------------------------------

    /// Field bug: bonds stolen by copying a move. The commitment binds the challenger.
    function test_a_copied_commitment_cannot_be_opened() public {
        GameId a = commitBy(alice, CLAIM, 15, 0);
        GameId b = commitAs(bob, CLAIM, game(a).target);
        vm.roll(vm.getBlockNumber() + 1);
        Pointing memory p = pointing(states[0], lie, 0);
        refusePoint(b, bob, stateHash(b), SALT, p, abi.encodeWithSelector(IDisputes.OpeningMismatch.selector));
        pointAt(a, lie, 0);
        assertStage(a, Stage.AwaitingAnswer, "the original opens");
        vm.warp(deadline(b) + 1);
        disputes.expire(b);
        assertStage(b, Stage.Lost, "the copy loses its bond");
    }

    /// Field bug: front-running an honest move. Who copies an opening out of the mempool stands
    /// behind it in order.
    function test_who_copies_an_opening_gains_nothing() public {
        GameId a = commitBy(alice, CLAIM, 15, 0);
        // bob sees alice's first move waiting, and gets his own commitment and move in before it
        GameId b = commitBy(bob, CLAIM, 15, 0);
        pointAt(b, lie, 0);
        pointAt(a, lie, 0);
        vm.warp(deadline(b) + 1);
        disputes.expire(b);
        assertVerdict(CLAIM, Verdict.Pending, address(0), "alice's game is earlier and open");
        vm.warp(deadline(a) + 1);
        disputes.expire(a);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "the bounty is hers");
    }

    function test_a_first_move_needs_a_later_block() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        vm.roll(vm.getBlockNumber() - 1);
        Pointing memory p = pointing(states[0], lie, 0);
        refusePoint(id, alice, stateHash(id), SALT, p, abi.encodeWithSelector(IDisputes.OpeningTooSoon.selector));
    }

    function test_a_first_move_must_be_the_one_committed() public {
        GameId id = commitBy(alice, CLAIM, 15, 5);
        bytes memory reason = abi.encodeWithSelector(IDisputes.OpeningMismatch.selector);
        refusePoint(id, alice, stateHash(id), SALT, pointing(states[0], lie, 4), reason);
        refusePoint(id, alice, stateHash(id), "other salt", pointing(states[0], lie, 5), reason);
        refuseDemand(id, alice, 0, 0, lie.root(), new bytes32[](0), reason);
        pointAt(id, lie, 5);
    }

    /// A commitment is for one claim, one contract and one chain.
    function test_a_commitment_cannot_be_replayed_elsewhere() public {
        bytes32 other = keccak256("other claim");
        openClaim(other, lie);
        GameId original = commitBy(alice, CLAIM, 15, 0);
        GameId id = commitAs(alice, other, game(original).target);
        vm.roll(vm.getBlockNumber() + 1);
        Pointing memory p = pointing(states[0], lie, 0);
        refusePoint(id, alice, stateHash(id), SALT, p, abi.encodeWithSelector(IDisputes.OpeningMismatch.selector));
        bytes32 commitment = disputes.commitmentOf(CLAIM, alice, 15, 0, "own", SALT);
        vm.assertNotEq(
            commitment, new Disputes(chosen()).commitmentOf(CLAIM, alice, 15, 0, "own", SALT), "another contract's"
        );
        vm.chainId(77);
        vm.assertNotEq(commitment, disputes.commitmentOf(CLAIM, alice, 15, 0, "own", SALT), "another chain's");
    }

    // --- whose move ------------------------------------------------------------------------------

    function test_only_the_parties_move() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        Pointing memory p = pointing(states[0], lie, 0);
        refusePoint(id, bob, stateHash(id), SALT, p, abi.encodeWithSelector(IDisputes.NotChallenger.selector, bob));
        pointAt(id, lie, 0);
        bytes32 hash = stateHash(id);
        bytes32 root = lie.root();
        bytes32[15] memory proof = lie.proof(32767);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.NotClaimant.selector, alice));
        vm.prank(alice);
        disputes.answer(id, hash, root, proof);
        refusePoint(
            id, alice, hash, SALT, p, abi.encodeWithSelector(IDisputes.WrongStage.selector, Stage.AwaitingAnswer)
        );
        answerWith(id, lie);
        hash = stateHash(id);
        Own memory none;
        vm.expectRevert(abi.encodeWithSelector(IDisputes.NotChallenger.selector, claimant));
        vm.prank(claimant);
        disputes.prove(id, hash, p, none, witnesses[0]);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.WrongLevel.selector, 1));
        vm.prank(alice);
        disputes.prove(id, hash, p, none, witnesses[0]);
        pointAt(id, lie, 0);
        answerWith(id, falseBottom(3));
        hash = stateHash(id);
        p = pointing(states[0], falseBottom(3), 0);
        refusePoint(id, alice, hash, SALT, p, abi.encodeWithSelector(IDisputes.WrongLevel.selector, 2));
        bytes32[] memory children = lie.children(0, 0);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.WrongStage.selector, Stage.AwaitingPoint));
        disputes.reveal(id, hash, children);
    }

    /// Each move names the state it answers, so a reorganisation can't misplace it.
    function test_a_move_for_another_state_is_refused() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        bytes32 first = stateHash(id);
        Pointing memory p = pointing(states[0], lie, 0);
        pointAt(id, lie, 0);
        answerWith(id, lie);
        bytes32 second = stateHash(id);
        refusePoint(id, alice, first, SALT, p, abi.encodeWithSelector(IDisputes.StaleState.selector, first, second));
        GameId twin = commitBy(alice, CLAIM, 15, 0, lie.cut(0, "another"));
        bytes32 third = stateHash(twin);
        refusePoint(twin, alice, first, SALT, p, abi.encodeWithSelector(IDisputes.StaleState.selector, first, third));
    }

    /// A reorganisation that swaps the claimant's answer changes the state, so a pointing made for
    /// one is none for the other.
    function test_a_state_hash_binds_the_answer() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        pointAt(id, lie, 0);
        uint256 fork = vm.snapshotState();
        answerWith(id, lie);
        bytes32 one = stateHash(id);
        vm.revertToState(fork);
        answerWith(id, Trees.constant_("other").then(32767, LIE));
        vm.assertNotEq(one, stateHash(id), "another answer is another state");
    }

    /// A state hash holds no clock: a move sent early is good after a reorganisation that only
    /// shifts time.
    function test_a_state_hash_does_not_depend_on_time() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        bytes32 hash = stateHash(id);
        vm.warp(vm.getBlockTimestamp() + 100);
        vm.assertEq(stateHash(id), hash, "time passes, the state stays");
    }

    function test_a_commitment_to_another_trace_is_refused() public {
        bytes32 root = lie.root();
        bytes32 actual = keccak256(abi.encode(states[0], root, STAKE));
        bytes32 mine = keccak256(abi.encode(states[0], bytes32("mine"), STAKE));
        vm.expectRevert(abi.encodeWithSelector(IDisputes.OtherTrace.selector, mine, actual));
        vm.prank(alice);
        disputes.commit(CLAIM, states[0], "mine", STAKE, "commitment", BOND);
        bytes32 poorer = keccak256(abi.encode(states[0], root, STAKE - 1));
        vm.expectRevert(abi.encodeWithSelector(IDisputes.OtherTrace.selector, poorer, actual));
        vm.prank(alice);
        disputes.commit(CLAIM, states[0], root, STAKE - 1, "commitment", BOND);
        bytes32 start = keccak256(abi.encode(states[1], root, STAKE));
        vm.expectRevert(abi.encodeWithSelector(IDisputes.OtherTrace.selector, start, actual));
        vm.prank(alice);
        disputes.commit(CLAIM, states[1], root, STAKE, "commitment", BOND);
    }

    function test_foreign_ids_are_refused() public {
        GameId none = GameId.wrap(0);
        GameId far = GameId.wrap(99);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.GameNotOpen.selector, none, Stage.None));
        disputes.expire(none);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.GameNotOpen.selector, far, Stage.None));
        disputes.dismiss(far);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.GameNotEnded.selector, far, Stage.None));
        disputes.collect(far);
        Pointing memory p = pointing(states[0], lie, 0);
        refusePoint(
            far, alice, stateHash(far), SALT, p, abi.encodeWithSelector(IDisputes.GameNotOpen.selector, far, Stage.None)
        );
    }

    // --- after the end ---------------------------------------------------------------------------

    /// Field bug: moves after resolution freezing the game.
    function test_no_move_after_the_end() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        pointAt(id, lie, 0);
        answerWith(id, lie);
        pointAt(id, lie, 0);
        answerWith(id, falseBottom(3));
        bytes32 hash = stateHash(id);
        proveAt(id, falseBottom(3), 3, witnesses[3]);
        bytes memory ended = abi.encodeWithSelector(IDisputes.GameNotOpen.selector, id, Stage.Won);
        Pointing memory p = pointing(states[0], falseBottom(3), 3);
        refusePoint(id, alice, hash, SALT, p, ended);
        Own memory none;
        vm.expectRevert(ended);
        vm.prank(alice);
        disputes.prove(id, hash, p, none, witnesses[3]);
        bytes32 root = lie.root();
        bytes32[15] memory proof = lie.proof(32767);
        vm.expectRevert(ended);
        vm.prank(claimant);
        disputes.answer(id, hash, root, proof);
        bytes32[] memory children = lie.children(0, 0);
        vm.expectRevert(ended);
        disputes.reveal(id, hash, children);
        vm.warp(vm.getBlockTimestamp() + 365 days);
        vm.expectRevert(ended);
        disputes.expire(id);
        vm.expectRevert(ended);
        disputes.dismiss(id);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "still refuted");
    }

    function test_a_bond_leaves_once() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.GameNotEnded.selector, id, Stage.AwaitingOpening));
        disputes.collect(id);
        pointAt(id, lie, 0);
        vm.warp(deadline(id) + 1);
        disputes.expire(id);
        vm.prank(bob);
        disputes.collect(id);
        vm.assertEq(coin.balanceOf(alice), 100 * BOND, "anyone may send it, and it goes to the challenger");
        vm.expectRevert(abi.encodeWithSelector(IDisputes.AlreadyCollected.selector, id));
        disputes.collect(id);
    }

    /// Field bug: a callback that bricks the game. Money that will not move stops no move and no
    /// verdict.
    function test_stuck_money_stops_no_game() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        coin.stick(true);
        pointAt(id, lie, 0);
        vm.warp(deadline(id) + 1);
        disputes.expire(id);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "the verdict needs no payment");
        vm.expectRevert("stuck");
        disputes.collect(id);
        coin.stick(false);
        assertCollects(id, alice, BOND, "and the payment is not lost");
    }

    function test_a_game_needs_its_bond() public {
        address poor = named("poor");
        bytes32 root = lie.root();
        vm.expectRevert();
        vm.prank(poor);
        disputes.commit(CLAIM, states[0], root, STAKE, "commitment", BOND);
        (,,, uint64 openGames,,,) = disputes.claimOf(CLAIM);
        vm.assertEq(uint256(openGames), 0, "and without one there is no game");
    }

    /// A commitment that seems lost is sent again, and may land twice.
    function test_a_commitment_takes_one_bond_however_often_it_is_sent() public {
        bytes32 commitment = disputes.commitmentOf(CLAIM, alice, 15, 3, "own", SALT);
        commitAs(alice, CLAIM, commitment);
        bytes32 root = traceRoots[CLAIM];
        vm.expectRevert(abi.encodeWithSelector(IDisputes.AlreadyCommitted.selector, commitment));
        vm.prank(alice);
        disputes.commit(CLAIM, states[0], root, STAKE, commitment, type(uint96).max);
        commitAs(alice, CLAIM, disputes.commitmentOf(CLAIM, alice, 15, 3, "own", "another salt"));
    }

    function test_a_bond_is_measured_as_it_arrives() public {
        coin.tax(1);
        bytes32 root = lie.root();
        vm.expectRevert(abi.encodeWithSelector(Payments.TokenShort.selector, uint256(BOND) - 1, uint256(BOND)));
        vm.prank(alice);
        disputes.commit(CLAIM, states[0], root, STAKE, "commitment", BOND);
    }

    function test_a_challenger_says_what_bond_it_will_follow() public {
        commitBy(bob, CLAIM, 15, 0);
        bytes32 root = lie.root();
        uint96 second = BOND + BOND / 16;
        vm.assertEq(disputes.bondOf(CLAIM, STAKE), second, "a sixteenth more for each game that is open");
        vm.expectRevert(abi.encodeWithSelector(IDisputes.BondAboveMax.selector, second, second - 1));
        vm.prank(alice);
        disputes.commit(CLAIM, states[0], root, STAKE, "commitment", second - 1);
        vm.prank(alice);
        GameId id = disputes.commit(CLAIM, states[0], root, STAKE, "commitment", second);
        vm.assertEq(game(id).bond, second, "what was taken");
    }

    // --- the challenger's own trees --------------------------------------------------------------

    function refuseOwn(GameId id, uint32 index, Own memory own) private {
        bytes32 hash = stateHash(id);
        Pointing memory p = pointing(game(id).start, lie, index);
        vm.expectRevert(IDisputes.OwnTreeNotOpened.selector);
        vm.prank(alice);
        disputes.point(id, hash, p, own, "next");
    }

    function test_who_has_no_other_run_has_no_game() public {
        GameId id = commitBy(alice, CLAIM, 15, 0, lie);
        Pointing memory p = pointing(states[0], lie, 0);
        refusePoint(id, alice, stateHash(id), SALT, p, abi.encodeWithSelector(IDisputes.NoDifference.selector));
        id = commitBy(alice, CLAIM, 0, 0, lie);
        refuseDemand(
            id, alice, 0, 0, lie.root(), new bytes32[](0), abi.encodeWithSelector(IDisputes.NoDifference.selector)
        );
    }

    function test_a_pointing_must_stand_where_the_own_tree_first_differs() public {
        GameId id = commitBy(alice, CLAIM, 15, 7, Trees.cut(lie, 6, MINE));
        refuseOwn(id, 7, ownAt(id, 0, 7)); // they differ before already
        id = commitBy(alice, CLAIM, 15, 7, Trees.cut(lie, 8, MINE));
        refuseOwn(id, 7, ownAt(id, 0, 7)); // they do not differ yet
        id = commitBy(alice, CLAIM, 15, 7, Trees.cut(lie, 7, MINE));
        Own memory own = ownAt(id, 0, 7);
        own.leaf = "bent";
        refuseOwn(id, 7, own);
        own = ownAt(id, 0, 7);
        own.siblings[3] ^= bytes32(uint256(1));
        refuseOwn(id, 7, own);
        pointAt(id, lie, 7);
    }

    function test_a_finer_own_tree_is_the_one_that_was_sealed() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        pointAt(id, lie, 0, Trees.cut(lie, 7, MINE));
        answerWith(id, lie);
        Own memory own = ownAt(id, 1, 7);
        own.salt = "other";
        refuseOwn(id, 7, own);
        refuseOwn(id, 6, ownAt(id, 1, 6));
        pointAt(id, lie, 7);
        assertStage(id, Stage.AwaitingAnswer, "the sealed tree differs from leaf 7 on");
    }

    /// A false step convicts, whoever shows it: only the place in the order is lost.
    function test_a_false_step_convicts_though_its_challenger_was_not_bound_to_the_true_one() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        pointAt(id, lie, 0);
        answerWith(id, lie);
        pointAt(id, lie, 0, Trees.constant_("nothing"));
        answerWith(id, falseBottom(3));
        proveAt(id, falseBottom(3), 3, witnesses[3]);
        assertStage(id, Stage.Won, "the lie falls");
        assertVerdict(CLAIM, Verdict.Refuted, alice, "and nobody else was there");
    }

    // --- false openings --------------------------------------------------------------------------

    function test_indices_are_range_checked() public {
        Leaves memory own = Trees.constant_(MINE);
        GameId id = commitBy(alice, CLAIM, 15, 32768, own);
        Pointing memory p = pointing(states[0], lie, 0);
        (p.index, p.predecessor, p.siblings) = (32768, LIE, new bytes32[](29));
        refusePoint(
            id, alice, stateHash(id), SALT, p, abi.encodeWithSelector(Merkle.IndexOutOfRange.selector, 32768, 15)
        );
        id = commitBy(alice, CLAIM, 15, type(uint32).max, own);
        p.index = type(uint32).max;
        refusePoint(
            id,
            alice,
            stateHash(id),
            SALT,
            p,
            abi.encodeWithSelector(Merkle.IndexOutOfRange.selector, type(uint32).max, 15)
        );
        id = commitBy(alice, CLAIM, 5, 32, own);
        bytes memory reason = abi.encodeWithSelector(Merkle.IndexOutOfRange.selector, 32, 5);
        refuseDemand(id, alice, 5, 32, lie.node(10, 0), lie.nodeProof(5, 0), reason);
        id = commitBy(alice, CLAIM, 0, 1, own);
        reason = abi.encodeWithSelector(Merkle.IndexOutOfRange.selector, 1, 0);
        refuseDemand(id, alice, 0, 1, lie.root(), new bytes32[](0), reason);
    }

    /// Field bug: prefix proofs failing at the largest size. The last leaf and the widest gap
    /// between two paths.
    function test_the_last_leaf_and_the_middle_can_be_pointed_at() public {
        uint32[6] memory indices = [uint32(1), 2, 16384, 16383, 32766, 32767];
        for (uint256 k = 0; k < indices.length; ++k) {
            GameId id = commitBy(alice, CLAIM, 15, indices[k]);
            pointAt(id, lie, indices[k]);
            assertStage(id, Stage.AwaitingAnswer, "every leaf can be pointed at");
        }
    }

    function testFuzz_any_leaf_opens_beside_its_predecessor(uint32 index, uint256 seed) public {
        index = uint32(bound(index, 0, 32767));
        bytes32 claimId = keccak256(abi.encode(seed));
        Leaves memory tree = Trees.constant_(bytes32(seed));
        uint32 from = uint32(bound(seed, 1, 16000));
        tree = tree.then(from, "b").then(from * 2, "c");
        if (index > 0 && index != from && index != 2 * from) {
            if (index > 2 * from) tree = tree.then(index, "d");
        }
        openClaim(claimId, tree);
        GameId id = commitBy(alice, claimId, 15, index);
        Pointing memory p = pointing(states[0], tree, index);
        bytes32 hash = stateHash(id);
        // A bent sibling, at any place, opens nothing.
        uint256 bent = seed % p.siblings.length;
        p.siblings[bent] ^= bytes32(uint256(1));
        refusePoint(id, alice, hash, SALT, p, abi.encodeWithSelector(IDisputes.PointingNotOpened.selector));
        p.siblings[bent] ^= bytes32(uint256(1));
        p.leaf ^= bytes32(uint256(1));
        refusePoint(id, alice, hash, SALT, p, abi.encodeWithSelector(IDisputes.PointingNotOpened.selector));
        p.leaf ^= bytes32(uint256(1));
        if (index != 0) {
            p.predecessor ^= bytes32(uint256(1));
            refusePoint(id, alice, hash, SALT, p, abi.encodeWithSelector(IDisputes.PointingNotOpened.selector));
        }
        pointAt(id, tree, index);
        Game memory now_ = game(id);
        vm.assertEq(now_.target, tree.leaf(index), "the leaf");
        vm.assertEq(now_.start, index == 0 ? states[0] : tree.leaf(index - 1), "its predecessor");
    }

    function test_proofs_of_another_length_are_refused() public {
        GameId id = commitBy(alice, CLAIM, 15, 4);
        bytes32 hash = stateHash(id);
        Pointing memory p = pointing(states[0], lie, 4);
        uint256[4] memory lengths = [uint256(0), 15, 17, 1000];
        for (uint256 k = 0; k < 4; ++k) {
            p.siblings = new bytes32[](lengths[k]);
            refusePoint(id, alice, hash, SALT, p, abi.encodeWithSelector(Merkle.ProofLength.selector, lengths[k], 16));
        }
        id = commitBy(alice, CLAIM, 15, 0);
        p = pointing(states[0], lie, 0);
        p.siblings = new bytes32[](14);
        refusePoint(id, alice, stateHash(id), SALT, p, abi.encodeWithSelector(Merkle.ProofLength.selector, 14, 15));
        id = commitBy(alice, CLAIM, 5, 0);
        refuseDemand(
            id,
            alice,
            5,
            0,
            lie.node(10, 0),
            lie.nodeProof(10, 0),
            abi.encodeWithSelector(Merkle.ProofLength.selector, 10, 5)
        );
    }

    function test_the_first_leaf_starts_where_the_segment_does() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        Pointing memory p = pointing("elsewhere", lie, 0);
        refusePoint(
            id,
            alice,
            stateHash(id),
            SALT,
            p,
            abi.encodeWithSelector(IDisputes.OtherStart.selector, bytes32("elsewhere"), states[0])
        );
    }

    function test_calldata_that_ends_early_is_refused() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        Pointing memory p = pointing(states[0], lie, 0);
        bytes memory whole = abi.encodeCall(IDisputes.point, (id, stateHash(id), p, ownAt(id, 0, 0), "next"));
        for (uint256 length = 0; length < whole.length; length += 61) {
            bytes memory cut = new bytes(length);
            for (uint256 k = 0; k < length; ++k) {
                cut[k] = whole[k];
            }
            vm.prank(alice);
            (bool ok,) = address(disputes).call(cut);
            vm.assertFalse(ok, "calldata that ends early");
        }
        vm.prank(alice);
        (bool done,) = address(disputes).call(whole);
        vm.assertTrue(done, "the whole of it is good");
    }

    function test_an_answer_must_end_in_the_leaf_that_it_refines() public {
        GameId id = commitBy(alice, CLAIM, 15, 0);
        pointAt(id, lie, 0);
        Leaves memory elsewhere = Trees.constant_("elsewhere");
        bytes32 hash = stateHash(id);
        bytes32 root = elsewhere.root();
        bytes32[15] memory proof = elsewhere.proof(32767);
        vm.expectRevert(IDisputes.AnswerNotOpened.selector);
        vm.prank(claimant);
        disputes.answer(id, hash, root, proof);
        // The leaf must be the last: one that stands elsewhere does not do.
        elsewhere = elsewhere.then(5, LIE).then(6, "elsewhere");
        root = elsewhere.root();
        proof = elsewhere.proof(5);
        vm.expectRevert(IDisputes.AnswerNotOpened.selector);
        vm.prank(claimant);
        disputes.answer(id, hash, root, proof);
    }

    // --- demands and reveals ---------------------------------------------------------------------

    function test_demands_only_go_down() public {
        GameId id = commitBy(alice, CLAIM, 5, 3, Trees.cut(lie, 3210, MINE));
        demandAt(id, lie, 5, 3);
        bytes32 hash = stateHash(id);
        bytes32[] memory children = lie.children(5, 3);
        vm.prank(bob);
        disputes.reveal(id, hash, children); // anyone may
        assertStage(id, Stage.AwaitingPoint, "revealed");
        refuseDemand(
            id,
            alice,
            5,
            4,
            lie.node(10, 4),
            lie.nodeProof(5, 4),
            abi.encodeWithSelector(IDisputes.WrongDepth.selector, 5)
        );
        refuseDemand(
            id, alice, 0, 0, lie.root(), new bytes32[](0), abi.encodeWithSelector(IDisputes.WrongDepth.selector, 0)
        );
        refuseDemand(
            id,
            alice,
            7,
            0,
            lie.node(8, 0),
            lie.nodeProof(7, 0),
            abi.encodeWithSelector(IDisputes.WrongDepth.selector, 7)
        );
        refuseDemand(
            id, alice, 15, 0, LIE, lie.nodeProof(15, 0), abi.encodeWithSelector(IDisputes.WrongDepth.selector, 15)
        );
        refuseDemand(
            id, alice, 20, 0, LIE, new bytes32[](20), abi.encodeWithSelector(IDisputes.WrongDepth.selector, 20)
        );
        demandAt(id, lie, 10, 100);
        revealBy(bob, id, lie, 10, 100);
        refuseDemand(
            id,
            alice,
            10,
            0,
            lie.node(5, 0),
            lie.nodeProof(10, 0),
            abi.encodeWithSelector(IDisputes.WrongDepth.selector, 10)
        );
        pointAt(id, lie, 3210);
    }

    function test_a_node_outside_the_tree_cannot_be_demanded() public {
        GameId id = commitBy(alice, CLAIM, 5, 0);
        refuseDemand(
            id, alice, 5, 0, "unknown", lie.nodeProof(5, 0), abi.encodeWithSelector(IDisputes.NodeNotOpened.selector)
        );
    }

    function test_a_reveal_cannot_be_wrong() public {
        GameId id = commitBy(alice, CLAIM, 0, 0);
        demandAt(id, lie, 0, 0);
        bytes32 hash = stateHash(id);
        bytes32[] memory children = lie.children(0, 0);
        children[31] ^= bytes32(uint256(1));
        vm.expectRevert(IDisputes.WrongChildren.selector);
        disputes.reveal(id, hash, children);
        uint256[4] memory widths = [uint256(0), 2, 16, 64];
        for (uint256 k = 0; k < 4; ++k) {
            vm.expectRevert(IDisputes.WrongChildren.selector);
            disputes.reveal(id, hash, new bytes32[](widths[k]));
        }
        // Fewer nodes that hash to the same root are no reveal either: 16 nodes four levels down.
        bytes32[] memory fewer = new bytes32[](16);
        for (uint256 k = 0; k < 16; ++k) {
            fewer[k] = lie.node(11, k);
        }
        vm.expectRevert(IDisputes.WrongChildren.selector);
        disputes.reveal(id, hash, fewer);
        revealBy(bob, id, lie, 0, 0);
    }

    function test_one_reveal_serves_all_games() public {
        Leaves memory tree = Trees.constant_("x").then(9, LIE);
        bytes32 claimId = keccak256("varied");
        openClaim(claimId, tree);
        GameId a = commitBy(alice, claimId, 0, 0);
        GameId b = commitBy(bob, claimId, 0, 0);
        GameId c = commitBy(carol, claimId, 0, 0);
        demandAt(a, tree, 0, 0);
        demandAt(b, tree, 0, 0);
        revealBy(claimant, a, tree, 0, 0);
        assertStage(b, Stage.AwaitingPoint, "the other game sees it");
        assertStage(c, Stage.AwaitingOpening, "carol has committed to the same demand");
        vm.warp(vm.getBlockTimestamp() + 100);
        vm.expectEmit(address(disputes));
        emit IDisputes.TakenUp(c, claimId, tree.root());
        demandAt(c, tree, 0, 0);
        assertStage(c, Stage.AwaitingPoint, "and must still be able to make it: her turn comes straight back");
        vm.assertEq(uint256(game(c).turnAt), vm.getBlockTimestamp(), "with its full time");
        vm.assertEq(uint256(game(c).claimantLeftSecs), CLOCK_SECS, "at no cost of the claimant's time");
        vm.assertEq(uint256(game(c).reveals), 0, "nor of its money");
        vm.assertEq(uint256(game(a).reveals), 1, "the first demand drew the reveal");
        demandAt(c, tree, 5, 0);
        assertStage(c, Stage.AwaitingReveal, "a node not yet revealed is waited for");
    }

    /// A friend of the claimant's demands the root first and has it revealed: that must strand
    /// nobody who committed to it.
    function test_a_first_demand_by_another_strands_no_challenger() public {
        GameId b = commitBy(bob, CLAIM, 0, 0);
        GameId a = commitBy(alice, CLAIM, 0, 0);
        demandAt(b, lie, 0, 0);
        revealBy(claimant, b, lie, 0, 0);
        demandAt(a, lie, 0, 0);
        pointAt(a, lie, 0);
        answerWith(a, lie);
        pointAt(a, lie, 0);
        answerWith(a, falseBottom(3));
        proveAt(a, falseBottom(3), 3, witnesses[3]);
        assertStage(a, Stage.Won, "the lie falls");
    }

    // --- the last step ---------------------------------------------------------------------------

    function toTheBottom(Leaves memory bottom) private returns (GameId id) {
        id = commitBy(alice, CLAIM, 15, 0);
        pointAt(id, lie, 0);
        answerWith(id, lie);
        pointAt(id, lie, 0);
        answerWith(id, bottom);
    }

    function test_a_witness_of_another_state_decides_nothing() public {
        GameId id = toTheBottom(falseBottom(3));
        bytes32 hash = stateHash(id);
        Pointing memory p = pointing(states[0], falseBottom(3), 3);
        Own memory none;
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.WrongWitness.selector, states[2], states[3]));
        disputes.prove(id, hash, p, none, witnesses[2]);
        vm.expectRevert(abi.encodeWithSelector(IStep.WitnessLength.selector, 0, 197));
        disputes.prove(id, hash, p, none, "");
        bytes memory bent = abi.encodePacked(witnesses[3], bytes1(0));
        vm.expectRevert(abi.encodeWithSelector(IStep.WitnessLength.selector, 2246, 2245));
        disputes.prove(id, hash, p, none, bent);
        bent = witnesses[3];
        bent[2244] ^= 0x01;
        vm.expectRevert(IStep.DataNotOpened.selector);
        disputes.prove(id, hash, p, none, bent);
        vm.stopPrank();
        proveAt(id, falseBottom(3), 3, witnesses[3]);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "mistakes cost gas and time, not the game");
    }

    /// Field bug: out of gas during a hash leaving a wrong preimage. With any allowance a true step
    /// is never called false.
    function test_starving_the_last_step_convicts_nobody() public {
        GameId id = toTheBottom(falseBottom(6));
        bytes32 hash = stateHash(id);
        Pointing memory p = pointing(states[0], falseBottom(6), 3); // leaf 3 is true
        uint256 reverted;
        Own memory none;
        for (uint256 allowance = 20_000; allowance < 140_000; allowance += 611) {
            uint256 snapshot = vm.snapshotState();
            vm.prank(alice);
            (bool ok,) = address(disputes).call{gas: allowance}(
                abi.encodeCall(IDisputes.prove, (id, hash, p, none, witnesses[3]))
            );
            if (ok) assertStage(id, Stage.Lost, "a true step must not be called false for want of gas");
            else ++reverted;
            vm.revertToState(snapshot);
        }
        vm.assertGt(reverted, 10, "the loop must have starved some calls");
    }

    /// What a claimant puts into its own tree as predecessor decides nothing: no state hashes to
    /// it, and the challenger, who points at the first difference, never needs to prove from it.
    function test_a_tree_of_nonsense_falls_at_its_first_leaf() public {
        Leaves memory nonsense = Trees.constant_("nonsense").then(32767, LIE);
        GameId id = toTheBottom(nonsense);
        proveAt(id, nonsense, 0, witnesses[0]);
        assertVerdict(CLAIM, Verdict.Refuted, alice, "leaf 0 is not what the start steps to");
    }

    // --- money -----------------------------------------------------------------------------------

    /// Whatever is played, what leaves is at most what came in, and each bond is accounted for
    /// once.
    function testFuzz_bonds_are_conserved(uint256 seed) public {
        address[3] memory who = [alice, bob, carol];
        GameId[] memory ids = new GameId[](6);
        for (uint256 k = 0; k < 6; ++k) {
            ids[k] = commitBy(who[(seed >> k) % 3], CLAIM, 15, uint32(k));
        }
        for (uint256 round = 0; round < 24; ++round) {
            uint256 r = uint256(keccak256(abi.encode(seed, round)));
            GameId id = ids[r % 6];
            Game memory now_ = game(id);
            bool late = vm.getBlockTimestamp() > deadline(id);
            if (now_.stage > Stage.AwaitingPoint) continue;
            if (late) {
                disputes.expire(id);
            } else if (now_.stage == Stage.AwaitingAnswer) {
                if (now_.level == 1) answerWith(id, lie);
                else answerWith(id, falseBottom(3));
            } else if (now_.level < 2) {
                pointAt(id, lie, now_.level == 0 ? uint32(r % 6) : 0);
            } else {
                // Only the first segment's bottom tree begins with the true run.
                if (now_.start == states[0]) {
                    proveAt(id, falseBottom(3), uint32((r >> 8) % 4), witnesses[(r >> 8) % 4]);
                }
            }
            if ((r >> 16) % 4 == 0) vm.warp(vm.getBlockTimestamp() + (r >> 24) % 2000);
        }
        for (uint256 k = 0; k < 6; ++k) {
            while (game(ids[k]).stage <= Stage.AwaitingPoint) {
                vm.warp(deadline(ids[k]) + 1);
                disputes.expire(ids[k]);
            }
        }
        uint256 paid;
        uint256 bonds;
        for (uint256 k = 0; k < 6; ++k) {
            (, uint256 one) = disputes.collect(ids[k]);
            vm.assertLe(one, game(ids[k]).bond, "no game pays more than its bond");
            (paid, bonds) = (paid + one, bonds + game(ids[k]).bond);
        }
        vm.assertEq(coin.balanceOf(address(disputes)), bonds - paid, "the rest stays for ever");
        (Verdict verdict,) = disputes.verdictOf(CLAIM);
        (,,, uint64 openGames,,,) = disputes.claimOf(CLAIM);
        vm.assertEq(uint256(openGames), 0, "all games have ended");
        vm.assertTrue(
            verdict == Verdict.Refuted || vm.getBlockTimestamp() <= 1_700_000_000 + WINDOW_SECS
                || verdict == Verdict.Upheld,
            "a verdict once the window is over"
        );
    }
}
