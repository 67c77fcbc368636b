// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Claim, IMarket, Job, JobStatus, Order} from "../../src/interfaces/IMarket.sol";
import {Verdict} from "../../src/interfaces/IVerifier.sol";
import {IVerifiers, VerifierStage} from "../../src/interfaces/IVerifiers.sol";
import {MarketFixture} from "../support/MarketFixture.sol";

contract ExpireTest is MarketFixture {
    function missed(Order memory o) private returns (bytes32 jobId) {
        jobId = lock(o);
        skip(o.runSecs + 1);
        vm.prank(stranger);
        market.expire(o);
    }

    function begun(Order memory o) private returns (bytes32 jobId) {
        jobId = lock(o);
        vm.prank(provider);
        market.begin(o);
    }

    // --- no claim --------------------------------------------------------------------------------

    function test_a_missed_deadline_makes_the_requester_whole_first() public {
        bytes32 jobId = missed(order());
        vm.assertEq(market.purseOf(requester), PURSE + 200 * DOLLAR, "price back and two fifths of the stake");
        vm.assertEq(market.coverPool(), 150 * DOLLAR, "the cover pool's part");
        vm.assertEq(stakes.freeOf(provider), PURSE - 500 * DOLLAR, "the stake is lost");
        vm.assertEq(market.jobOf(jobId).price, 150 * DOLLAR, "the bounty waits for who delivers late");
        assertStatus(jobId, JobStatus.AwaitingLate, "a missed job may be delivered late");
        assertBalanced(150 * DOLLAR);
    }

    function test_nothing_expires_before_its_deadline() public {
        Order memory o = order();
        bytes32 jobId = lock(o);
        uint40 deadline = market.jobOf(jobId).deadline;
        skip(o.runSecs);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlineNotPassed.selector, deadline));
        market.expire(o);
    }

    function test_an_order_never_locked_holds_nothing_to_expire() public {
        Order memory o = order();
        vm.expectRevert(wrongStatus(market.jobIdOf(o), JobStatus.None));
        market.expire(o);
        vm.prank(requester);
        market.withdraw(requester, PURSE);
    }

    function test_another_provider_delivers_late_for_the_bounty() public {
        Order memory o = order();
        bytes32 jobId = missed(o);
        uint256 whole = market.purseOf(requester);
        vm.prank(rival);
        market.lock(o, "", 150 * DOLLAR, NEVER);
        vm.assertEq(market.purseOf(requester), whole, "the requester pays for a late delivery");
        claimBy(rival, o);
        verifier.decide(jobId, Verdict.Upheld, address(0));
        skip(o.windowSecs + 1);
        market.settle(o);
        vm.assertEq(market.purseOf(rival), 150 * DOLLAR, "the bounty is not paid in full");
        vm.assertEq(market.purseOf(requester), whole, "a late delivery changed what the requester has");
        vm.assertEq(stakes.freeOf(rival), PURSE, "the late provider's stake is not free");
        assertStatus(jobId, JobStatus.Paid, "delivered late and paid");
        assertBalanced(0);
    }

    function test_the_first_provider_cannot_claim_after_a_late_lock() public {
        Order memory o = order();
        missed(o);
        vm.prank(rival);
        market.lock(o, "", 0, NEVER);
        mine();
        Claim memory c = claimOf(o);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotLockHolder.selector, provider));
        market.claim(o, c);
    }

    function test_a_late_lie_pays_the_requester_again_and_the_bounty_goes_to_the_pool() public {
        Order memory o = order();
        bytes32 jobId = missed(o);
        vm.prank(rival);
        market.lock(o, "", 0, NEVER);
        claimBy(rival, o);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        market.settle(o);
        vm.assertEq(market.purseOf(requester), PURSE + 400 * DOLLAR, "two shares of two stakes");
        vm.assertEq(market.purseOf(auditor), 150 * DOLLAR, "the auditor's bounty");
        vm.assertEq(market.coverPool(), 450 * DOLLAR, "two cover shares and the first bounty");
        assertBalanced(0);
    }

    function test_there_is_no_third_chance() public {
        Order memory o = order();
        bytes32 jobId = missed(o);
        vm.prank(rival);
        market.lock(o, "", 0, NEVER);
        skip(o.runSecs + 1);
        market.expire(o);
        assertStatus(jobId, JobStatus.Missed, "missed twice");
        vm.assertEq(market.coverPool(), 600 * DOLLAR, "both bounties and both cover shares");
        expectRefused(o, sign(o), abi.encodeWithSelector(IMarket.OrderExpired.selector, o.lockDeadline));
        assertBalanced(0);
    }

    function test_a_bounty_that_nobody_earns_goes_to_the_pool() public {
        Order memory o = order();
        bytes32 jobId = missed(o);
        uint40 deadline = market.jobOf(jobId).deadline;
        warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlineNotPassed.selector, deadline));
        market.expire(o);
        skip(1);
        vm.prank(rival);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, deadline));
        market.lock(o, "", 0, NEVER);
        market.expire(o);
        assertStatus(jobId, JobStatus.Missed, "nobody delivered");
        vm.assertEq(market.coverPool(), 300 * DOLLAR, "the bounty is the pool's");
        assertBalanced(0);
    }

    function test_a_late_lock_needs_the_price_the_provider_accepts() public {
        Order memory o = order();
        missed(o);
        vm.prank(rival);
        vm.expectRevert(abi.encodeWithSelector(IMarket.PriceBelowAccepted.selector, 150 * DOLLAR, 150 * DOLLAR + 1));
        market.lock(o, "", 150 * DOLLAR + 1, NEVER);
    }

    function test_a_named_provider_is_named_for_a_late_lock_too() public {
        Order memory o = order();
        o.provider = provider;
        missed(o);
        vm.prank(rival);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ProviderNotNamed.selector, provider));
        market.lock(o, "", 0, NEVER);
    }

    // --- no begin --------------------------------------------------------------------------------

    function test_a_sealed_run_counts_from_begin() public {
        Order memory o = sealedOrder();
        bytes32 jobId = lock(o);
        assertStatus(jobId, JobStatus.AwaitingBegin, "a sealed order waits for its begin");
        skip(o.beginSecs);
        vm.prank(provider);
        market.begin(o);
        vm.assertEq(market.jobOf(jobId).deadline, clock + o.runSecs, "lateness counts from the lock");
        skip(o.runSecs);
        claim(o);
    }

    function test_a_sealed_claim_without_begin_is_refused() public {
        Order memory o = sealedOrder();
        bytes32 jobId = lock(o);
        mine();
        expectClaimRefused(o, claimOf(o), wrongStatus(jobId, JobStatus.AwaitingBegin));
    }

    function test_only_the_lock_holder_begins_and_only_in_time() public {
        Order memory o = sealedOrder();
        bytes32 jobId = lock(o);
        vm.prank(rival);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotLockHolder.selector, rival));
        market.begin(o);
        uint40 deadline = market.jobOf(jobId).deadline;
        skip(o.beginSecs + 1);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, deadline));
        market.begin(o);
    }

    function test_an_open_order_has_no_begin() public {
        Order memory o = order();
        bytes32 jobId = lock(o);
        vm.prank(provider);
        vm.expectRevert(wrongStatus(jobId, JobStatus.AwaitingClaim));
        market.begin(o);
    }

    function test_a_lapse_costs_both_sides_the_same() public {
        Order memory o = sealedOrder();
        bytes32 jobId = lock(o);
        skip(o.beginSecs + 1);
        market.expire(o);
        vm.assertEq(market.purseOf(requester), PURSE - o.lapseFee, "the requester pays the fee");
        vm.assertEq(stakes.freeOf(provider), PURSE - o.lapseFee, "the provider pays the fee");
        vm.assertEq(stakes.reservedOf(provider), 0, "a lapse freed the whole stake");
        vm.assertEq(market.coverPool(), 2 * o.lapseFee, "neither side gains");
        assertStatus(jobId, JobStatus.Lapsed, "lapsed");
        assertBalanced(0);
        expectRefused(o, sign(o), abi.encodeWithSelector(IMarket.NonceUsed.selector, requester, o.nonce));
    }

    function test_a_lapse_without_fee_returns_everything() public {
        Order memory o = sealedOrder();
        o.lapseFee = 0;
        lock(o);
        skip(o.beginSecs + 1);
        market.expire(o);
        vm.assertEq(market.purseOf(requester), PURSE, "the price is back");
        vm.assertEq(stakes.freeOf(provider), PURSE, "the stake is back");
        assertBalanced(0);
    }

    function test_a_sealed_miss_has_no_late_delivery() public {
        Order memory o = sealedOrder();
        bytes32 jobId = begun(o);
        skip(o.runSecs + 1);
        market.expire(o);
        assertStatus(jobId, JobStatus.Missed, "the keys went to one provider only");
        vm.assertEq(market.coverPool(), 300 * DOLLAR, "the bounty is the pool's at once");
        assertBalanced(0);
    }

    // --- no verdict ------------------------------------------------------------------------------

    function test_a_verifier_that_never_decides_traps_nobody() public {
        Order memory o = order();
        lock(o);
        bytes32 jobId = claim(o);
        skip(o.windowSecs + 90 days);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlineNotPassed.selector, uint40(clock)));
        market.expire(o);
        skip(1);
        market.expire(o);
        vm.assertEq(market.purseOf(requester), PURSE, "the requester has its own back");
        vm.assertEq(stakes.freeOf(provider), PURSE, "the provider has its own back");
        assertStatus(jobId, JobStatus.Unwound, "unwound");
        assertBalanced(0);
    }

    function test_a_verifier_that_breaks_traps_nobody() public {
        Order memory o = order();
        lock(o);
        bytes32 jobId = claim(o);
        skip(o.windowSecs + 90 days + 1);
        verifier.setBroken(true);
        vm.expectRevert();
        market.settle(o);
        market.expire(o);
        assertStatus(jobId, JobStatus.Unwound, "unwound");
    }

    function test_a_verdict_is_never_unwound() public {
        Order memory o = order();
        lock(o);
        bytes32 jobId = claim(o);
        skip(o.windowSecs + 90 days + 1);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        vm.expectRevert(abi.encodeWithSelector(IMarket.VerdictGiven.selector, jobId));
        market.expire(o);
    }

    function test_a_verdict_is_not_hidden_by_a_lack_of_gas() public {
        Order memory o = order();
        lock(o);
        bytes32 jobId = claim(o);
        skip(o.windowSecs + 90 days + 1);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        for (uint256 gas_ = 30_000; gas_ < 2_000_000; gas_ += 100_000) {
            (bool ok,) = address(market).call{gas: gas_}(abi.encodeCall(market.expire, (o)));
            vm.assertFalse(ok, "a starved verifier was taken for a silent one");
        }
    }

    /// Field bug (F4): a verdict that does not decode reverted in the market, and froze both sides'
    /// money.
    function test_a_verdict_that_does_not_decode_is_none() public {
        bytes[8] memory odd = [
            bytes(""),
            abi.encode(uint256(1)),
            abi.encode(uint256(3), address(0)),
            abi.encode(type(uint256).max, uint256(0)),
            abi.encode(uint256(2), type(uint256).max),
            abi.encodePacked(uint256(2), uint160(1)),
            abi.encode(uint256(0), uint256(1) << 160),
            new bytes(100_000)
        ];
        for (uint256 i = 0; i < odd.length; ++i) {
            Order memory o = order();
            o.nonce = 100 + i;
            o.lockDeadline = NEVER;
            lock(o);
            bytes32 jobId = claim(o);
            vm.mockCall(address(verifier), abi.encodeCall(verifier.verdictOf, (jobId)), odd[i]);
            skip(o.windowSecs + 90 days + 1);
            vm.expectRevert(abi.encodeWithSelector(IMarket.VerdictPending.selector, jobId));
            market.settle(o);
            market.expire(o);
            assertStatus(jobId, JobStatus.Unwound, "both should have their own back");
            vm.clearMockedCalls();
        }
        assertBalanced(0);
    }

    function test_a_verifier_that_burns_all_gas_traps_nobody() public {
        Order memory o = order();
        lock(o);
        bytes32 jobId = claim(o);
        skip(o.windowSecs + 90 days + 1);
        vm.etch(address(verifier), hex"5b600056"); // jumps in a circle
        market.expire{gas: 12_000_000}(o);
        assertStatus(jobId, JobStatus.Unwound, "a verifier may spend its share of gas and no more");
    }

    function test_a_challenged_claim_is_never_unwound() public {
        Order memory o = order();
        lock(o);
        bytes32 jobId = claim(o);
        verifier.challenge(jobId, true);
        skip(o.windowSecs + 900 days);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ClaimContested.selector, jobId));
        market.expire(o);
        verifier.challenge(jobId, false);
        market.expire(o);
        assertStatus(jobId, JobStatus.Unwound, "the challenge is over and the verifier silent");
    }

    // --- a verifier that was halted --------------------------------------------------------------

    function halt() private {
        vm.prank(guardian);
        verifiers.halt(VERIFIER);
    }

    /// F5: a verifier that refuses `open` cost the provider its stake.
    function test_a_provider_that_a_broken_verifier_refuses_is_not_slashed_once_it_is_halted() public {
        Order memory o = order();
        bytes32 jobId = lock(o);
        verifier.setBroken(true);
        mine();
        Claim memory c = claimOf(o);
        vm.prank(provider);
        vm.expectRevert("broken");
        market.claim(o, c);
        halt();
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlineNotPassed.selector, market.jobOf(jobId).deadline));
        market.expire(o);
        skip(o.runSecs + 1);
        market.expire(o);
        assertStatus(jobId, JobStatus.Unwound, "nobody is blamed");
        vm.assertEq(stakes.freeOf(provider), PURSE, "the provider is whole");
        vm.assertEq(market.purseOf(requester), PURSE, "the requester is whole");
        assertBalanced(0);
    }

    function test_a_halt_lets_no_new_lock_in() public {
        halt();
        Order memory o = order();
        expectRefused(
            o, sign(o), abi.encodeWithSelector(IVerifiers.VerifierClosed.selector, VERIFIER, VerifierStage.Halted)
        );
    }

    function test_a_sealed_job_without_keys_unwinds_without_fees_under_a_halt() public {
        Order memory o = sealedOrder();
        lock(o);
        halt();
        skip(o.beginSecs + 1);
        market.expire(o);
        vm.assertEq(market.purseOf(requester), PURSE, "no fee from the requester");
        vm.assertEq(stakes.freeOf(provider), PURSE, "nor from the provider");
        assertBalanced(0);
    }

    function test_what_a_halted_verifier_upholds_is_not_paid_and_unwinds_with_its_window() public {
        Order memory o = order();
        lock(o);
        bytes32 jobId = claim(o);
        verifier.decide(jobId, Verdict.Upheld, address(0));
        halt();
        skip(o.windowSecs);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlineNotPassed.selector, market.jobOf(jobId).deadline));
        market.expire(o);
        skip(1);
        vm.expectRevert(abi.encodeWithSelector(IMarket.VerifierHalted.selector, VERIFIER));
        market.settle(o);
        market.expire(o);
        assertStatus(jobId, JobStatus.Unwound, "both have their own back, without waiting 90 days");
        assertBalanced(0);
    }

    function test_a_halt_never_rescues_a_liar() public {
        Order memory o = order();
        lock(o);
        bytes32 jobId = claim(o);
        verifier.challenge(jobId, true);
        halt();
        skip(o.windowSecs + 1);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ClaimContested.selector, jobId));
        market.expire(o);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        verifier.challenge(jobId, false);
        vm.expectRevert(abi.encodeWithSelector(IMarket.VerdictGiven.selector, jobId));
        market.expire(o);
        market.settle(o);
        assertStatus(jobId, JobStatus.Refuted, "a challenge that was open is played to its end");
        vm.assertEq(stakes.freeOf(provider), PURSE - 500 * DOLLAR, "and its loser pays");
    }

    function test_an_unwound_late_job_gives_its_bounty_to_the_pool() public {
        Order memory o = order();
        missed(o);
        vm.prank(rival);
        market.lock(o, "", 0, NEVER);
        claimBy(rival, o);
        skip(o.windowSecs + 90 days + 1);
        market.expire(o);
        vm.assertEq(market.purseOf(requester), PURSE + 200 * DOLLAR, "made whole once");
        vm.assertEq(market.coverPool(), 300 * DOLLAR, "the bounty is the pool's");
        assertBalanced(0);
    }
}
