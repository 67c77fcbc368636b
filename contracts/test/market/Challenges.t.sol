// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Disputes} from "../../src/Disputes.sol";
import {Step} from "../../src/Step.sol";
import {DisputeParameters, Own, Pointing} from "../../src/interfaces/IDisputes.sol";
import {IMarket, JobStatus, Order} from "../../src/interfaces/IMarket.sol";
import {Verdict} from "../../src/interfaces/IVerifier.sol";
import {GameId} from "../../src/types/GameId.sol";
import {MarketFixture} from "../support/MarketFixture.sol";
import {Leaves, Trees} from "../support/Trees.sol";

/// @notice Challenges and the market together: who is paid what, out of whose stake, when.
contract MarketChallengesTest is MarketFixture {
    using Trees for Leaves;

    uint16 private constant DISPUTES = 2;
    Disputes private disputes;
    Order private o;
    bytes32 private jobId;
    Leaves private trace;
    bytes32 private start;

    function setUp() public override {
        super.setUp();
        disputes = new Disputes(
            DisputeParameters({
                token: token,
                market: address(market),
                step: new Step(),
                bond: 50 * DOLLAR,
                stakeBps: 100,
                costBase: 2 * DOLLAR,
                costAnswer: 1 * DOLLAR,
                costReveal: 1 * DOLLAR,
                stepsPerSec: 5_000_000,
                retraceStepsPerSec: 2_000_000,
                runBps: 10_000,
                fetchSecs: 30 minutes,
                censorshipSecs: 1 hours,
                openingSecs: 1 hours,
                clockSecs: 12 hours,
                moveFloorSecs: 30 minutes,
                spacingSecs: 30
            })
        );
        vm.startPrank(governance);
        verifiers.propose(address(disputes));
        verifiers.startCanary(DISPUTES, 0);
        verifiers.activate(DISPUTES);
        vm.stopPrank();
        address[2] memory who = [auditor, rival];
        for (uint256 k = 0; k < 2; ++k) {
            token.mint(who[k], 1000 * DOLLAR);
            vm.prank(who[k]);
            token.approve(address(disputes), type(uint256).max);
        }
        o = order();
        o.verifierId = DISPUTES;
        lock(o);
        start = initialState(o);
        jobId = claim(o);
        trace = Trees.constant_(sha256(claimOf(o).finalState));
        measure(o);
    }

    function commit(address who) private returns (GameId id) {
        bytes32 commitment = disputes.commitmentOf(jobId, who, 15, 0, Trees.constant_("mine").root(), "salt");
        bytes32 root = trace.root();
        vm.prank(who);
        id = disputes.commit(jobId, start, root, o.stake, commitment, type(uint96).max);
        mine();
    }

    function point(address who, GameId id) private {
        (,, bytes32 hash,) = disputes.gameOf(id);
        Pointing memory p;
        (p.predecessor, p.leaf, p.siblings) = (start, trace.leaf(0), trace.neighbourProof(0));
        Leaves memory mine_ = Trees.constant_("mine");
        Own memory own = Own(mine_.root(), "salt", "mine", mine_.neighbourProof(0));
        vm.prank(who);
        disputes.point(id, hash, p, own, "next");
    }

    function deadline(GameId id) private view returns (uint256 last) {
        (,,, last) = disputes.gameOf(id);
    }

    /// F6: a challenger has won, another game is still open, and the requester says that the
    /// provider is silent.
    function test_silence_keeps_the_bounty_for_a_challenger_who_has_won() public {
        GameId won = commit(auditor);
        vm.prank(requester);
        market.demand(o, CHUNK, 1, FEE_MAX);
        point(auditor, won);
        warp(deadline(won));
        GameId other = commit(rival); // no verdict before this one has ended
        skip(1);
        disputes.expire(won);
        warp(market.demandOf(jobId, CHUNK).answerBy + 1);
        vm.assertGt(clock, deadline(other), "the other has run out");
        uint256 state = vm.snapshotState();

        market.claimSilence(o, CHUNK);
        assertStatus(jobId, JobStatus.Silent, "the requester is whole");
        vm.assertEq(market.purseOf(auditor), 0, "the bounty waits for the other game");
        disputes.expire(other);
        market.settle(o);
        vm.assertEq(market.purseOf(auditor), 148 * DOLLAR, "the bounty is its who has won, less the costs");
        disputes.collectCosts(won);
        vm.assertEq(token.balanceOf(auditor), 1000 * DOLLAR - 55 * DOLLAR + 2 * DOLLAR, "and so are its costs");
        assertBalanced(0);

        vm.revertToState(state);
        disputes.expire(other);
        market.claimSilence(o, CHUNK);
        vm.assertEq(market.purseOf(auditor), 148 * DOLLAR, "nothing to wait for");
        assertBalanced(2 * DOLLAR); // the costs, which are the disputes''
    }

    /// F3: the costs come out of the bounty, so the parts of a slash are what they were.
    function test_an_auditor_is_repaid_though_a_decoy_takes_the_bounty() public {
        GameId decoy = commit(rival);
        GameId a = commit(auditor);
        point(auditor, a);
        point(rival, decoy);
        warp(deadline(decoy) + 1);
        disputes.expire(decoy);
        disputes.dismiss(a);
        vm.expectEmit(address(market));
        emit IMarket.ChallengeCostsCredited(jobId, address(disputes), 4 * DOLLAR);
        market.settle(o);
        vm.assertEq(market.purseOf(rival), 146 * DOLLAR, "the decoy has the rest of the bounty");
        vm.assertEq(market.purseOf(address(disputes)), 4 * DOLLAR, "the costs of both");
        vm.assertEq(market.coverPool(), 150 * DOLLAR, "the pool has its share");
        disputes.collect(a);
        disputes.collectCosts(a);
        disputes.collectCosts(decoy);
        vm.assertEq(token.balanceOf(auditor), 1002 * DOLLAR, "an auditor that was right is repaid");
        vm.assertEq(market.purseOf(address(disputes)), 0, "and nothing is left of it");
    }

    /// No number of decoys takes more than half of the bounty for costs.
    function test_costs_take_at_most_half_of_the_bounty() public {
        verifier.owe(jobId, type(uint256).max);
        Order memory other = order();
        other.nonce = 9;
        lock(other);
        bytes32 id = claim(other);
        verifier.owe(id, type(uint256).max);
        verifier.decide(id, Verdict.Refuted, auditor);
        market.settle(other);
        vm.assertEq(market.purseOf(auditor), 75 * DOLLAR, "half is the informer's");
        vm.assertEq(market.challengeCostsOf(id), 75 * DOLLAR, "half is for costs");
    }

    /// Patience does not rescue a liar: a job that is challenged waits for its game, however long
    /// that takes.
    function test_a_challenged_job_is_not_unwound() public {
        GameId id = commit(auditor);
        point(auditor, id);
        warp(market.jobOf(jobId).deadline + 90 days + 1);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ClaimContested.selector, jobId));
        market.expire(o);
        disputes.expire(id);
        market.settle(o);
        assertStatus(jobId, JobStatus.Refuted, "the game decides");
    }

    function test_a_halt_waits_for_a_game_that_is_open() public {
        GameId id = commit(auditor);
        point(auditor, id);
        vm.prank(guardian);
        verifiers.halt(DISPUTES);
        warp(market.jobOf(jobId).deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ClaimContested.selector, jobId));
        market.expire(o);
        disputes.expire(id);
        market.settle(o);
        assertStatus(jobId, JobStatus.Refuted, "a halt rescues no liar");
    }

    /// A claim's window is as long as checking it takes: the order's limit costs an honest provider
    /// of a short run nothing, and no order makes a lie final too soon.
    function test_a_window_follows_the_claim_and_the_time_for_its_run() public {
        Order memory short = o;
        (short.nonce, short.stepLimit, short.windowSecs) = (9, 1 << 36, 0);
        lock(short);
        bytes32 id = claim(short);
        // An auditor has the time that the provider had, and three seconds to retrace the steps.
        vm.assertEq(
            market.jobOf(id).deadline, clock + o.runSecs + 3 + 30 minutes + 1 hours, "as the run, not as the limit"
        );
        (,, uint64 opensUntil,,,,) = disputes.claimOf(id);
        vm.assertEq(uint256(opensUntil), market.jobOf(id).deadline, "the game's window is the job's");
    }

    /// An order whose claims might need more than the longest window is refused at the lock, with
    /// what would do.
    function test_an_order_too_long_to_check_is_refused_with_the_window_that_would_do() public {
        Order memory long = o;
        (long.nonce, long.stepLimit) = (9, 1 << 45);
        uint64 least = 7_036_875 + 537 + 30 minutes + 1 hours;
        expectRefused(long, sign(long), abi.encodeWithSelector(IMarket.WindowOutOfRange.selector, o.windowSecs, least));
        long.stepLimit = 12_000_000_000_000;
        lock(long);
    }
}
