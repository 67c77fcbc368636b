// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Meter} from "../../src/libraries/Meter.sol";
import {Ramp} from "../../src/libraries/Ramp.sol";
import {Split} from "../../src/libraries/Split.sol";
import {Test} from "../support/Test.sol";

contract RampTest is Test {
    function expect(uint256 time, uint96 wanted) private pure {
        vm.assertEq(Ramp.priceAt(100, 200, 1_000, 30, time), wanted, "another price");
    }

    function test_the_ramp() public pure {
        expect(0, 100);
        expect(999, 100);
        expect(1_000, 100);
        expect(1_001, 103);
        expect(1_015, 150);
        expect(1_029, 196);
        expect(1_030, 200);
        expect(type(uint256).max, 200);
    }

    function test_a_ramp_of_no_length_is_a_jump() public pure {
        vm.assertEq(Ramp.priceAt(1, 9, 1_000, 0, 999), 1, "before the jump");
        vm.assertEq(Ramp.priceAt(1, 9, 1_000, 0, 1_000), 9, "at the jump");
    }

    function testFuzz_the_price_stays_in_bounds_and_never_falls(
        uint96 a,
        uint96 b,
        uint40 startAt,
        uint32 rampSecs,
        uint40 time,
        uint40 later
    ) public pure {
        (uint96 low, uint96 high) = a < b ? (a, b) : (b, a);
        if (later < time) (time, later) = (later, time);
        uint96 first = Ramp.priceAt(low, high, startAt, rampSecs, time);
        uint96 second = Ramp.priceAt(low, high, startAt, rampSecs, later);
        vm.assertGe(first, low, "below the minimum");
        vm.assertLe(second, high, "above the maximum");
        vm.assertLe(first, second, "the price fell");
    }
}

contract MeterTest is Test {
    function test_the_meter() public pure {
        vm.assertEq(Meter.due(1_000, 10, 7, 0), 10, "no steps");
        vm.assertEq(Meter.due(1_000, 10, 7, (1 << 20) - 1), 16, "rounded down");
        vm.assertEq(Meter.due(1_000, 10, 7, 1 << 20), 17, "one mebistep");
        vm.assertEq(Meter.due(16, 10, 7, 1 << 20), 16, "capped");
        vm.assertEq(
            Meter.due(type(uint96).max, type(uint96).max, type(uint96).max, type(uint48).max),
            type(uint96).max,
            "no overflow"
        );
    }

    function testFuzz_never_above_the_cap_and_never_falling(uint96 cap, uint96 base, uint96 rate, uint48 a, uint48 b)
        public
        pure
    {
        if (b < a) (a, b) = (b, a);
        vm.assertLe(Meter.due(cap, base, rate, b), cap, "above the cap");
        vm.assertLe(Meter.due(cap, base, rate, a), Meter.due(cap, base, rate, b), "more steps cost less");
    }
}

contract SplitTest is Test {
    function test_the_split() public pure {
        (uint96 compensation, uint96 bounty, uint96 cover) = Split.slashed(1_003, 4_000, 3_000);
        vm.assertEq(compensation, 401, "two fifths");
        vm.assertEq(bounty, 300, "three tenths");
        vm.assertEq(cover, 302, "the rest, and the rounding");
    }

    function testFuzz_nothing_is_made_or_lost(uint96 stake, uint16 compensationBps, uint16 bountyBps) public pure {
        bountyBps = uint16(bound(bountyBps, Split.BOUNTY_BPS_MIN, Split.BOUNTY_BPS_MAX));
        compensationBps =
            uint16(bound(compensationBps, Split.COMPENSATION_BPS_MIN, 10_000 - Split.COVER_BPS_MIN - bountyBps));
        vm.assertTrue(Split.sharesValid(compensationBps, bountyBps), "bounds disagree");
        (uint96 compensation, uint96 bounty, uint96 cover) = Split.slashed(stake, compensationBps, bountyBps);
        vm.assertEq(uint256(compensation) + bounty + cover, stake, "the parts are not the whole");
        vm.assertGe(uint256(cover) * 10_000, uint256(stake) * Split.COVER_BPS_MIN, "the cover pool's least share");
        vm.assertLe(uint256(bounty) * 10_000, uint256(stake) * Split.BOUNTY_BPS_MAX, "the bounty's most");
    }
}
