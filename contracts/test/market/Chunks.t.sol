// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Demand, IMarket, JobStatus, Order} from "../../src/interfaces/IMarket.sol";
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
    }

    function demand(uint32 chunk) private {
        vm.prank(requester);
        market.demand(o, chunk);
    }

    function answer(uint32 chunk) private {
        bytes memory data = chunk == CHUNK ? chunkData() : new bytes(4096);
        market.answer(o, chunk, data, chunkProof(chunk));
    }

    function test_a_demand_is_prepaid_and_its_answer_earns_the_fee() public {
        demand(CHUNK);
        vm.assertEq(market.purseOf(requester), PURSE - 101 * DOLLAR, "a demand is not prepaid");
        assertStatus(jobId, JobStatus.AwaitingAnswer, "a demand holds up settlement");
        assertBalanced(101 * DOLLAR);
        vm.prank(stranger);
        answer(CHUNK);
        vm.assertEq(market.purseOf(provider), 1 * DOLLAR, "whoever answers, the provider earns the fee");
        assertStatus(jobId, JobStatus.AwaitingVerdict, "an answer lets the job go on");
        assertBalanced(100 * DOLLAR);
        verifier.decide(jobId, Verdict.Upheld, address(0));
        skip(o.windowSecs + 1);
        market.settle(o);
        assertStatus(jobId, JobStatus.Paid, "paid");
        assertBalanced(0);
    }

    function test_the_first_and_last_chunks_open() public {
        demand(0);
        demand(131_071);
        answer(0);
        answer(131_071);
        assertStatus(jobId, JobStatus.AwaitingVerdict, "both are answered");
    }

    function test_only_the_requester_and_the_beneficiary_demand() public {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotDemander.selector, stranger));
        market.demand(o, CHUNK);
        vm.prank(beneficiary);
        market.demand(o, CHUNK);
        vm.assertEq(market.purseOf(beneficiary), PURSE - 1 * DOLLAR, "who demands pays");
    }

    function test_a_chunk_is_demanded_once() public {
        demand(CHUNK);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkDemanded.selector, CHUNK));
        market.demand(o, CHUNK);
        answer(CHUNK);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkDemanded.selector, CHUNK));
        market.demand(o, CHUNK);
    }

    function test_a_chunk_out_of_range_is_refused() public {
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkOutOfRange.selector, uint32(1 << 17)));
        market.demand(o, 1 << 17);
    }

    function test_demands_end_with_the_window() public {
        uint40 deadline = market.jobOf(jobId).deadline;
        warp(deadline + 1);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, deadline));
        market.demand(o, CHUNK);
        warp(deadline);
        demand(CHUNK);
    }

    function test_nothing_is_demanded_before_a_claim_or_after_the_end() public {
        Order memory other = order();
        other.nonce = 8;
        lock(other);
        vm.prank(requester);
        vm.expectRevert(wrongStatus(market.jobIdOf(other), JobStatus.AwaitingClaim));
        market.demand(other, CHUNK);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        market.settle(o);
        vm.prank(requester);
        vm.expectRevert(wrongStatus(jobId, JobStatus.Refuted));
        market.demand(o, CHUNK);
    }

    function test_a_demander_without_money_is_refused() public {
        vm.prank(beneficiary);
        market.withdraw(beneficiary, PURSE);
        vm.prank(beneficiary);
        vm.expectRevert(
            abi.encodeWithSelector(IMarket.PurseShort.selector, beneficiary, uint256(0), uint256(1 * DOLLAR))
        );
        market.demand(o, CHUNK);
    }

    function test_other_bytes_are_no_answer() public {
        demand(CHUNK);
        demand(4);
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
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkNotInOutput.selector, uint32(4)));
        market.answer(o, 4, data, right);
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
        demand(0);
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
        demand(9);
        uint40 answerBy = market.demandOf(jobId, CHUNK).answerBy;
        warp(answerBy);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlineNotPassed.selector, answerBy));
        market.silence(o, CHUNK);
        skip(1);
        bytes32[17] memory proof = chunkProof(CHUNK);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, answerBy));
        market.answer(o, CHUNK, chunkData(), proof);
        market.silence(o, CHUNK);
        assertStatus(jobId, JobStatus.Silent, "silent");
        vm.assertEq(market.purseOf(requester), PURSE + 199 * DOLLAR, "whole, and one fee still out");
        vm.assertEq(market.coverPool(), 300 * DOLLAR, "silence earns no bounty");
        assertBalanced(1 * DOLLAR);
        market.silence(o, 9);
        vm.assertEq(market.purseOf(requester), PURSE + 200 * DOLLAR, "the other fee is back too");
        assertBalanced(0);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ChunkNotDemanded.selector, uint32(9)));
        market.silence(o, 9);
    }

    function test_silence_does_not_rob_a_challenger_who_has_won() public {
        demand(CHUNK);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        skip(1 days + 1);
        market.silence(o, CHUNK);
        vm.assertEq(market.purseOf(auditor), 150 * DOLLAR, "a liar fell silent to save the bounty");
        assertBalanced(0);
    }

    function test_silence_needs_no_verifier() public {
        demand(CHUNK);
        skip(1 days + 1);
        verifier.setBroken(true);
        market.silence(o, CHUNK);
        assertStatus(jobId, JobStatus.Silent, "a broken verifier trapped the requester's money");
        assertBalanced(0);
    }

    function test_a_won_challenge_is_not_hidden_by_a_lack_of_gas() public {
        demand(CHUNK);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        skip(1 days + 1);
        for (uint256 gas_ = 30_000; gas_ < 2_000_000; gas_ += 100_000) {
            (bool ok,) = address(market).call{gas: gas_}(abi.encodeCall(market.silence, (o, CHUNK)));
            vm.assertFalse(ok, "a starved verifier was taken for an undecided one");
        }
    }

    function test_a_flood_of_demands_leaves_time_for_each() public {
        uint40 first = uint40(clock + 1 days);
        for (uint32 i = 0; i < 20; ++i) {
            demand(i);
            vm.assertEq(market.demandOf(jobId, i).answerBy, first + i * 30, "answers are due 30 seconds apart");
        }
        skip(o.windowSecs);
        demand(100);
        vm.assertEq(market.demandOf(jobId, 100).answerBy, clock + 1 days, "a later demand has its own day");
    }

    function testFuzz_any_chunk_of_the_output_opens(uint32 chunk) public {
        chunk = uint32(bound(chunk, 0, 131_071));
        demand(chunk);
        answer(chunk);
        vm.assertFalse(market.demandOf(jobId, chunk).open, "a true chunk was refused");
    }
}
