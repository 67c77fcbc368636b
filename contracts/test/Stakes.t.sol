// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IStakes} from "../src/interfaces/IStakes.sol";
import {Order} from "../src/interfaces/IMarket.sol";
import {MarketFixture} from "./support/MarketFixture.sol";

contract StakesTest is MarketFixture {
    /// @dev Longer than the longest window, 30 days, and as long again for its disputes.
    uint256 private constant UNBOND_SECS = 61 days;

    function test_a_deposit_is_free_stake() public {
        bond(stranger, 5 * DOLLAR);
        vm.assertEq(stakes.freeOf(stranger), 5 * DOLLAR, "the deposit is not free");
        vm.expectRevert(IStakes.AccountZero.selector);
        stakes.deposit(address(0), 1);
    }

    function test_unbonding_takes_its_time() public {
        vm.prank(provider);
        stakes.unbond(40);
        (uint96 amount, uint40 readyAt) = stakes.unbondingOf(provider);
        vm.assertEq(amount, 40, "another amount unbonds");
        vm.assertEq(readyAt, clock + UNBOND_SECS, "another delay");
        vm.assertEq(stakes.freeOf(provider), PURSE - 40, "unbonding stake can be locked");
        warp(readyAt - 1);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IStakes.Unbonding.selector, uint256(readyAt)));
        stakes.withdraw(provider);
        warp(readyAt);
        vm.prank(provider);
        stakes.withdraw(beneficiary);
        vm.assertEq(token.balanceOf(beneficiary), 40, "the stake has not arrived");
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IStakes.NothingUnbonding.selector, provider));
        stakes.withdraw(provider);
    }

    function test_a_second_unbonding_restarts_the_delay_for_the_sum() public {
        vm.prank(provider);
        stakes.unbond(40);
        skip(60 days);
        vm.prank(provider);
        stakes.unbond(2);
        (uint96 amount, uint40 readyAt) = stakes.unbondingOf(provider);
        vm.assertEq(amount, 42, "the two are not added");
        vm.assertEq(readyAt, clock + UNBOND_SECS, "new stake slipped out behind old");
    }

    function test_rebonding_puts_stake_back_to_use() public {
        vm.prank(provider);
        stakes.unbond(40);
        vm.prank(provider);
        stakes.rebond();
        vm.assertEq(stakes.freeOf(provider), PURSE, "the stake is not free again");
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IStakes.NothingUnbonding.selector, provider));
        stakes.rebond();
    }

    function test_reserved_stake_does_not_unbond() public {
        Order memory o = order();
        lock(o);
        vm.prank(provider);
        vm.expectRevert(
            abi.encodeWithSelector(IStakes.StakeShort.selector, provider, PURSE - o.stake, PURSE - o.stake + 1)
        );
        stakes.unbond(uint96(PURSE - o.stake + 1));
        vm.prank(provider);
        stakes.unbond(uint96(PURSE - o.stake));
    }

    function test_only_the_market_reserves_releases_and_slashes() public {
        bytes memory why = abi.encodeWithSelector(IStakes.NotMarket.selector, governance);
        vm.startPrank(governance);
        vm.expectRevert(why);
        stakes.reserve(provider, 1);
        vm.expectRevert(why);
        stakes.release(provider, 1);
        vm.expectRevert(why);
        stakes.slash(provider, 1, 0);
        vm.stopPrank();
    }

    function test_even_the_market_moves_no_more_than_is_reserved() public {
        vm.startPrank(address(market));
        vm.expectRevert();
        stakes.release(provider, 1);
        vm.expectRevert();
        stakes.slash(provider, 1, 0);
        vm.stopPrank();
    }
}
