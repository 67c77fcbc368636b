// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IStakes} from "./IStakes.sol";
import {IVerifiers} from "./IVerifiers.sol";

/// @notice What an order pays: an escrow that rises until somebody locks, and the part of it that a
/// run's steps earn.
/// @param min The escrow until `rampStartAt`.
/// @param max The escrow from `rampStartAt + rampSecs`.
/// @param base The part due whatever the steps; `max` for a fixed price.
/// @param mebistep What 2^20 steps earn; zero for a fixed price.
/// @param rampStartAt When the escrow begins to rise.
/// @param rampSecs How long it rises.
struct Price {
    uint96 min;
    uint96 max;
    uint96 base;
    uint96 mebistep;
    uint40 rampStartAt;
    uint32 rampSecs;
}

/// @notice What a requester signs (EIP-712; spec/contracts.md#orders). Amounts are in the token's
/// smallest unit, times in Unix seconds; a field that an order does not use is zero.
/// @param requester Who orders and pays.
/// @param provider The only account that may lock, or zero for anyone.
/// @param beneficiary Who may read the result, and demand it.
/// @param programId Hash of the program's preimage (spec/machine.md#programs).
/// @param inputRoot Blob root of the input.
/// @param datasetRoot Blob root of the dataset; `Z(21)` for none.
/// @param termsHash Hash of what else was agreed off chain (policy, auditor, key envelopes); zero
/// for nothing.
/// @param nonce Any number not used or cancelled before.
/// @param stepLimit The most steps, 1 to 2^45.
/// @param verifierId What makes the claim final (`IVerifiers`).
/// @param lockDeadline The last second in which the order can be locked.
/// @param beginSecs Sealed orders: the time from lock to `begin`. Zero: not sealed, the run starts
/// at lock.
/// @param runSecs The time for the run and its claim.
/// @param windowSecs The least window after a claim; a claim that takes longer to check has a
/// longer one.
/// @param stake What the provider puts at stake.
/// @param lapseFee Sealed orders: what each side pays if no `begin` comes in time; else zero.
/// @param chunkFee What a demand for one output chunk pays the provider.
/// @param dataOwner Whose data the job reads, and who earns `dataFee` if the job is paid; zero for
/// nobody.
/// @param dataFee What the data owner earns, on top of the price; zero without a data owner.
/// @param compensationBps The requester's share of a slashed stake.
/// @param bountyBps The share of whoever shows the fault, or delivers late.
/// @param price What the requester pays the provider.
struct Order {
    address requester;
    address provider;
    address beneficiary;
    bytes32 programId;
    bytes32 inputRoot;
    bytes32 datasetRoot;
    bytes32 termsHash;
    uint256 nonce;
    uint64 stepLimit;
    uint16 verifierId;
    uint40 lockDeadline;
    uint32 beginSecs;
    uint32 runSecs;
    uint32 windowSecs;
    uint96 stake;
    uint96 lapseFee;
    uint96 chunkFee;
    address dataOwner;
    uint96 dataFee;
    uint16 compensationBps;
    uint16 bountyBps;
    Price price;
}

/// @notice What a provider says of a finished run (spec/contracts.md#claims).
/// @param program The program id's preimage, 52 bytes.
/// @param finalState The final state's preimage, 197 bytes.
/// @param traceRoot The root of the top trace.
/// @param traceProof The last leaf's siblings, from the leaf's own upwards.
/// @param outputRoot The root of slot 4.
/// @param outputProof Slot 5, the node over slots 6 and 7, the node over slots 0 to 3.
/// @param blockNumber A recent block, the lock's or later: the claim was not made before it.
/// @param blockHash That block's hash, so that the claim holds on one fork only.
/// @param evidence What the verifier wants with a claim.
struct Claim {
    bytes program;
    bytes finalState;
    bytes32 traceRoot;
    bytes32[15] traceProof;
    bytes32 outputRoot;
    bytes32[3] outputProof;
    uint64 blockNumber;
    bytes32 blockHash;
    bytes evidence;
}

