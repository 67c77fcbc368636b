// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IMarket, Order, OrderFault, Price} from "../interfaces/IMarket.sol";
import {Limits} from "./Limits.sol";
import {MachineState} from "./MachineState.sol";
import {Split} from "./Split.sol";

/// @title What an order may say (spec/contracts.md#orders)
library Orders {
    /// @notice The EIP-712 type of `Order`.
    bytes32 internal constant TYPE_HASH = keccak256(
        "Order(address requester,address provider,address beneficiary,bytes32 programId,bytes32 inputRoot,"
        "bytes32 datasetRoot,bytes32 termsHash,uint256 nonce,uint64 stepLimit,uint16 verifierId,uint40 lockDeadline,"
        "uint32 beginSecs,uint32 runSecs,uint32 windowSecs,uint96 stake,uint96 lapseFee,uint96 chunkFee,"
        "address dataOwner,uint96 dataFee,uint16 compensationBps,uint16 bountyBps,Price price)"
        "Price(uint96 min,uint96 max,uint96 base,uint96 mebistep,uint40 rampStartAt,uint32 rampSecs)"
    );

    /// @notice The EIP-712 type of `Price`.
    bytes32 internal constant PRICE_TYPE_HASH =
        keccak256("Price(uint96 min,uint96 max,uint96 base,uint96 mebistep,uint40 rampStartAt,uint32 rampSecs)");

    /// @dev 21 fields of one word each stand before the price.
    uint256 private constant FLAT_BYTES = 21 * 32;
    uint256 private constant PRICE_BYTES = 6 * 32;

    /// @notice The EIP-712 hash of an order, without the domain.
    /// @dev Every field is one word, so the struct's bytes in calldata are its EIP-712 encoding,
    /// and are hashed as they lie: a third of the code and gas of encoding them again. A word with
    /// bits above its type's width hashes to something that no EIP-712 signer produces, and reading
    /// that field reverts.
    function structHash(Order calldata order) internal pure returns (bytes32 digest) {
        bytes32 typeHash = TYPE_HASH;
        bytes32 priceTypeHash = PRICE_TYPE_HASH;
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            mstore(pointer, priceTypeHash)
            calldatacopy(add(pointer, 32), add(order, FLAT_BYTES), PRICE_BYTES)
            let priceHash := keccak256(pointer, add(PRICE_BYTES, 32))
            mstore(pointer, typeHash)
            calldatacopy(add(pointer, 32), order, FLAT_BYTES)
            mstore(add(pointer, add(FLAT_BYTES, 32)), priceHash)
            digest := keccak256(pointer, add(FLAT_BYTES, 64))
        }
    }

    /// @notice Logs a lock with the whole order, so that who reads the chain needs nothing else to
    /// know what a job is.
    /// @dev `IMarket.JobLocked`; the order as it lies, since every field is one word.
    function logLock(Order calldata order, bytes32 jobId, uint256 price, uint256 deadline, bool late) internal {
        bytes32 topic = IMarket.JobLocked.selector;
        (address requester, uint256 stake) = (order.requester, order.stake);
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            mstore(pointer, price)
            mstore(add(pointer, 32), stake)
            mstore(add(pointer, 64), deadline)
            mstore(add(pointer, 96), late)
            calldatacopy(add(pointer, 128), order, add(FLAT_BYTES, PRICE_BYTES))
            log4(pointer, add(add(FLAT_BYTES, PRICE_BYTES), 128), topic, jobId, requester, caller())
        }
    }

    /// @notice What a broken verifier could misdirect: the larger of the highest escrow, data fee
    /// included, and the stake.
    function value(Order calldata order) internal pure returns (uint256) {
        uint256 escrow = uint256(order.price.max) + order.dataFee;
        return escrow > order.stake ? escrow : order.stake;
    }

    /// @notice Whether the requester signed: by its key, or as a contract that says so (ERC-1271).
    /// @dev The key first: an account without code is then not looked up.
    function isSigned(Order calldata order, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        address requester = order.requester;
        (address signer, ECDSA.RecoverError fault,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (fault == ECDSA.RecoverError.NoError && signer == requester) return true;
        return
            requester.code.length != 0
                && SignatureChecker.isValidERC1271SignatureNowCalldata(requester, digest, signature);
    }

    /// @notice Refuses an order that no job may be made of.
    function check(Order calldata order) internal pure {
        _require(order.requester != address(0), OrderFault.Requester);
        _require(order.beneficiary != address(0), OrderFault.Beneficiary);
        _require(order.stepLimit != 0 && order.stepLimit <= MachineState.STEP_LIMIT_MAX, OrderFault.StepLimit);
        Price calldata price = order.price;
        _require(price.min <= price.max, OrderFault.PriceRange);
        bool metered = price.base < price.max;
        bool fixedPrice = price.base == price.max && price.mebistep == 0;
        _require(metered || fixedPrice, OrderFault.Meter);
        _require(order.stake != 0, OrderFault.Stake);
        _require(order.runSecs != 0 && order.runSecs <= Limits.RUN_SECS_MAX, OrderFault.RunSecs);
        _require(order.beginSecs <= Limits.BEGIN_SECS_MAX, OrderFault.BeginSecs);
        // INVARIANT: both sides can pay the fee of a lapse from what the lock reserved.
        bool payable_ = isSealed(order) && Split.lapseFeeValid(order.lapseFee, price.min, order.stake);
        _require(order.lapseFee == 0 || payable_, OrderFault.LapseFee);
        // INVARIANT: a slash always leaves the cover pool a part, so one person in every role still
        // loses.
        _require(Split.sharesValid(order.compensationBps, order.bountyBps), OrderFault.Shares);
        _require(order.dataFee == 0 || order.dataOwner != address(0), OrderFault.DataFee);
        // INVARIANT: what a first lock escrows is an amount, so every end can say what it gives
        // back.
        _require(uint256(price.max) + order.dataFee <= type(uint96).max, OrderFault.DataFee);
    }

    /// @notice Whether the inputs are sealed, so that the run starts at `begin`.
    function isSealed(Order calldata order) internal pure returns (bool) {
        return order.beginSecs != 0;
    }

    function _require(bool holds, OrderFault fault) private pure {
        if (!holds) revert IMarket.OrderInvalid(fault);
    }
}
