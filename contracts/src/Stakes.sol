// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {Limits} from "./libraries/Limits.sol";
import {Payments} from "./libraries/Payments.sol";

/// @title Providers' stakes
/// @dev Deployed by the market's constructor, so neither address can ever change.
contract Stakes is IStakes, ReentrancyGuardTransient {
    using Payments for IERC20;

    /// @dev One slot.
    struct Account {
        uint96 free;
        uint96 reserved;
    }

    /// @dev One slot.
    struct Unbond {
        uint96 amount;
        uint40 readyAt;
    }

    IERC20 public immutable TOKEN;
    address public immutable MARKET;

    mapping(address account => Account) private accounts;
    mapping(address account => Unbond) private unbonds;

    modifier onlyMarket() {
        if (msg.sender != MARKET) revert NotMarket(msg.sender);
        _;
    }

    constructor(IERC20 token) {
        TOKEN = token;
        MARKET = msg.sender;
    }

    /// @inheritdoc IStakes
    function deposit(address account, uint96 amount) external nonReentrant {
        _deposit(account, amount);
    }

    /// @inheritdoc IStakes
    function depositWithPermit(uint96 amount, uint256 permitDeadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        TOKEN.permitQuietly(amount, permitDeadline, v, r, s);
        _deposit(msg.sender, amount);
    }

    /// @inheritdoc IStakes
    function unbond(uint96 amount) external {
        Account storage account = accounts[msg.sender];
        _requireFree(msg.sender, account.free, amount);
        account.free -= amount;
        Unbond storage out = unbonds[msg.sender];
        uint96 unbonding = out.amount + amount;
        // INVARIANT: the delay outlasts the longest window and dispute of any job locked before
        // this moment.
        uint40 readyAt = uint40(block.timestamp + Limits.UNBOND_SECS);
        (out.amount, out.readyAt) = (unbonding, readyAt);
        emit UnbondStarted(msg.sender, amount, unbonding, readyAt);
    }

    /// @inheritdoc IStakes
    function rebond() external {
        uint96 amount = unbonds[msg.sender].amount;
        if (amount == 0) revert NothingUnbonding(msg.sender);
        delete unbonds[msg.sender];
        accounts[msg.sender].free += amount;
        emit StakeDeposited(msg.sender, msg.sender, amount);
    }

    /// @inheritdoc IStakes
    function withdraw(address to) external nonReentrant {
        Unbond memory out = unbonds[msg.sender];
        if (out.amount == 0) revert NothingUnbonding(msg.sender);
        if (block.timestamp < out.readyAt) revert Unbonding(out.readyAt);
        delete unbonds[msg.sender];
        emit StakeWithdrawn(msg.sender, to, out.amount);
        TOKEN.pay(to, out.amount);
    }

    /// @inheritdoc IStakes
    function reserve(address account, uint96 amount) external onlyMarket {
        Account memory a = accounts[account];
        _requireFree(account, a.free, amount);
        accounts[account] = Account({free: a.free - amount, reserved: a.reserved + amount});
    }

    /// @inheritdoc IStakes
    function release(address account, uint96 amount) external onlyMarket {
        Account memory a = accounts[account];
        accounts[account] = Account({free: a.free + amount, reserved: a.reserved - amount});
    }

    /// @inheritdoc IStakes
    function slash(address account, uint96 amount, bytes32 jobId) external onlyMarket {
        // INVARIANT: only reserved stake is slashed, and the market reserved it; checked arithmetic
        // stops the rest.
        accounts[account].reserved -= amount;
        emit StakeSlashed(account, jobId, amount);
        TOKEN.pay(MARKET, amount);
    }

    /// @inheritdoc IStakes
    function freeOf(address account) external view returns (uint96 amount) {
        return accounts[account].free;
    }

    /// @inheritdoc IStakes
    function reservedOf(address account) external view returns (uint96 amount) {
        return accounts[account].reserved;
    }

    /// @inheritdoc IStakes
    function unbondingOf(address account) external view returns (uint96 amount, uint40 readyAt) {
        Unbond memory out = unbonds[account];
        return (out.amount, out.readyAt);
    }

    function _deposit(address account, uint96 amount) private {
        if (account == address(0)) revert AccountZero();
        TOKEN.take(msg.sender, amount);
        accounts[account].free += amount;
        emit StakeDeposited(account, msg.sender, amount);
    }

    function _requireFree(address account, uint96 free, uint96 needed) private pure {
        if (free < needed) revert StakeShort(account, free, needed);
    }
}
