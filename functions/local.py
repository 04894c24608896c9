"""Makes what a function finds in its stack (table, bucket, queues, event bus, key of tokens) in an AWS emulator, and says how to find it.

usage: eval "$(python3 functions/local.py [ADDRESS])"

ADDRESS is that of the emulator, http://127.0.0.1:4566 unless said otherwise. What is there already is left alone. On standard output are
the lines that a shell needs, and nothing else.
"""

import json
import shlex
import sys
import time
import urllib.error
import urllib.request

ENDPOINT = (sys.argv[1:] or ["http://127.0.0.1:4566"])[0].rstrip("/")
REGION = "eu-central-1"
NAME = "fleetest"
# A new emulator takes some seconds to answer.
ANSWERS_WITHIN_S = 30


def send(method: str, path: str, service: str, body: str, headers: dict[str, str]) -> bytes:
    """Sends a request as the SDK would, but for the signature, at which no emulator looks."""
    scope = f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    request = urllib.request.Request(ENDPOINT + path, body.encode(), {"Authorization": scope} | headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def ask(service: str, target: str, version: str, **parameters: object) -> dict:
    """Calls an operation; an answer that the thing exists is as good as any."""
    headers = {"X-Amz-Target": target, "Content-Type": f"application/x-amz-json-{version}"}
    try:
        return json.loads(send("POST", "/", service, json.dumps(parameters), headers) or b"{}")
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        if error.code == 400 and any(word in text for word in ("ResourceInUse", "AlreadyExists", "ResourceExists")):
            return {}
        sys.exit(f"{target}: {error.code} {text}")


def wait() -> None:
    """Waits until the emulator answers."""
    end = time.monotonic() + ANSWERS_WITHIN_S
    while True:
        try:
            ask("sqs", "AmazonSQS.ListQueues", "1.0")
            return
        except OSError as error:
            if time.monotonic() > end:
                sys.exit(f"nothing answers at {ENDPOINT}: {error}")
            time.sleep(0.2)


def make_table() -> None:
    """The table of `template.yaml`."""
    ask(
        "dynamodb",
        "DynamoDB_20120810.CreateTable",
        "1.0",
        TableName=NAME,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "ix", "ixs")],
        KeySchema=keys("pk", "sk"),
        GlobalSecondaryIndexes=[{"IndexName": "due", "KeySchema": keys("ix", "ixs"), "Projection": {"ProjectionType": "KEYS_ONLY"}}],
    )


def keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def make_bucket() -> None:
    place = f"<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
    try:
        send("PUT", f"/{NAME}", "s3", place, {"Content-Type": "application/xml"})
    except urllib.error.HTTPError as error:
        if error.code != 409:
            sys.exit(f"the bucket cannot be made: {error.code} {error.read().decode(errors='replace')}")


def make_queue(name: str) -> str:
    """The URL of a queue; making it again answers with the same one."""
    return ask("sqs", "AmazonSQS.CreateQueue", "1.0", QueueName=f"{NAME}-{name}")["QueueUrl"]


def main() -> None:
    wait()
    make_table()
    make_bucket()
    urls = {name: make_queue(name) for name in ("plan", "launch", "aggregate", "events-dead")}
    for name in ("plan", "launch", "aggregate"):
        make_queue(f"{name}-dead")
    ask("events", "AWSEvents.CreateEventBus", "1.1", Name=NAME)
    token_key = f"{NAME}-token-key"
    # The token makes the request one that may be repeated; the SDK makes one up.
    secret = {"Name": token_key, "SecretString": "k" * 64, "ClientRequestToken": "0" * 32}
    ask("secretsmanager", "secretsmanager.CreateSecret", "1.1", **secret)
    variables = {
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": ENDPOINT,
        "FLEETEST_TABLE": NAME,
        "FLEETEST_BUCKET": NAME,
        "FLEETEST_PLAN_QUEUE_URL": urls["plan"],
        "FLEETEST_LAUNCH_QUEUE_URL": urls["launch"],
        "FLEETEST_AGGREGATE_QUEUE_URL": urls["aggregate"],
        "FLEETEST_EVENTS_DEAD_QUEUE_URL": urls["events-dead"],
        "FLEETEST_EVENT_BUS": NAME,
        "FLEETEST_TOKEN_KEY_SECRET": token_key,
        # There are no runners, so these lead nowhere.
        "FLEETEST_CLUSTER": "runners",
        "FLEETEST_TASK_DEFINITION": "runner",
        "FLEETEST_SUBNETS": "subnet-1",
        "FLEETEST_LINK_URL": "http://127.0.0.1:9000",
    }
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


main()
