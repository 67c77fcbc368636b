// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Meter} from "../../src/libraries/Meter.sol";
import {Ramp} from "../../src/libraries/Ramp.sol";
import {Split} from "../../src/libraries/Split.sol";

/// @title The rules of money, for halmos: every `check_` holds for all inputs
/// @notice Run by `cargo xtask contracts prove`, with PyPI's halmos.
/// Forge does not run these.
contract RulesProof {
    function check_a_price_lies_within_its_bounds(uint96 low, uint96 high, uint40 startAt, uint32 rampSecs, uint40 time)
        public
        pure
    {
        if (low > high) return;
        uint96 price = Ramp.priceAt(low, high, startAt, rampSecs, time);
        assert(low <= price && price <= high);
    }

    function check_a_price_is_flat_before_and_after_its_ramp(
        uint96 low,
        uint96 high,
        uint40 startAt,
        uint32 rampSecs,
        uint40 time
    ) public pure {
        if (low > high) return;
        uint96 price = Ramp.priceAt(low, high, startAt, rampSecs, time);
        if (time < startAt) assert(price == low);
        if (uint256(time) >= uint256(startAt) + rampSecs) assert(price == high);
    }

    function check_a_payment_never_exceeds_its_cap(uint96 cap, uint96 base, uint96 rate, uint48 steps) public pure {
        assert(Meter.due(cap, base, rate, steps) <= cap);
    }

    function check_a_fixed_price_is_paid_in_full(uint96 cap, uint96 max, uint48 steps) public pure {
        if (cap > max) return;
        assert(Meter.due(cap, max, 0, steps) == cap);
    }

    function check_the_parts_of_a_slash_are_the_whole(uint96 stake, uint16 compensationBps, uint16 bountyBps)
        public
        pure
    {
        if (!Split.sharesValid(compensationBps, bountyBps)) return;
        (uint96 compensation, uint96 bounty, uint96 cover) = Split.slashed(stake, compensationBps, bountyBps);
        assert(uint256(compensation) + bounty + cover == stake);
    }

    /// @dev All shares, stakes below 2^24; and below, all stakes at the shares that leave the pool
    /// the least. Both at once take the solvers between a minute and for ever.
    function check_one_person_in_every_role_loses(uint24 stake, uint16 compensationBps, uint16 bountyBps) public pure {
        if (stake == 0 || !Split.sharesValid(compensationBps, bountyBps)) return;
        (uint96 compensation, uint96 bounty,) = Split.slashed(stake, compensationBps, bountyBps);
        assert(uint256(compensation) + bounty < stake);
    }

    function check_one_person_in_every_role_loses_at_the_highest_shares(uint96 stake) public pure {
        if (stake == 0) return;
        assert(Split.sharesValid(5_000, 4_000));
        (uint96 compensation, uint96 bounty,) = Split.slashed(stake, 5_000, 4_000);
        assert(uint256(compensation) + bounty < stake);
    }

    function check_a_lapse_fee_can_always_be_paid(uint96 fee, uint96 priceMin, uint96 stake) public pure {
        if (!Split.lapseFeeValid(fee, priceMin, stake)) return;
        assert(fee <= priceMin && fee <= stake);
    }
}
