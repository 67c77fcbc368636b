// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Claim, Demand, IMarket, Job, JobStatus, Order} from "./interfaces/IMarket.sol";
import {IVerifier, ClaimFacts, Verdict} from "./interfaces/IVerifier.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {IVerifiers} from "./interfaces/IVerifiers.sol";
import {Chunks} from "./libraries/Chunks.sol";
import {Limits} from "./libraries/Limits.sol";
import {FinalState, MachineState} from "./libraries/MachineState.sol";
import {Meter} from "./libraries/Meter.sol";
import {Orders} from "./libraries/Orders.sol";
import {Payments} from "./libraries/Payments.sol";
import {Ramp} from "./libraries/Ramp.sol";
import {Split} from "./libraries/Split.sol";
import {Trace} from "./libraries/Trace.sol";
import {Stakes} from "./Stakes.sol";

/// @title The market: orders, escrow, locks, claims and settlement
/// @dev Immutable: the owner, meant to be a timelock, can pause new locks and move the cover pool, and nothing else.
/// The token is called only by deposits, withdrawals, slashes and `moveCover`; paying a job is arithmetic on purses.
contract Market is IMarket, EIP712, Ownable2Step, Pausable, ReentrancyGuardTransient {
    using BitMaps for BitMaps.BitMap;
    using Orders for Order;
    using Payments for IERC20;

    /// @dev One slot: the demands of a job.
    struct Demands {
        uint32 open;
        uint40 answerByLast;
    }

    IERC20 public immutable TOKEN;
    IStakes public immutable STAKES;
    IVerifiers public immutable VERIFIERS;

    /// @inheritdoc IMarket
    uint256 public coverPool;

    /// @inheritdoc IMarket
    mapping(address account => uint256) public purseOf;

    mapping(address requester => BitMaps.BitMap) private nonces;
    // Written through storage references, which slither does not follow.
    // slither-disable-next-line uninitialized-state
    mapping(bytes32 jobId => Job) private jobs;
    mapping(bytes32 jobId => Demands) private demands;
    mapping(bytes32 jobId => mapping(uint32 chunk => Demand)) private demandAt;

    constructor(IERC20 token, IVerifiers verifiers, address governance)
        EIP712("Assay Market", "1")
        Ownable(governance)
    {
        TOKEN = token;
        VERIFIERS = verifiers;
        STAKES = new Stakes(token);
    }

    // --- purses ---------------------------------------------------------------------------------------------------

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

    // --- orders ---------------------------------------------------------------------------------------------------

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
        _checkVerifier(order);
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
        job.deadline = deadline;
        job.lockBlock = uint40(block.number);
        job.price = price;
        job.stake = order.stake;
        emit JobLocked(jobId, order.requester, msg.sender, price, order.stake, deadline, late);
        STAKES.reserve(msg.sender, order.stake, jobId);
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
        IVerifier(VERIFIERS.verifierOf(order.verifierId))
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
                windowSecs: order.windowSecs
            }),
                claimed.evidence
            );
    }

    // --- ends -----------------------------------------------------------------------------------------------------

    /// @inheritdoc IMarket
    function settle(Order calldata order) external nonReentrant {
        (bytes32 jobId, Job storage job) = _jobIn(order, JobStatus.AwaitingVerdict);
        (Verdict verdict, address informer) = _verifierOf(order).verdictOf(jobId);
        if (verdict == Verdict.Pending) revert VerdictPending(jobId);
        if (verdict == Verdict.Refuted) return _slash(order, jobId, job, JobStatus.Refuted, informer);
        // INVARIANT: however fast the verifier, output can be demanded for the whole window before the stake is free.
        _requirePassed(job.deadline);
        _pay(order, jobId, job);
    }

    /// @inheritdoc IMarket
    function expire(Order calldata order) external nonReentrant {
        bytes32 jobId = jobIdOf(order);
        Job storage job = jobs[jobId];
        JobStatus status = job.status;
        _requirePassed(job.deadline);
        if (status == JobStatus.AwaitingBegin) return _lapse(order, jobId, job);
        if (status == JobStatus.AwaitingLate) return _forfeit(jobId, job);
        if (status == JobStatus.AwaitingVerdict) return _unwind(order, jobId, job);
        if (status != JobStatus.AwaitingClaim) revert JobStatusWrong(jobId, status);
        // A sealed job's keys went to one provider, so nobody else can deliver it late; nor is there a third chance.
        bool lateOpen = !order.isSealed() && !job.late;
        _slash(order, jobId, job, lateOpen ? JobStatus.AwaitingLate : JobStatus.Missed, address(0));
    }

    // --- output chunks --------------------------------------------------------------------------------------------

    /// @inheritdoc IMarket
    function demand(Order calldata order, uint32 chunk) external {
        (bytes32 jobId, Job storage job) = _jobIn(order, JobStatus.AwaitingVerdict, JobStatus.AwaitingAnswer);
        if (msg.sender != order.requester && msg.sender != order.beneficiary) revert NotDemander(msg.sender);
        _requireNotPassed(job.deadline);
        if (chunk >= Chunks.COUNT) revert ChunkOutOfRange(chunk);
        // INVARIANT: a chunk is demanded once, which bounds how long demands can hold up settlement.
        if (demandAt[jobId][chunk].demander != address(0)) revert ChunkDemanded(chunk);

        _debit(msg.sender, order.chunkFee);
        Demands storage all = demands[jobId];
        uint40 answerBy = uint40(block.timestamp + Limits.ANSWER_SECS);
        uint40 spaced = all.answerByLast + Limits.ANSWER_SPACING_SECS;
        if (spaced > answerBy) answerBy = spaced;
        (all.open, all.answerByLast) = (all.open + 1, answerBy);
        demandAt[jobId][chunk] = Demand({demander: msg.sender, answerBy: answerBy, open: true});
        job.status = JobStatus.AwaitingAnswer;
        emit ChunkRequested(jobId, chunk, msg.sender, order.chunkFee, answerBy);
    }

    /// @inheritdoc IMarket
    function answer(Order calldata order, uint32 chunk, bytes calldata data, bytes32[17] calldata proof) external {
        (bytes32 jobId, Job storage job) = _jobIn(order, JobStatus.AwaitingAnswer);
        Demand storage demanded = _openDemand(jobId, chunk);
        _requireNotPassed(demanded.answerBy);
        Chunks.check(job.outputRoot, chunk, data, proof);
        demanded.open = false;
        uint32 open = demands[jobId].open - 1;
        demands[jobId].open = open;
        // INVARIANT: the job settles again once, and only once, no demand is open.
        if (open == 0) job.status = JobStatus.AwaitingVerdict;
        purseOf[job.provider] += order.chunkFee;
        emit ChunkAnswered(jobId, chunk);
    }

    /// @inheritdoc IMarket
    function silence(Order calldata order, uint32 chunk) external nonReentrant {
        (bytes32 jobId, Job storage job) = _jobIn(order, JobStatus.AwaitingAnswer, JobStatus.Silent);
        Demand storage demanded = _openDemand(jobId, chunk);
        demanded.open = false;
        purseOf[demanded.demander] += order.chunkFee;
        emit ChunkFeeReturned(jobId, chunk, demanded.demander, order.chunkFee);
        if (job.status == JobStatus.Silent) return;

        _requirePassed(demanded.answerBy);
        // A challenger who has won already keeps the bounty; silence itself earns none, or a liar would buy it back.
        (Verdict verdict, address informer) = _verdictIfAny(order, jobId);
        _slash(order, jobId, job, JobStatus.Silent, verdict == Verdict.Refuted ? informer : address(0));
    }

    // --- governance -----------------------------------------------------------------------------------------------

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

    // --- views ----------------------------------------------------------------------------------------------------

    /// @inheritdoc IMarket
    function jobOf(bytes32 jobId) external view returns (Job memory job) {
        return jobs[jobId];
    }

    /// @inheritdoc IMarket
    function demandOf(bytes32 jobId, uint32 chunk) external view returns (Demand memory demanded) {
        return demandAt[jobId][chunk];
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

    // --- shared ---------------------------------------------------------------------------------------------------

    /// @dev What a first lock needs: an order that stands, and its price and data fee out of the requester's purse.
    function _takePrice(Order calldata order, bytes32 jobId, bytes calldata signature) private returns (uint96 price) {
        order.check();
        if (block.timestamp > order.lockDeadline) revert OrderExpired(order.lockDeadline);
        if (!SignatureChecker.isValidSignatureNowCalldata(order.requester, jobId, signature)) {
            revert SignatureInvalid(order.requester);
        }
        // INVARIANT: a nonce makes at most one job, so an order is never fulfilled or paid twice.
        if (nonces[order.requester].get(order.nonce)) revert NonceUsed(order.requester, order.nonce);
        nonces[order.requester].set(order.nonce);
        price = priceAt(order, uint40(block.timestamp));
        // INVARIANT: price and fee leave the purse and the stake is reserved before anybody works.
        _debit(order.requester, uint256(price) + order.dataFee);
    }

    /// @dev What a late lock needs: the bounty of a missed job, still to be had.
    function _bountyOf(Job storage job) private view returns (uint96 bounty) {
        _requireNotPassed(job.deadline);
        return job.price;
    }

    /// @dev Checked at lock, so that nobody holds a lock that can't be claimed.
    function _checkVerifier(Order calldata order) private view {
        uint256 escrow = uint256(order.price.max) + order.dataFee;
        uint256 value = escrow > order.stake ? escrow : order.stake;
        uint64 windowMin = IVerifier(VERIFIERS.admit(order.verifierId, value)).windowMin(order.stepLimit);
        if (order.windowSecs < windowMin || order.windowSecs > Limits.WINDOW_SECS_MAX) {
            revert WindowOutOfRange(order.windowSecs, windowMin);
        }
    }

    function _pay(Order calldata order, bytes32 jobId, Job storage job) private {
        job.status = JobStatus.Paid;
        (address provider, uint96 price) = (job.provider, job.price);
        uint96 due = job.late ? price : Meter.due(price, order.price.base, order.price.mebistep, job.steps);
        purseOf[provider] += due;
        // INVARIANT: due + refund is the escrow: Meter never exceeds its cap.
        if (due != price) purseOf[order.requester] += price - due;
        uint96 fee = _feeOf(order, job);
        if (fee != 0) purseOf[order.dataOwner] += fee;
        emit JobPaid(jobId, provider, due, price - due, fee);
        STAKES.release(provider, job.stake, jobId);
    }

    function _lapse(Order calldata order, bytes32 jobId, Job storage job) private {
        job.status = JobStatus.Lapsed;
        (address provider, uint96 fee) = (job.provider, order.lapseFee);
        // INVARIANT: both lose the same and neither gains, so a key that comes late and an idle lock cost alike.
        purseOf[order.requester] += job.price - fee + order.dataFee;
        coverPool += 2 * uint256(fee);
        emit JobLapsed(jobId, provider, fee);
        STAKES.release(provider, job.stake - fee, jobId);
        if (fee != 0) STAKES.slash(provider, fee, jobId);
    }

    function _forfeit(bytes32 jobId, Job storage job) private {
        job.status = JobStatus.Missed;
        coverPool += job.price;
        emit BountyForfeited(jobId, job.price);
    }

    function _unwind(Order calldata order, bytes32 jobId, Job storage job) private {
        _requirePassed(job.deadline + Limits.UNWIND_SECS);
        (Verdict verdict,) = _verdictIfAny(order, jobId);
        if (verdict != Verdict.Pending) revert VerdictGiven(jobId);
        job.status = JobStatus.Unwound;
        address provider = job.provider;
        _returnEscrow(order, job);
        emit JobUnwound(jobId, provider);
        STAKES.release(provider, job.stake, jobId);
    }

    /// @dev Shares out the escrow and the whole stake; `status` says why, and where the job goes.
    function _slash(Order calldata order, bytes32 jobId, Job storage job, JobStatus status, address informer) private {
        (address provider, uint96 stake) = (job.provider, job.stake);
        (uint96 compensation, uint96 bounty, uint96 cover) =
            Split.slashed(stake, order.compensationBps, order.bountyBps);
        job.status = status;
        // INVARIANT: the requester is whole before anybody else is paid.
        uint96 refunded = _returnEscrow(order, job);
        purseOf[order.requester] += compensation;
        if (status == JobStatus.AwaitingLate) {
            job.price = bounty;
            job.deadline = uint40(block.timestamp + Limits.LATE_LOCK_SECS);
        } else if (informer != address(0)) {
            purseOf[informer] += bounty;
        } else {
            (bounty, cover) = (0, cover + bounty);
        }
        coverPool += cover;
        emit JobSlashed(jobId, provider, informer, status, refunded, compensation, bounty, cover);
        STAKES.slash(provider, stake, jobId);
    }

    /// @dev The price and the data fee go back to the requester. A late job's escrow is a bounty from another's stake: to the pool.
    function _returnEscrow(Order calldata order, Job storage job) private returns (uint96 refunded) {
        uint96 price = job.price;
        if (job.late) {
            coverPool += price;
            return 0;
        }
        refunded = price + order.dataFee;
        purseOf[order.requester] += refunded;
    }

    /// @dev The data owner's fee in escrow. It needs no slot: the order names it, and the first end pays it or gives it back.
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

    function _openDemand(bytes32 jobId, uint32 chunk) private view returns (Demand storage demanded) {
        demanded = demandAt[jobId][chunk];
        if (!demanded.open) revert ChunkNotDemanded(chunk);
    }

    function _verifierOf(Order calldata order) private view returns (IVerifier) {
        return IVerifier(VERIFIERS.verifierOf(order.verifierId));
    }

    /// @dev The verdict, or Pending of a verifier that breaks, so that a broken one traps nobody.
    function _verdictIfAny(Order calldata order, bytes32 jobId) private view returns (Verdict, address) {
        // INVARIANT: a verdict cannot be hidden by starving the verifier of gas.
        if (gasleft() < Limits.VERDICT_GAS_MIN) revert GasShort(gasleft(), Limits.VERDICT_GAS_MIN);
        try _verifierOf(order).verdictOf(jobId) returns (Verdict verdict, address informer) {
            return (verdict, informer);
        } catch {
            return (Verdict.Pending, address(0));
        }
    }

    function _requireBlock(Claim calldata claimed, uint40 lockBlock) private view {
        uint64 number = claimed.blockNumber;
        // INVARIANT: the named block contains or follows the lock, so a claim cannot land on a fork without it.
        if (number < lockBlock || number >= block.number || number + Limits.CLAIM_BLOCKS_MAX < block.number) {
            revert BlockUnknown(number);
        }
        if (blockhash(number) != claimed.blockHash) revert BlockUnknown(number);
    }

    /// @dev A deadline is the last second in time.
    function _requireNotPassed(uint40 deadline) private view {
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
    }

    function _requirePassed(uint40 deadline) private view {
        if (block.timestamp <= deadline) revert DeadlineNotPassed(deadline);
    }
}
