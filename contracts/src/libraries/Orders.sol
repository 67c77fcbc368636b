// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IMarket, Order, OrderFault} from "../interfaces/IMarket.sol";
import {Limits} from "./Limits.sol";
import {MachineState} from "./MachineState.sol";
import {Split} from "./Split.sol";

/// @title What an order may say (spec/contracts.md#orders)
library Orders {
    /// @notice The EIP-712 type of `Order`.
    bytes32 internal constant TYPE_HASH = keccak256(
        "Order(address requester,address provider,address beneficiary,bytes32 programId,bytes32 inputRoot,"
        "bytes32 datasetRoot,bytes32 termsHash,uint256 nonce,uint64 stepLimit,uint16 verifierId,uint40 rampStartAt,"
        "uint32 rampSecs,uint40 lockDeadline,uint32 beginSecs,uint32 runSecs,uint32 windowSecs,uint96 priceMin,"
        "uint96 priceMax,uint96 priceBase,uint96 priceMebistep,uint96 stake,uint96 lapseFee,uint96 chunkFee,"
        "uint16 compensationBps,uint16 bountyBps)"
    );

    /// @dev 25 fields of one word each.
    uint256 private constant BYTES = 25 * 32;

    /// @notice The EIP-712 hash of an order, without the domain.
    /// @dev Every field is one word, so the struct's bytes in calldata are its EIP-712 encoding, and are hashed as they
    /// lie: a third of the code and gas of encoding them again. A word with bits above its type's width hashes to
    /// something that no EIP-712 signer produces, and reading that field reverts.
    function structHash(Order calldata order) internal pure returns (bytes32 digest) {
        bytes32 typeHash = TYPE_HASH;
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            mstore(pointer, typeHash)
            calldatacopy(add(pointer, 32), order, BYTES)
            digest := keccak256(pointer, add(BYTES, 32))
        }
    }

    /// @notice Refuses an order that no job may be made of.
    function check(Order calldata order) internal pure {
        _require(order.requester != address(0), OrderFault.Requester);
        _require(order.beneficiary != address(0), OrderFault.Beneficiary);
        _require(order.stepLimit != 0 && order.stepLimit <= MachineState.STEP_LIMIT_MAX, OrderFault.StepLimit);
        _require(order.priceMin <= order.priceMax, OrderFault.PriceRange);
        bool metered = order.priceBase < order.priceMax;
        bool fixedPrice = order.priceBase == order.priceMax && order.priceMebistep == 0;
        _require(metered || fixedPrice, OrderFault.Meter);
        _require(order.stake != 0, OrderFault.Stake);
        _require(order.runSecs != 0 && order.runSecs <= Limits.RUN_SECS_MAX, OrderFault.RunSecs);
        _require(order.beginSecs <= Limits.BEGIN_SECS_MAX, OrderFault.BeginSecs);
        // INVARIANT: both sides can pay the fee of a lapse from what the lock reserved.
        bool payable_ = isSealed(order) && Split.lapseFeeValid(order.lapseFee, order.priceMin, order.stake);
        _require(order.lapseFee == 0 || payable_, OrderFault.LapseFee);
        // INVARIANT: a slash always leaves the cover pool a part, so one person in every role still loses.
        _require(Split.sharesValid(order.compensationBps, order.bountyBps), OrderFault.Shares);
    }

    /// @notice Whether the inputs are sealed, so that the run starts at `begin`.
    function isSealed(Order calldata order) internal pure returns (bool) {
        return order.beginSecs != 0;
    }

    function _require(bool holds, OrderFault fault) private pure {
        if (!holds) revert IMarket.OrderInvalid(fault);
    }
}
