// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Anchors} from "../src/Anchors.sol";
import {Checkpoint, IAnchors} from "../src/interfaces/IAnchors.sol";
import {Test} from "./support/Test.sol";

contract AnchorsTest is Test {
    bytes32 private immutable ORIGIN = sha256("log.example/assay");

    Anchors private anchors = new Anchors();
    address private operator = named("operator");
    address private other = named("other");

    function setUp() public {
        vm.warp(1_800_000_000);
        vm.startPrank(operator);
        anchors.register(ORIGIN, "statement");
    }

    function test_a_checkpoint_is_kept_by_size() public {
        anchors.anchor(ORIGIN, 10, "ten");
        anchors.anchor(ORIGIN, 12, "twelve");
        Checkpoint memory last = anchors.latestOf(ORIGIN, operator);
        vm.assertEq(last.size, 12, "another size");
        vm.assertEq(last.root, "twelve", "another root");
        vm.assertEq(last.anchoredAt, 1_800_000_000, "another time");
        vm.assertEq(anchors.rootAt(ORIGIN, operator, 10), "ten", "an older anchor is lost");
        vm.assertEq(anchors.rootAt(ORIGIN, operator, 11), 0, "a size that was never anchored");
        vm.assertEq(anchors.statementOf(ORIGIN, operator), "statement", "the binding statement is lost");
    }

    function testFuzz_sizes_only_grow(uint64 first, uint64 second) public {
        first = uint64(bound(first, 1, type(uint64).max));
        anchors.anchor(ORIGIN, first, "first");
        if (second <= first) {
            vm.expectRevert(abi.encodeWithSelector(IAnchors.SizeNotLarger.selector, second, first));
        }
        anchors.anchor(ORIGIN, second, "second");
        vm.assertEq(anchors.rootAt(ORIGIN, operator, first), "first", "history was rewritten");
    }

    function test_an_empty_log_is_not_anchored() public {
        vm.expectRevert(abi.encodeWithSelector(IAnchors.SizeNotLarger.selector, uint64(0), uint64(0)));
        anchors.anchor(ORIGIN, 0, "empty");
    }

    function test_operators_of_one_origin_do_not_touch_each_other() public {
        anchors.anchor(ORIGIN, 10, "ten");
        vm.startPrank(other);
        vm.expectRevert(abi.encodeWithSelector(IAnchors.OperatorUnregistered.selector, ORIGIN, other));
        anchors.anchor(ORIGIN, 11, "eleven");
        anchors.register(ORIGIN, "another statement");
        anchors.anchor(ORIGIN, 3, "three");
        vm.assertEq(anchors.latestOf(ORIGIN, operator).size, 10, "a stranger moved an operator's log");
        vm.assertEq(anchors.latestOf(ORIGIN, other).size, 3, "an operator has its own sizes");
    }

    function test_a_registration_stands() public {
        vm.expectRevert(abi.encodeWithSelector(IAnchors.OperatorRegistered.selector, ORIGIN, operator));
        anchors.register(ORIGIN, "another statement");
        vm.expectRevert(IAnchors.StatementMissing.selector);
        anchors.register("another log", 0);
    }
}
