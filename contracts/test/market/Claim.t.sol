// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Claim, IMarket, Job, JobStatus, Order} from "../../src/interfaces/IMarket.sol";
import {ClaimFacts, Verdict} from "../../src/interfaces/IVerifier.sol";
import {MachineState, ProgramFault, StateFault} from "../../src/libraries/MachineState.sol";
import {Cpu} from "../support/Machine.sol";
import {MarketFixture} from "../support/MarketFixture.sol";

/// @notice EIP-2935's contract as it answers for one block: it has no selector, and reverts for
/// blocks out of reach.
contract History {
    uint256 private immutable NUMBER;
    bytes32 private immutable HASH;

    constructor(uint256 number, bytes32 hash) {
        (NUMBER, HASH) = (number, hash);
    }

    fallback(bytes calldata data) external returns (bytes memory) {
        require(abi.decode(data, (uint256)) == NUMBER, "out of reach");
        return abi.encode(HASH);
    }
}

contract ClaimTest is MarketFixture {
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    function test_a_claim_is_kept_and_told_to_its_verifier() public {
        Order memory o = order();
        lock(o);
        bytes32 jobId = claim(o);
        Claim memory c = claimOf(o);
        Job memory job = market.jobOf(jobId);
        vm.assertEq(uint256(job.status), uint256(JobStatus.AwaitingVerdict), "a claim waits for its verdict");
        vm.assertEq(job.steps, STEPS, "the steps to be paid are lost");
        vm.assertEq(job.outputRoot, c.outputRoot, "another output is kept");
        vm.assertEq(job.deadline, clock + o.windowSecs, "the window is not the order's");
        ClaimFacts memory facts = verifier.factsOf(jobId);
        vm.assertEq(facts.claimant, provider, "another claimant");
        vm.assertEq(facts.initialState, initialState(o), "the dispute would start from another state");
        vm.assertEq(facts.finalState, sha256(c.finalState), "the dispute would end in another state");
        vm.assertEq(facts.traceRoot, c.traceRoot, "another trace");
        vm.assertEq(facts.stepLimit, o.stepLimit, "another limit");
        vm.assertEq(facts.windowSecs, o.windowSecs, "another window");
    }

    /// An order that asks for less than checking takes makes no lie final any sooner.
    function test_a_claim_has_the_longer_of_the_windows_ordered_and_needed() public {
        Order memory o = order();
        lock(o);
        verifier.setNeeded(o.windowSecs - 1);
        vm.assertEq(market.jobOf(claim(o)).deadline, clock + o.windowSecs, "no less than was ordered");
        o.nonce = 8;
        lock(o);
        verifier.setNeeded(2 * o.windowSecs);
        vm.assertEq(market.jobOf(claim(o)).deadline, clock + 2 * o.windowSecs, "no less than is needed");
        o.nonce = 9;
        lock(o);
        verifier.setNeeded(type(uint64).max);
        vm.assertEq(market.jobOf(claim(o)).deadline, clock + 30 days, "a verifier keeps no stake for ever");
    }

    function test_trapped_and_out_of_steps_are_payable_outcomes() public {
        for (uint8 status = 2; status <= 3; ++status) {
            uint256 state = vm.snapshotState();
            Order memory o = order();
            if (status == 3) o.stepLimit = STEPS;
            bytes32 jobId = lock(o);
            mine();
            Cpu memory end = exited(o);
            (end.status, end.exitCode) = (status, 0);
            Claim memory c = claimEnding(end);
            vm.prank(provider);
            market.claim(o, c);
            verifier.decide(jobId, Verdict.Upheld, address(0));
            skip(o.windowSecs + 1);
            market.settle(o);
            vm.assertEq(market.purseOf(provider), 100 * DOLLAR, "a run that ended so is not paid");
            vm.revertToState(state);
        }
    }

    function test_evidence_reaches_the_verifier() public {
        Order memory o = order();
        bytes32 jobId = lock(o);
        mine();
        Claim memory c = claimOf(o);
        c.evidence = "proof";
        vm.prank(provider);
        market.claim(o, c);
        vm.assertEq(verifier.evidenceOf(jobId), "proof", "the verifier got other evidence");
    }

    // --- who and when ----------------------------------------------------------------------------

    function test_only_the_lock_holder_claims() public {
        Order memory o = order();
        lock(o);
        mine();
        Claim memory c = claimOf(o);
        vm.prank(rival);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotLockHolder.selector, rival));
        market.claim(o, c);
    }

    function test_a_claim_without_a_lock_is_refused() public {
        Order memory o = order();
        mine();
        expectClaimRefused(o, claimOf(o), wrongStatus(market.jobIdOf(o), JobStatus.None));
    }

    function test_the_deadline_is_the_last_second_for_a_claim() public {
        Order memory o = order();
        lock(o);
        skip(o.runSecs);
        uint256 state = vm.snapshotState();
        claim(o);
        vm.revertToState(state);
        uint40 deadline = uint40(clock);
        skip(1);
        mine();
        expectClaimRefused(o, claimOf(o), abi.encodeWithSelector(IMarket.DeadlinePassed.selector, deadline));
    }

    /// Late fulfilment of an order that is already fulfilled, in every state that it may have.
    function test_late_fulfilment_of_a_fulfilled_order_is_refused() public {
        Order memory o = order();
        lock(o);
        bytes32 jobId = claim(o);
        expectClaimRefused(o, claimOf(o), wrongStatus(jobId, JobStatus.AwaitingVerdict));
        verifier.decide(jobId, Verdict.Upheld, address(0));
        skip(o.windowSecs + 1);
        market.settle(o);
        mine();
        expectClaimRefused(o, claimOf(o), wrongStatus(jobId, JobStatus.Paid));
        vm.expectRevert(wrongStatus(jobId, JobStatus.Paid));
        market.settle(o);
        assertBalanced(0);
    }

    // --- forks -----------------------------------------------------------------------------------

    /// The provider saw its lock in block N and worked; then N was replaced, and the lock came
    /// again in N+5.
    function test_a_lock_that_reorganised_away_takes_no_claim_of_the_old_fork() public {
        Order memory o = order();
        uint256 fork = vm.snapshotState();
        lock(o);
        mine();
        Claim memory old = claimOf(o);

        vm.revertToState(fork);
        bytes32 jobId = market.jobIdOf(o);
        expectClaimRefused(o, old, wrongStatus(jobId, JobStatus.None));
        roll(height + 5);
        lock(o);
        mine();
        expectClaimRefused(o, old, abi.encodeWithSelector(IMarket.BlockUnknown.selector, old.blockNumber));
        claim(o);
    }

    function test_a_block_of_another_fork_is_refused() public {
        Order memory o = order();
        lock(o);
        mine();
        Claim memory c = claimOf(o);
        c.blockHash = keccak256("another fork");
        expectClaimRefused(o, c, abi.encodeWithSelector(IMarket.BlockUnknown.selector, c.blockNumber));
    }

    function test_blocks_before_the_lock_or_out_of_reach_are_refused() public {
        Order memory o = order();
        lock(o);
        uint64 lockBlock = uint64(height);
        Claim memory c = claimOf(o);
        expectClaimRefused(o, c, abi.encodeWithSelector(IMarket.BlockUnknown.selector, lockBlock - 1));
        (c.blockNumber, c.blockHash) = (lockBlock, 0); // the running block has no hash yet
        expectClaimRefused(o, c, abi.encodeWithSelector(IMarket.BlockUnknown.selector, lockBlock));
        vm.etch(HISTORY, "");
        roll(lockBlock + 257); // and this one has it no more
        expectClaimRefused(o, c, abi.encodeWithSelector(IMarket.BlockUnknown.selector, lockBlock));
        c.blockNumber = type(uint64).max;
        expectClaimRefused(o, c, abi.encodeWithSelector(IMarket.BlockUnknown.selector, type(uint64).max));
        roll(lockBlock + 256);
        (c.blockNumber, c.blockHash) = (lockBlock, blockhash(lockBlock));
        vm.prank(provider);
        market.claim(o, c);
    }

    /// A run may take days, and its claim names a block after the lock: EIP-2935 keeps 8191 of
    /// them.
    function test_a_block_is_known_for_longer_where_the_chain_keeps_its_history() public {
        Order memory o = order();
        lock(o);
        uint64 lockBlock = uint64(height);
        Claim memory c = claimOf(o);
        (c.blockNumber, c.blockHash) = (lockBlock, keccak256("kept"));
        roll(lockBlock + 8191);
        vm.etch(HISTORY, address(new History(lockBlock, c.blockHash)).code);
        vm.prank(provider);
        market.claim(o, c);
    }

    function test_a_history_that_says_another_hash_or_nothing_is_believed_no_more() public {
        Order memory o = order();
        lock(o);
        uint64 lockBlock = uint64(height);
        Claim memory c = claimOf(o);
        (c.blockNumber, c.blockHash) = (lockBlock, keccak256("kept"));
        roll(lockBlock + 300);
        vm.etch(HISTORY, address(new History(lockBlock, keccak256("another"))).code);
        expectClaimRefused(o, c, abi.encodeWithSelector(IMarket.BlockUnknown.selector, lockBlock));
        vm.etch(HISTORY, address(new History(lockBlock + 1, c.blockHash)).code);
        expectClaimRefused(o, c, abi.encodeWithSelector(IMarket.BlockUnknown.selector, lockBlock));
        c.blockHash = 0;
        expectClaimRefused(o, c, abi.encodeWithSelector(IMarket.BlockUnknown.selector, lockBlock));
    }

    // --- what a claim must show ------------------------------------------------------------------

    function refuse(Claim memory c, bytes memory why) private {
        expectClaimRefused(order(), c, why);
    }

    function locked() private returns (Claim memory c) {
        lock(order());
        mine();
        return claimOf(order());
    }

    function test_another_program_is_refused() public {
        Claim memory c = locked();
        c.program[8] ^= 0x01;
        refuse(c, abi.encodeWithSelector(IMarket.ProgramMismatch.selector, sha256(c.program), sha256(program())));
        c.program = abi.encodePacked(program(), uint8(0));
        refuse(c, abi.encodeWithSelector(IMarket.ProgramMismatch.selector, sha256(c.program), sha256(program())));
    }

    function test_a_program_id_that_no_program_has_is_never_claimed() public {
        Order memory o = order();
        bytes memory short = "assayp\x01\x01";
        o.programId = sha256(short);
        lock(o);
        mine();
        Claim memory c = claimOf(o);
        c.program = short;
        expectClaimRefused(o, c, abi.encodeWithSelector(MachineState.InvalidProgram.selector, ProgramFault.Length));
    }

    function test_a_true_trace_with_a_false_result_is_refused() public {
        Claim memory c = locked();
        Cpu memory end = exited(order());
        end.exitCode = 43;
        c.finalState = claimEnding(end).finalState;
        refuse(c, abi.encodeWithSelector(IMarket.TraceNotFinal.selector));
        c = claimOf(order());
        c.traceRoot ^= bytes32(uint256(1));
        refuse(c, abi.encodeWithSelector(IMarket.TraceNotFinal.selector));
        c = claimOf(order());
        c.traceProof[14] ^= bytes32(uint256(1));
        refuse(c, abi.encodeWithSelector(IMarket.TraceNotFinal.selector));
    }

    function test_another_output_is_refused() public {
        Claim memory c = locked();
        c.outputRoot = zeros[21];
        refuse(c, abi.encodeWithSelector(MachineState.OutputNotOpened.selector));
        c = claimOf(order());
        c.outputProof[2] = zeros[23];
        refuse(c, abi.encodeWithSelector(MachineState.OutputNotOpened.selector));
    }

    function test_a_state_that_has_not_ended_is_refused() public {
        locked();
        Cpu memory end = exited(order());
        (end.status, end.exitCode) = (0, 0);
        refuse(claimEnding(end), abi.encodeWithSelector(MachineState.NotFinal.selector));
    }

    function test_another_step_limit_is_refused() public {
        locked();
        Cpu memory end = exited(order());
        end.limit += 1;
        refuse(
            claimEnding(end), abi.encodeWithSelector(MachineState.OtherStepLimit.selector, end.limit, order().stepLimit)
        );
    }

    function test_a_final_state_that_shows_registers_is_refused() public {
        locked();
        Cpu memory end = exited(order());
        end.x[31] = 1;
        refuse(claimEnding(end), abi.encodeWithSelector(MachineState.InvalidState.selector, StateFault.Final));
        end = exited(order());
        end.pc = 4;
        refuse(claimEnding(end), abi.encodeWithSelector(MachineState.InvalidState.selector, StateFault.Final));
    }

    function test_an_impossible_count_of_steps_is_refused() public {
        locked();
        bytes memory why = abi.encodeWithSelector(MachineState.InvalidState.selector, StateFault.Final);
        Cpu memory end = exited(order());
        end.step = 0;
        refuse(claimEnding(end), why);
        end.step = end.limit + 1;
        refuse(claimEnding(end), why);
        (end.status, end.exitCode, end.step) = (3, 0, STEPS); // out of steps before the limit
        refuse(claimEnding(end), why);
        (end.status, end.exitCode) = (2, 1); // a trap has no exit code
        refuse(claimEnding(end), why);
    }

    function test_wrong_lengths_are_refused() public {
        Claim memory c = locked();
        bytes memory why = abi.encodeWithSelector(MachineState.InvalidState.selector, StateFault.Length);
        bytes memory whole = c.finalState;
        c.finalState = "";
        refuse(c, why);
        c.finalState = abi.encodePacked(whole, uint8(0));
        refuse(c, why);
        c.finalState = new bytes(100_000);
        refuse(c, why);
    }

    function test_truncated_calldata_is_refused() public {
        bytes memory message = abi.encodeCall(market.claim, (order(), locked()));
        for (uint256 length = 4; length < message.length; length += 97) {
            bytes memory cut = message;
            bytes memory head = new bytes(length);
            for (uint256 i = 0; i < length; ++i) {
                head[i] = cut[i];
            }
            vm.prank(provider);
            (bool ok,) = address(market).call(head);
            vm.assertFalse(ok, "truncated calldata was read as a claim");
        }
    }

    /// No single bit of what a claim shows may be changed: each is bound by a hash or a check.
    function testFuzz_no_bit_of_the_final_state_is_free(uint256 bit) public {
        Order memory o = order();
        Claim memory c = locked();
        bit = bound(bit, 0, 197 * 8 - 1);
        c.finalState[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        vm.prank(provider);
        vm.expectRevert();
        market.claim(o, c);
    }

    // --- the verifier ----------------------------------------------------------------------------

    function test_a_verifier_retired_after_the_lock_still_takes_the_claim() public {
        Order memory o = order();
        lock(o);
        vm.prank(governance);
        verifiers.retire(VERIFIER);
        bytes32 jobId = claim(o);
        verifier.decide(jobId, Verdict.Upheld, address(0));
        skip(o.windowSecs + 1);
        market.settle(o);
        assertStatus(jobId, JobStatus.Paid, "a provider was trapped by a retirement");
    }

    function test_a_hostile_verifier_cannot_reenter() public {
        Order memory o = order();
        bytes32 jobId = lock(o);
        verifier.decide(jobId, Verdict.Refuted, auditor);
        verifier.setReentry(abi.encodeCall(market.settle, (o)));
        claim(o);
        vm.assertFalse(verifier.reentered(), "settle ran inside claim");
        assertStatus(jobId, JobStatus.AwaitingVerdict, "a reentrant call moved the job");
    }
}
