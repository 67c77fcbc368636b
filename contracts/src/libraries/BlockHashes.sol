// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Hashes of earlier blocks
library BlockHashes {
    /// @dev What BLOCKHASH reaches.
    uint256 private constant OPCODE_BLOCKS = 256;
    /// @dev EIP-2935: a system contract that keeps the last 8191 blocks' hashes, where the chain
    /// has it.
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    /// @notice The hash of an earlier block, or zero where the chain does not say it.
    function hashOf(uint256 height) internal view returns (bytes32 hash) {
        if (height >= block.number) return 0;
        if (height + OPCODE_BLOCKS >= block.number) return blockhash(height);
        address history = HISTORY;
        // It takes a block number as 32 bytes, answers with 32, and reverts for a block out of
        // reach.
        assembly ("memory-safe") {
            mstore(0, height)
            let ok := staticcall(gas(), history, 0, 32, 0, 32)
            if and(ok, eq(returndatasize(), 32)) { hash := mload(0) }
        }
    }
}
