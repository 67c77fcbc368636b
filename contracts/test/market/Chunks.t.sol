// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IMarket, JobStatus, Order} from "../../src/interfaces/IMarket.sol";
import {Verdict} from "../../src/interfaces/IVerifier.sol";
import {MarketFixture} from "../support/MarketFixture.sol";

contract ChunksTest is MarketFixture {
    Order private o;
    bytes32 private jobId;

    function setUp() public override {
        super.setUp();
        o = order();
        lock(o);
        jobId = claim(o);
        measure(o);
    }

    function demand(uint32 chunk) private {
        demand(chunk, 1);
    }

    function demand(uint32 first, uint32 count) private {
        vm.prank(requester);
        market.demand(o, first, count, FEE_MAX);
    }

    function refuse(uint32 first, uint32 count, bytes memory why) private {
        vm.prank(requester);
        vm.expectRevert(why);
        market.demand(o, first, count, FEE_MAX);
    }

    function answer(uint32 chunk) private {
        market.answer(o, chunk, chunkOf(chunk), chunkProof(chunk));
    }

    function isOpen(uint32 chunk) private view returns (bool) {
        return (market.demandOf(jobId, chunk).missing >> (chunk % 32)) & 1 == 1;
    }

    function test_a_demand_is_prepaid_and_its_answer_earns_the_fee() public {
        demand(CHUNK);
        vm.assertEq(market.purseOf(requester), PURSE - 102 * DOLLAR, "a demand is not prepaid twice the going fee");
        assertStatus(jobId, JobStatus.AwaitingAnswer, "a demand holds up settlement");
        assertBalanced(102 * DOLLAR);
        vm.prank(stranger);
        answer(CHUNK);
        vm.assertEq(market.purseOf(provider), 1 * DOLLAR, "whoever answers, the provider earns the fee");
        vm.assertEq(market.purseOf(requester), PURSE - 101 * DOLLAR, "the rest of what was prepaid is not back");
        assertStatus(jobId, JobStatus.AwaitingVerdict, "an answer lets the job go on");
        assertBalanced(100 * DOLLAR);
        verifier.decide(jobId, Verdict.Upheld, address(0));
        skip(o.windowSecs + 1);
        market.settle(o);
        assertStatus(jobId, JobStatus.Paid, "paid");
        assertBalanced(0);
    }

    function test_an_answer_logs_the_bytes() public {
        demand(CHUNK);
        vm.expectEmit(address(market));
        emit IMarket.ChunkAnswered(jobId, CHUNK, 1 * DOLLAR, 1 * DOLLAR, chunkData());
        answer(CHUNK);
    }

    // --- fees ------------------------------------------------------------------------------------

    function test_a_fee_follows_the_base_fee() public {
        vm.fee(BASE_FEE);
        vm.assertEq(market.chunkFeeAt(o), 2 * DOLLAR, "up to the base fee that it was made for, it is what was signed");
        vm.fee(3 * BASE_FEE);
        vm.assertEq(market.chunkFeeAt(o), 6 * DOLLAR, "three times that, three times the fee");
        demand(CHUNK);
        answer(CHUNK);
        vm.assertEq(market.purseOf(provider), 3 * DOLLAR, "an answer costs three times as much, too");
    }

    function test_an_answer_earns_what_it_is_worth_when_it_comes() public {
        vm.fee(3 * BASE_FEE);
        demand(0, 2);
        vm.fee(5 * BASE_FEE);
        answer(0);
        vm.assertEq(market.purseOf(provider), 5 * DOLLAR, "dearer gas is paid out of what was prepaid");
        vm.fee(100 * BASE_FEE);
        answer(1);
        vm.assertEq(market.purseOf(provider), 11 * DOLLAR, "and of no more than was prepaid");
        vm.assertEq(market.purseOf(requester), PURSE - 111 * DOLLAR, "what was not earned is back");
    }

    function test_a_demander_says_what_it_prepays_at_most() public {
        vm.fee(3 * BASE_FEE);
        vm.prank(requester);
        vm.expectRevert(
            abi.encodeWithSelector(IMarket.ChunkFeeAboveMax.selector, uint256(6 * DOLLAR), uint96(6 * DOLLAR - 1))
        );
        market.demand(o, CHUNK, 1, 6 * DOLLAR - 1);
        vm.prank(requester);
        market.demand(o, CHUNK, 1, 6 * DOLLAR);
    }

    // --- which chunks ----------------------------------------------------------------------------

    function test_the_first_and_last_chunks_open() public {
        demand(0);
        demand(131_071);
        answer(0);
        answer(131_071);
        assertStatus(jobId, JobStatus.AwaitingVerdict, "both are answered");
    }

    function test_a_range_is_demanded_in_one_call() public {
        demand(20, 30); // over a group's end
        vm.assertEq(market.purseOf(requester), PURSE - 160 * DOLLAR, "thirty fees");
        (uint32 open,) = market.outputOf(jobId);
        vm.assertEq(uint256(open), 30, "thirty are open");
        vm.assertFalse(isOpen(19), "before the range");
        vm.assertTrue(isOpen(20) && isOpen(31) && isOpen(32) && isOpen(49), "all of the range");
        vm.assertFalse(isOpen(50), "after the range");
        for (uint32 chunk = 20; chunk < 50; ++chunk) {
            assertStatus(jobId, JobStatus.AwaitingAnswer, "one is still missing");
            answer(chunk);
        }
        assertStatus(jobId, JobStatus.AwaitingVerdict, "all are answered");
        vm.assertEq(market.purseOf(provider), 30 * DOLLAR, "each earned its fee");
        assertBalanced(100 * DOLLAR);
    }

    /// A job whose output says that it has 10,000 bytes: three chunks, with its header.
    function short(uint256 nonce) private {
        outputLength = 10_000;
        o = order();
        o.nonce = nonce;
        lock(o);
        jobId = claim(o);
    }

    function test_only_chunks_inside_the_outputs_length_can_be_demanded() public {
        short(8);
        refuse(1, 1, abi.encodeWithSelector(IMarket.ChunkOutOfRange.selector, uint32(1), uint32(1)));
        vm.expectEmit(address(market));
        emit IMarket.OutputMeasured(jobId, 3);
        measure(o);
        refuse(3, 1, abi.encodeWithSelector(IMarket.ChunkOutOfRange.selector, uint32(3), uint32(3)));
        refuse(1, 3, abi.encodeWithSelector(IMarket.ChunkOutOfRange.selector, uint32(3), uint32(3)));
        refuse(2, type(uint32).max, abi.encodeWithSelector(IMarket.ChunkOutOfRange.selector, uint32(3), uint32(3)));
        demand(0, 3);
        (bytes memory leaf, bytes32[21] memory proof) = firstLeaf();
        vm.expectRevert(abi.encodeWithSelector(IMarket.LengthKnown.selector, uint32(3)));
        market.measure(o, leaf, proof);
    }

    /// Who was given nothing can only ask for the first chunk, and has a day for the rest once it
    /// says how many there are.
    function test_the_first_answer_tells_the_length_and_leaves_time_for_the_rest() public {
        short(8);
        skip(o.windowSecs);
        demand(0);
        skip(1 days);
        answer(0);
        vm.assertEq(market.jobOf(jobId).deadline, clock + 1 days, "learnt late, and not too late");
        (, uint32 chunks) = market.outputOf(jobId);
        vm.assertEq(uint256(chunks), 3, "what the header says");
        skip(1 days);
        demand(1, 2);
    }

    /// Nor does it help the provider to say the length itself once demands are over.
    function test_saying_the_length_after_the_window_leaves_time_for_the_rest_too() public {
        short(8);
        skip(o.windowSecs);
        demand(0);
        skip(1 hours);
        vm.prank(provider);
        measure(o);
        vm.assertEq(market.jobOf(jobId).deadline, clock + 1 days, "a demand is open, so there is time for more");
    }

    function test_saying_the_length_unasked_holds_up_nothing() public {
        short(8);
        uint40 deadline = market.jobOf(jobId).deadline;
        skip(o.windowSecs - 1);
        measure(o);
        vm.assertEq(market.jobOf(jobId).deadline, deadline, "the window stays");
    }

    function test_a_false_length_is_refused() public {
        short(8);
        (bytes memory leaf, bytes32[21] memory proof) = firstLeaf();
        leaf[0] ^= 0x01;
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkNotInOutput.selector, uint32(0)));
        market.measure(o, leaf, proof);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkLengthWrong.selector, uint256(255)));
        market.measure(o, new bytes(255), proof);
    }

    function test_no_more_than_256_chunks_are_open_at_a_time() public {
        refuse(0, 257, abi.encodeWithSelector(IMarket.TooManyChunks.selector, uint32(257)));
        refuse(0, 0, abi.encodeWithSelector(IMarket.TooManyChunks.selector, uint32(0)));
        demand(0, 256);
        vm.assertEq(
            market.demandOf(jobId, 255).answerBy, clock + 1 days, "a day, and half a minute for each after many"
        );
        refuse(256, 1, abi.encodeWithSelector(IMarket.TooManyChunks.selector, uint32(257)));
        answer(7);
        demand(256, 1);
    }

    function test_only_the_requester_and_the_beneficiary_demand() public {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotDemander.selector, stranger));
        market.demand(o, CHUNK, 1, FEE_MAX);
        vm.prank(beneficiary);
        market.demand(o, CHUNK, 1, FEE_MAX);
        vm.assertEq(market.purseOf(beneficiary), PURSE - 2 * DOLLAR, "who demands pays");
    }

    function test_a_chunk_is_demanded_once() public {
        bytes memory again = abi.encodeWithSelector(IMarket.ChunkDemanded.selector, CHUNK);
        demand(CHUNK);
        refuse(CHUNK, 1, again);
        answer(CHUNK);
        refuse(CHUNK, 1, again);
        refuse(CHUNK, 5, again);
        demand(1);
        refuse(2, 1, abi.encodeWithSelector(IMarket.ChunkDemanded.selector, uint32(2))); // its group's demand is open
        answer(1);
        demand(2);
    }

    function test_demands_end_with_the_window() public {
        uint40 deadline = market.jobOf(jobId).deadline;
        warp(deadline + 1);
        refuse(CHUNK, 1, abi.encodeWithSelector(IMarket.DeadlinePassed.selector, deadline));
        warp(deadline);
        demand(CHUNK);
    }

    function test_nothing_is_demanded_before_a_claim_or_after_the_end() public {
        Order memory other = order();
        other.nonce = 8;
        lock(other);
        vm.prank(requester);
        vm.expectRevert(wrongStatus(market.jobIdOf(other), JobStatus.AwaitingClaim));
        market.demand(other, CHUNK, 1, FEE_MAX);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        market.settle(o);
        vm.prank(requester);
        vm.expectRevert(wrongStatus(jobId, JobStatus.Refuted));
        market.demand(o, CHUNK, 1, FEE_MAX);
    }

    function test_a_demander_without_money_is_refused() public {
        vm.prank(beneficiary);
        market.withdraw(beneficiary, PURSE);
        vm.prank(beneficiary);
        vm.expectRevert(
            abi.encodeWithSelector(IMarket.PurseShort.selector, beneficiary, uint256(0), uint256(2 * DOLLAR))
        );
        market.demand(o, CHUNK, 1, FEE_MAX);
    }

    function test_other_bytes_are_no_answer() public {
        demand(CHUNK);
        demand(34);
        bytes memory data = chunkData();
        bytes32[17] memory proof = chunkProof(CHUNK);
        bytes memory why = abi.encodeWithSelector(IMarket.ChunkNotInOutput.selector, CHUNK);
        data[4095] ^= 0x01;
        vm.expectRevert(why);
        market.answer(o, CHUNK, data, proof);
        data = chunkData();
        proof[16] ^= bytes32(uint256(1));
        vm.expectRevert(why);
        market.answer(o, CHUNK, data, proof);
        // A true chunk answers no other demand.
        bytes32[17] memory right = chunkProof(CHUNK);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkNotInOutput.selector, uint32(34)));
        market.answer(o, 34, data, right);
    }

    function test_answers_of_wrong_length_are_refused() public {
        demand(CHUNK);
        bytes32[17] memory proof = chunkProof(CHUNK);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkLengthWrong.selector, uint256(0)));
        market.answer(o, CHUNK, "", proof);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkLengthWrong.selector, uint256(4352)));
        market.answer(o, CHUNK, new bytes(4352), proof);
    }

    function test_what_was_not_demanded_is_not_answered() public {
        demand(CHUNK);
        bytes32[17] memory proof = chunkProof(9);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkNotDemanded.selector, uint32(9)));
        market.answer(o, 9, new bytes(4096), proof);
        demand(40);
        answer(CHUNK);
        proof = chunkProof(CHUNK);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkNotDemanded.selector, CHUNK));
        market.answer(o, CHUNK, chunkData(), proof);
    }

    function test_an_open_demand_holds_up_every_settlement() public {
        demand(CHUNK);
        verifier.decide(jobId, Verdict.Upheld, address(0));
        skip(o.windowSecs + 1);
        vm.expectRevert(wrongStatus(jobId, JobStatus.AwaitingAnswer));
        market.settle(o);
        vm.expectRevert(wrongStatus(jobId, JobStatus.AwaitingAnswer));
        market.expire(o);
    }

    function test_who_stays_silent_loses() public {
        demand(CHUNK);
        demand(90, 3);
        uint40 answerBy = market.demandOf(jobId, CHUNK).answerBy;
        warp(answerBy);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlineNotPassed.selector, answerBy));
        market.claimSilence(o, CHUNK);
        skip(1);
        bytes32[17] memory proof = chunkProof(CHUNK);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, answerBy));
        market.answer(o, CHUNK, chunkData(), proof);
        market.claimSilence(o, CHUNK);
        assertStatus(jobId, JobStatus.Silent, "silent");
        vm.assertEq(market.purseOf(requester), PURSE + 194 * DOLLAR, "whole, and three fees still out");
        vm.assertEq(market.coverPool(), 300 * DOLLAR, "silence earns no bounty");
        assertBalanced(6 * DOLLAR);
        market.claimSilence(o, 91);
        vm.assertEq(market.purseOf(requester), PURSE + 200 * DOLLAR, "the other fees are back too");
        assertBalanced(0);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkNotDemanded.selector, uint32(90)));
        market.claimSilence(o, 90);
        vm.expectRevert(wrongStatus(jobId, JobStatus.Silent));
        market.settle(o);
    }

    /// F6: another game was still open, so there was no verdict yet, and the bounty of who had won
    /// was gone.
    function test_a_bounty_waits_for_the_challenges_that_were_open_when_the_provider_fell_silent() public {
        demand(CHUNK);
        verifier.challenge(jobId, true);
        skip(1 days + 1);
        market.claimSilence(o, CHUNK);
        vm.assertEq(market.purseOf(requester), PURSE + 200 * DOLLAR, "the requester waits for nobody");
        vm.assertEq(market.coverPool(), 150 * DOLLAR, "only the pool's own share");
        assertBalanced(150 * DOLLAR);
        vm.expectRevert(
            abi.encodeWithSelector(IMarket.DeadlineNotPassed.selector, market.jobOf(jobId).deadline + 90 days)
        );
        market.settle(o);
        skip(365 days);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ClaimContested.selector, jobId));
        market.settle(o);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        market.settle(o);
        vm.assertEq(market.purseOf(auditor), 150 * DOLLAR, "the challenger who won has the bounty");
        assertBalanced(0);
        vm.expectRevert(wrongStatus(jobId, JobStatus.Silent));
        market.settle(o);
    }

    function test_a_bounty_that_no_challenge_wins_goes_to_the_pool() public {
        demand(CHUNK);
        verifier.challenge(jobId, true);
        skip(1 days + 1);
        market.claimSilence(o, CHUNK);
        uint256 state = vm.snapshotState();
        verifier.decide(jobId, Verdict.Upheld, address(0));
        market.settle(o);
        vm.assertEq(market.coverPool(), 300 * DOLLAR, "all challenges were wrong");
        assertBalanced(0);
        vm.revertToState(state);
        verifier.setBroken(true);
        skip(o.windowSecs + 90 days);
        market.settle(o);
        vm.assertEq(market.coverPool(), 300 * DOLLAR, "a verifier that broke decides nothing");
        assertBalanced(0);
    }

    function test_silence_does_not_rob_a_challenger_who_has_won() public {
        demand(CHUNK);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        skip(1 days + 1);
        market.claimSilence(o, CHUNK);
        vm.assertEq(market.purseOf(auditor), 150 * DOLLAR, "a liar fell silent to save the bounty");
        assertBalanced(0);
    }

    function test_silence_needs_no_verifier() public {
        demand(CHUNK);
        skip(1 days + 1);
        verifier.setBroken(true);
        market.claimSilence(o, CHUNK);
        assertStatus(jobId, JobStatus.Silent, "a broken verifier trapped the requester's money");
        assertBalanced(0);
    }

    function test_a_won_challenge_is_not_hidden_by_a_lack_of_gas() public {
        demand(CHUNK);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        skip(1 days + 1);
        for (uint256 gas_ = 30_000; gas_ < 2_000_000; gas_ += 100_000) {
            (bool ok,) = address(market).call{gas: gas_}(abi.encodeCall(market.claimSilence, (o, CHUNK)));
            vm.assertFalse(ok, "a starved verifier was taken for an undecided one");
        }
    }

    function test_a_flood_of_demands_leaves_time_for_each() public {
        uint40 first = uint40(clock + 1 days);
        for (uint32 i = 0; i < 20; ++i) {
            demand(32 * i, 2);
            uint40 last = first + i * 60;
            vm.assertEq(market.demandOf(jobId, 32 * i).answerBy, last, "answers are due 30 seconds apart");
        }
        skip(o.windowSecs);
        demand(1000);
        vm.assertEq(market.demandOf(jobId, 1000).answerBy, clock + 1 days, "a later demand has its own day");
    }

    function testFuzz_any_chunk_of_the_output_opens(uint32 chunk) public {
        chunk = uint32(bound(chunk, 0, 131_071));
        demand(chunk);
        answer(chunk);
        vm.assertFalse(isOpen(chunk), "a true chunk was refused");
    }
}
