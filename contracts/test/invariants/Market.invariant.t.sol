// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Market} from "../../src/Market.sol";
import {Stakes} from "../../src/Stakes.sol";
import {TestDollar} from "../../src/TestDollar.sol";
import {Test} from "../support/Test.sol";
import {MarketHandler} from "./MarketHandler.sol";

/// @title What is true of the market whatever anybody does (spec/contracts.md#accounting)
contract MarketInvariantTest is Test {
    MarketHandler private handler;
    TestDollar private token;
    Market private market;
    Stakes private stakes;
    uint256 private wealthBefore;

    function setUp() public {
        handler = new MarketHandler();
        (address token_, address market_, address stakes_) = handler.addresses();
        (token, market, stakes) = (TestDollar(token_), Market(market_), Stakes(stakes_));
        wealthBefore = handler.wealth();
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @dev Read by forge: only the moves are played.
    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[12] memory moves = [
            handler.lockNew.selector,
            handler.beginOne.selector,
            handler.claimOne.selector,
            handler.settleOne.selector,
            handler.expireOne.selector,
            handler.lockLate.selector,
            handler.demandSome.selector,
            handler.answerOne.selector,
            handler.reclaimOne.selector,
            handler.wait.selector,
            handler.takeOut.selector,
            handler.pause.selector
        ];
        targets = new FuzzSelector[](1);
        targets[0].addr = address(handler);
        targets[0].selectors = new bytes4[](moves.length);
        for (uint256 i = 0; i < moves.length; ++i) {
            targets[0].selectors[i] = moves[i];
        }
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// forge-config: default.invariant.runs = 24
    /// forge-config: default.invariant.depth = 120
    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_every_unit_is_somebodys() public view {
        vm.assertEq(
            token.balanceOf(address(market)),
            handler.purses() + handler.held() + market.coverPool(),
            "the market's balance is not purses + escrow + data fees + demand fees + cover"
        );
        vm.assertEq(
            token.balanceOf(address(stakes)), handler.staked(), "the stakes' balance is not free + reserved + unbonding"
        );
        for (uint256 i = 0; i < handler.castSize(); ++i) {
            address who = handler.cast(i);
            vm.assertEq(stakes.reservedOf(who), handler.reservedFor(who), "reserved stake belongs to no open lock");
        }
        // The cast as a whole never has more than it brought, and what it lost is in the pool.
        vm.assertEq(handler.wealth() + market.coverPool(), wealthBefore, "the parties gained from failing");
    }

    /// A suite that does nothing holds every invariant, so this plays a fixed run and sees that
    /// each kind of move happens.
    function test_the_moves_do_something() public {
        FuzzSelector memory all = targetSelectors()[0];
        uint256 seed = 1;
        for (uint256 i = 0; i < 1_500; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            (bool ok,) = all.addr.call(abi.encodeWithSelector(all.selectors[seed % 12], seed >> 8));
            if (seed % 12 != 11) vm.assertTrue(ok, "a move that should work reverts");
        }
        string[12] memory calls = [
            "lock",
            "begin",
            "claim",
            "settle",
            "data fee",
            "expire",
            "late lock",
            "demand",
            "answer",
            "silence",
            "reclaim",
            "withdraw"
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.assertGt(handler.did(calls[i]), 0, string.concat("the run never did: ", calls[i]));
        }
        invariant_every_unit_is_somebodys();
        afterInvariant();
    }

    /// @dev In every state that a run ends in, everybody gets all of their own out.
    function afterInvariant() public {
        for (uint256 i = 0; i < handler.castSize(); ++i) {
            address who = handler.cast(i);
            uint256 purse = market.purseOf(who);
            uint256 before = token.balanceOf(who);
            vm.prank(who);
            market.withdraw(who, purse);
            vm.assertEq(token.balanceOf(who), before + purse, "a purse did not come out");
            uint96 free = stakes.freeOf(who);
            vm.prank(who);
            stakes.unbond(free);
            (uint96 unbonding, uint40 readyAt) = stakes.unbondingOf(who);
            if (unbonding == 0) continue;
            vm.warp(readyAt);
            vm.prank(who);
            stakes.withdraw(who);
            vm.assertEq(token.balanceOf(who), before + purse + unbonding, "free stake did not come out");
        }
    }
}
