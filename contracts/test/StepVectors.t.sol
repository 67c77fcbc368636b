// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Step} from "../src/Step.sol";
import {Test, Vm} from "./support/Test.sol";

/// @notice Replays every recorded step under vectors/steps (spec/vectors.md): the same files that
/// every engine replays.
contract StepVectorsTest is Test {
    string private constant DIRECTORY = "../vectors/steps";
    uint256 private constant HEAD = 72; // tag, hash before, hash after

    Step private stepper = new Step();

    function test_every_recorded_step() public {
        if (!vm.exists(DIRECTORY)) {
            // A checkout of the contracts alone has no vectors; one with the directory must have
            // some.
            vm.skip(true, "no vectors here");
        }
        Vm.DirEntry[] memory files = vm.readDir(DIRECTORY);
        uint256 count;
        for (uint256 k = 0; k < files.length; ++k) {
            if (_isJson(files[k].path)) count += _replay(files[k].path);
        }
        vm.assertGt(count, 0, "a suite that replays nothing proves nothing");
    }

    function _replay(string memory path) private view returns (uint256 count) {
        string memory json = vm.readFile(path);
        string memory key = "[0]";
        while (vm.keyExistsJson(json, string.concat("$", key))) {
            string memory at_ = string.concat("$", key);
            _check(
                string.concat(path, ": ", vm.parseJsonString(json, string.concat(at_, ".name"))),
                vm.parseJsonBytes(json, string.concat(at_, ".witness")),
                vm.parseJsonBool(json, string.concat(at_, ".valid"))
            );
            key = string.concat("[", vm.toString(++count), "]");
        }
    }

    function _check(string memory name, bytes memory witness, bool valid) private view {
        (bool accepted, string memory reason) = _accepts(witness);
        vm.assertEq(accepted, valid, string.concat(name, reason));
    }

    /// A witness is valid if its tag is ours, its preimage hashes to the first hash, and the step's
    /// result is the second.
    function _accepts(bytes memory witness) private view returns (bool, string memory) {
        if (witness.length < HEAD + 197) return (false, ": too short");
        bytes memory head = _slice(witness, 0, HEAD);
        if (bytes8(bytes32(head)) != "assayw\x01\x01") return (false, ": tag");
        if (sha256(_slice(witness, HEAD, HEAD + 197)) != _word(witness, 8)) return (false, ": hash before");
        try stepper.step(_slice(witness, HEAD, witness.length)) returns (bytes32 post) {
            return (post == _word(witness, 40), ": hash after");
        } catch {
            return (false, ": Step refuses it");
        }
    }

    function _slice(bytes memory data, uint256 from, uint256 to) private pure returns (bytes memory part) {
        part = new bytes(to - from);
        assembly ("memory-safe") {
            mcopy(add(part, 32), add(add(data, 32), from), sub(to, from))
        }
    }

    function _word(bytes memory data, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), offset))
        }
    }

    function _isJson(string memory path) private pure returns (bool) {
        bytes memory p = bytes(path);
        return p.length > 5 && keccak256(_slice(p, p.length - 5, p.length)) == keccak256(".json");
    }
}
