"""Checks a log with tlog-scales: FOLDER SIZE LOG_KEY WITNESS_KEY. The folder has our tiles, and what else we said in `said.json`."""

import base64
import json
import pathlib
import sys

from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey, VkeySet
from tlog_scales.tiles import leaf_hash
from tlog_scales.tlog import Checkpoint, ConsistencyProof, InclusionProof

folder, size, log_key, witness_key = sys.argv[1:]
folder, size = pathlib.Path(folder), int(size)
said = json.loads((folder / "said.json").read_text())

reader = TilesReader(LocalBackend(folder))
checkpoint = reader.get_checkpoint()
assert checkpoint.size == size, checkpoint
checkpoint.verify(Vkey.from_string(log_key))
root = reader.calculate_root_hash()
assert root == checkpoint.root_hash, "another root than the tiles have"

# Every entry, and what it proves by itself.
entries = [reader.get_entry(index) for index in range(size)]
for index, entry in enumerate(entries):
    assert entry == f"entry {index}".encode(), (index, entry)
for index in range(0, size, 997):
    reader.get_inclusion_proof(index, size).check(leaf_hash(entries[index]), root)

# Our proofs.
for index, path in said["inclusion"]:
    hashes = [bytes.fromhex(hash) for hash in path]
    InclusionProof(index, size, hashes).check(leaf_hash(entries[index]), root)
for old, path in said["consistency"]:
    hashes = [bytes.fromhex(hash) for hash in path]
    ConsistencyProof(old, size, hashes).check(reader.mth(0, old), root)

# Our witness.
cosigned = Checkpoint.from_text((folder / "cosigned").read_text())
keys = VkeySet(Vkey.from_string(log_key), Vkey.from_string(witness_key))
assert len(keys.verify(cosigned.signatures, cosigned)) == 2, "a signature is not good"

# And a proof as it travels.
head, note = (folder / "one.tlog-proof").read_text().split("\n\n", 1)
header, index, *path = head.split("\n")
assert header == "c2sp.org/tlog-proof@v1", header
index = int(index.removeprefix("index "))
cosigned = Checkpoint.from_text(note)
hashes = [base64.b64decode(hash) for hash in path]
InclusionProof(index, cosigned.size, hashes).check(leaf_hash(entries[index]), cosigned.root_hash)

print(len(entries), len(said["inclusion"]), len(said["consistency"]))
