// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title Who owns a market that is not a test market
/// @notice OpenZeppelin's, with no admin: it alone changes its own roles, and so after its own
/// delay.
contract Timelock is TimelockController {
    constructor(uint256 delaySecs, address[] memory proposers, address[] memory executors)
        TimelockController(delaySecs, proposers, executors, address(0))
    {}
}
