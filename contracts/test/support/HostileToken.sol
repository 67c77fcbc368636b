// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token that keeps a fee, or calls back while it moves
contract HostileToken is ERC20 {
    uint256 private fee;
    address private target;
    bytes private message;
    bool public reentered;

    constructor() ERC20("Hostile", "BAD") {
        _approve(address(this), msg.sender, type(uint256).max);
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    function setReentry(address target_, bytes calldata message_) external {
        (target, message) = (target_, message_);
        _approve(address(this), target_, type(uint256).max);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from == address(0) || to == address(0)) return;
        if (fee != 0) super._update(to, address(0), fee);
        if (target != address(0)) {
            (bool ok,) = target.call(message);
            if (ok) reentered = true;
        }
    }
}
