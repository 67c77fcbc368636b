"""Reads an SD-JWT of ours and makes one for us, with PyPI's sd-jwt: OURS, a JSON file with `text`, `key` (hexadecimal), `audience` and `nonce`."""

import base64
import json
import sys

from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

ours = json.load(open(sys.argv[1]))
x = base64.urlsafe_b64encode(bytes.fromhex(ours["key"])).decode().rstrip("=")
key = JWK(kty="OKP", crv="Ed25519", x=x)


class Verifier(SDJWTVerifier):
    """The same, by EdDSA: the library's default is ES256."""

    def _verify_sd_jwt(self, issuer_key, sign_alg="EdDSA"):
        super()._verify_sd_jwt(issuer_key, sign_alg)

    def _verify_key_binding_jwt(self, audience=None, nonce=None, sign_alg="EdDSA"):
        super()._verify_key_binding_jwt(audience, nonce, sign_alg)


def verified(text, audience, nonce):
    return Verifier(text, lambda issuer, header: key, audience, nonce).get_verified_payload()


claims = verified(ours["text"], ours["audience"], ours["nonce"])
for wrong in [ours["text"][:-1], ours["text"].replace("~", "~WyJzIiwiYSIsMV0~", 1)]:
    try:
        verified(wrong, ours["audience"], ours["nonce"])
        raise AssertionError("a changed presentation is taken")
    except AssertionError:
        raise
    except Exception:
        pass

issuer = JWK.generate(kty="OKP", crv="Ed25519")
holder = JWK.generate(kty="OKP", crv="Ed25519")
told = {
    "job": "0x01",
    SDObj("price"): {"max": "1000", SDObj("paid"): "900"},
    SDObj("stake"): "5000",
    "lands": ["DE", SDObj("FR"), SDObj("IT")],
}
issued = SDJWTIssuer(told, issuer, holder, "EdDSA", add_decoy_claims=True)
shown = SDJWTHolder(issued.sd_jwt_issuance)
shown.create_presentation({"price": {"paid": True}, "lands": [None, True]}, "n-7", "assay.example", holder, "EdDSA")
public = base64.urlsafe_b64decode(issuer.export_public(as_dict=True)["x"] + "=").hex()
print(json.dumps({"claims": claims, "text": shown.sd_jwt_presentation, "key": public}))
