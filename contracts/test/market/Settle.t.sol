// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IMarket, Job, JobStatus, Order} from "../../src/interfaces/IMarket.sol";
import {Verdict} from "../../src/interfaces/IVerifier.sol";
import {MarketFixture} from "../support/MarketFixture.sol";

contract SettleTest is MarketFixture {
    uint256 private constant STAKED = PURSE - 500 * DOLLAR;

    function claimed(Order memory o) private returns (bytes32 jobId) {
        lock(o);
        return claim(o);
    }

    function test_an_upheld_claim_pays_by_its_steps_and_returns_the_rest() public {
        skip(50);
        Order memory o = order();
        bytes32 jobId = finished(o);
        market.settle(o);
        vm.assertEq(market.purseOf(provider), 100 * DOLLAR, "base 50 and 5 mebisteps at 10 come to 100");
        vm.assertEq(market.purseOf(requester), PURSE - 100 * DOLLAR, "the rest of the price has not come back");
        vm.assertEq(stakes.freeOf(provider), PURSE, "the stake is not free again");
        assertStatus(jobId, JobStatus.Paid, "a paid job");
        assertBalanced(0);
    }

    function test_the_price_locked_caps_the_payment() public {
        Order memory o = order();
        o.price.mebistep = 100 * DOLLAR;
        finished(o);
        market.settle(o);
        vm.assertEq(market.purseOf(provider), o.price.min, "the payment is not the price locked");
        vm.assertEq(market.purseOf(requester), PURSE - o.price.min, "the requester paid another price");
        assertBalanced(0);
    }

    function test_a_fixed_price_pays_the_price_locked() public {
        skip(50);
        Order memory o = order();
        (o.price.base, o.price.mebistep) = (o.price.max, 0);
        finished(o);
        market.settle(o);
        vm.assertEq(market.purseOf(provider), 150 * DOLLAR, "a fixed price is what the ramp gave");
        assertBalanced(0);
    }

    function test_a_pending_verdict_settles_nothing() public {
        Order memory o = order();
        bytes32 jobId = claimed(o);
        skip(o.windowSecs + 1);
        vm.expectRevert(abi.encodeWithSelector(IMarket.VerdictPending.selector, jobId));
        market.settle(o);
    }

    function test_an_upheld_claim_waits_for_its_window() public {
        Order memory o = order();
        bytes32 jobId = claimed(o);
        uint40 deadline = market.jobOf(jobId).deadline;
        verifier.decide(jobId, Verdict.Upheld, address(0));
        skip(o.windowSecs);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlineNotPassed.selector, deadline));
        market.settle(o);
        skip(1);
        market.settle(o);
    }

    function test_a_refuted_claim_makes_the_requester_whole_first() public {
        skip(50);
        Order memory o = order();
        bytes32 jobId = claimed(o);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        market.settle(o);
        vm.assertEq(market.purseOf(requester), PURSE + 200 * DOLLAR, "price back and two fifths of the stake");
        vm.assertEq(market.purseOf(auditor), 150 * DOLLAR, "the auditor earns its bounty");
        vm.assertEq(market.coverPool(), 150 * DOLLAR, "the rest is the cover pool's");
        vm.assertEq(market.purseOf(provider), 0, "a liar was paid");
        vm.assertEq(stakes.freeOf(provider), STAKED, "a liar kept its stake");
        vm.assertEq(stakes.reservedOf(provider), 0, "a slashed stake is still reserved");
        assertStatus(jobId, JobStatus.Refuted, "a refuted job");
        assertBalanced(0);
    }

    function test_without_an_informer_the_bounty_is_the_cover_pools() public {
        Order memory o = order();
        verifier.decide(claimed(o), Verdict.Refuted, address(0));
        market.settle(o);
        vm.assertEq(market.coverPool(), 300 * DOLLAR, "a bounty went nowhere");
        assertBalanced(0);
    }

    /// Deterrence counts the stake less the challenger's share.
    function test_a_liar_that_challenges_itself_still_loses() public {
        Order memory o = order();
        (o.compensationBps, o.bountyBps) = (1_000, 4_000);
        verifier.decide(claimed(o), Verdict.Refuted, provider);
        market.settle(o);
        uint256 has = market.purseOf(provider) + stakes.freeOf(provider);
        vm.assertEq(PURSE - has, 300 * DOLLAR, "the highest bounty still costs a liar three fifths of its stake");
    }

    /// Requester, provider and challenger may be one person.
    function test_one_person_in_every_role_loses_the_cover_share() public {
        Order memory o = order();
        (o.compensationBps, o.bountyBps) = (5_000, 4_000);
        verifier.decide(claimed(o), Verdict.Refuted, requester);
        market.settle(o);
        uint256 has = market.purseOf(requester) + market.purseOf(provider) + stakes.freeOf(provider);
        vm.assertEq(2 * PURSE - has, 50 * DOLLAR, "a pool can be drained by failing on purpose");
    }

    function test_a_job_settles_once() public {
        Order memory o = order();
        bytes32 jobId = finished(o);
        market.settle(o);
        vm.expectRevert(wrongStatus(jobId, JobStatus.Paid));
        market.settle(o);
        vm.expectRevert(wrongStatus(jobId, JobStatus.Paid));
        market.expire(o);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        vm.expectRevert(wrongStatus(jobId, JobStatus.Paid));
        market.settle(o);
    }

    function test_settling_another_order_is_refused() public {
        Order memory o = order();
        finished(o);
        o.price.base += 1;
        vm.expectRevert(wrongStatus(market.jobIdOf(o), JobStatus.None));
        market.settle(o);
    }

    function testFuzz_a_jobs_parties_never_gain(
        uint96 stake,
        uint96 priceMax,
        uint96 priceBase,
        uint96 rate,
        uint16 compensationBps,
        uint16 bountyBps,
        bool refuted
    ) public {
        Order memory o = order();
        o.stake = uint96(bound(stake, 1, PURSE));
        o.price.max = uint96(bound(priceMax, 1, PURSE));
        o.price.min = o.price.max;
        o.price.base = uint96(bound(priceBase, 0, o.price.max - 1));
        o.price.mebistep = rate;
        o.bountyBps = uint16(bound(bountyBps, 500, 4_000));
        o.compensationBps = uint16(bound(compensationBps, 1_000, 9_000 - o.bountyBps));
        verifier.decide(claimed(o), refuted ? Verdict.Refuted : Verdict.Upheld, auditor);
        skip(o.windowSecs + 1);
        market.settle(o);
        uint256 parties =
            market.purseOf(requester) + market.purseOf(provider) + stakes.freeOf(provider) + market.purseOf(auditor);
        vm.assertEq(parties + market.coverPool(), 2 * PURSE, "money was made or lost");
        if (refuted) {
            vm.assertGe(market.purseOf(requester), PURSE, "the requester is not whole");
            vm.assertGe(market.coverPool() * 10_000, uint256(o.stake) * 1_000, "the cover pool's least share");
        }
        assertBalanced(0);
    }
}
