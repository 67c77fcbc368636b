// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title One step of the machine (spec/machine.md#a-step)
interface IStep {
    /// @notice The witness is not as long as its step needs: 197 bytes for a final state or a fetch
    /// outside text, 1221 for a step without a memory access (or with one that traps), 2245 for one
    /// with.
    error WitnessLength(uint256 given, uint256 wanted);
    /// @notice The leaf that holds the instruction does not open from the memory root.
    error InstructionNotOpened();
    /// @notice The leaf that is read or written does not open from the memory root.
    error DataNotOpened();

    /// @notice Executes one instruction. Total: every valid state with its leaves has a next state.
    /// @param witness A step witness from byte 72 on (spec/machine.md#witnesses): the state's
    /// preimage, and for each leaf that the step touches its 256 bytes and 24 siblings.
    /// @return post The hash of the state after.
    function step(bytes calldata witness) external view returns (bytes32 post);
}
