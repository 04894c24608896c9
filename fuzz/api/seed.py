"""Fills an instance with one of everything, and tells Schemathesis where it is.

Usage: seed.py URL SCRATCH, with an admin key in FLEETEST_TOKEN. Writes SCRATCH/schemathesis.toml: the committed settings and,
as dictionaries, the names of what was made. Every call has to succeed: an instance that cannot be filled is not fuzzed.
"""

import hashlib
import hmac
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import time
import urllib.parse

import requests

HERE = pathlib.Path(__file__).resolve().parent
SECRET = "the secret of the seeded project"
# Things that are removed by the requests that are made up, so that everything else stays.
DOOMED = 6
# Tokens of uploads are good for one upload.
UPLOADS = 25
# How long a kept file may take to arrive, in seconds.
ARRIVAL = 60
CONFIG = """[suite.checks]
framework = "command"
command = "sh checks.sh"
results = ["report.xml"]
retries = 0
setup = ["echo ready"]
artifacts = ["kept.txt"]
"""
CHECKS = """echo checking
echo kept > kept.txt
cat > report.xml <<END
<testsuite name="checks" tests="2" failures="1"><testcase classname="words" name="sorted" time="0.01"/>
<testcase classname="words" name="unique" time="0.02"><failure message="two of `a`">a a</failure></testcase></testsuite>
END
"""
JUNIT = """<testsuite name="imported" tests="3" failures="1" skipped="1"><testcase classname="a" name="one" time="0.1"/>
<testcase classname="a" name="two" time="0.2"><failure message="no">trace</failure></testcase>
<testcase classname="a" name="three"><skipped/></testcase></testsuite>"""


class Instance:
    """Calls of the API that must succeed."""

    def __init__(self, url, token):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method, path, **rest):
        answer = self.session.request(method, self.url + path, timeout=90, **rest)
        if not answer.ok:
            sys.exit(f"seeding: {method} {path} was answered {answer.status_code}: {answer.text}")
        return answer.json() if answer.content else None

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None, **rest):
        return self.call("POST", path, **({"json": body} if body is not None else {}), **rest)

    def put(self, path, body):
        return self.call("PUT", path, json=body)


def repository(scratch):
    """A repository with two cases, one of which fails."""
    place = scratch / "repository"
    place.mkdir()
    (place / "fleetest.toml").write_text(CONFIG)
    (place / "checks.sh").write_text(CHECKS)
    git = ["git", "-c", "user.name=seed", "-c", "user.email=seed@localhost", "-c", "commit.gpgsign=false"]
    for step in (["init", "--quiet", "--initial-branch=main"], ["add", "."], ["commit", "--quiet", "-m", "seed"]):
        subprocess.run([*git, *step], cwd=place, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=place, check=True, capture_output=True, text=True)
    return str(place), head.stdout.strip()


def rule(name):
    channel = {"kind": "webhook", "url": "https://192.0.2.1/hook", "secret": SECRET}
    return {"name": name, "on": ["finished"], "channel": channel}


def schedule(name):
    return {"name": name, "cron": "0 3 1 1 *", "order": {"ref": "main"}}


def key(name):
    return {"name": name, "role": "viewer"}


def subject(name):
    return f"oidc:https://id.example.org#{name}"


def finished(instance, run):
    """Waits until the run is over: the server itself holds each answer back."""
    for _ in range(10):
        shown = instance.call("GET", f"/v1/runs/{run}", headers={"Prefer": "wait=60"})
        if shown["status"] == "finished":
            return shown
    sys.exit(f"seeding: the run is not over: {shown}")


def webhook(instance, project, commit, number):
    """Delivers a signed push; the id of what was received."""
    push = {
        "ref": "refs/heads/main",
        "after": commit,
        "deleted": False,
        "repository": {"full_name": "o/r", "clone_url": "https://github.com/o/r.git"},
    }
    body = json.dumps(push).encode()
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-Hub-Signature-256": signature,
        "X-GitHub-Delivery": f"seed-{number}",
        "X-GitHub-Event": "push",
    }
    return instance.call("POST", f"/v1/webhooks/github/{project}", data=body, headers=headers)["id"]


