// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Timelock} from "../src/Timelock.sol";
import {Verifiers} from "../src/Verifiers.sol";
import {IVerifiers, VerifierStage} from "../src/interfaces/IVerifiers.sol";
import {Test} from "./support/Test.sol";

contract VerifiersTest is Test {
    address private owner = named("owner");
    address private guardian = named("guardian");
    /// @dev The test is its founder.
    Verifiers private verifiers = new Verifiers(owner, guardian);

    function assertStage(uint16 id, VerifierStage wanted, uint88 wantedCap) private view {
        (VerifierStage stage, uint88 cap) = verifiers.stageOf(id);
        vm.assertEq(uint256(stage), uint256(wanted), "another stage");
        vm.assertEq(cap, wantedCap, "another cap");
    }

    function refusesStage(VerifierStage from, VerifierStage to) private {
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.StageNotForward.selector, from, to));
    }

    function test_ids_count_from_one_and_keep_their_contract() public {
        vm.assertEq(verifiers.propose(address(this)), 1, "the first id");
        vm.assertEq(verifiers.propose(address(verifiers)), 2, "the second id");
        vm.assertEq(verifiers.verifierOf(1), address(this), "id 1 names another contract");
        vm.assertEq(verifiers.verifierOf(2), address(verifiers), "id 2 names another contract");
        vm.assertEq(verifiers.count(), 2, "two ids");
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.VerifierUnknown.selector, uint16(0)));
        verifiers.verifierOf(0);
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.VerifierUnknown.selector, uint16(3)));
        verifiers.verifierOf(3);
    }

    function test_a_verifier_is_a_contract() public {
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.VerifierWithoutCode.selector, address(1234)));
        verifiers.propose(address(1234));
    }

    function test_stages_only_go_forward() public {
        verifiers.propose(address(this));
        assertStage(1, VerifierStage.Proposed, 0);
        refusesStage(VerifierStage.Proposed, VerifierStage.Active); // a canary first
        verifiers.activate(1);
        verifiers.startCanary(1, 10);
        assertStage(1, VerifierStage.Canary, 10);
        verifiers.startCanary(1, 20);
        assertStage(1, VerifierStage.Canary, 20);
        verifiers.activate(1);
        assertStage(1, VerifierStage.Active, 0);
        refusesStage(VerifierStage.Active, VerifierStage.Canary);
        verifiers.startCanary(1, 10);
        refusesStage(VerifierStage.Active, VerifierStage.Active);
        verifiers.activate(1);
        verifiers.retire(1);
        assertStage(1, VerifierStage.Retired, 0);
        refusesStage(VerifierStage.Retired, VerifierStage.Canary);
        verifiers.startCanary(1, 10);
        refusesStage(VerifierStage.Retired, VerifierStage.Active);
        verifiers.activate(1);
        refusesStage(VerifierStage.Retired, VerifierStage.Retired);
        verifiers.retire(1);
    }

    function test_who_is_admitted_at_each_stage() public {
        verifiers.propose(address(this));
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.VerifierClosed.selector, uint16(1), VerifierStage.Proposed));
        verifiers.admit(1);
        verifiers.startCanary(1, 10);
        (address verifier, uint256 cap) = verifiers.admit(1);
        vm.assertEq(verifier, address(this), "a canary takes orders");
        vm.assertEq(cap, 10, "up to its cap");
        verifiers.activate(1);
        (verifier, cap) = verifiers.admit(1);
        vm.assertEq(cap, type(uint256).max, "an active one takes any value");
        verifiers.retire(1);
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.VerifierClosed.selector, uint16(1), VerifierStage.Retired));
        verifiers.admit(1);
        vm.assertEq(verifiers.verifierOf(1), address(this), "a retired one still judges old claims");
    }

    function test_only_the_owner_and_the_founder_change_anything() public {
        address stranger = named("stranger");
        verifiers.propose(address(this));
        refusesAll(stranger);
        refusesAll(guardian);
        vm.startPrank(owner);
        verifiers.startCanary(1, 1);
        verifiers.activate(1);
        verifiers.retire(1);
        vm.stopPrank();
    }

    function refusesAll(address who) private {
        bytes memory why = abi.encodeWithSelector(IVerifiers.NotGovernance.selector, who);
        vm.startPrank(who);
        vm.expectRevert(why);
        verifiers.propose(address(this));
        vm.expectRevert(why);
        verifiers.startCanary(1, 1);
        vm.expectRevert(why);
        verifiers.activate(1);
        vm.expectRevert(why);
        verifiers.retire(1);
        vm.expectRevert(why);
        verifiers.setGuardian(who);
        vm.expectRevert(why);
        verifiers.endFounding();
        vm.stopPrank();
    }

    function test_the_guardian_halts_and_nothing_else() public {
        verifiers.propose(address(this));
        verifiers.startCanary(1, 1);
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.NotGuardian.selector, address(this)));
        verifiers.halt(1);
        vm.prank(guardian);
        verifiers.halt(1);
        assertStage(1, VerifierStage.Halted, 0);
        (address judge, bool halted) = verifiers.judgeOf(1);
        vm.assertEq(judge, address(this), "its contract stays");
        vm.assertTrue(halted, "and everybody knows");
        refusesStage(VerifierStage.Halted, VerifierStage.Halted);
        vm.prank(owner);
        verifiers.halt(1);
        refusesStage(VerifierStage.Halted, VerifierStage.Canary);
        verifiers.startCanary(1, 1);
        refusesStage(VerifierStage.Halted, VerifierStage.Active);
        verifiers.activate(1);
        refusesStage(VerifierStage.Halted, VerifierStage.Retired);
        verifiers.retire(1);
    }

    function test_the_owner_may_halt_and_name_another_guardian() public {
        verifiers.propose(address(this));
        vm.prank(owner);
        verifiers.setGuardian(address(0));
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.NotGuardian.selector, guardian));
        verifiers.halt(1);
        vm.prank(owner);
        verifiers.halt(1);
        assertStage(1, VerifierStage.Halted, 0);
    }

    /// The deployer's batch: a timelock owns the registry from the first block on, and the deployer
    /// keeps nothing.
    function test_a_deployment_hands_over_to_a_timelock_in_one_batch() public {
        address[] memory councils = new address[](1);
        councils[0] = named("council");
        Timelock timelock = new Timelock(2 days, councils, councils);
        Verifiers registry = new Verifiers(address(timelock), guardian);
        vm.assertEq(registry.founder(), address(this), "a test market, as long as its founder acts for the owner");
        registry.propose(address(this));
        registry.startCanary(1, 10);
        registry.activate(1);
        registry.endFounding();
        vm.assertEq(registry.founder(), address(0), "a test market no more");
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.NotGovernance.selector, address(this)));
        registry.retire(1);

        bytes memory retire = abi.encodeCall(registry.retire, (1));
        vm.startPrank(councils[0]);
        timelock.schedule(address(registry), 0, retire, 0, 0, 2 days);
        vm.expectRevert();
        timelock.execute(address(registry), 0, retire, 0, 0);
        vm.warp(vm.getBlockTimestamp() + 2 days);
        timelock.execute(address(registry), 0, retire, 0, 0);
        vm.stopPrank();
        (VerifierStage stage,) = registry.stageOf(1);
        vm.assertEq(uint256(stage), uint256(VerifierStage.Retired), "the timelock governs");
        vm.assertFalse(timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), address(this)), "nor is the deployer its admin");
    }
}
