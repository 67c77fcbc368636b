// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title Moving the one token in and out
library Payments {
    using SafeERC20 for IERC20;

    /// @notice The token moved another amount than it was asked to.
    error TokenShort(uint256 received, uint256 expected);

    /// @notice Takes exactly `amount` from `payer`, who has approved it.
    function take(IERC20 token, address payer, uint256 amount) internal {
        uint256 before = token.balanceOf(address(this));
        // Every caller passes msg.sender.
        // slither-disable-next-line arbitrary-send-erc20
        token.safeTransferFrom(payer, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        // INVARIANT: what is booked has arrived, even if the token keeps a fee.
        if (received != amount) revert TokenShort(received, amount);
    }

    /// @notice Pays `amount` to `to`.
    function pay(IERC20 token, address to, uint256 amount) internal {
        token.safeTransfer(to, amount);
    }

    /// @notice Uses a permit for the caller. Whoever sent the same permit first did no harm: the
    /// allowance then stands, and if it does not, taking the money fails.
    function permitQuietly(IERC20 token, uint256 amount, uint256 permitDeadline, uint8 v, bytes32 r, bytes32 s)
        internal
    {
        try IERC20Permit(address(token)).permit(msg.sender, address(this), amount, permitDeadline, v, r, s) {} catch {}
    }
}