/// @notice Why no job may be made of an order. Requester, Beneficiary: zero. StepLimit: outside 1
/// to 2^45. PriceRange: the minimum is above the maximum. Meter: the base is above the maximum
/// price, or equals it and there is a rate as well. Stake: zero, so nothing would make the provider
/// honest. RunSecs: outside 1 to `RUN_SECS_MAX`. BeginSecs: above `BEGIN_SECS_MAX`. LapseFee: too
/// high for one of the two, or the order is not sealed. Shares: outside their bounds. DataFee: for
/// nobody, or with the highest price above what an amount can be.
enum OrderFault {
    Requester,
    Beneficiary,
    StepLimit,
    PriceRange,
    Meter,
    Stake,
    RunSecs,
    BeginSecs,
    LapseFee,
    Shares,
    DataFee
}

/// @notice Where a job stands, named for what it waits for; below the line nothing more can happen
/// to it. AwaitingBegin: sealed, locked. AwaitingClaim: runs. AwaitingVerdict: claimed.
/// AwaitingAnswer: claimed, and an output chunk is demanded. AwaitingLate: missed, and another
/// provider may deliver for the bounty. Paid, Refuted, Silent (a demand was not answered), Missed,
/// Lapsed (no `begin`), Unwound (the verifier never decided, or was halted).
enum JobStatus {
    None,
    AwaitingBegin,
    AwaitingClaim,
    AwaitingVerdict,
    AwaitingAnswer,
    AwaitingLate,
    Paid,
    Refuted,
    Silent,
    Missed,
    Lapsed,
    Unwound
}

/// @notice What the market keeps of a job, in three slots. The order itself is kept as the job's
/// id, its hash.
/// @param provider Who holds, or held, the lock.
/// @param status Where the job stands.
/// @param deadline The last second of what the status waits for; once claimed, of the window.
/// @param steps The steps of the claim.
/// @param price What is in escrow while the job is open; when it is Silent, the bounty of a
/// challenge that was open then, or zero; of a first lock, the order's `dataFee` is beside it.
/// @param stake What of the provider's stake is reserved while the lock is open.
/// @param lockBlock The block of the lock.
/// @param late Whether the lock came after a missed deadline: `price` is then the bounty and no
/// longer the requester's.
/// @param counted Whether the job counts against its verifier's canary cap while it is open.
/// @param outputRoot The claim's output root.
struct Job {
    // Written by every move.
    address provider;
    JobStatus status;
    uint40 deadline;
    uint48 steps;
    // Written by a lock. When the job ends the stake is left in place, and the price too unless a
    // slash says what waits: the status says that nothing is held any more.
    uint96 price;
    uint96 stake;
    uint40 lockBlock;
    bool late;
    bool counted;
    // Written by a claim.
    bytes32 outputRoot;
}

/// @notice A demand for chunks of an output, of one group of 32 neighbours.
/// @param demander Who paid for it; zero for no demand.
/// @param answerBy The last second for the answers.
/// @param missing Which of the group's chunks still wait, a bit each.
/// @param fee What was prepaid for each.
/// @param demanded Which of the group's chunks were ever demanded.
struct Demand {
    address demander;
    uint40 answerBy;
    uint32 missing;
    uint96 fee;
    uint32 demanded;
}

/// @title The market: orders, escrow, locks, claims and settlement
/// @notice Nobody's money waits on anybody's good will: every state but the last ones has a
/// deadline and a call that anyone may make once it has passed. Payments are credits to purses,
/// which only their owners empty.
interface IMarket {
    // --- errors: orders --------------------------------------------------------------------------

    /// @notice An account that must be given is zero.
    error AccountZero();
    /// @notice No job may be made of this order.
    error OrderInvalid(OrderFault fault);
    /// @notice The window is longer than `WINDOW_SECS_MAX`, or that is shorter than the verifier
    /// may need for a claim of this step limit and run: it may need `windowMin`.
    error WindowOutOfRange(uint32 windowSecs, uint64 windowMin);
    /// @notice The order can no longer be locked.
    error OrderExpired(uint40 lockDeadline);
    /// @notice The lock came later than its provider meant it to.
    error LockExpired(uint40 validUntil);
    /// @notice The price is below what the provider accepts.
    error PriceBelowAccepted(uint96 price, uint96 accepted);
    /// @notice The order names another provider.
    error ProviderNotNamed(address provider);
    /// @notice The nonce was used or cancelled.
    error NonceUsed(address requester, uint256 nonce);
    /// @notice The requester did not sign this order for this market on this chain.
    error SignatureInvalid(address requester);

