// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {TestDollar} from "../src/TestDollar.sol";
import {Test} from "./support/Test.sol";

contract TestDollarTest is Test {
    TestDollar private token = new TestDollar();

    function test_anybody_mints_up_to_a_million_a_call() public {
        address stranger = named("stranger");
        uint256 max = token.MINT_MAX();
        vm.prank(stranger);
        token.mint(stranger, max);
        vm.assertEq(token.balanceOf(stranger), 1_000_000e6, "a million of six decimals");
        vm.assertEq(token.decimals(), 6, "six decimals");
        vm.expectRevert(abi.encodeWithSelector(TestDollar.MintTooLarge.selector, max + 1, max));
        token.mint(stranger, max + 1);
    }
}
