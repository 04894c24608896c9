#!/bin/sh
# Builds the image of the runner and pushes it to the registry of the foundation.
#
# usage: infrastructure/image.sh TAG [PLATFORM]
#
# A tag of that registry cannot be moved: take a new one for each image. PLATFORM is linux/arm64 unless said otherwise.
set -eu
usage='usage: infrastructure/image.sh TAG [PLATFORM]'
tag=${1:?$usage}
platform=${2:-linux/arm64}
cd "$(dirname "$0")/.."

repository=$(terraform -chdir=infrastructure/terraform output -raw runner_repository)
registry=${repository%%/*}
region=$(echo "$registry" | cut -d. -f4)
aws ecr get-login-password --region "$region" | docker login --username AWS --password-stdin "$registry"
docker buildx build --platform "$platform" -f infrastructure/runner/Dockerfile -t "$repository:$tag" --push .