    // --- errors: money ---------------------------------------------------------------------------

    /// @notice The purse does not cover the amount.
    error PurseShort(address account, uint256 balance, uint256 needed);
    /// @notice The cover pool does not hold the amount.
    error CoverShort(uint256 balance, uint256 needed);

    // --- errors: jobs ----------------------------------------------------------------------------

    /// @notice The job is not in the state that this call needs.
    error JobStatusWrong(bytes32 jobId, JobStatus status);
    /// @notice Only the provider that holds the lock may do this.
    error NotLockHolder(address caller);
    /// @notice It is too late for this.
    error DeadlinePassed(uint40 deadline);
    /// @notice It is too early for this.
    error DeadlineNotPassed(uint40 deadline);
    /// @notice The preimage is not the order's program.
    error ProgramMismatch(bytes32 given, bytes32 wanted);
    /// @notice The last trace leaf does not open to the final state.
    error TraceNotFinal();
    /// @notice The block is older than the lock, too old, or of another fork.
    error BlockUnknown(uint64 blockNumber);
    /// @notice The verifier has not decided yet.
    error VerdictPending(bytes32 jobId);
    /// @notice The verifier has decided, so the job settles.
    error VerdictGiven(bytes32 jobId);
    /// @notice The claim is being challenged, or was with success, so the job waits for the
    /// verdict.
    error ClaimContested(bytes32 jobId);
    /// @notice The verifier was found to be broken: what it upholds is not paid, and the job
    /// unwinds.
    error VerifierHalted(uint16 verifierId);
    /// @notice The order, with what is open under the same canary, is worth more than it may carry.
    error ValueAboveCap(uint256 value, uint256 cap);
    /// @notice Too little gas to ask a verifier and believe its silence.
    error GasShort(uint256 gas, uint256 needed);

    // --- errors: output chunks -------------------------------------------------------------------

    /// @notice Only the requester and the beneficiary may demand output.
    error NotDemander(address caller);
    /// @notice The output has fewer chunks than that; or its length is not known yet, and only
    /// chunk 0, which says it, can be demanded.
    error ChunkOutOfRange(uint32 chunk, uint32 count);
    /// @notice A chunk is demanded once, for it is on chain then; and a group of 32 by one demand
    /// at a time.
    error ChunkDemanded(uint32 chunk);
    /// @notice A demand is for one chunk at least, and no more than `CHUNKS_OPEN_MAX` may be open.
    error TooManyChunks(uint32 chunks);
    /// @notice Answers cost more by now than the caller meant to prepay.
    error ChunkFeeAboveMax(uint256 fee, uint96 feeMax);
    /// @notice The output's length is known.
    error LengthKnown(uint32 chunks);
    /// @notice No open demand for the chunk.
    error ChunkNotDemanded(uint32 chunk);
    /// @notice A chunk is 4096 bytes, a leaf 256.
    error ChunkLengthWrong(uint256 length);
    /// @notice The bytes do not open from the output root at this chunk.
    error ChunkNotInOutput(uint32 chunk);

    // --- events ----------------------------------------------------------------------------------

