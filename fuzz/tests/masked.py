"""Checks that a payload is an in-toto statement, by in-toto-attestation: PAYLOAD. Prints its predicate's type and its subject."""

import sys

import google.protobuf.json_format as pb_json
import in_toto_attestation.v1.statement_pb2 as spb
from in_toto_attestation.v1.statement import Statement

statement = Statement.copy_from_pb(pb_json.Parse(open(sys.argv[1], "rb").read(), spb.Statement()))
statement.validate()
print(statement.pb.predicate_type, *(subject.name for subject in statement.pb.subject))
