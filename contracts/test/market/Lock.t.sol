// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {Market} from "../../src/Market.sol";
import {IMarket, Job, JobStatus, Order, OrderFault} from "../../src/interfaces/IMarket.sol";
import {IStakes} from "../../src/interfaces/IStakes.sol";
import {Verdict} from "../../src/interfaces/IVerifier.sol";
import {IVerifiers, VerifierStage} from "../../src/interfaces/IVerifiers.sol";
import {Verdict} from "../../src/interfaces/IVerifier.sol";
import {MarketFixture} from "../support/MarketFixture.sol";
import {ContractWallet} from "../support/ContractWallet.sol";

contract LockTest is MarketFixture {
    function test_a_lock_reserves_the_price_and_the_stake() public {
        skip(50);
        Order memory o = order();
        bytes32 jobId = lock(o);
        vm.assertEq(market.purseOf(requester), PURSE - 150 * DOLLAR, "half way up the ramp the price is the middle");
        vm.assertEq(stakes.reservedOf(provider), o.stake, "the stake is not reserved");
        vm.assertEq(stakes.freeOf(provider), PURSE - o.stake, "reserved stake is still free");
        Job memory job = market.jobOf(jobId);
        vm.assertEq(job.provider, provider, "another provider holds the lock");
        vm.assertEq(uint256(job.status), uint256(JobStatus.AwaitingClaim), "an open order waits for its claim");
        vm.assertEq(job.deadline, clock + o.runSecs, "an open order runs from its lock");
        vm.assertEq(job.lockBlock, height, "the lock's block is lost");
        vm.assertEq(job.price, 150 * DOLLAR, "the escrow is not the price");
        assertBalanced(150 * DOLLAR);
    }

    function test_the_job_id_is_the_eip712_digest() public view {
        Order memory o = order();
        bytes32 typeHash = keccak256(
            "Order(address requester,address provider,address beneficiary,bytes32 programId,bytes32 inputRoot,"
            "bytes32 datasetRoot,bytes32 termsHash,uint256 nonce,uint64 stepLimit,uint16 verifierId,uint40 lockDeadline,"
            "uint32 beginSecs,uint32 runSecs,uint32 windowSecs,uint96 stake,uint96 lapseFee,uint96 chunkFee,"
            "address dataOwner,uint96 dataFee,uint16 compensationBps,uint16 bountyBps,Price price)"
            "Price(uint96 min,uint96 max,uint96 base,uint96 mebistep,uint40 rampStartAt,uint32 rampSecs)"
        );
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Assay Market"),
                keccak256("1"),
                block.chainid,
                address(market)
            )
        );
        bytes32 priceType =
            keccak256("Price(uint96 min,uint96 max,uint96 base,uint96 mebistep,uint40 rampStartAt,uint32 rampSecs)");
        // A struct within a struct is encoded as its own hash: the type and 21 words, then that.
        bytes memory words = abi.encode(typeHash, o);
        assembly ("memory-safe") {
            mstore(words, mul(22, 32))
        }
        bytes32 structHash = keccak256(bytes.concat(words, keccak256(abi.encode(priceType, o.price))));
        bytes32 digest = keccak256(abi.encodePacked("\x19\x01", domain, structHash));
        vm.assertEq(market.jobIdOf(o), digest, "wallets would sign another digest");
    }

    function test_a_contract_wallet_may_be_the_requester() public {
        ContractWallet wallet = new ContractWallet(requester);
        Order memory o = order();
        o.requester = address(wallet);
        fill(address(wallet), PURSE);
        lock(o);
        vm.assertEq(market.purseOf(address(wallet)), PURSE - o.price.min, "the wallet has not paid");
    }

    // --- what stands in the way ------------------------------------------------------------------

    function test_payment_from_an_empty_account_is_refused_before_anybody_works() public {
        Order memory o = order();
        bytes memory signature = sign(o);
        vm.prank(requester);
        market.withdraw(requester, PURSE);
        expectRefused(
            o,
            signature,
            abi.encodeWithSelector(IMarket.PurseShort.selector, requester, uint256(0), uint256(o.price.min))
        );
    }

    function test_a_provider_without_free_stake_is_refused() public {
        Order memory o = order();
        bytes memory signature = sign(o);
        vm.prank(provider);
        stakes.unbond(uint96(PURSE) - o.stake + 1);
        expectRefused(
            o,
            signature,
            abi.encodeWithSelector(IStakes.StakeShort.selector, provider, uint256(o.stake) - 1, uint256(o.stake))
        );
        vm.assertFalse(market.nonceUsed(requester, o.nonce), "a refused lock used up the order");
    }

    function test_one_stake_is_not_reserved_twice() public {
        Order memory o = order();
        o.stake = uint96(PURSE / 2 + 1);
        lock(o);
        o.nonce++;
        bytes memory signature = sign(o);
        expectRefused(
            o, signature, abi.encodeWithSelector(IStakes.StakeShort.selector, provider, PURSE / 2 - 1, PURSE / 2 + 1)
        );
    }

    function test_replay_of_a_locked_order_is_refused() public {
        Order memory o = order();
        bytes memory signature = sign(o);
        lock(o);
        bytes memory used = abi.encodeWithSelector(IMarket.NonceUsed.selector, requester, o.nonce);
        expectRefused(o, signature, used);
        o.price.max += 1; // re-pricing under the same nonce makes a choice, not a second job
        expectRefused(o, sign(o), used);
    }

    function test_replay_of_a_settled_order_is_refused() public {
        Order memory o = order();
        finished(o);
        market.settle(o);
        warp(o.lockDeadline);
        expectRefused(o, sign(o), abi.encodeWithSelector(IMarket.NonceUsed.selector, requester, o.nonce));
    }

    function test_replay_on_another_chain_is_refused() public {
        Order memory o = order();
        bytes memory signature = sign(o);
        vm.chainId(block.chainid + 1);
        expectRefused(o, signature, abi.encodeWithSelector(IMarket.SignatureInvalid.selector, requester));
    }

    function test_replay_on_another_market_is_refused() public {
        Order memory o = order();
        bytes memory signature = sign(o);
        Market other = new Market(token, verifiers, governance, BASE_FEE);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.SignatureInvalid.selector, requester));
        other.lock(o, signature, 0, NEVER);
    }

    function test_a_strangers_signature_is_refused() public {
        Order memory o = order();
        (, uint256 key) = account("stranger");
        bytes memory signature = signBy(key, market.jobIdOf(o));
        expectRefused(o, signature, abi.encodeWithSelector(IMarket.SignatureInvalid.selector, requester));
    }

    function test_a_flipped_signature_is_refused() public {
        Order memory o = order();
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(requesterKey, market.jobIdOf(o));
        uint256 groupOrder = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes memory flipped = abi.encodePacked(r, bytes32(groupOrder - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        expectRefused(o, flipped, abi.encodeWithSelector(IMarket.SignatureInvalid.selector, requester));
    }

    function test_signatures_of_wrong_length_are_refused() public {
        Order memory o = order();
        bytes memory why = abi.encodeWithSelector(IMarket.SignatureInvalid.selector, requester);
        expectRefused(o, "", why);
        expectRefused(o, new bytes(64), why);
        expectRefused(o, abi.encodePacked(sign(o), uint8(0)), why);
        expectRefused(o, new bytes(10_000), why);
    }

    /// Every field is signed: changing any one of the 27 words breaks the signature or the order.
    function testFuzz_no_field_can_be_changed_after_signing(uint256 word, uint256 flip) public {
        Order memory o = order();
        bytes memory signature = sign(o);
        bytes memory message = abi.encodeCall(market.lock, (o, signature, 0, NEVER));
        word = bound(word, 0, 26);
        flip = bound(flip, 1, type(uint256).max);
        assembly ("memory-safe") {
            let p := add(add(message, 36), shl(5, word))
            mstore(p, xor(mload(p), flip))
        }
        vm.prank(provider);
        (bool ok,) = address(market).call(message);
        vm.assertFalse(ok, "a changed order was locked under the old signature");
    }

    function test_an_expired_order_is_refused() public {
        Order memory o = order();
        bytes memory signature = sign(o);
        warp(o.lockDeadline);
        uint256 state = vm.snapshotState();
        lock(o);
        vm.revertToState(state);
        skip(1);
        expectRefused(o, signature, abi.encodeWithSelector(IMarket.OrderExpired.selector, o.lockDeadline));
    }

    function test_a_cancelled_nonce_is_refused() public {
        Order memory o = order();
        bytes memory signature = sign(o);
        vm.prank(requester);
        market.cancel(0, 1 << 7);
        expectRefused(o, signature, abi.encodeWithSelector(IMarket.NonceUsed.selector, requester, o.nonce));
        o.nonce = 8;
        lock(o);
    }

    function test_nobody_cancels_for_another() public {
        vm.prank(stranger);
        market.cancel(0, type(uint256).max);
        lock(order());
    }

    function test_cancelling_after_the_lock_changes_nothing() public {
        Order memory o = order();
        bytes32 jobId = lock(o);
        vm.prank(requester);
        market.cancel(0, type(uint256).max);
        claim(o);
        verifier.decide(jobId, Verdict.Upheld, address(0));
        skip(o.windowSecs + 1);
        market.settle(o);
        assertStatus(jobId, JobStatus.Paid, "a requester cancelled work that was done");
    }

    /// Stakes were lost elsewhere to locks that "failed" and landed later.
    function test_a_lock_that_lands_late_binds_nobody() public {
        Order memory o = order();
        bytes memory signature = sign(o);
        uint40 validUntil = uint40(clock + 30);
        skip(31);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.LockExpired.selector, validUntil));
        market.lock(o, signature, 0, validUntil);
    }

    function test_a_price_below_the_providers_least_is_refused() public {
        Order memory o = order();
        bytes memory signature = sign(o);
        skip(49);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.PriceBelowAccepted.selector, 149 * DOLLAR, uint96(150 * DOLLAR)));
        market.lock(o, signature, 150 * DOLLAR, NEVER);
        skip(1);
        vm.prank(provider);
        market.lock(o, signature, 150 * DOLLAR, NEVER);
    }

    function test_only_the_named_provider_locks() public {
        Order memory o = order();
        o.provider = rival;
        expectRefused(o, sign(o), abi.encodeWithSelector(IMarket.ProviderNotNamed.selector, rival));
        lockBy(rival, o);
    }

    function test_an_order_whose_claims_could_not_be_checked_in_any_window_is_refused() public {
        Order memory o = order();
        verifier.setWindowMin(30 days + 1);
        expectRefused(
            o, sign(o), abi.encodeWithSelector(IMarket.WindowOutOfRange.selector, o.windowSecs, uint64(30 days) + 1)
        );
        verifier.setWindowMin(30 days);
        lock(o);
    }

    function test_a_window_above_its_bound_is_refused() public {
        Order memory o = order();
        o.windowSecs = 30 days + 1;
        expectRefused(o, sign(o), abi.encodeWithSelector(IMarket.WindowOutOfRange.selector, o.windowSecs, 1 hours));
        o.windowSecs = 30 days;
        lock(o);
    }

    function test_a_verifier_that_is_not_open_is_refused() public {
        Order memory o = order();
        o.verifierId = 2;
        expectRefused(o, sign(o), abi.encodeWithSelector(IVerifiers.VerifierUnknown.selector, uint16(2)));
        vm.prank(governance);
        verifiers.propose(address(verifier));
        expectRefused(
            o, sign(o), abi.encodeWithSelector(IVerifiers.VerifierClosed.selector, uint16(2), VerifierStage.Proposed)
        );
        vm.prank(governance);
        verifiers.startCanary(2, uint88(o.stake - 1));
        expectRefused(
            o, sign(o), abi.encodeWithSelector(IMarket.ValueAboveCap.selector, uint256(o.stake), uint256(o.stake) - 1)
        );
        vm.prank(governance);
        verifiers.startCanary(2, uint88(o.stake));
        lock(o);
    }

    /// Many small orders are as much as one large one.
    function test_a_canarys_cap_is_for_all_that_is_open_under_it() public {
        vm.startPrank(governance);
        verifiers.propose(address(verifier));
        verifiers.startCanary(2, uint88(1_000 * DOLLAR));
        vm.stopPrank();
        Order memory first = order();
        first.verifierId = 2;
        Order memory second = order();
        (second.verifierId, second.nonce) = (2, 8);
        Order memory third = order();
        (third.verifierId, third.nonce) = (2, 9);
        lock(first);
        lock(second);
        vm.assertEq(market.exposureOf(2), 1_000 * DOLLAR, "two stakes of 500 are open");
        bytes memory full =
            abi.encodeWithSelector(IMarket.ValueAboveCap.selector, uint256(1_500 * DOLLAR), uint256(1_000 * DOLLAR));
        expectRefused(third, sign(third), full);
        bytes32 jobId = claim(first);
        verifier.decide(jobId, Verdict.Upheld, address(0));
        expectRefused(third, sign(third), full);
        skip(first.windowSecs + 1);
        market.settle(first);
        vm.assertEq(market.exposureOf(2), 500 * DOLLAR, "an end frees its part");
        market.expire(second);
        vm.assertEq(market.exposureOf(2), 0, "a miss frees its part");
        vm.prank(rival);
        market.lock(second, "", 0, NEVER);
        vm.assertEq(market.exposureOf(2), 500 * DOLLAR, "a late lock counts again");
        vm.prank(governance);
        verifiers.activate(2);
        third.lockDeadline = NEVER;
        lock(third);
        vm.assertEq(market.exposureOf(2), 500 * DOLLAR, "an active verifier's jobs are not counted");
        skip(third.runSecs + 1);
        market.expire(third);
        market.expire(second);
        vm.assertEq(market.exposureOf(2), 0, "and only what was counted is freed");
    }

    /// An auditor needs no broker: the chain says what the job is.
    function test_a_lock_logs_the_whole_order() public {
        Order memory o = sealedOrder();
        bytes memory signature = sign(o);
        vm.expectEmit(address(market));
        emit IMarket.JobLocked(
            market.jobIdOf(o), requester, provider, 100 * DOLLAR, o.stake, uint40(clock + o.beginSecs), false, o
        );
        vm.prank(provider);
        market.lock(o, signature, 0, NEVER);
    }

    function test_a_pause_stops_new_locks_only() public {
        Order memory o = order();
        bytes32 jobId = finished(o);
        vm.prank(governance);
        market.pauseOrders();
        market.settle(o);
        assertStatus(jobId, JobStatus.Paid, "a pause held up settlement");
        uint256 earned = market.purseOf(provider);
        vm.prank(provider);
        market.withdraw(provider, earned);
        o.nonce++;
        o.lockDeadline = NEVER;
        expectRefused(o, sign(o), abi.encodeWithSelector(Pausable.EnforcedPause.selector));
        vm.prank(governance);
        market.unpauseOrders();
        lock(o);
    }

    // --- orders that no job may be made of -------------------------------------------------------

    function refuse(Order memory o, OrderFault fault) private {
        uint256 state = vm.snapshotState();
        expectRefused(o, "", abi.encodeWithSelector(IMarket.OrderInvalid.selector, fault));
        vm.revertToState(state);
    }

    function test_a_requester_or_beneficiary_of_zero_is_refused() public {
        Order memory o = order();
        o.requester = address(0);
        refuse(o, OrderFault.Requester);
        o = order();
        o.beneficiary = address(0);
        refuse(o, OrderFault.Beneficiary);
    }

    function test_a_step_limit_out_of_range_is_refused() public {
        Order memory o = order();
        o.stepLimit = 0;
        refuse(o, OrderFault.StepLimit);
        o.stepLimit = (1 << 45) + 1;
        refuse(o, OrderFault.StepLimit);
        o.stepLimit = 1 << 45;
        lock(o);
    }

    function test_prices_that_contradict_are_refused() public {
        Order memory o = order();
        o.price.min = o.price.max + 1;
        refuse(o, OrderFault.PriceRange);
        o = order();
        o.price.base = o.price.max + 1;
        refuse(o, OrderFault.Meter);
        o.price.base = o.price.max;
        refuse(o, OrderFault.Meter); // a fixed price leaves the rate zero
        o.price.mebistep = 0;
        lock(o);
    }

    function test_lengths_out_of_range_are_refused() public {
        Order memory o = order();
        o.runSecs = 0;
        refuse(o, OrderFault.RunSecs);
        o.runSecs = 60 days + 1;
        refuse(o, OrderFault.RunSecs);
        o = order();
        o.beginSecs = 7 days + 1;
        refuse(o, OrderFault.BeginSecs);
    }

    function test_an_order_without_stake_is_refused() public {
        Order memory o = order();
        o.stake = 0;
        refuse(o, OrderFault.Stake);
    }

    function test_a_lapse_fee_out_of_range_is_refused() public {
        Order memory o = order();
        o.lapseFee = 1;
        refuse(o, OrderFault.LapseFee); // nothing to begin, so nothing to lapse
        o = sealedOrder();
        o.lapseFee = 5 * DOLLAR + 1;
        refuse(o, OrderFault.LapseFee);
        o.stake = 40 * DOLLAR;
        o.lapseFee = 2 * DOLLAR + 1;
        refuse(o, OrderFault.LapseFee);
        o.lapseFee = 2 * DOLLAR;
        lock(o);
    }

    function test_shares_out_of_range_are_refused() public {
        Order memory o = order();
        (o.compensationBps, o.bountyBps) = (999, 500);
        refuse(o, OrderFault.Shares);
        (o.compensationBps, o.bountyBps) = (5_000, 499);
        refuse(o, OrderFault.Shares);
        (o.compensationBps, o.bountyBps) = (1_000, 4_001);
        refuse(o, OrderFault.Shares);
        (o.compensationBps, o.bountyBps) = (5_001, 4_000);
        refuse(o, OrderFault.Shares);
        (o.compensationBps, o.bountyBps) = (65_535, 500);
        refuse(o, OrderFault.Shares);
        (o.compensationBps, o.bountyBps) = (5_000, 4_000);
        lock(o);
    }
}