    event PurseDeposited(address indexed account, address indexed payer, uint256 amount);
    event PurseWithdrawn(address indexed account, address indexed to, uint256 amount);
    event NoncesCancelled(address indexed requester, uint256 word, uint256 mask);
    /// @notice A lock, with the whole order: an auditor needs no broker to know what a job is.
    event JobLocked(
        bytes32 indexed jobId,
        address indexed requester,
        address indexed provider,
        uint96 price,
        uint96 stake,
        uint40 deadline,
        bool late,
        Order order
    );
    event JobBegun(bytes32 indexed jobId, uint40 deadline);
    event JobClaimed(
        bytes32 indexed jobId,
        address indexed provider,
        bytes32 finalState,
        bytes32 outputRoot,
        bytes32 traceRoot,
        uint64 steps,
        uint8 status,
        uint32 exitCode
    );
    event JobPaid(bytes32 indexed jobId, address indexed provider, uint96 paid, uint96 refunded, uint96 dataFee);
    event JobSlashed(
        bytes32 indexed jobId,
        address indexed provider,
        address indexed informer,
        JobStatus status,
        uint96 refunded,
        uint96 compensation,
        uint96 bounty,
        uint96 cover
    );
    event JobLapsed(bytes32 indexed jobId, address indexed provider, uint96 feeEach);
    event JobUnwound(bytes32 indexed jobId, address indexed provider);
    event BountyForfeited(bytes32 indexed jobId, uint96 bounty);
    event BountyPaid(bytes32 indexed jobId, address indexed informer, uint96 bounty);
    event ChallengeCostsCredited(bytes32 indexed jobId, address indexed verifier, uint96 costs);
    event ChunkRequested(
        bytes32 indexed jobId, uint32 indexed first, uint32 count, address demander, uint96 feeEach, uint40 answerBy
    );
    event ChunkAnswered(bytes32 indexed jobId, uint32 indexed chunk, uint96 paid, uint96 returned, bytes data);
    event ChunkFeeReturned(bytes32 indexed jobId, uint32 indexed chunk, address demander, uint96 fee);
    event OutputMeasured(bytes32 indexed jobId, uint32 chunks);
    event CoverMoved(address indexed to, uint256 amount);

    // --- purses ----------------------------------------------------------------------------------

    /// @notice Adds to an account's purse, paid by the caller, who has approved it.
    function deposit(address account, uint256 amount) external;

