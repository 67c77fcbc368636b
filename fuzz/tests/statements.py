"""Checks the statements of a receipt: RECEIPT. DSSE by securesystemslib, statements by in-toto-attestation, proofs by tlog-scales."""

import base64
import hashlib
import json
import sys

import google.protobuf.json_format as pb_json
import in_toto_attestation.v1.statement_pb2 as spb
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
from tlog_scales.tiles import leaf_hash
from tlog_scales.tlog import Checkpoint, InclusionProof



def halves(start, end):
    """As RFC 6962 splits a tree."""
    middle = start + (1 << (end - start - 1).bit_length() - 1)
    return (start, middle), (middle, end)


def inclusion(index, size):
    """The subtrees of an entry's path, from its sibling up (RFC 6962, 2.1.1)."""
    at, path = (0, size), []
    while at[1] - at[0] > 1:
        left, right = halves(*at)
        path.append(right if index < right[0] else left)
        at = left if index < right[0] else right
    return path[::-1]


def consistency(old_size, size):
    """The subtrees that show that a tree goes on from an older one (RFC 6962, 2.1.2)."""
    at, path = (0, size), []
    while at[1] != old_size:
        left, right = halves(*at)
        path.append(right if old_size <= right[0] else left)
        at = left if old_size <= right[0] else right
    return (path + [at] if at[0] > 0 else path)[::-1]


def derived(subtree, known):
    """A subtree's hash, if it follows from known ones."""
    if subtree in known or subtree[1] - subtree[0] == 1:
        return known.get(subtree)
    left, right = (derived(half, known) for half in halves(*subtree))
    return hashlib.sha256(b"\1" + left + right).digest() if left and right else None


def envelope_of(logged, log):
    """The logged entry: spec/receipt.md says how a receipt writes it."""
    payload = json.dumps(logged["payload"], separators=(",", ":"), ensure_ascii=False).encode()
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": log["keys"][logged["key"]], "sig": logged["signature"]}],
    }


def entry_of(envelope):
    return json.dumps(envelope, separators=(",", ":")).encode()


receipt = json.load(open(sys.argv[1]))
log = receipt["log"]
checkpoint = Checkpoint.from_text(log["checkpoint"])
statements = [(logged["index"], envelope_of(logged, log)) for logged in log["statements"]]

# What completes the proofs: spec/receipt.md, Proofs.
known = {(index, index + 1): leaf_hash(entry_of(envelope)) for index, envelope in statements}
needed = {subtree for index, _ in statements for subtree in inclusion(index, checkpoint.size)}
if log["anchor"]:
    needed.update(consistency(log["anchor"]["size"], checkpoint.size))
given = [base64.b64decode(one) for one in log["hashes"]]
for subtree in sorted(needed, key=lambda one: (one[1] - one[0], one[0])):
    known[subtree] = derived(subtree, known) or given.pop(0)
assert not given, "hashes for nothing"

kinds = []
for index, envelope in statements:
    path = [known[subtree] for subtree in inclusion(index, checkpoint.size)]
    proof = InclusionProof(index, checkpoint.size, path)
    proof.check(leaf_hash(entry_of(envelope)), checkpoint.root_hash)

    keyid = envelope["signatures"][0]["keyid"]
    key = SSlibKey(keyid, "ed25519", "ed25519", {"public": keyid})
    dsse = Envelope.from_dict(json.loads(json.dumps(envelope)))
    dsse.verify([key], 1)
    dsse.payload += b" "
    try:
        dsse.verify([key], 1)
        raise AssertionError("a changed payload has a good signature")
    except VerificationError:
        pass

    payload = base64.b64decode(envelope["payload"])
    statement = Statement.copy_from_pb(pb_json.Parse(payload, spb.Statement()))
    statement.validate()
    kinds.append(statement.pb.predicate_type)
print(" ".join(kinds))
