// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title Money for trying things out
/// @notice Anybody can mint it, so it is worth nothing. The embedded chain deploys it; no other
/// chain should.
contract TestDollar is ERC20Permit {
    /// @notice The most that one call mints: a million.
    uint256 public constant MINT_MAX = 1_000_000e6;

    /// @notice More was asked than one call mints.
    error MintTooLarge(uint256 amount, uint256 max);

    constructor() ERC20("Assay test dollar", "tUSD") ERC20Permit("Assay test dollar") {}

    /// @notice Makes test dollars out of nothing.
    function mint(address to, uint256 amount) external {
        if (amount > MINT_MAX) revert MintTooLarge(amount, MINT_MAX);
        _mint(to, amount);
    }

    /// @inheritdoc ERC20
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