    /// @notice Adds to the caller's purse with an ERC-2612 permit.
    function depositWithPermit(uint256 amount, uint256 permitDeadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Pays out of the caller's purse, at any time: what is in a purse is promised to
    /// nobody.
    function withdraw(address to, uint256 amount) external;

    // --- orders ----------------------------------------------------------------------------------

    /// @notice Cancels any of the caller's 256 nonces `256 word + bit` whose bit is set in the
    /// mask. A job already locked goes on. An order that was never locked holds no money, so there
    /// is nothing to refund.
    function cancel(uint256 word, uint256 mask) external;

    /// @notice Locks an order for the caller: the price and the data owner's fee leave the
    /// requester's purse and the caller's stake is reserved. Or locks a job that another provider
    /// missed: then the price is the bounty, and the requester pays nothing more.
    /// @param order The order.
    /// @param signature The requester's signature over it: 65 bytes, or what its ERC-1271 contract
    /// takes. Not read for a missed job, whose order was signed when it was first locked.
    /// @param priceAccepted The least price, or bounty, that the caller accepts.
    /// @param validUntil The last second in which the caller means this: a lock that lands later
    /// does nothing.
    function lock(Order calldata order, bytes calldata signature, uint96 priceAccepted, uint40 validUntil)
        external
        returns (bytes32 jobId);

    /// @notice Sealed orders: the caller, who holds the lock, has opened the inputs and checked
    /// their roots. The run's deadline counts from here.
    function begin(Order calldata order) external;

    /// @notice Says what the run came to. Only who holds the lock.
    function claim(Order calldata order, Claim calldata claimed) external;

    // --- ends, for anyone to call ----------------------------------------------------------------

    /// @notice Pays the provider and the data owner, or slashes, by the verifier's verdict. Of a
    /// Silent job, pays the bounty that waits for it.
    function settle(Order calldata order) external;

    /// @notice Ends what a job waits for once its deadline has passed. No `begin`: both sides pay
    /// the lapse fee and have the rest back. No claim: the provider is slashed. No late lock: the
    /// bounty goes to the cover pool. No verdict, `UNWIND_SECS` after the window, and no challenge:
    /// both sides have their own back. They have it back at each of the three first deadlines, too,
    /// if the verifier was halted and the claim, if there is one, is not challenged.
    function expire(Order calldata order) external;

    // --- output chunks ---------------------------------------------------------------------------

    /// @notice Demands chunks of a claim's output, within its window, for a prepaid fee each from
    /// the caller's purse. Only the requester and the beneficiary: an answer is public.
    /// @param first The index of the first one, of 4096 bytes of the output slot. While the
    /// output's length is not known it is 0, and
    /// @param count how many, is 1.
    /// @param feeMax The most that the caller prepays for each (`chunkFeeAt`).
    function demand(Order calldata order, uint32 first, uint32 count, uint96 feeMax) external;

    /// @notice Says how long an output is, by its slot's first leaf. Anyone may, since it can't be
    /// wrong.
    /// @param leaf 256 bytes.
    /// @param proof Its 21 siblings, from its own upwards.
    function measure(Order calldata order, bytes calldata leaf, bytes32[21] calldata proof) external;

    /// @notice Answers a demand for a chunk. Anyone may, since it can't be wrong; the provider
    /// earns what an answer is worth now, and the demander has back what it prepaid above that.
    /// @param data The chunk, 4096 bytes.
    /// @param proof Its 17 siblings, from its own upwards.
    function answer(Order calldata order, uint32 chunk, bytes calldata data, bytes32[17] calldata proof) external;

    /// @notice Slashes a provider whose answer did not come in time, and gives the fees back. Again
    /// for each other demand that was open then: its fees go back too.
    /// @param chunk Any of the demand's group.
    function claimSilence(Order calldata order, uint32 chunk) external;

    // --- governance ------------------------------------------------------------------------------

    /// @notice Stops new locks, and nothing else. Owner only.
    function pauseOrders() external;

    /// @notice Allows new locks again. Owner only.
    function unpauseOrders() external;

    /// @notice Moves money from the cover pool to the contract that insures with it. Owner only.
    function moveCover(address to, uint256 amount) external;

    // --- views -----------------------------------------------------------------------------------

    /// @notice The job's id: the order's EIP-712 digest, which binds this contract and chain. It is
    /// the claim's id too.
    function jobIdOf(Order calldata order) external view returns (bytes32 jobId);

    /// @notice What the market keeps of a job.
    function jobOf(bytes32 jobId) external view returns (Job memory job);

    /// @notice The demand for a chunk's group of a job's output.
    function demandOf(bytes32 jobId, uint32 chunk) external view returns (Demand memory demanded);

    /// @notice How many of a job's chunks are demanded and not answered, and how many its output
    /// has: 0 if not known.
    function outputOf(bytes32 jobId) external view returns (uint32 open, uint32 chunks);

    /// @notice What a demand prepays for each chunk at this block's base fee.
    function chunkFeeAt(Order calldata order) external view returns (uint256 fee);

    /// @notice What was credited to a job's verifier, for the costs of those who challenged it.
    function challengeCostsOf(bytes32 jobId) external view returns (uint256 costs);

    /// @notice What is open under a canary.
    function exposureOf(uint16 verifierId) external view returns (uint256 value);

    /// @notice The price of an order at a moment.
    function priceAt(Order calldata order, uint40 time) external pure returns (uint96 price);

    /// @notice Whether a nonce was used or cancelled.
    function nonceUsed(address requester, uint256 nonce) external view returns (bool used);

    /// @notice An account's purse.
    function purseOf(address account) external view returns (uint256 balance);

    /// @notice The cover pool: what slashes and lapses left over.
    function coverPool() external view returns (uint256 balance);

    /// @notice The token that pays for everything.
    function TOKEN() external view returns (IERC20);

    /// @notice The providers' stakes.
    function STAKES() external view returns (IStakes);

    /// @notice The registry of verifiers.
    function VERIFIERS() external view returns (IVerifiers);

    /// @notice The base fee, in wei, that orders' chunk fees are made for; zero where they do not
    /// follow it.
    function BASE_FEE_REFERENCE() external view returns (uint256);
}
