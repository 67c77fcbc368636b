// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Claim, Order} from "../../src/interfaces/IMarket.sol";
import {Verdict} from "../../src/interfaces/IVerifier.sol";
import {Step} from "../../src/Step.sol";
import {Disputes} from "../../src/Disputes.sol";
import {DisputeParameters, IDisputes} from "../../src/interfaces/IDisputes.sol";
import {MarketFixture} from "../support/MarketFixture.sol";

/// @title What the market's transactions cost, and a whole job under the real verifier
/// @notice The tests run isolated: each call is a transaction, with its 21000, its calldata, cold
/// storage and refunds. The figures are typical: the accounts have purses, and the requester has
/// used a nonce of the same 256 before.
contract MarketGasTest is MarketFixture {
    uint16 private constant DISPUTES = 2;
    Disputes private disputes;
    uint256 private spent;

    function setUp() public override {
        super.setUp();
        disputes = new Disputes(
            DisputeParameters({
                token: token,
                market: address(market),
                step: new Step(),
                bond: 50 * DOLLAR,
                stakeBps: 100,
                costBase: 1 * DOLLAR,
                costAnswer: 1 * DOLLAR,
                costReveal: 1 * DOLLAR,
                stepsPerSec: 5_000_000,
                retraceStepsPerSec: 2_000_000,
                runBps: 10_000,
                fetchSecs: 30 minutes,
                censorshipSecs: 6 hours,
                openingSecs: 6 hours,
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
        fill(provider, 1 * DOLLAR);
        lock(order());
    }

    function disputable() private view returns (Order memory o) {
        o = order();
        o.verifierId = DISPUTES;
        o.nonce = 8;
    }

    function send(string memory name, bytes memory message, uint256 budget) private {
        send(name, provider, message, budget);
    }

    function send(string memory name, address from, bytes memory message, uint256 budget) private {
        vm.prank(from);
        (bool ok,) = address(market).call(message);
        vm.assertTrue(ok, "a transaction that should work reverts");
        uint256 gas_ = vm.lastCallGas().gasTotalUsed;
        spent += gas_;
        vm.snapshotValue("market", name, gas_);
        vm.assertLe(gas_, budget, string.concat(name, " costs more than its budget"));
    }

    /// forge-config: default.isolate = true
    function test_a_whole_job_under_the_fraud_proof_window() public {
        Order memory o = disputable();
        bytes memory signature = sign(o);
        send("lock", abi.encodeCall(market.lock, (o, signature, 0, NEVER)), 130_000);
        mine();
        Claim memory c = claimOf(o);
        send("claim", abi.encodeCall(market.claim, (o, c)), 150_000);
        skip(o.windowSecs + 1);
        send("settle", abi.encodeCall(market.settle, (o)), 72_000);
        vm.assertLe(spent, 345_000, "an honest job: lock, claim and settle");
        vm.assertEq(market.purseOf(provider), 101 * DOLLAR, "an undisputed claim is not paid");
    }

    /// The data owner's purse is empty before: the dearest case.
    /// forge-config: default.isolate = true
    function test_a_job_that_pays_a_data_owner() public {
        Order memory o = disputable();
        (o.dataOwner, o.dataFee) = (dataOwner, DOLLAR);
        bytes memory signature = sign(o);
        send("lock (data fee)", abi.encodeCall(market.lock, (o, signature, 0, NEVER)), 130_000);
        mine();
        Claim memory c = claimOf(o);
        send("claim (data fee)", abi.encodeCall(market.claim, (o, c)), 150_000);
        skip(o.windowSecs + 1);
        send("settle (data fee)", abi.encodeCall(market.settle, (o)), 95_000);
        vm.assertEq(market.purseOf(dataOwner), DOLLAR, "the data owner is not paid");
    }

    /// forge-config: default.isolate = true
    function test_a_sealed_job() public {
        Order memory o = disputable();
        (o.beginSecs, o.lapseFee) = (10 minutes, 5 * DOLLAR);
        bytes memory signature = sign(o);
        send("lock (sealed)", abi.encodeCall(market.lock, (o, signature, 0, NEVER)), 130_000);
        uint256 state = vm.snapshotState();
        send("begin", abi.encodeCall(market.begin, (o)), 50_000);
        vm.revertToState(state);
        skip(o.beginSecs + 1);
        send("expire (lapse)", abi.encodeCall(market.expire, (o)), 150_000);
    }

    /// forge-config: default.isolate = true
    function test_a_slash() public {
        Order memory o = order();
        skip(o.runSecs + 1);
        uint256 state = vm.snapshotState();
        send("expire (miss)", abi.encodeCall(market.expire, (o)), 150_000);
        send("lock (late)", rival, abi.encodeCall(market.lock, (o, "", 0, NEVER)), 100_000);
        vm.revertToState(state);
        warp(clock - o.runSecs);
        verifier.decide(claim(o), Verdict.Refuted, auditor);
        send("settle (refuted)", abi.encodeCall(market.settle, (o)), 170_000);
    }

    /// forge-config: default.isolate = true
    function test_an_output_chunk() public {
        Order memory o = order();
        claim(o);
        send("demand", requester, abi.encodeCall(market.demand, (o, CHUNK, 1, FEE_MAX)), 140_000);
        bytes32[17] memory proof = chunkProof(CHUNK);
        send("answer", abi.encodeCall(market.answer, (o, CHUNK, chunkData(), proof)), 280_000);
        (bytes memory leaf, bytes32[21] memory siblings) = firstLeaf();
        Order memory other = order();
        other.nonce = 9;
        lock(other);
        claim(other);
        send("measure", abi.encodeCall(market.measure, (other, leaf, siblings)), 110_000);
        send("demand (256 chunks)", requester, abi.encodeCall(market.demand, (other, 0, 256, FEE_MAX)), 520_000);
    }

    /// forge-config: default.isolate = true
    function test_purses() public {
        token.mint(requester, DOLLAR);
        vm.prank(requester);
        token.approve(address(market), DOLLAR);
        send("deposit", requester, abi.encodeCall(market.deposit, (requester, DOLLAR)), 80_000);
        send("withdraw", requester, abi.encodeCall(market.withdraw, (requester, DOLLAR)), 80_000);
    }
}