def artifact(instance, run):
    """The id of the file that the run's suite keeps. It may arrive after the verdict."""
    deadline = time.monotonic() + ARRIVAL
    while time.monotonic() < deadline:
        for shown in instance.get(f"/v1/runs/{run}/artifacts")["items"]:
            if shown["complete"]:
                return shown["path"].rsplit("/", 1)[1]
        time.sleep(0.1)
    sys.exit(f"seeding: the file that the suite keeps did not arrive in {ARRIVAL} s")


def token_of(instance, project):
    return instance.post(f"/v1/projects/{project}/sources", {})["upload_url"].rsplit("/", 1)[1]


def run_of(instance, base):
    """A run that was executed: its id and the places in it."""
    run = instance.post(f"{base}/runs", {"ref": "main"})["id"]
    shown = finished(instance, run)
    if shown["verdict"] != "failed":
        sys.exit(f"seeding: the run did not end as it should: {shown}")
    logs = instance.get(f"/v1/runs/{run}/logs")["items"]
    cases = instance.get(f"/v1/runs/{run}/cases")["items"]
    return run, logs, cases


def archive():
    """The same as an archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in (("fleetest.toml", CONFIG), ("checks.sh", CHECKS)):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def source(instance, base):
    """An upload with an archive in it; its id."""
    offered = instance.post(f"{base}/sources", {})
    headers = {"Content-Type": "application/octet-stream"}
    instance.call("PUT", offered["upload_url"], data=archive(), headers=headers)
    return offered["id"]


def fill(instance, scratch):
    """Makes everything; names by what they are of."""
    place, commit = repository(scratch)
    base = "/v1/projects/seeded"
    instance.post("/v1/projects", {"id": "seeded", "repository": place})
    instance.post("/v1/projects", {"id": "changed", "repository": place})
    instance.put(f"{base}/webhook-secrets", {"secret": SECRET})
    run, logs, cases = run_of(instance, base)
    report = {"Content-Type": "application/xml"}
    imported = instance.post(f"{base}/imports?branch=main&commit={commit}", data=JUNIT, headers=report)
    doomed = [f"doomed{number}" for number in range(DOOMED)]
    for name in ("4711", *doomed):
        instance.put(f"{base}/members/{urllib.parse.quote(subject(name), safe='')}", {"role": "viewer"})
    kept_rule = instance.post(f"{base}/notifications", rule("kept"))["rule"]["id"]
    deliveries = [instance.post(f"{base}/notifications/{kept_rule}/test")["id"] for _ in range(2)]
    events = [webhook(instance, "seeded", commit, number) for number in range(2)]
    return {
        "project": ["seeded"],
        "changed_project": ["changed"],
        "run": [run, imported["run"]["id"]],
        "executed_run": [run],
        "job": sorted({log["job"] for log in logs}),
        "shard": sorted({log["shard"] for log in logs}),
        "log": [log["name"] for log in logs],
        "report": [report["name"] for report in instance.get(f"/v1/runs/{run}/reports")["items"]],
        "artifact": [artifact(instance, run)],
        "case": [case["key"] for case in cases],
        "subject": [subject("4711")],
        "doomed_subject": [subject(name) for name in doomed],
        "rule": [kept_rule],
        "doomed_rule": [instance.post(f"{base}/notifications", rule(name))["rule"]["id"] for name in doomed],
        "delivery": deliveries,
        "schedule": [instance.post(f"{base}/schedules", schedule("kept"))["id"]],
        "doomed_schedule": [instance.post(f"{base}/schedules", schedule(name))["id"] for name in doomed],
        "doomed_key": [instance.post(f"{base}/keys", key(name))["key"]["id"] for name in doomed],
        "doomed_instance_key": [instance.post("/v1/keys", key(name))["key"]["id"] for name in doomed],
        "event": events,
        "upload_token": [token_of(instance, "seeded") for _ in range(UPLOADS)],
        "source": [source(instance, base)],
        "repository": [place],
        "ref": ["main", commit],
        "github_event": ["push", "pull_request", "check_run", "ping"],
        "branch": ["main"],
        "commit": [commit],
    }


# What parameters name, by dictionary.
GENERAL = {
    "path.project": "project",
    "path.run": "run",
    "path.job": "job",
    "path.shard": "shard",
    "path.artifact": "artifact",
    "path.case": "case",
    "path.subject": "subject",
    "path.rule": "rule",
    "path.delivery": "delivery",
    "path.schedule": "schedule",
    "path.event": "event",
    "path.token": "upload_token",
    "path.key": "doomed_key",
    "header.x-github-event": "github_event",
    "query.branch": "branch",
    "query.commit": "commit",
}
# The same for single operations: what is removed or changed for good is not what the others look at.
OWN = {
    "delete_keys_key": {"path.key": "doomed_instance_key"},
    "delete_projects_project_members_subject": {"path.subject": "doomed_subject"},
    "delete_projects_project_notifications_rule": {"path.rule": "doomed_rule"},
    "delete_projects_project_schedules_schedule": {"path.schedule": "doomed_schedule"},
    "patch_projects_project": {"path.project": "changed_project"},
    "put_projects_project_webhook_secrets": {"path.project": "changed_project"},
    "get_runs_run_reports_name": {"path.name": "report"},
    "get_runs_run_jobs_job_shards_shard_logs_name": {"path.name": "log"},
}
# Imported runs have none of these.
EXECUTED = re.compile("^/v1/runs/{run}/(jobs/.*|logs|artifacts.*|cases/.*|rerun)$")


def bound(document, instance, found):
    """Dictionaries of the parameters of each operation, and cursors of the lists that have a second page."""
    parameters = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            name = operation["operationId"]
            keys = [f"{given.get('in')}.{given.get('name')}" for given in operation["parameters"]]
            mine = {key: OWN.get(name, {}).get(key) or GENERAL.get(key) for key in keys}
            mine = {key: dictionary for key, dictionary in mine.items() if dictionary}
            if EXECUTED.match(path):
                mine["path.run"] = "executed_run"
            if "query.cursor" in keys and (cursor := cursor_of(instance, path, mine, found)):
                found[f"cursor_{name}"] = [cursor]
                mine["query.cursor"] = f"cursor_{name}"
            parameters[name] = mine
    return parameters


def cursor_of(instance, path, mine, found):
    named = {key.removeprefix("path."): found[name][0] for key, name in mine.items() if key.startswith("path.")}
    return instance.get(path.format_map(named) + "?limit=1").get("next_cursor")


def settings(found, parameters):
    """The committed settings with what was made here. An array of texts and numbers in JSON is one in TOML."""
    lines = [(HERE / "schemathesis.toml").read_text()]
    for name, values in found.items():
        lines += [f"[dictionaries.{name}]", f"values = {json.dumps(values)}"]
    for name, mine in parameters.items():
        lines += ["[[operations]]", f'include-operation-id = "{name}"', "[operations.parameters]"]
        lines += [f'"{key}" = {{ dictionary = "{value}", probability = 0.7 }}' for key, value in mine.items()]
    return "\n".join(lines) + "\n"


def main():
    url, scratch = sys.argv[1], pathlib.Path(sys.argv[2])
    instance = Instance(url, os.environ["FLEETEST_TOKEN"])
    found = fill(instance, scratch)
    document = instance.get("/openapi.json")
    (scratch / "openapi.json").write_text(json.dumps(document))
    parameters = bound(document, instance, found)
    (scratch / "schemathesis.toml").write_text(settings(found, parameters))
    examples = {name: {key: found[word][0] for key, word in mine.items()} for name, mine in parameters.items()}
    (scratch / "examples.json").write_text(json.dumps(examples))
    # What the other requests look at, and the key that all of them are sent with.
    own_key = instance.get("/v1/me")["subject"].removeprefix("key:")
    kept = [own_key, *(value for name in ("project", "subject", "rule", "schedule") for value in found[name])]
    (scratch / "kept.json").write_text(json.dumps(kept))
    print(f"seeded: {sum(map(len, found.values()))} names", file=sys.stderr)


if __name__ == "__main__":
    main()
