"""Opens our wraps and envelopes, and makes some for us to open: FOLDER, with what we said in `said.json`; ours go to `made.json`.

HPKE by pyhpke (X25519) and by cryptography (X-Wing), the ciphers and HKDF by cryptography; the formats as spec/envelope.md has them.
"""

import hashlib
import hmac
import json
import os
import pathlib
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, OpenError

folder = pathlib.Path(sys.argv[1])
said = json.loads((folder / "said.json").read_text())
AEAD = {1: AESGCM, 2: ChaCha20Poly1305}

# Keys.
material = hashlib.sha256(b"assay seal key, version 1\n" + bytes.fromhex(said["secret"])).digest()
by_x25519 = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305)
pair = by_x25519.kem.derive_key_pair(material)


def x_wing_pair():
    # LabeledDerive of draft-ietf-hpke-pq by SHAKE256, then X-Wing's own expansion of its seed.
    label = b"DeriveKeyPair"
    suite = b"KEM" + struct.pack(">H", 0x647A)
    labeled = struct.pack(">H", 32) + b""
    said = material + b"HPKE-v1" + suite + struct.pack(">H", len(label)) + label + labeled
    expanded = hashlib.shake_256(hashlib.shake_256(said).digest(32)).digest(96)
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    curve = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
    public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    return openssl.hpke.MLKEM768X25519PrivateKey(lattice, curve), public


x_wing, x_wing_public = x_wing_pair()
hpke = openssl.hpke
by_x_wing = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
offered = {one["suite"]: one["key"] for one in said["public"]["kems"]}
assert offered == {1: pair.public_key.to_public_bytes().hex(), 2: x_wing_public.hex()}, "other keys"


# Wraps.
def aad(context):
    fields = ["job", "slot", "envelope", "policy", "owner", "recipient"]
    return b"assayx\x01\x01" + b"".join(bytes.fromhex(context[field]) for field in fields)


def open_wrap(wrap, context):
    info, sealed = wrap[:9], wrap[9:]
    assert info[:8] == b"assayk\x01\x01"
    if info[8] == 1:
        recipient = by_x25519.create_recipient_context(sealed[:32], pair.private_key, info)
        return recipient.open(sealed[32:], aad(context))
    assert info[8] == 2
    return hpke._decrypt_with_aad(by_x_wing, sealed, x_wing, info=info, aad=aad(context))


def make_wraps(key, context):
    info = b"assayk\x01\x01\x01"
    enc, sender = by_x25519.create_sender_context(pair.public_key, info)
    yield info + enc + sender.seal(key, aad(context))
    info = b"assayk\x01\x01\x02"
    yield info + hpke._encrypt_with_aad(by_x_wing, key, x_wing.public_key(), info=info, aad=aad(context))


# Envelopes.
def derive(key, salt, label, suite):
    return HKDF(SHA256(), 32, salt, label + bytes([suite])).derive(key)


def cipher(key, header):
    suite, salt = header[8], header[24:56]
    commitment = derive(key, salt, b"assay key commitment, version 1\n", suite)
    return AEAD[suite](derive(key, salt, b"assay chunk key, version 1\n", suite)), commitment


def nonce(index, is_last):
    return struct.pack("<QHBB", index, 0, 0, is_last)


def open_envelope(key, envelope):
    header = envelope[:120]
    tag, suite, bits, zeros, length = struct.unpack_from("<8sBB6sQ", header)
    assert (tag, zeros) == (b"assays\x01\x01", bytes(6))
    by, commitment = cipher(key, header)
    assert commitment == header[88:], "another key"
    size = (1 << bits) + 16
    chunks = [envelope[at : at + size] for at in range(120, len(envelope), size)]
    bound = hashlib.sha256(header).digest()
    opened = [by.decrypt(nonce(i, i + 1 == len(chunks)), one, bound) for i, one in enumerate(chunks)]
    plaintext = b"".join(opened)
    assert len(plaintext) == length
    return plaintext


def make_envelope(key, suite, bits, salt, cells, plaintext):
    header = struct.pack("<8sBB6sQ32s32s", b"assays\x01\x01", suite, bits, bytes(6), len(plaintext), salt, cells)
    by, commitment = cipher(key, header)
    header += commitment
    bound = hashlib.sha256(header).digest()
    size = 1 << bits
    chunks = [plaintext[at : at + size] for at in range(0, max(len(plaintext), 1), size)]
    return header + b"".join(
        by.encrypt(nonce(i, i + 1 == len(chunks)), one, bound) for i, one in enumerate(chunks)
    )


def hmac256(key, message):
    return hmac.new(key, message, "sha256").digest()


def make_output(input_salt, cells, plaintext):
    key = hmac256(input_salt, b"assay output key, version 1\n")
    salt = hmac256(key, b"assay output envelope salt, version 1\n" + cells + plaintext)
    return make_envelope(key, 2, 16, salt, cells, plaintext)


content_key = bytes.fromhex(said["contentKey"])
for wrap in said["wraps"]:
    assert open_wrap(bytes.fromhex(wrap), said["context"]) == content_key
    try:
        open_wrap(bytes.fromhex(wrap), said["context"] | {"policy": "00" * 32})
    except (InvalidTag, OpenError):
        pass
    else:
        raise AssertionError("it opens under another policy")

for one in said["envelopes"]:
    envelope = (folder / one["file"]).read_bytes()
    plaintext = open_envelope(bytes.fromhex(one["key"]), envelope)
    assert hashlib.sha256(plaintext).hexdigest() == one["plaintextSha256"], one["file"]

input_salt = bytes.fromhex(said["inputSalt"])
made = {"wraps": [wrap.hex() for wrap in make_wraps(content_key, said["context"])], "envelopes": [], "outputs": []}
for length in said["lengths"]:
    plaintext = bytes(at % 251 for at in range(length))
    for bits in (16, 18):
        envelope = make_envelope(content_key, 1, bits, os.urandom(32), b"\xce" * 32, plaintext)
        made["envelopes"].append(envelope.hex())
    made["outputs"].append(make_output(input_salt, b"\xce" * 32, plaintext).hex())
(folder / "made.json").write_text(json.dumps(made))
print(len(said["wraps"]), len(said["envelopes"]))
