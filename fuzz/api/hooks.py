"""What Schemathesis does around each request: nothing leaves this machine, nothing waits, and webhooks are signed.

Statuses are counted for `coverage.py`.
"""

import atexit
import collections
import hashlib
import hmac
import itertools
import json
import os
import pathlib
import re
import urllib.parse

import schemathesis
from schemathesis.transport.serialization import Binary
from seed import SECRET, archive

# Host and port of an address with a scheme, or of `user@host:path`.
HOST = re.compile(r"^(?P<before>[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/@]*@)?|[^/@:]+@)(?P<host>\[[^]]*\]|[^/:?#]*)")
# An address of the block for documentation, at which nobody is.
NOWHERE = "192.0.2.1"
SCRATCH = pathlib.Path(os.environ["FLEETEST_FUZZ_SCRATCH"])
EXAMPLES = json.loads((SCRATCH / "examples.json").read_text())
KEPT = set(json.loads((SCRATCH / "kept.json").read_text()))
SEEN = collections.Counter()
SENT = itertools.count()


def elsewhere(value):
    """The same body with every address in it leading nowhere: the server must not call others because of this."""
    if isinstance(value, str):
        return HOST.sub(lambda found: found["before"] + NOWHERE, value)
    if isinstance(value, list):
        return [elsewhere(item) for item in value]
    if isinstance(value, dict):
        return {name: elsewhere(item) for name, item in value.items()}
    return value


def signed(request):
    """Signs the exact bytes that are sent, as the forge does."""
    body = request.body or b""
    body = body.encode() if isinstance(body, str) else body
    request.headers["X-Hub-Signature-256"] = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return request


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Gives parameters what was seeded as examples: the systematic cases of the coverage phase are built on them."""
    for item in raw_schema["paths"].values():
        for operation in item.values():
            mine = EXAMPLES[operation["operationId"]]
            for given in operation["parameters"]:
                key = f"{given.get('in')}.{given.get('name')}"
                if key in mine:
                    given["example"] = mine[key]


def freshened(headers):
    """Headers that make most requests fail before the route is reached are made to fit."""
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = f"{headers['Idempotency-Key'][:200]}-{next(SENT)}"
    if "If-Match" in headers:
        headers["If-Match"] = "*"


def spare(case):
    """Schemathesis learns names from answers. What everything depends on is not what is removed."""
    label = case.operation.definition.raw["operationId"]
    for name, value in (case.path_parameters or {}).items():
        if urllib.parse.unquote(str(value)) in KEPT and EXAMPLES[label].get(f"path.{name}") not in KEPT:
            case.path_parameters[name] = urllib.parse.quote(str(EXAMPLES[label][f"path.{name}"]), safe="")


@schemathesis.hook
def before_call(context, case, kwargs):
    spare(case)
    # Each fourth request is sent as it was made up.
    plain = next(SENT) % 4 == 0
    if isinstance(case.body, (str, list, dict)):
        away = elsewhere(case.body)
        if away != case.body:
            case.body = away
    if case.headers and "wait" in str(case.headers.get("Prefer", "")).lower():
        # How long is waited is tested where it is built; here it would only take time.
        case.headers["Prefer"] = "wait=0"
    if case.headers and not plain:
        freshened(case.headers)
    if case.operation.path == "/v1/webhooks/github/{project}" and "x-hub-signature-256" in (case.headers or {}):
        if not plain:
            kwargs["auth"] = signed
    if case.operation.path == "/v1/uploads/{token}" and isinstance(case.body, (bytes, Binary)) and not plain:
        case.body = archive()


@schemathesis.hook
def after_call(context, case, response):
    SEEN[f"{case.method.upper()} {case.operation.path} {response.status_code}"] += 1


@atexit.register
def write():
    place = SCRATCH / "statuses.json"
    place.write_text(json.dumps(SEEN, indent=1, sort_keys=True))
