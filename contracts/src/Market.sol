// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Claim, Demand, IMarket, Job, JobStatus, Order} from "./interfaces/IMarket.sol";
import {IVerifier, ClaimFacts, Verdict} from "./interfaces/IVerifier.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {IVerifiers} from "./interfaces/IVerifiers.sol";
import {BlockHashes} from "./libraries/BlockHashes.sol";
import {Chunks} from "./libraries/Chunks.sol";
import {Limits} from "./libraries/Limits.sol";
import {FinalState, MachineState} from "./libraries/MachineState.sol";
import {Meter} from "./libraries/Meter.sol";
import {Orders} from "./libraries/Orders.sol";
import {Payments} from "./libraries/Payments.sol";
import {Ramp} from "./libraries/Ramp.sol";
import {Split} from "./libraries/Split.sol";
import {Trace} from "./libraries/Trace.sol";
import {Verdicts} from "./libraries/Verdicts.sol";
import {Stakes} from "./Stakes.sol";

/// @title The market: orders, escrow, locks, claims and settlement
/// @dev Immutable: the owner, meant to be a timelock, can pause new locks and move the cover pool,
/// and nothing else. The token is called only by deposits, withdrawals, slashes and `moveCover`;
/// paying a job is arithmetic on purses.
contract Market is IMarket, EIP712, Ownable2Step, Pausable, ReentrancyGuardTransient {
    using BitMaps for BitMaps.BitMap;
    using Orders for Order;
    using Payments for IERC20;

    /// @dev One slot: the demands of a job.
    struct Demands {
        uint32 open;
        uint40 answerByLast;
        uint32 chunks; // of the output; 0: not known
    }

    IERC20 public immutable TOKEN;
    IStakes public immutable STAKES;
    IVerifiers public immutable VERIFIERS;
    uint256 public immutable BASE_FEE_REFERENCE;

    /// @inheritdoc IMarket
    uint256 public coverPool;

    /// @inheritdoc IMarket
    mapping(address account => uint256) public purseOf;

    /// @inheritdoc IMarket
    mapping(uint16 verifierId => uint256) public exposureOf;

    /// @inheritdoc IMarket
    mapping(bytes32 jobId => uint256) public challengeCostsOf;

    mapping(address requester => BitMaps.BitMap) private nonces;
    // Written through storage references, which slither does not follow.
    // slither-disable-next-line uninitialized-state
    mapping(bytes32 jobId => Job) private jobs;
    mapping(bytes32 jobId => Demands) private demands;
    mapping(bytes32 jobId => mapping(uint32 group => Demand)) private demandAt;

    constructor(IERC20 token, IVerifiers verifiers, address governance, uint256 baseFeeReference)
        EIP712("Assay Market", "1")
        Ownable(governance)
    {
        TOKEN = token;
        VERIFIERS = verifiers;
        BASE_FEE_REFERENCE = baseFeeReference;
        STAKES = new Stakes(token);
    }

    // --- purses ----------------------------------------------------------------------------------

    /// @inheritdoc IMarket
    function deposit(address account, uint256 amount) external nonReentrant {
        _deposit(account, amount);
    }

    /// @inheritdoc IMarket
    function depositWithPermit(uint256 amount, uint256 permitDeadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        TOKEN.permitQuietly(amount, permitDeadline, v, r, s);
        _deposit(msg.sender, amount);
    }

    /// @inheritdoc IMarket
    function withdraw(address to, uint256 amount) external nonReentrant {
        _debit(msg.sender, amount);
        emit PurseWithdrawn(msg.sender, to, amount);
        TOKEN.pay(to, amount);
    }

    // --- orders ----------------------------------------------------------------------------------

    /// @inheritdoc IMarket
    function cancel(uint256 word, uint256 mask) external {
        nonces[msg.sender]._data[word] |= mask;
        emit NoncesCancelled(msg.sender, word, mask);
    }

    /// @inheritdoc IMarket
    function lock(Order calldata order, bytes calldata signature, uint96 priceAccepted, uint40 validUntil)
        external
        whenNotPaused
        returns (bytes32 jobId)
    {
        // INVARIANT: a lock that the network held back cannot bind a provider that has moved on.
        if (block.timestamp > validUntil) revert LockExpired(validUntil);
        if (order.provider != address(0) && order.provider != msg.sender) revert ProviderNotNamed(order.provider);
        bool counted = _admit(order);
        jobId = jobIdOf(order);
        Job storage job = jobs[jobId];
        bool late = job.status == JobStatus.AwaitingLate;
        uint96 price = late ? _bountyOf(job) : _takePrice(order, jobId, signature);
        if (price < priceAccepted) revert PriceBelowAccepted(price, priceAccepted);

        bool waits = order.isSealed();
        uint40 deadline = uint40(block.timestamp + (waits ? order.beginSecs : order.runSecs));
        job.provider = msg.sender;
        job.status = waits ? JobStatus.AwaitingBegin : JobStatus.AwaitingClaim;
        job.late = late;
        job.counted = counted;
        job.deadline = deadline;
        job.lockBlock = uint40(block.number);
        job.price = price;
        job.stake = order.stake;
        order.logLock(jobId, price, deadline, late);
        STAKES.reserve(msg.sender, order.stake);
    }

    /// @inheritdoc IMarket
    function begin(Order calldata order) external {
        (bytes32 jobId, Job storage job) = _jobIn(order, JobStatus.AwaitingBegin);
        if (msg.sender != job.provider) revert NotLockHolder(msg.sender);
        _requireNotPassed(job.deadline);
        uint40 deadline = uint40(block.timestamp + order.runSecs);
        job.status = JobStatus.AwaitingClaim;
        job.deadline = deadline;
        emit JobBegun(jobId, deadline);
    }

    /// @inheritdoc IMarket
    function claim(Order calldata order, Claim calldata claimed) external nonReentrant {
        (bytes32 jobId, Job storage job) = _jobIn(order, JobStatus.AwaitingClaim);
        if (msg.sender != job.provider) revert NotLockHolder(msg.sender);
        _requireNotPassed(job.deadline);
        _requireBlock(claimed, job.lockBlock);

        bytes32 programId = MachineState.programId(claimed.program);
        if (programId != order.programId) revert ProgramMismatch(programId, order.programId);
        FinalState memory end =
            MachineState.checkFinal(claimed.finalState, order.stepLimit, claimed.outputRoot, claimed.outputProof);
        // INVARIANT: the trace that can be disputed ends in the state that is paid for.
        if (!Trace.endsIn(claimed.traceRoot, end.stateHash, claimed.traceProof)) revert TraceNotFinal();

        job.status = JobStatus.AwaitingVerdict;
        job.deadline = uint40(block.timestamp + order.windowSecs);
        job.steps = uint48(end.steps);
        job.outputRoot = end.outputRoot;
        emit JobClaimed(
            jobId, msg.sender, end.stateHash, end.outputRoot, claimed.traceRoot, end.steps, end.status, end.exitCode
        );
        uint256 windowSecs = IVerifier(VERIFIERS.verifierOf(order.verifierId))
            .open(
                jobId,
                ClaimFacts({
                claimant: msg.sender,
                initialState: MachineState.initialHash(
                    claimed.program, order.inputRoot, order.datasetRoot, order.stepLimit
                ),
                finalState: end.stateHash,
                traceRoot: claimed.traceRoot,
                stepLimit: order.stepLimit,
                windowSecs: order.windowSecs,
                runSecs: order.runSecs,
                steps: end.steps,
                stake: job.stake
            }),
                claimed.evidence
            );
        if (windowSecs > order.windowSecs) {
            // INVARIANT: no verifier keeps a stake for longer than an order could have asked for.
            if (windowSecs > Limits.WINDOW_SECS_MAX) windowSecs = Limits.WINDOW_SECS_MAX;
            job.deadline = uint40(block.timestamp + windowSecs);
        }
    }

    // --- ends ------------------------------------------------------------------------------------

    /// @inheritdoc IMarket
    function settle(Order calldata order) external nonReentrant {
        (bytes32 jobId, Job storage job) = _jobIn(order, JobStatus.AwaitingVerdict, JobStatus.Silent);
        (address verifier, bool halted) = VERIFIERS.judgeOf(order.verifierId);
        (Verdict verdict, address informer) = Verdicts.verdictOf(verifier, jobId);
        if (job.status == JobStatus.Silent) return _releaseBounty(jobId, job, verifier, verdict, informer);
        if (verdict == Verdict.Pending) revert VerdictPending(jobId);
        if (verdict == Verdict.Refuted) return _slash(order, jobId, job, JobStatus.Refuted, verifier, informer);
        if (halted) revert VerifierHalted(order.verifierId);
        // INVARIANT: however fast the verifier, output can be demanded for the whole window before
        // the stake is free.
        _requirePassed(job.deadline);
        _pay(order, jobId, job);
    }

    /// @inheritdoc IMarket
    function expire(Order calldata order) external nonReentrant {
        bytes32 jobId = jobIdOf(order);
        Job storage job = jobs[jobId];
        JobStatus status = job.status;
        _requirePassed(job.deadline);
        if (status == JobStatus.AwaitingLate) return _forfeit(jobId, job);
        (address verifier, bool halted) = VERIFIERS.judgeOf(order.verifierId);
        if (status == JobStatus.AwaitingVerdict) {
            _requireUndecided(jobId, job, verifier, halted);
            return _unwind(order, jobId, job);
        }
        if (status != JobStatus.AwaitingBegin && status != JobStatus.AwaitingClaim) {
            revert JobStatusWrong(jobId, status);
        }
        // INVARIANT: nobody is blamed for a claim that a broken verifier may have refused.
        if (halted) return _unwind(order, jobId, job);
        if (status == JobStatus.AwaitingBegin) return _lapse(order, jobId, job);
        // A sealed job's keys went to one provider, so nobody else can deliver it late; nor is
        // there a third chance.
        bool lateOpen = !order.isSealed() && !job.late;
        JobStatus next = lateOpen ? JobStatus.AwaitingLate : JobStatus.Missed;
        _slash(order, jobId, job, next, address(0), address(0));
    }

    // --- output chunks ---------------------------------------------------------------------------

    /// @inheritdoc IMarket
    function demand(Order calldata order, uint32 first, uint32 count, uint96 feeMax) external {
        (bytes32 jobId, Job storage job) = _jobIn(order, JobStatus.AwaitingVerdict, JobStatus.AwaitingAnswer);
        if (msg.sender != order.requester && msg.sender != order.beneficiary) revert NotDemander(msg.sender);
        _requireNotPassed(job.deadline);
        Demands memory all = demands[jobId];
        // The first chunk says how many there are; before it was shown it is the only one that is
        // surely there.
        uint32 chunks = all.chunks == 0 ? 1 : all.chunks;
        if (first >= chunks || count > chunks - first) {
            revert ChunkOutOfRange(first < chunks ? chunks : first, chunks);
        }
        // INVARIANT: what is open can be answered by the last deadline, which bounds how long
        // demands hold up settlement.
        if (count == 0 || all.open + count > Limits.CHUNKS_OPEN_MAX) revert TooManyChunks(all.open + count);
        uint256 fee = chunkFeeAt(order);
        if (fee > feeMax) revert ChunkFeeAboveMax(fee, feeMax);
        _debit(msg.sender, fee * count);

        uint40 answerBy = uint40(block.timestamp + Limits.ANSWER_SECS);
        uint40 spaced = all.answerByLast + count * Limits.ANSWER_SPACING_SECS;
        if (spaced > answerBy) answerBy = spaced;
        (all.open, all.answerByLast) = (all.open + count, answerBy);
        demands[jobId] = all;
        job.status = JobStatus.AwaitingAnswer;
        emit ChunkRequested(jobId, first, count, msg.sender, uint96(fee), answerBy);
        uint32 end = first + count;
        while (first < end) {
            uint32 next = (first / Chunks.GROUP + 1) * Chunks.GROUP;
            if (next > end) next = end;
            _demandGroup(jobId, first, next - first, uint96(fee), answerBy);
            first = next;
        }
    }

    /// @dev Chunks of one group.
    function _demandGroup(bytes32 jobId, uint32 first, uint32 count, uint96 fee, uint40 answerBy) private {
        Demand storage group = demandAt[jobId][first / Chunks.GROUP];
        uint32 mask = uint32(((1 << uint256(count)) - 1) << (first % Chunks.GROUP));
        // INVARIANT: a chunk is demanded once, and a group's demand ends before its next begins.
        if (group.missing != 0 || group.demanded & mask != 0) revert ChunkDemanded(first);
        (group.demander, group.answerBy, group.missing) = (msg.sender, answerBy, mask);
        (group.fee, group.demanded) = (fee, group.demanded | mask);
    }

    /// @inheritdoc IMarket
    function measure(Order calldata order, bytes calldata leaf, bytes32[21] calldata proof) external {
        (bytes32 jobId, Job storage job) = _jobIn(order, JobStatus.AwaitingVerdict, JobStatus.AwaitingAnswer);
        if (demands[jobId].chunks != 0) revert LengthKnown(demands[jobId].chunks);
        _measured(jobId, job, Chunks.countOf(job.outputRoot, leaf, proof));
    }

    /// @inheritdoc IMarket
    function answer(Order calldata order, uint32 chunk, bytes calldata data, bytes32[17] calldata proof) external {
        (bytes32 jobId, Job storage job) = _jobIn(order, JobStatus.AwaitingAnswer);
        (Demand storage group, uint32 bit) = _openDemand(jobId, chunk);
        _requireNotPassed(group.answerBy);
        Chunks.check(job.outputRoot, chunk, data, proof);
        if (chunk == 0 && demands[jobId].chunks == 0) _measured(jobId, job, Chunks.countOf(data));
        group.missing ^= bit;
        uint32 open = demands[jobId].open - 1;
        demands[jobId].open = open;
        // INVARIANT: the job settles again once, and only once, no demand is open.
        if (open == 0) job.status = JobStatus.AwaitingVerdict;
        // INVARIANT: an answer earns what it is worth and no more, so withholding an output is no
        // business.
        uint96 prepaid = group.fee;
        uint256 worth = Chunks.feeAt(order.chunkFee, block.basefee, BASE_FEE_REFERENCE);
        uint96 paid = worth < prepaid ? uint96(worth) : prepaid;
        purseOf[job.provider] += paid;
        if (paid != prepaid) purseOf[group.demander] += prepaid - paid;
        emit ChunkAnswered(jobId, chunk, paid, prepaid - paid, data);
    }

    /// @inheritdoc IMarket
    function claimSilence(Order calldata order, uint32 chunk) external nonReentrant {
        (bytes32 jobId, Job storage job) = _jobIn(order, JobStatus.AwaitingAnswer, JobStatus.Silent);
        Demand storage group = demandAt[jobId][chunk / Chunks.GROUP];
        uint256 fees = uint256(group.fee) * Chunks.bits(group.missing);
        if (group.missing == 0) revert ChunkNotDemanded(chunk);
        group.missing = 0;
        purseOf[group.demander] += fees;
        emit ChunkFeeReturned(jobId, chunk, group.demander, uint96(fees));
        if (job.status == JobStatus.Silent) return;

        _requirePassed(group.answerBy);
        // A challenger who has won keeps the bounty, and one that may yet win has it kept; silence
        // itself earns none, or a liar would buy it back.
        Verdicts.requireGas();
        (address verifier,) = VERIFIERS.judgeOf(order.verifierId);
        (Verdict verdict, address informer) = Verdicts.verdictOf(verifier, jobId);
        if (verdict != Verdict.Refuted) informer = address(0);
        _slash(order, jobId, job, JobStatus.Silent, verifier, informer);
    }

    // --- governance ------------------------------------------------------------------------------

    /// @inheritdoc IMarket
    function pauseOrders() external onlyOwner {
        _pause();
    }

    /// @inheritdoc IMarket
    function unpauseOrders() external onlyOwner {
        _unpause();
    }

    /// @inheritdoc IMarket
    function moveCover(address to, uint256 amount) external onlyOwner nonReentrant {
        if (amount > coverPool) revert CoverShort(coverPool, amount);
        coverPool -= amount;
        emit CoverMoved(to, amount);
        TOKEN.pay(to, amount);
    }

    // --- views -----------------------------------------------------------------------------------

    /// @inheritdoc IMarket
    function jobOf(bytes32 jobId) external view returns (Job memory job) {
        return jobs[jobId];
    }

    /// @inheritdoc IMarket
    function demandOf(bytes32 jobId, uint32 chunk) external view returns (Demand memory demanded) {
        return demandAt[jobId][chunk / Chunks.GROUP];
    }

    /// @inheritdoc IMarket
    function outputOf(bytes32 jobId) external view returns (uint32 open, uint32 chunks) {
        return (demands[jobId].open, demands[jobId].chunks);
    }

    /// @inheritdoc IMarket
    function chunkFeeAt(Order calldata order) public view returns (uint256 fee) {
        return Limits.CHUNK_FEE_HEADROOM * Chunks.feeAt(order.chunkFee, block.basefee, BASE_FEE_REFERENCE);
    }

    /// @inheritdoc IMarket
    function nonceUsed(address requester, uint256 nonce) external view returns (bool used) {
        return nonces[requester].get(nonce);
    }

    /// @inheritdoc IMarket
    function jobIdOf(Order calldata order) public view returns (bytes32 jobId) {
        return _hashTypedDataV4(order.structHash());
    }

    /// @inheritdoc IMarket
    function priceAt(Order calldata order, uint40 time) public pure returns (uint96 price) {
        return Ramp.priceAt(order.price.min, order.price.max, order.price.rampStartAt, order.price.rampSecs, time);
    }

    // --- shared ----------------------------------------------------------------------------------

    /// @dev What a first lock needs: an order that stands, and its price and data fee out of the
    /// requester's purse.
    function _takePrice(Order calldata order, bytes32 jobId, bytes calldata signature) private returns (uint96 price) {
        order.check();
        if (block.timestamp > order.lockDeadline) revert OrderExpired(order.lockDeadline);
        if (!order.isSigned(jobId, signature)) revert SignatureInvalid(order.requester);
        // INVARIANT: a nonce makes at most one job, so an order is never fulfilled or paid twice.
        uint256 used = nonces[order.requester]._data[order.nonce >> 8];
        uint256 bit = 1 << (order.nonce & 0xff);
        if (used & bit != 0) revert NonceUsed(order.requester, order.nonce);
        nonces[order.requester]._data[order.nonce >> 8] = used | bit;
        price = priceAt(order, uint40(block.timestamp));
        // INVARIANT: price and fee leave the purse and the stake is reserved before anybody works.
        _debit(order.requester, uint256(price) + order.dataFee);
    }

    /// @dev What a late lock needs: the bounty of a missed job, still to be had.
    function _bountyOf(Job storage job) private view returns (uint96 bounty) {
        _requireNotPassed(job.deadline);
        return job.price;
    }

    /// @dev Checked at lock, so that nobody holds a lock that can't be claimed. Whether the job
    /// counts against a cap.
    function _admit(Order calldata order) private returns (bool counted) {
        (address verifier, uint256 cap) = VERIFIERS.admit(order.verifierId);
        counted = cap != type(uint256).max;
        if (counted) {
            uint256 exposure = exposureOf[order.verifierId] + order.value();
            // INVARIANT: what is open under a canary is worth no more than its cap, all together.
            if (exposure > cap) revert ValueAboveCap(exposure, cap);
            exposureOf[order.verifierId] = exposure;
        }
        uint64 windowMin = IVerifier(verifier).windowMin(order.stepLimit, order.runSecs);
        // INVARIANT: every claim that the order admits can have the window that it needs.
        if (windowMin > Limits.WINDOW_SECS_MAX || order.windowSecs > Limits.WINDOW_SECS_MAX) {
            revert WindowOutOfRange(order.windowSecs, windowMin);
        }
    }

    function _pay(Order calldata order, bytes32 jobId, Job storage job) private {
        _finish(order, job, JobStatus.Paid);
        (address provider, uint96 price) = (job.provider, job.price);
        uint96 due = job.late ? price : Meter.due(price, order.price.base, order.price.mebistep, job.steps);
        purseOf[provider] += due;
        // INVARIANT: due + refund is the escrow: Meter never exceeds its cap.
        if (due != price) purseOf[order.requester] += price - due;
        uint96 fee = _feeOf(order, job);
        if (fee != 0) purseOf[order.dataOwner] += fee;
        emit JobPaid(jobId, provider, due, price - due, fee);
        STAKES.release(provider, job.stake);
    }

    function _lapse(Order calldata order, bytes32 jobId, Job storage job) private {
        _finish(order, job, JobStatus.Lapsed);
        (address provider, uint96 fee) = (job.provider, order.lapseFee);
        // INVARIANT: both lose the same and neither gains, so a key that comes late and an idle
        // lock cost alike.
        purseOf[order.requester] += job.price - fee + order.dataFee;
        coverPool += 2 * uint256(fee);
        emit JobLapsed(jobId, provider, fee);
        STAKES.release(provider, job.stake - fee);
        if (fee != 0) STAKES.slash(provider, fee, jobId);
    }

    function _forfeit(bytes32 jobId, Job storage job) private {
        job.status = JobStatus.Missed;
        coverPool += job.price;
        emit BountyForfeited(jobId, job.price);
    }

    /// @dev What unwinding a claim needs: a verifier that has had its time or was halted, and
    /// nobody who challenges.
    function _requireUndecided(bytes32 jobId, Job storage job, address verifier, bool halted) private view {
        if (!halted) _requirePassed(job.deadline + Limits.UNWIND_SECS);
        Verdicts.requireGas();
        (Verdict verdict,) = Verdicts.verdictOf(verifier, jobId);
        // INVARIANT: neither a halt nor patience rescues a liar.
        if (verdict == Verdict.Refuted || (verdict == Verdict.Upheld && !halted)) revert VerdictGiven(jobId);
        Verdicts.requireGas();
        if (Verdicts.contested(verifier, jobId)) revert ClaimContested(jobId);
    }

    function _unwind(Order calldata order, bytes32 jobId, Job storage job) private {
        _finish(order, job, JobStatus.Unwound);
        address provider = job.provider;
        _returnEscrow(order, job);
        emit JobUnwound(jobId, provider);
        STAKES.release(provider, job.stake);
    }

    /// @dev Shares out the escrow and the whole stake; `status` says why, and where the job goes.
    function _slash(
        Order calldata order,
        bytes32 jobId,
        Job storage job,
        JobStatus status,
        address verifier,
        address informer
    ) private {
        (address provider, uint96 stake) = (job.provider, job.stake);
        (uint96 compensation, uint96 bounty, uint96 cover) =
            Split.slashed(stake, order.compensationBps, order.bountyBps);
        _finish(order, job, status);
        // INVARIANT: the requester is whole before anybody else is paid.
        uint96 refunded = _returnEscrow(order, job);
        purseOf[order.requester] += compensation;
        bool kept = informer == address(0) && _keepsBounty(jobId, job, status, verifier);
        // INVARIANT: a slashed job's price is the bounty that waits for somebody, and only that.
        job.price = kept ? bounty : 0;
        if (informer != address(0)) {
            _payBounty(jobId, verifier, informer, bounty);
        } else if (!kept) {
            (bounty, cover) = (0, cover + bounty);
        }
        coverPool += cover;
        emit JobSlashed(jobId, provider, informer, status, refunded, compensation, bounty, cover);
        STAKES.slash(provider, stake, jobId);
    }

    /// @dev Whether a bounty stays in escrow: for who delivers late, or for a challenge that is
    /// still being played.
    function _keepsBounty(bytes32 jobId, Job storage job, JobStatus status, address verifier)
        private
        returns (bool kept)
    {
        if (status == JobStatus.AwaitingLate) {
            job.deadline = uint40(block.timestamp + Limits.LATE_LOCK_SECS);
            kept = true;
        } else if (status == JobStatus.Silent) {
            Verdicts.requireGas();
            kept = Verdicts.contested(verifier, jobId);
        }
    }

    /// @dev Pays a bounty that was kept when its provider fell silent.
    function _releaseBounty(bytes32 jobId, Job storage job, address verifier, Verdict verdict, address informer)
        private
    {
        uint96 bounty = job.price;
        if (bounty == 0) revert JobStatusWrong(jobId, JobStatus.Silent);
        job.price = 0;
        if (verdict == Verdict.Refuted) return _payBounty(jobId, verifier, informer, bounty);
        if (verdict == Verdict.Pending) {
            // INVARIANT: a verifier that never decides keeps a bounty from the pool for
            // `UNWIND_SECS`, as it does a stake.
            _requirePassed(job.deadline + Limits.UNWIND_SECS);
            Verdicts.requireGas();
            if (Verdicts.contested(verifier, jobId)) revert ClaimContested(jobId);
        }
        coverPool += bounty;
        emit BountyForfeited(jobId, bounty);
    }

    /// @dev The costs of all who were right come first, up to half: whoever takes the bounty,
    /// checking was not for nothing.
    function _payBounty(bytes32 jobId, address verifier, address informer, uint96 bounty) private {
        if (informer == address(0)) {
            coverPool += bounty;
            emit BountyForfeited(jobId, bounty);
            return;
        }
        Verdicts.requireGas();
        uint256 costs = Verdicts.costsOf(verifier, jobId);
        if (costs > bounty / 2) costs = bounty / 2;
        if (costs != 0) {
            challengeCostsOf[jobId] = costs;
            purseOf[verifier] += costs;
            emit ChallengeCostsCredited(jobId, verifier, uint96(costs));
        }
        purseOf[informer] += bounty - costs;
        emit BountyPaid(jobId, informer, uint96(bounty - costs));
    }

    /// @dev The price and the data fee go back to the requester. A late job's escrow is a bounty
    /// from another's stake: to the pool.
    function _returnEscrow(Order calldata order, Job storage job) private returns (uint96 refunded) {
        uint96 price = job.price;
        if (job.late) {
            coverPool += price;
            return 0;
        }
        refunded = price + order.dataFee;
        purseOf[order.requester] += refunded;
    }

    /// @dev The data owner's fee in escrow. It needs no slot: the order names it, and the first end
    /// pays it or gives it back.
    function _feeOf(Order calldata order, Job storage job) private view returns (uint96 fee) {
        return job.late ? 0 : order.dataFee;
    }

    function _deposit(address account, uint256 amount) private {
        if (account == address(0)) revert AccountZero();
        TOKEN.take(msg.sender, amount);
        purseOf[account] += amount;
        emit PurseDeposited(account, msg.sender, amount);
    }

    function _debit(address account, uint256 amount) private {
        uint256 balance = purseOf[account];
        if (balance < amount) revert PurseShort(account, balance, amount);
        unchecked {
            purseOf[account] = balance - amount;
        }
    }

    function _jobIn(Order calldata order, JobStatus status) private view returns (bytes32 jobId, Job storage job) {
        return _jobIn(order, status, status);
    }

    function _jobIn(Order calldata order, JobStatus status, JobStatus other)
        private
        view
        returns (bytes32 jobId, Job storage job)
    {
        jobId = jobIdOf(order);
        job = jobs[jobId];
        if (job.status != status && job.status != other) revert JobStatusWrong(jobId, job.status);
    }

    function _openDemand(bytes32 jobId, uint32 chunk) private view returns (Demand storage group, uint32 bit) {
        group = demandAt[jobId][chunk / Chunks.GROUP];
        bit = uint32(1 << uint256(chunk % Chunks.GROUP));
        if (group.missing & bit == 0) revert ChunkNotDemanded(chunk);
    }

    /// @dev Learning the length late must not be learning it too late to demand the rest.
    function _measured(bytes32 jobId, Job storage job, uint32 chunks) private {
        demands[jobId].chunks = chunks;
        emit OutputMeasured(jobId, chunks);
        uint40 until = uint40(block.timestamp + Limits.ANSWER_SECS);
        if (job.status == JobStatus.AwaitingAnswer && job.deadline < until) job.deadline = until;
    }

    /// @dev Ends a lock, and what it counts against a canary's cap.
    function _finish(Order calldata order, Job storage job, JobStatus status) private {
        job.status = status;
        if (job.counted) {
            job.counted = false;
            exposureOf[order.verifierId] -= order.value();
        }
    }

    function _requireBlock(Claim calldata claimed, uint40 lockBlock) private view {
        uint64 number = claimed.blockNumber;
        // INVARIANT: the named block contains or follows the lock, so a claim cannot land on a fork
        // without it.
        if (number < lockBlock) revert BlockUnknown(number);
        bytes32 known = BlockHashes.hashOf(number);
        if (known == 0 || known != claimed.blockHash) revert BlockUnknown(number);
    }

    /// @dev A deadline is the last second in time.
    function _requireNotPassed(uint40 deadline) private view {
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
    }

    function _requirePassed(uint40 deadline) private view {
        if (block.timestamp <= deadline) revert DeadlineNotPassed(deadline);
    }
}
