// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IMarket} from "../interfaces/IMarket.sol";
import {IVerifier, Verdict} from "../interfaces/IVerifier.sol";
import {Limits} from "./Limits.sol";

/// @title Asking a verifier that may be broken
/// @notice Each question is a bare call with bounded gas and bounded return data. An answer that
/// reverts, is short, does not decode or took too much gas is the one that decides nothing: so a
/// broken verifier traps nobody.
library Verdicts {
    /// @dev A call passes on at most 63 parts of 64 of what is left.
    uint256 private constant GAS_MIN = Limits.VERDICT_GAS_MIN * 64 / 63 + 50_000;

    /// @notice Refuses to go on where an answer could be hidden by starving the verifier of gas.
    /// For whoever acts on there being none.
    function requireGas() internal view {
        if (gasleft() < GAS_MIN) revert IMarket.GasShort(gasleft(), GAS_MIN);
    }

    /// @notice The verdict; Pending for anything odd.
    function verdictOf(address verifier, bytes32 claimId) internal view returns (Verdict verdict, address informer) {
        (uint256 size, uint256 first, uint256 second) = _ask(verifier, abi.encodeCall(IVerifier.verdictOf, (claimId)));
        bool odd = size < 64 || first > uint256(type(Verdict).max) || second > type(uint160).max;
        return odd ? (Verdict.Pending, address(0)) : (Verdict(first), address(uint160(second)));
    }

    /// @notice Whether a challenge is open or was won; no for anything odd.
    function contested(address verifier, bytes32 claimId) internal view returns (bool yes) {
        (uint256 size, uint256 first,) = _ask(verifier, abi.encodeCall(IVerifier.contested, (claimId)));
        return size >= 32 && first == 1;
    }

    /// @notice What challengers are owed; nothing for anything odd.
    function costsOf(address verifier, bytes32 claimId) internal view returns (uint256 amount) {
        (uint256 size, uint256 first,) = _ask(verifier, abi.encodeCall(IVerifier.costsOf, (claimId)));
        return size >= 32 ? first : 0;
    }

    function _ask(address verifier, bytes memory question)
        private
        view
        returns (uint256 size, uint256 first, uint256 second)
    {
        uint256 gasMax = Limits.VERDICT_GAS_MIN;
        assembly ("memory-safe") {
            // No more of the answer than 64 bytes is copied, whatever its size.
            if staticcall(gasMax, verifier, add(question, 32), mload(question), 0, 64) {
                size := returndatasize()
                first := mload(0)
                second := mload(32)
            }
        }
    }
}
