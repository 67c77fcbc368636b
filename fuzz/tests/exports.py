"""Checks exports: PROV_JSON CRATE_FOLDER. PROV by prov, the RO-Crate by roc-validator, with no network."""

import json
import pathlib
import sys

import prov.model
import requests
import requests_cache

# What of the two contexts a crate here needs: each term is schema.org's, but for these.
TERMS = """CreativeWork CreateAction Dataset Organization PropertyValue SoftwareApplication about actionStatus agent datePublished
description encodingFormat endTime error hasPart identifier instrument license mentions name object propertyID result
softwareVersion startTime url value version""".split()
CONTEXT = {term: f"http://schema.org/{term}" for term in TERMS}
CONTEXT |= {"File": "http://schema.org/MediaObject", "conformsTo": "http://purl.org/dc/terms/conformsTo"}


def offline(self, method, url, *arguments, **options):
    answer = requests.Response()
    answer.url = url
    answer.request = requests.Request(method, url).prepare()
    known = url in ("https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context")
    answer.status_code = 200 if known else 504
    answer.headers["Content-Type"] = "application/ld+json"
    answer._content = json.dumps({"@context": CONTEXT}).encode()
    return answer


requests.Session.request = offline
requests_cache.CachedSession.request = offline

from rocrate_validator import services  # noqa: E402
from rocrate_validator.models import Severity, ValidationSettings  # noqa: E402

prov_json, crate = sys.argv[1:]
document = prov.model.ProvDocument.deserialize(content=pathlib.Path(prov_json).read_text(), format="json")
assert document.get_provn().startswith("document"), "no PROV-N"
again = prov.model.ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
assert document == again, "it does not come back as it went"
records = len(document.get_records())


def judge(folder):
    settings = ValidationSettings(
        rocrate_uri=folder,
        profile_identifier="process-run-crate",
        requirement_severity=Severity.REQUIRED,
        skip_availability_check=True,
    )
    return [issue.message for issue in services.validate(settings).get_issues()]


issues = judge(crate)
assert not issues, issues
# That it can say no: the action loses what it ran.
metadata = pathlib.Path(crate) / "ro-crate-metadata.json"
whole = metadata.read_text()
broken = json.loads(whole)
for entity in broken["@graph"]:
    entity.pop("instrument", None)
metadata.write_text(json.dumps(broken))
assert judge(crate), "a run of nothing is taken"
metadata.write_text(whole)
print(records)
