// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IMarket, JobStatus, Order, OrderFault} from "../../src/interfaces/IMarket.sol";
import {Verdict} from "../../src/interfaces/IVerifier.sol";
import {MarketFixture} from "../support/MarketFixture.sol";

/// @title The data owner's fee: escrowed by the first lock, paid by `Paid`, given back by every
/// other end
contract DataFeeTest is MarketFixture {
    uint96 private constant FEE = 20 * DOLLAR;
    uint256 private constant WHOLE = 2 * PURSE;

    function fees(Order memory o) private view returns (Order memory) {
        (o.dataOwner, o.dataFee) = (dataOwner, FEE);
        return o;
    }

    function claimed(Order memory o) private returns (bytes32 jobId) {
        lock(o);
        return claim(o);
    }

    function missed(Order memory o) private returns (bytes32 jobId) {
        jobId = lock(o);
        skip(o.runSecs + 1);
        market.expire(o);
    }

    function assertReturned(string memory message) private view {
        vm.assertEq(market.purseOf(dataOwner), 0, string.concat(message, ": the data owner was paid"));
        assertBalanced(0);
    }

    // --- lock ------------------------------------------------------------------------------------

    function test_a_first_lock_escrows_the_price_and_the_fee() public {
        Order memory o = fees(order());
        bytes32 jobId = lock(o);
        vm.assertEq(market.purseOf(requester), PURSE - o.price.min - FEE, "the lock took another sum");
        vm.assertEq(market.jobOf(jobId).price, o.price.min, "the fee is no part of the provider's price");
        vm.assertEq(market.purseOf(dataOwner), 0, "the data owner was paid before anybody worked");
        assertBalanced(o.price.min + FEE);
    }

    function test_a_purse_that_covers_only_the_price_is_refused() public {
        Order memory o = fees(order());
        uint256 needed = uint256(o.price.min) + FEE;
        vm.prank(requester);
        market.withdraw(requester, PURSE - needed + 1);
        expectRefused(o, sign(o), abi.encodeWithSelector(IMarket.PurseShort.selector, requester, needed - 1, needed));
        fill(requester, 1);
        lock(o);
        vm.assertEq(market.purseOf(requester), 0, "a purse of exactly price and fee is not enough");
    }

    function test_the_price_that_a_provider_accepts_is_without_the_fee() public {
        Order memory o = fees(order());
        bytes memory signature = sign(o);
        vm.prank(provider);
        vm.expectRevert(
            abi.encodeWithSelector(IMarket.PriceBelowAccepted.selector, uint96(o.price.min), uint96(o.price.min + 1))
        );
        market.lock(o, signature, o.price.min + 1, NEVER);
    }

    function test_a_fee_for_nobody_is_refused() public {
        Order memory o = order();
        o.dataFee = 1;
        expectRefused(o, "", abi.encodeWithSelector(IMarket.OrderInvalid.selector, OrderFault.DataFee));
    }

    function test_a_data_owner_may_ask_for_nothing() public {
        Order memory o = order();
        o.dataOwner = dataOwner;
        finished(o);
        market.settle(o);
        vm.assertEq(market.purseOf(dataOwner), 0, "a fee of nothing paid something");
        assertBalanced(0);
    }

    /// Or the sum that an end gives back would not be an amount, and the job could not end.
    function test_a_fee_beyond_what_an_amount_can_be_is_refused() public {
        Order memory o = fees(order());
        o.dataFee = type(uint96).max - o.price.max + 1;
        expectRefused(o, "", abi.encodeWithSelector(IMarket.OrderInvalid.selector, OrderFault.DataFee));
        o.dataFee -= 1;
        uint256 needed = uint256(o.price.min) + o.dataFee;
        expectRefused(o, sign(o), abi.encodeWithSelector(IMarket.PurseShort.selector, requester, PURSE, needed));
    }

    function test_a_canarys_cap_counts_the_fee() public {
        vm.startPrank(governance);
        verifiers.propose(address(verifier));
        Order memory o = fees(order());
        o.verifierId = 2;
        o.stake = 1;
        verifiers.startCanary(2, uint88(o.price.max + FEE - 1));
        vm.stopPrank();
        uint256 value = uint256(o.price.max) + FEE;
        expectRefused(o, sign(o), abi.encodeWithSelector(IMarket.ValueAboveCap.selector, value, value - 1));
    }

    // --- ends ------------------------------------------------------------------------------------

    function test_a_paid_job_pays_the_data_owner() public {
        Order memory o = fees(order());
        bytes32 jobId = finished(o);
        vm.expectEmit();
        emit IMarket.JobPaid(jobId, provider, 100 * DOLLAR, 0, FEE);
        market.settle(o);
        vm.assertEq(market.purseOf(dataOwner), FEE, "the data owner's purse has another sum");
        vm.assertEq(market.purseOf(provider), 100 * DOLLAR, "the fee changed what the provider earns");
        vm.assertEq(market.purseOf(requester), PURSE - 100 * DOLLAR - FEE, "the requester paid another sum");
        assertBalanced(0);
        vm.prank(dataOwner);
        market.withdraw(dataOwner, FEE);
        vm.assertEq(token.balanceOf(dataOwner), FEE, "a fee did not come out of its purse");
    }

    function test_a_sealed_job_pays_the_data_owner() public {
        Order memory o = fees(sealedOrder());
        lock(o);
        vm.prank(provider);
        market.begin(o);
        verifier.decide(claim(o), Verdict.Upheld, address(0));
        skip(o.windowSecs + 1);
        market.settle(o);
        vm.assertEq(market.purseOf(dataOwner), FEE, "the data owner's purse has another sum");
        assertBalanced(0);
    }

    function test_a_refuted_job_returns_the_fee() public {
        Order memory o = fees(order());
        bytes32 jobId = claimed(o);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        vm.expectEmit();
        emit IMarket.JobSlashed(
            jobId, provider, auditor, JobStatus.Refuted, o.price.min + FEE, 200 * DOLLAR, 150 * DOLLAR, 150 * DOLLAR
        );
        market.settle(o);
        vm.assertEq(market.purseOf(requester), PURSE + 200 * DOLLAR, "price, fee and compensation");
        assertReturned("refuted");
    }

    function test_a_silent_job_returns_the_fee() public {
        Order memory o = fees(order());
        claimed(o);
        vm.prank(beneficiary);
        market.demand(o, CHUNK, 1, FEE_MAX);
        skip(1 days + 1);
        market.claimSilence(o, CHUNK);
        vm.assertEq(market.purseOf(requester), PURSE + 200 * DOLLAR, "price, fee and compensation");
        assertReturned("silent");
    }

    function test_a_missed_job_returns_the_fee_at_the_miss() public {
        Order memory o = fees(order());
        bytes32 jobId = missed(o);
        vm.assertEq(market.purseOf(requester), PURSE + 200 * DOLLAR, "price, fee and compensation");
        vm.assertEq(market.jobOf(jobId).price, 150 * DOLLAR, "the bounty alone waits for who delivers late");
        assertBalanced(150 * DOLLAR);
    }

    function test_a_late_delivery_pays_no_fee() public {
        Order memory o = fees(order());
        bytes32 jobId = missed(o);
        vm.prank(rival);
        market.lock(o, "", 0, NEVER);
        assertBalanced(150 * DOLLAR);
        claimBy(rival, o);
        verifier.decide(jobId, Verdict.Upheld, address(0));
        skip(o.windowSecs + 1);
        vm.expectEmit();
        emit IMarket.JobPaid(jobId, rival, 150 * DOLLAR, 0, 0);
        market.settle(o);
        vm.assertEq(market.purseOf(rival), 150 * DOLLAR, "the bounty is not paid in full");
        assertReturned("late");
    }

    function test_no_later_end_of_a_missed_job_returns_the_fee_again() public {
        Order memory o = fees(order());
        bytes32 jobId = missed(o);
        uint256 state = vm.snapshotState();
        skip(3 days + 1);
        market.expire(o);
        assertReturned("forfeited");
        vm.revertToState(state);
        vm.prank(rival);
        market.lock(o, "", 0, NEVER);
        state = vm.snapshotState();
        skip(o.runSecs + 1);
        market.expire(o);
        assertReturned("missed twice");
        vm.revertToState(state);
        claimBy(rival, o);
        state = vm.snapshotState();
        verifier.decide(jobId, Verdict.Refuted, auditor);
        market.settle(o);
        assertReturned("a late lie");
        vm.revertToState(state);
        skip(o.windowSecs + 90 days + 1);
        market.expire(o);
        assertReturned("late and unwound");
    }

    function test_a_lapsed_job_returns_the_fee_and_the_data_owner_pays_none() public {
        Order memory o = fees(sealedOrder());
        lock(o);
        skip(o.beginSecs + 1);
        market.expire(o);
        vm.assertEq(market.purseOf(requester), PURSE - o.lapseFee, "a key that never came earned its fee");
        vm.assertEq(market.coverPool(), 2 * o.lapseFee, "the pool has more than the two fees");
        assertReturned("lapsed");
    }

    function test_a_sealed_miss_returns_the_fee() public {
        Order memory o = fees(sealedOrder());
        bytes32 jobId = lock(o);
        vm.prank(provider);
        market.begin(o);
        skip(o.runSecs + 1);
        market.expire(o);
        assertStatus(jobId, JobStatus.Missed, "missed");
        vm.assertEq(market.purseOf(requester), PURSE + 200 * DOLLAR, "price, fee and compensation");
        assertReturned("missed");
    }

    function test_an_unwound_job_returns_the_fee() public {
        Order memory o = fees(order());
        claimed(o);
        skip(o.windowSecs + 90 days + 1);
        market.expire(o);
        vm.assertEq(market.purseOf(requester), PURSE, "the requester has its own back");
        assertReturned("unwound");
    }

    // --- who the data owner may be ---------------------------------------------------------------

    /// A purse is a number: nothing runs and nothing is transferred when it is credited, so no
    /// owner can hold up a job.
    function test_no_data_owner_can_hold_up_a_job() public {
        address[4] memory owners = [address(new Refuser()), address(token), address(1), address(market)];
        for (uint256 i = 0; i < owners.length; ++i) {
            Order memory o = order();
            (o.dataOwner, o.dataFee, o.nonce, o.lockDeadline) = (owners[i], FEE, 100 + i, NEVER);
            bytes32 jobId = finished(o);
            market.settle(o);
            assertStatus(jobId, JobStatus.Paid, "a data owner held up a job");
            vm.assertEq(market.purseOf(owners[i]), FEE, "the fee went elsewhere");
        }
    }

    function test_a_fee_to_a_party_is_theirs_twice_over_and_no_more() public {
        address[3] memory owners = [requester, provider, beneficiary];
        for (uint256 i = 0; i < owners.length; ++i) {
            uint256 state = vm.snapshotState();
            Order memory o = order();
            (o.dataOwner, o.dataFee) = (owners[i], FEE);
            uint256 has = market.purseOf(owners[i]);
            finished(o);
            market.settle(o);
            uint256 paid = owners[i] == requester ? 0 : uint256(FEE);
            uint256 earned = owners[i] == provider ? 100 * DOLLAR : 0;
            uint256 spent = owners[i] == requester ? 100 * DOLLAR : 0;
            vm.assertEq(market.purseOf(owners[i]), has + paid + earned - spent, "money was made or lost");
            assertBalanced(0);
            vm.revertToState(state);
        }
    }

    function testFuzz_a_jobs_parties_and_the_data_owner_never_gain(
        uint96 fee,
        uint96 priceMax,
        uint96 priceBase,
        uint96 rate,
        uint8 end
    ) public {
        Order memory o = end % 7 == 6 ? sealedOrder() : order();
        o.lapseFee = 0;
        o.dataOwner = dataOwner;
        o.price.max = uint96(bound(priceMax, 1, PURSE));
        o.price.min = o.price.max;
        o.price.base = uint96(bound(priceBase, 0, o.price.max - 1));
        o.price.mebistep = rate;
        o.dataFee = uint96(bound(fee, 0, PURSE - o.price.max));
        lock(o);
        assertBalanced(uint256(o.price.max) + o.dataFee);
        bool paid = reach(o, end % 7);
        vm.assertEq(market.purseOf(dataOwner), paid ? o.dataFee : 0, "a fee paid without a result, or a result without");
        uint256 staked = uint256(stakes.freeOf(provider)) + stakes.freeOf(rival);
        uint256 purses = market.purseOf(requester) + market.purseOf(provider) + market.purseOf(rival)
            + market.purseOf(auditor) + market.purseOf(dataOwner);
        vm.assertEq(purses + staked + market.coverPool(), WHOLE + PURSE, "money was made or lost");
        if (!paid) vm.assertGe(market.purseOf(requester), PURSE, "the requester is not whole");
        assertBalanced(0);
    }

    /// Plays a locked job to one of seven ends; true if the data owner is paid there.
    function reach(Order memory o, uint8 end) private returns (bool) {
        bytes32 jobId = market.jobIdOf(o);
        if (end == 6) {
            skip(o.beginSecs + 1);
            market.expire(o);
            return false;
        }
        if (end >= 4) {
            skip(o.runSecs + 1);
            market.expire(o);
            assertBalanced(market.jobOf(jobId).price);
            if (end == 4) {
                vm.prank(rival);
                market.lock(o, "", 0, NEVER);
                claimBy(rival, o);
                verifier.decide(jobId, Verdict.Upheld, address(0));
                skip(o.windowSecs + 1);
                market.settle(o);
            } else {
                skip(3 days + 1);
                market.expire(o);
            }
            return false;
        }
        claim(o);
        if (end == 3) {
            skip(o.windowSecs + 90 days + 1);
            market.expire(o);
            return false;
        }
        verifier.decide(jobId, end == 2 ? Verdict.Refuted : Verdict.Upheld, end == 2 ? auditor : address(0));
        skip(o.windowSecs + 1);
        market.settle(o);
        return end != 2;
    }
}

/// @dev Takes no call at all.
contract Refuser {
    fallback() external payable {
        revert("never called");
    }
}
