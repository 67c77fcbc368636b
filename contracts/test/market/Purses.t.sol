// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Market} from "../../src/Market.sol";
import {IMarket, JobStatus, Order} from "../../src/interfaces/IMarket.sol";
import {Verdict} from "../../src/interfaces/IVerifier.sol";
import {Payments} from "../../src/libraries/Payments.sol";
import {HostileToken} from "../support/HostileToken.sol";
import {MarketFixture} from "../support/MarketFixture.sol";

contract PursesTest is MarketFixture {
    function permit(uint256 key, address owner, address spender, uint256 amount)
        private
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash =
            keccak256(abi.encode(typeHash, owner, spender, amount, token.nonces(owner), type(uint256).max));
        return vm.sign(key, keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), structHash)));
    }

    function test_money_goes_in_and_out() public {
        fill(stranger, 3 * DOLLAR);
        vm.prank(stranger);
        market.withdraw(stranger, 1 * DOLLAR);
        vm.assertEq(market.purseOf(stranger), 2 * DOLLAR, "the purse is not what is left");
        vm.assertEq(token.balanceOf(stranger), 1 * DOLLAR, "the money has not arrived");
        vm.prank(stranger);
        market.withdraw(auditor, 2 * DOLLAR);
        vm.assertEq(token.balanceOf(auditor), 2 * DOLLAR, "the money went elsewhere");
        assertBalanced(0);
    }

    function test_nobody_withdraws_more_than_their_own() public {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IMarket.PurseShort.selector, stranger, uint256(0), uint256(1)));
        market.withdraw(stranger, 1);
    }

    function test_a_deposit_for_the_zero_account_is_refused() public {
        vm.expectRevert(IMarket.AccountZero.selector);
        market.deposit(address(0), 1);
    }

    function test_a_permit_deposits_in_one_call() public {
        token.mint(requester, DOLLAR);
        (uint8 v, bytes32 r, bytes32 s) = permit(requesterKey, requester, address(market), DOLLAR);
        vm.prank(requester);
        market.depositWithPermit(DOLLAR, type(uint256).max, v, r, s);
        vm.assertEq(market.purseOf(requester), PURSE + DOLLAR, "the deposit is not booked");
    }

    function test_a_permit_that_was_front_run_still_deposits() public {
        token.mint(requester, DOLLAR);
        (uint8 v, bytes32 r, bytes32 s) = permit(requesterKey, requester, address(market), DOLLAR);
        vm.prank(stranger);
        token.permit(requester, address(market), DOLLAR, type(uint256).max, v, r, s);
        vm.prank(requester);
        market.depositWithPermit(DOLLAR, type(uint256).max, v, r, s);
        vm.assertEq(market.purseOf(requester), PURSE + DOLLAR, "a front-run permit blocked a deposit");
    }

    function test_a_false_permit_takes_nothing() public {
        token.mint(requester, DOLLAR);
        (, uint256 key) = account("stranger");
        (uint8 v, bytes32 r, bytes32 s) = permit(key, requester, address(market), DOLLAR);
        vm.prank(requester);
        vm.expectRevert();
        market.depositWithPermit(DOLLAR, type(uint256).max, v, r, s);
    }

    /// Native currency is not accounted for because it is not taken.
    function test_native_currency_is_refused_everywhere() public {
        vm.deal(stranger, 10 ether);
        bytes[4] memory calls = [
            bytes(""),
            abi.encodeCall(market.deposit, (stranger, 0)),
            abi.encodeCall(market.cancel, (0, 0)),
            abi.encodeCall(market.withdraw, (stranger, 0))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(stranger);
            (bool ok,) = address(market).call{value: 1}(calls[i]);
            vm.assertFalse(ok, "the market took native currency");
            vm.prank(stranger);
            (ok,) = address(stakes).call{value: 1}(calls[i]);
            vm.assertFalse(ok, "the stakes took native currency");
        }
    }

    // --- tokens that misbehave -------------------------------------------------------------------

    function hostile() private returns (HostileToken bad, Market other) {
        bad = new HostileToken();
        other = new Market(bad, verifiers, governance, BASE_FEE);
        bad.mint(stranger, 100);
        vm.prank(stranger);
        bad.approve(address(other), 100);
    }

    function test_a_token_that_keeps_a_fee_is_refused() public {
        (HostileToken bad, Market other) = hostile();
        bad.setFee(1);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Payments.TokenShort.selector, uint256(99), uint256(100)));
        other.deposit(stranger, 100);
    }

    function test_a_token_cannot_reenter_a_deposit() public {
        (HostileToken bad, Market other) = hostile();
        bad.mint(address(bad), 50);
        bad.setReentry(address(other), abi.encodeCall(other.deposit, (stranger, 50)));
        vm.prank(stranger);
        other.deposit(stranger, 100);
        vm.assertFalse(bad.reentered(), "one transfer was booked twice");
        vm.assertEq(other.purseOf(stranger), 100, "the purse is not what arrived");
    }

    function test_a_token_cannot_reenter_a_withdrawal() public {
        (HostileToken bad, Market other) = hostile();
        vm.prank(stranger);
        other.deposit(stranger, 100);
        bad.setReentry(address(other), abi.encodeCall(other.withdraw, (address(bad), 0)));
        vm.prank(stranger);
        other.withdraw(stranger, 100);
        vm.assertFalse(bad.reentered(), "a withdrawal ran inside a withdrawal");
        vm.assertEq(bad.balanceOf(stranger), 100, "the money has not arrived");
    }

    // --- governance ------------------------------------------------------------------------------

    function test_only_governance_moves_cover_and_only_cover() public {
        Order memory o = order();
        lock(o);
        verifier.decide(claim(o), Verdict.Refuted, address(0));
        market.settle(o);
        uint256 pool = market.coverPool();
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        market.moveCover(stranger, 1);
        vm.prank(governance);
        vm.expectRevert(abi.encodeWithSelector(IMarket.CoverShort.selector, pool, pool + 1));
        market.moveCover(governance, pool + 1);
        vm.prank(governance);
        market.moveCover(auditor, pool);
        vm.assertEq(token.balanceOf(auditor), pool, "the cover has not arrived");
        vm.assertEq(market.coverPool(), 0, "the pool is not empty");
        assertBalanced(0);
    }

    function test_only_governance_pauses() public {
        bytes memory why = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger);
        vm.prank(stranger);
        vm.expectRevert(why);
        market.pauseOrders();
        vm.prank(stranger);
        vm.expectRevert(why);
        market.unpauseOrders();
    }

    function test_a_pause_blocks_no_withdrawal() public {
        vm.prank(governance);
        market.pauseOrders();
        vm.prank(requester);
        market.withdraw(requester, PURSE);
        vm.prank(provider);
        stakes.unbond(uint96(PURSE));
        skip(61 days);
        vm.prank(provider);
        stakes.withdraw(provider);
    }
}
