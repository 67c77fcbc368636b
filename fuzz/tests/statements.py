"""Checks the statements of a receipt: RECEIPT. DSSE by securesystemslib, statements by in-toto-attestation, proofs by tlog-scales."""

import base64
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

receipt = json.load(open(sys.argv[1]))
log = receipt["log"]
checkpoint = Checkpoint.from_text(log["checkpoint"])
kinds = []
for logged in log["statements"]:
    # The logged entry: spec/receipt.md says how a receipt writes it.
    keyid = log["keys"][logged["key"]]
    envelope = {
        "payload": base64.b64encode(logged["payload"].encode()).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": keyid, "sig": logged["signature"]}],
    }
    entry = json.dumps(envelope, separators=(",", ":")).encode()
    path = [base64.b64decode(log["hashes"][place]) for place in logged["path"]]
    proof = InclusionProof(logged["index"], checkpoint.size, path)
    proof.check(leaf_hash(entry), checkpoint.root_hash)

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
