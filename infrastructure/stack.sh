#!/bin/sh
# Builds the functions and deploys a stack beside the foundation: a new one, or a new version of one.
#
# usage: infrastructure/stack.sh STAGE TAG [PARAMETER=VALUE...]
#
# STAGE is dev, staging or production (samconfig.toml), TAG that of the runner's image. Parameters are those of template.yaml.
# CloudFormation keeps those that are not given again, but for Architecture, which is arm64 unless it is said each time.
set -eu
usage='usage: infrastructure/stack.sh STAGE TAG [PARAMETER=VALUE...]'
stage=${1:?$usage}
tag=${2:?$usage}
shift 2
cd "$(dirname "$0")/.."

of() { terraform -chdir=infrastructure/terraform output -raw "$1"; }
repository=$(of runner_repository)
region=$(echo "$repository" | cut -d. -f4)
subnets=$(of subnet_ids)
group=$(of security_group_id)
address=$(of public_address)

# An account that never had a cluster lacks the role with which ECS acts. It would be made with the first cluster, too late for it.
aws iam get-role --role-name AWSServiceRoleForECS >/dev/null 2>&1 ||
    aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com >/dev/null

set -- "Stage=$stage" Architecture=arm64 "Release=$(date +%s)" "RunnerImage=$repository:$tag" "RunnerRepository=${repository#*/}" \
    "SubnetIds=$subnets" "SecurityGroupIds=$group" "PublicAddress=$address" "$@"
sam build --config-env "$stage" --region "$region" --parameter-overrides "$@"
sam deploy --config-env "$stage" --region "$region" --parameter-overrides "$@"
