// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Claim, Demand, IMarket, Job, JobStatus, Order} from "../../src/interfaces/IMarket.sol";
import {Verdict} from "../../src/interfaces/IVerifier.sol";
import {MarketFixture} from "../support/MarketFixture.sol";

/// @title A market in motion: random people do random things, and a ledger beside it says what must
/// be true
/// @notice Calls that should not revert are made plainly, so that a revert fails the run. What is
/// random is chosen so that most calls do something.
contract MarketHandler is MarketFixture {
    uint256 private constant JOBS_MAX = 64;

    address[] public cast;
    Order[] private orders;
    /// @dev How often each call did something, so that a run which did nothing is seen.
    mapping(string call => uint256) public did;

    constructor() {
        setUp();
        cast = [requester, provider, rival, beneficiary, auditor, stranger, dataOwner];
    }

    /// @dev Forge may start a call at the time that the run began with.
    modifier timely() {
        vm.warp(clock);
        vm.roll(height);
        _;
    }

    // --- moves -----------------------------------------------------------------------------------

    function lockNew(uint256 seed) external timely {
        if (orders.length == JOBS_MAX) return;
        Order memory o = random(seed);
        address who = seed & 1 == 0 ? provider : rival;
        uint96 price = market.priceAt(o, uint40(clock));
        if (market.purseOf(requester) < uint256(price) + o.dataFee || stakes.freeOf(who) < o.stake) return;
        orders.push(o);
        lockBy(who, o);
        ++did["lock"];
    }

    function beginOne(uint256 seed) external timely {
        (bool some, Order memory o, Job memory job) = find(seed, JobStatus.AwaitingBegin);
        if (!some || clock > job.deadline) return;
        vm.prank(job.provider);
        market.begin(o);
        ++did["begin"];
    }

    function claimOne(uint256 seed) external timely {
        (bool some, Order memory o, Job memory job) = find(seed, JobStatus.AwaitingClaim);
        if (!some || clock > job.deadline) return;
        bytes32 jobId = claimBy(job.provider, o);
        if (seed & 3 != 0) verifier.decide(jobId, seed & 3 != 1 ? Verdict.Upheld : Verdict.Refuted, informer(seed));
        if (seed & 16 != 0) verifier.owe(jobId, (seed >> 24) % (300 * DOLLAR));
        if (seed & 96 == 0) verifier.challenge(jobId, true);
        measure(o);
        ++did["claim"];
    }

    function settleOne(uint256 seed) external timely {
        (bool some, Order memory o, Job memory job, Verdict verdict) = findRipe(seed);
        if (!some) return;
        uint256 before = market.purseOf(o.dataOwner);
        market.settle(o);
        bool earns = verdict == Verdict.Upheld && !job.late && o.dataFee != 0;
        bool party = o.dataOwner == o.requester || o.dataOwner == job.provider || verdict == Verdict.Refuted;
        if (!party) vm.assertEq(market.purseOf(o.dataOwner) - before, earns ? o.dataFee : 0, "a data owner's fee");
        if (earns) ++did["data fee"];
        ++did["settle"];
    }

    function expireOne(uint256 seed) external timely {
        JobStatus[4] memory statuses =
            [JobStatus.AwaitingBegin, JobStatus.AwaitingClaim, JobStatus.AwaitingLate, JobStatus.AwaitingVerdict];
        JobStatus status = statuses[seed % 4];
        (bool some, Order memory o, Job memory job) = find(seed >> 2, status);
        uint256 grace = status == JobStatus.AwaitingVerdict ? 90 days : 0;
        if (!some || clock <= job.deadline + grace) return;
        bytes32 jobId = market.jobIdOf(o);
        (Verdict verdict,) = verifier.verdictOf(jobId);
        bool waits = verdict != Verdict.Pending || verifier.contested(jobId);
        if (status == JobStatus.AwaitingVerdict && waits) return verifier.challenge(jobId, false);
        market.expire(o);
        ++did["expire"];
    }

    function lockLate(uint256 seed) external timely {
        (bool some, Order memory o, Job memory job) = find(seed, JobStatus.AwaitingLate);
        address who = seed & 1 == 0 ? provider : rival;
        if (!some || clock > job.deadline || stakes.freeOf(who) < o.stake) return;
        vm.prank(who);
        market.lock(o, "", 0, NEVER);
        ++did["late lock"];
    }

    function demandSome(uint256 seed) external timely {
        (bool some, Order memory o, Job memory job) = find(seed, JobStatus.AwaitingVerdict);
        if (!some || clock > job.deadline) return;
        uint32 first = uint32(seed % 5);
        uint32 count = 1 + uint32(seed >> 8) % (5 - first);
        Demand memory group = market.demandOf(market.jobIdOf(o), first);
        bool again = group.missing != 0 || group.demanded & (((1 << count) - 1) << first) != 0;
        uint256 fee = market.chunkFeeAt(o);
        if (again || market.purseOf(beneficiary) < fee * count) return;
        vm.prank(beneficiary);
        market.demand(o, first, count, uint96(fee));
        ++did["demand"];
    }

    function answerOne(uint256 seed) external timely {
        (bool some, Order memory o,) = find(seed, JobStatus.AwaitingAnswer);
        if (!some) return;
        bytes32 jobId = market.jobIdOf(o);
        for (uint32 chunk = 0; chunk < 5; ++chunk) {
            if (market.demandOf(jobId, chunk).missing & (1 << chunk) == 0) continue;
            if (clock <= market.demandOf(jobId, chunk).answerBy) {
                if (uint256(jobId) & 3 == 0) return; // every fourth provider stays silent
                bytes32[17] memory proof = chunkProof(chunk);
                vm.fee((seed >> 8) % (3 * BASE_FEE)); // gas has become dearer or cheaper since
                market.answer(o, chunk, chunkOf(chunk), proof);
                vm.fee(0);
                ++did["answer"];
            } else {
                market.claimSilence(o, chunk);
                ++did["silence"];
            }
            return;
        }
    }

    function reclaimOne(uint256 seed) external timely {
        for (uint256 i = 0; i < orders.length; ++i) {
            Order memory o = orders[(i + seed % orders.length) % orders.length];
            bytes32 jobId = market.jobIdOf(o);
            if (market.jobOf(jobId).status != JobStatus.Silent) continue;
            (Verdict verdict,) = verifier.verdictOf(jobId);
            if (market.jobOf(jobId).price == 0) continue;
            if (verdict == Verdict.Pending) {
                verifier.decide(jobId, seed & 1 == 0 ? Verdict.Upheld : Verdict.Refuted, auditor);
            }
            market.settle(o);
            ++did["reclaim"];
            return;
        }
    }

    function wait(uint256 seed) external timely {
        mine();
        // Mostly shorter than a run, so that claims come in time; now and then past a window, or
        // past everything.
        uint256 kind = seed % 32;
        skip(kind == 0 ? 100 days : kind < 6 ? (seed >> 8) % 3 days : (seed >> 8) % 15 minutes);
    }

    function takeOut(uint256 seed) external timely {
        address who = cast[seed % cast.length];
        uint256 amount = (seed >> 8) % (market.purseOf(who) / 4 + 1);
        vm.prank(who);
        market.withdraw(who, amount);
        uint96 part = uint96(stakes.freeOf(who) / 8);
        vm.prank(who);
        stakes.unbond(part);
        ++did["withdraw"];
    }

    function pause(bool paused) external timely {
        if (paused == market.paused()) return;
        vm.prank(governance);
        paused ? market.pauseOrders() : market.unpauseOrders();
        if (!paused) return;
        // Only the pause itself is of interest: locks go on in the next call.
        vm.prank(governance);
        market.unpauseOrders();
    }

    // --- the ledger beside it --------------------------------------------------------------------

    /// What jobs hold: escrow of open jobs, the data fees of those that nobody has missed, and fees
    /// of open demands.
    function held() public view returns (uint256 sum) {
        for (uint256 i = 0; i < orders.length; ++i) {
            bytes32 jobId = market.jobIdOf(orders[i]);
            Job memory job = market.jobOf(jobId);
            if (isOpen(job.status)) sum += job.price + dataFeeHeld(orders[i], job);
            if (job.status == JobStatus.Silent) sum += job.price;
            Demand memory group = market.demandOf(jobId, 0);
            for (; group.missing != 0; group.missing &= group.missing - 1) {
                sum += group.fee;
            }
        }
    }

    /// The data fee leaves with the first end, be it the miss that lets another deliver late.
    function dataFeeHeld(Order memory o, Job memory job) private pure returns (uint256) {
        return job.late || job.status == JobStatus.AwaitingLate ? 0 : o.dataFee;
    }

    function reservedFor(address who) public view returns (uint256 sum) {
        for (uint256 i = 0; i < orders.length; ++i) {
            Job memory job = market.jobOf(market.jobIdOf(orders[i]));
            if (isOpen(job.status) && job.status != JobStatus.AwaitingLate && job.provider == who) sum += job.stake;
        }
    }

    function purses() public view returns (uint256 sum) {
        for (uint256 i = 0; i < cast.length; ++i) {
            sum += market.purseOf(cast[i]);
        }
        sum += market.purseOf(address(verifier));
    }

    function staked() public view returns (uint256 sum) {
        for (uint256 i = 0; i < cast.length; ++i) {
            (uint96 unbonding,) = stakes.unbondingOf(cast[i]);
            sum += uint256(stakes.freeOf(cast[i])) + stakes.reservedOf(cast[i]) + unbonding;
        }
    }

    /// Everything the cast has anywhere: it started with four purses, and may only have lost.
    function wealth() public view returns (uint256 sum) {
        sum = purses() + staked() + held();
        for (uint256 i = 0; i < cast.length; ++i) {
            sum += token.balanceOf(cast[i]);
        }
    }

    function castSize() external view returns (uint256) {
        return cast.length;
    }

    function addresses() external view returns (address, address, address) {
        return (address(token), address(market), address(stakes));
    }

    // --- choices ---------------------------------------------------------------------------------

    function random(uint256 seed) private view returns (Order memory o) {
        o = seed & 2 == 0 ? order() : sealedOrder();
        o.nonce = 1_000 + orders.length;
        o.price.rampStartAt = uint40(clock - (seed >> 8) % 150);
        o.lockDeadline = NEVER;
        o.stake = uint96(100 * DOLLAR + (seed >> 16) % (400 * DOLLAR));
        o.chunkFee = uint96((seed >> 64) % (2 * DOLLAR));
        o.bountyBps = uint16(500 + (seed >> 128) % 3_501);
        // Whoever owns the data, a party of the job or nobody; now and then for nothing.
        if ((seed >> 176) & 3 != 0) o.dataOwner = cast[(seed >> 184) % cast.length];
        if (o.dataOwner != address(0) && (seed >> 180) & 3 != 0) o.dataFee = uint96((seed >> 192) % (50 * DOLLAR));
        o.compensationBps = uint16(1_000 + (seed >> 160) % (8_001 - o.bountyBps));
    }

    function informer(uint256 seed) private view returns (address) {
        return seed & 4 == 0 ? address(0) : cast[(seed >> 8) % cast.length];
    }

    function find(uint256 seed, JobStatus status) private view returns (bool, Order memory o, Job memory job) {
        for (uint256 i = 0; i < orders.length; ++i) {
            o = orders[(i + seed % orders.length) % orders.length];
            job = market.jobOf(market.jobIdOf(o));
            if (job.status == status) return (true, o, job);
        }
        return (false, o, job);
    }

    /// A claim that settles now: refuted, or upheld and its window over.
    function findRipe(uint256 seed) private view returns (bool, Order memory o, Job memory job, Verdict verdict) {
        for (uint256 i = 0; i < orders.length; ++i) {
            o = orders[(i + seed % orders.length) % orders.length];
            bytes32 jobId = market.jobIdOf(o);
            job = market.jobOf(jobId);
            (verdict,) = verifier.verdictOf(jobId);
            bool decided = verdict == Verdict.Refuted || (verdict == Verdict.Upheld && clock > job.deadline);
            if (job.status == JobStatus.AwaitingVerdict && decided) return (true, o, job, verdict);
        }
        return (false, o, job, verdict);
    }

    function isOpen(JobStatus status) private pure returns (bool) {
        return status >= JobStatus.AwaitingBegin && status <= JobStatus.AwaitingLate;
    }
}
