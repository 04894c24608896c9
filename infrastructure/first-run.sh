#!/bin/sh
# Makes an admin key of a new stack, a project named as the folder in which this is called, and a first run of the tests there.
#
# usage, in the folder of a project: PATH/TO/infrastructure/first-run.sh STAGE
#
# Prints the line that every other command needs. The key in it is shown this once.
set -eu
stage=${1:?usage: infrastructure/first-run.sh STAGE}

answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
aws lambda invoke --function-name "fleetest-$stage-api" --cli-binary-format raw-in-base64-out \
    --payload '{"fleetest":"new-admin-key"}' "$answer" >/dev/null
# A function that fails is no failed call: what it says is the answer.
FLEETEST_URL=$(jq -er .url "$answer") && FLEETEST_TOKEN=$(jq -er .key "$answer") || { cat "$answer" >&2; exit 1; }
export FLEETEST_URL FLEETEST_TOKEN
echo "export FLEETEST_URL=$FLEETEST_URL FLEETEST_TOKEN=$FLEETEST_TOKEN"

fleetest projects create "$(basename "$PWD")"
fleetest run --remote --upload
