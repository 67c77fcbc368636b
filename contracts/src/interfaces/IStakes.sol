// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Providers' stakes
/// @notice A stake is free, reserved for a job, or unbonding. Only the market reserves, releases
/// and slashes; only the account itself unbonds and withdraws, and nobody can stop it
/// (spec/contracts.md#stakes).
interface IStakes {
    /// @notice Only the market may do this.
    error NotMarket(address caller);
    /// @notice The free stake does not cover the amount.
    error StakeShort(address account, uint256 free, uint256 needed);
    /// @notice Stake still unbonds until then.
    error Unbonding(uint256 readyAt);
    /// @notice There is nothing to withdraw.
    error NothingUnbonding(address account);
    /// @notice The account is the zero address: nobody could ever withdraw what it gets.
    error AccountZero();

    event StakeDeposited(address indexed account, address indexed payer, uint96 amount);
    event StakeSlashed(address indexed account, bytes32 indexed jobId, uint96 amount);
    event UnbondStarted(address indexed account, uint96 amount, uint96 unbonding, uint40 readyAt);
    event StakeWithdrawn(address indexed account, address indexed to, uint96 amount);

    /// @notice Adds to an account's free stake, paid by the caller, who has approved it.
    function deposit(address account, uint96 amount) external;

    /// @notice Adds to the caller's free stake with an ERC-2612 permit.
    function depositWithPermit(uint96 amount, uint256 permitDeadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Takes free stake out of use; after the delay it can be withdrawn. A second call
    /// restarts the delay for the sum.
    function unbond(uint96 amount) external;

    /// @notice Puts what unbonds back to use.
    function rebond() external;

    /// @notice Pays out what has unbonded.
    function withdraw(address to) external;

    /// @notice Sets free stake aside for a job. Market only. The market's own events say which,
    /// here and below.
    function reserve(address account, uint96 amount) external;

    /// @notice Frees reserved stake. Market only.
    function release(address account, uint96 amount) external;

    /// @notice Moves reserved stake to the market, which shares it out. Market only.
    function slash(address account, uint96 amount, bytes32 jobId) external;

    /// @notice What the account can still lock jobs with.
    function freeOf(address account) external view returns (uint96 amount);

    /// @notice What its jobs hold.
    function reservedOf(address account) external view returns (uint96 amount);

    /// @notice What unbonds, and when it can be withdrawn, in Unix seconds.
    function unbondingOf(address account) external view returns (uint96 amount, uint40 readyAt);
}
