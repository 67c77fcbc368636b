// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Verifiers} from "../src/Verifiers.sol";
import {IVerifiers, VerifierStage} from "../src/interfaces/IVerifiers.sol";
import {Test} from "./support/Test.sol";

contract VerifiersTest is Test {
    Verifiers private verifiers = new Verifiers(address(this));

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
        verifiers.admit(1, 0);
        verifiers.startCanary(1, 10);
        vm.assertEq(verifiers.admit(1, 10), address(this), "a value at the cap");
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.ValueAboveCap.selector, uint256(11), uint256(10)));
        verifiers.admit(1, 11);
        verifiers.activate(1);
        vm.assertEq(verifiers.admit(1, type(uint256).max), address(this), "an active one takes any value");
        verifiers.retire(1);
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.VerifierClosed.selector, uint16(1), VerifierStage.Retired));
        verifiers.admit(1, 0);
        vm.assertEq(verifiers.verifierOf(1), address(this), "a retired one still judges old claims");
    }

    function test_only_the_owner_changes_anything() public {
        address stranger = named("stranger");
        verifiers.propose(address(this));
        bytes memory why = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(why);
        verifiers.propose(address(this));
        vm.expectRevert(why);
        verifiers.startCanary(1, 1);
        vm.expectRevert(why);
        verifiers.activate(1);
        vm.expectRevert(why);
        verifiers.retire(1);
        vm.stopPrank();
    }
}
