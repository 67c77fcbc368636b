// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Market} from "../../src/Market.sol";
import {Stakes} from "../../src/Stakes.sol";
import {TestDollar} from "../../src/TestDollar.sol";
import {Verifiers} from "../../src/Verifiers.sol";
import {Claim, IMarket, Job, JobStatus, Order} from "../../src/interfaces/IMarket.sol";
import {Verdict} from "../../src/interfaces/IVerifier.sol";
import {Cpu, MachineFixture} from "./Machine.sol";
import {TestVerifier} from "./TestVerifier.sol";
import {Leaves, Trees} from "./Trees.sol";

/// @title A market with a verifier that says what it is told, and orders and claims that hold
/// @notice Claims are built from the specification with `sha256`, sharing no code with what checks
/// them.
abstract contract MarketFixture is MachineFixture {
    using Trees for Leaves;

    uint96 internal constant DOLLAR = 1e6;
    uint256 internal constant PURSE = 10_000 * DOLLAR;
    uint64 internal constant STEPS = 5 << 20;
    uint16 internal constant VERIFIER = 1;
    uint40 internal constant NEVER = type(uint40).max;
    /// @dev Where the output of the fixture's run has bytes.
    uint32 internal constant CHUNK = 0;
    /// @dev What the tests prepay for a chunk at most: they are about other things.
    uint96 internal constant FEE_MAX = type(uint96).max;

    TestDollar internal token;
    Verifiers internal verifiers;
    TestVerifier internal verifier;
    Market internal market;
    Stakes internal stakes;

    /// @dev The length that the output's header says; zero for an output that is no blob, and may
    /// have all chunks.
    uint64 internal outputLength;

    /// @dev Time and height as the tests set them: the optimiser reads TIMESTAMP and NUMBER once in
    /// a function and would miss a change.
    uint256 internal clock;
    uint256 internal height;

    /// @dev What chunk fees are made for, in wei.
    uint256 internal constant BASE_FEE = 10 gwei;

    address internal governance = named("governance");
    address internal guardian = named("guardian");
    address internal requester;
    uint256 internal requesterKey;
    address internal provider = named("provider");
    address internal rival = named("rival");
    address internal beneficiary = named("beneficiary");
    address internal auditor = named("auditor");
    address internal stranger = named("stranger");
    address internal dataOwner = named("dataOwner");

    function setUp() public virtual {
        warp(1_800_000_000);
        roll(1_000);
        (requester, requesterKey) = account("requester");
        token = new TestDollar();
        verifiers = new Verifiers(governance, guardian);
        market = new Market(token, verifiers, governance, BASE_FEE);
        stakes = Stakes(address(market.STAKES()));
        verifier = new TestVerifier();
        vm.startPrank(governance);
        verifiers.propose(address(verifier));
        verifiers.startCanary(VERIFIER, 0);
        verifiers.activate(VERIFIER);
        vm.stopPrank();
        fill(requester, PURSE);
        fill(beneficiary, PURSE);
        bond(provider, uint96(PURSE));
        bond(rival, uint96(PURSE));
    }

    function fill(address who, uint256 amount) internal {
        token.mint(address(this), amount);
        token.approve(address(market), amount);
        market.deposit(who, amount);
    }

    function bond(address who, uint96 amount) internal {
        token.mint(address(this), amount);
        token.approve(address(stakes), amount);
        stakes.deposit(who, amount);
    }

    // --- orders ----------------------------------------------------------------------------------

    function order() internal view returns (Order memory o) {
        o.requester = requester;
        o.beneficiary = beneficiary;
        o.programId = sha256(program());
        o.inputRoot = sha256("input");
        o.datasetRoot = zeros[21];
        o.nonce = 7;
        o.stepLimit = 1 << 30;
        o.verifierId = VERIFIER;
        o.price.rampStartAt = 1_800_000_000;
        o.price.rampSecs = 100;
        o.lockDeadline = 1_800_000_000 + 1 hours;
        o.runSecs = 1 hours;
        o.windowSecs = 1 days;
        o.price.min = 100 * DOLLAR;
        o.price.max = 200 * DOLLAR;
        o.price.base = 50 * DOLLAR;
        o.price.mebistep = 10 * DOLLAR;
        o.stake = 500 * DOLLAR;
        o.chunkFee = 1 * DOLLAR;
        o.compensationBps = 4_000;
        o.bountyBps = 3_000;
    }

    function sealedOrder() internal view returns (Order memory o) {
        o = order();
        o.beginSecs = 10 minutes;
        o.lapseFee = 5 * DOLLAR;
    }

    function sign(Order memory o) internal view returns (bytes memory) {
        return signBy(requesterKey, market.jobIdOf(o));
    }

    function signBy(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function lock(Order memory o) internal returns (bytes32 jobId) {
        return lockBy(provider, o);
    }

    /// Signs first: a prank holds for one call only.
    function lockBy(address who, Order memory o) internal returns (bytes32 jobId) {
        bytes memory signature = sign(o);
        vm.prank(who);
        return market.lock(o, signature, 0, NEVER);
    }

    function expectRefused(Order memory o, bytes memory signature, bytes memory why) internal {
        vm.prank(provider);
        vm.expectRevert(why);
        market.lock(o, signature, 0, NEVER);
    }

    // --- claims ----------------------------------------------------------------------------------

    function program() internal pure returns (bytes memory) {
        return abi.encodePacked(
            "assayp\x01\x01", sha256("slot 0"), uint32(0x1_0000 + 4096), uint32(0x1_1000), uint32(0x1_3000)
        );
    }

    /// The chunk of the output that has bytes; all others are zero.
    function chunkData() internal view returns (bytes memory data) {
        data = new bytes(4096);
        for (uint256 i = 0; i < 4096; ++i) {
            data[i] = bytes1(uint8(i * 7 + i / 256));
        }
        for (uint256 i = 0; i < 8 && outputLength != 0; ++i) {
            data[i] = bytes1(uint8(outputLength >> (8 * i)));
        }
    }

    function chunkOf(uint32 chunk) internal view returns (bytes memory) {
        return chunk == CHUNK ? chunkData() : new bytes(4096);
    }

    /// The output's first leaf, and its proof.
    function firstLeaf() internal view returns (bytes memory leaf, bytes32[21] memory proof) {
        bytes memory data = chunkData();
        bytes32[16] memory nodes;
        for (uint256 i = 0; i < 16; ++i) {
            bytes memory one = new bytes(256);
            for (uint256 k = 0; k < 256; ++k) {
                one[k] = data[i * 256 + k];
            }
            if (i == 0) leaf = one;
            nodes[i] = sha256(one);
        }
        for (uint256 height_ = 0; height_ < 4; ++height_) {
            proof[height_] = nodes[1];
            for (uint256 i = 0; i < 8 >> height_; ++i) {
                nodes[i] = sha256(abi.encode(nodes[2 * i], nodes[2 * i + 1]));
            }
        }
        for (uint256 k = 0; k < 17; ++k) {
            proof[4 + k] = zeros[4 + k];
        }
    }

    function measure(Order memory o) internal {
        (bytes memory leaf, bytes32[21] memory proof) = firstLeaf();
        market.measure(o, leaf, proof);
    }

    function chunkRoot(bytes memory data) internal pure returns (bytes32) {
        bytes32[16] memory nodes;
        for (uint256 i = 0; i < 16; ++i) {
            bytes memory leaf = new bytes(256);
            for (uint256 k = 0; k < 256; ++k) {
                leaf[k] = data[i * 256 + k];
            }
            nodes[i] = sha256(leaf);
        }
        for (uint256 width = 8; width > 0; width /= 2) {
            for (uint256 i = 0; i < width; ++i) {
                nodes[i] = sha256(abi.encode(nodes[2 * i], nodes[2 * i + 1]));
            }
        }
        return nodes[0];
    }

    /// The proof of a chunk in a slot where only `CHUNK` has bytes.
    function chunkProof(uint32 chunk) internal view returns (bytes32[17] memory proof) {
        bytes32 node = chunkRoot(chunkData());
        uint32 at_ = CHUNK;
        for (uint256 k = 0; k < 17; ++k) {
            bool siblingHasBytes = (chunk >> k) ^ 1 == at_;
            proof[k] = siblingHasBytes ? node : zeros[4 + k];
            node = at_ & 1 == 0 ? sha256(abi.encode(node, zeros[4 + k])) : sha256(abi.encode(zeros[4 + k], node));
            at_ >>= 1;
        }
    }

    function outputRoot() internal view returns (bytes32 node) {
        node = chunkRoot(chunkData());
        for (uint256 k = 0; k < 17; ++k) {
            node =
                (CHUNK >> k) & 1 == 0 ? sha256(abi.encode(node, zeros[4 + k])) : sha256(abi.encode(zeros[4 + k], node));
        }
    }

    function exited(Order memory o) internal pure returns (Cpu memory cpu) {
        cpu.status = 1;
        cpu.exitCode = 42;
        cpu.step = STEPS;
        cpu.limit = o.stepLimit;
        cpu.textLo = 0x1_1000;
        cpu.textHi = 0x1_3000;
    }

    function initialState(Order memory o) internal view returns (bytes32) {
        bytes32 low = sha256(
            abi.encode(sha256(abi.encode(sha256("slot 0"), zeros[21])), sha256(abi.encode(o.inputRoot, o.datasetRoot)))
        );
        Cpu memory cpu;
        cpu.pc = 0x1_0000 + 4096;
        cpu.limit = o.stepLimit;
        cpu.textLo = 0x1_1000;
        cpu.textHi = 0x1_3000;
        return sha256(preimage(cpu, sha256(abi.encode(low, zeros[23]))));
    }

    function claimOf(Order memory o) internal view returns (Claim memory) {
        return claimEnding(exited(o));
    }

    /// An honest claim of a run of one top leaf that ended so.
    function claimEnding(Cpu memory end) internal view returns (Claim memory c) {
        bytes32 low = sha256("slots 0 to 3 after the run");
        c.program = program();
        c.outputRoot = outputRoot();
        c.outputProof = [zeros[21], zeros[22], low];
        bytes32 high = sha256(abi.encode(sha256(abi.encode(c.outputRoot, zeros[21])), zeros[22]));
        c.finalState = preimage(end, sha256(abi.encode(low, high)));
        Leaves memory trace = Trees.constant_(sha256(c.finalState));
        c.traceRoot = trace.root();
        c.traceProof = trace.proof(32_767);
        c.blockNumber = uint64(height - 1);
        c.blockHash = blockhash(c.blockNumber);
    }

    function mine() internal {
        roll(height + 1);
    }

    function roll(uint256 number) internal {
        height = number;
        vm.roll(number);
    }

    function claim(Order memory o) internal returns (bytes32 jobId) {
        return claimBy(provider, o);
    }

    function claimBy(address who, Order memory o) internal returns (bytes32 jobId) {
        mine();
        Claim memory c = claimOf(o);
        vm.prank(who);
        market.claim(o, c);
        return market.jobIdOf(o);
    }

    function expectClaimRefused(Order memory o, Claim memory c, bytes memory why) internal {
        vm.prank(provider);
        vm.expectRevert(why);
        market.claim(o, c);
    }

    /// Locked, claimed, upheld, and the window over.
    function finished(Order memory o) internal returns (bytes32 jobId) {
        lock(o);
        jobId = claim(o);
        verifier.decide(jobId, Verdict.Upheld, address(0));
        skip(o.windowSecs + 1);
    }

    function skip(uint256 secs) internal {
        warp(clock + secs);
    }

    function warp(uint256 time) internal {
        clock = time;
        vm.warp(time);
    }

    // --- what must hold --------------------------------------------------------------------------

    function assertStatus(bytes32 jobId, JobStatus wanted, string memory message) internal view {
        vm.assertEq(uint256(market.jobOf(jobId).status), uint256(wanted), message);
    }

    /// All the money that the market holds is somebody's: purses of everyone in the cast, `escrow`,
    /// and the pool.
    function assertBalanced(uint256 escrow) internal view {
        uint256 purses = market.purseOf(requester) + market.purseOf(provider) + market.purseOf(rival)
            + market.purseOf(beneficiary) + market.purseOf(auditor) + market.purseOf(stranger)
            + market.purseOf(dataOwner);
        vm.assertEq(
            token.balanceOf(address(market)),
            purses + escrow + market.coverPool(),
            "the market holds other money than it has booked"
        );
        uint256 staked = uint256(stakes.freeOf(provider)) + stakes.reservedOf(provider) + stakes.freeOf(rival)
            + stakes.reservedOf(rival);
        vm.assertEq(token.balanceOf(address(stakes)), staked, "the stakes hold other money than they have booked");
    }

    function wrongStatus(bytes32 jobId, JobStatus status) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IMarket.JobStatusWrong.selector, jobId, status);
    }
}
