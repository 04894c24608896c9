# Plans with invented answers of AWS: what is made, for whom, and what is refused. Nothing is asked or changed.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000001" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/made" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/made" }
  }
  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::made" }
  }
  mock_resource "aws_ecr_repository" {
    defaults = { arn = "arn:aws:ecr:eu-central-1:123456789012:repository/fleetest/runner" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/fleetest/network" }
  }
}

mock_provider "aws" {
  alias = "replica"
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000002" }
  }
  mock_resource "aws_backup_vault" {
    defaults = { arn = "arn:aws:backup:eu-west-1:123456789012:backup-vault:fleetest-replica" }
  }
}

variables {
  region         = "eu-central-1"
  replica_region = "eu-west-1"
}

run "by_default_runners_need_no_nat_gateway_and_nobody_deploys" {
  command = apply

  assert {
    condition     = length(aws_subnet.public) == 3 && length(aws_nat_gateway.runners) == 0 && output.public_address == "true"
    error_message = "three public subnets, no NAT gateway, and tasks with addresses of their own were expected"
  }
  assert {
    condition     = length(split(",", output.subnet_ids)) == 3
    error_message = "the stack is given one subnet per zone"
  }
  assert {
    condition     = output.deploy_role_arn == null && length(aws_iam_openid_connect_provider.github) == 0 && length(aws_budgets_budget.month) == 0
    error_message = "what was not asked for must not be made"
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_egress_rule.runners : rule.ip_protocol == "tcp" && contains([22, 80, 443], rule.from_port)])
    error_message = "runners call out by ssh, http and https only"
  }
  assert {
    condition     = length(aws_default_security_group.runners[0].ingress) == 0 && length(aws_default_security_group.runners[0].egress) == 0
    error_message = "the network's default group must have no rules"
  }
  assert {
    condition     = aws_ecr_repository.runner.image_tag_mutability == "IMMUTABLE"
    error_message = "a tag must always mean the same image"
  }
}

run "private_subnets_come_with_one_nat_gateway" {
  command = apply

  variables {
    nat_gateway = true
    zones       = 2
  }

  assert {
    condition     = length(aws_subnet.private) == 2 && length(aws_nat_gateway.runners) == 1 && output.public_address == "false"
    error_message = "two private subnets behind one NAT gateway were expected"
  }
  assert {
    condition     = length(setintersection(values(local.public), values(local.private))) == 0
    error_message = "public and private subnets must not overlap"
  }
}

run "a_network_of_ones_own_is_left_alone" {
  command = apply

  variables {
    network     = { vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"] }
    nat_gateway = true
  }

  assert {
    condition     = length(aws_vpc.runners) + length(aws_subnet.public) + length(aws_subnet.private) + length(aws_nat_gateway.runners) + length(aws_eip.nat) + length(aws_flow_log.runners) == 0
    error_message = "no part of a network may be made where one was named"
  }
  assert {
    condition     = output.subnet_ids == "subnet-1,subnet-2" && aws_security_group.runners.vpc_id == "vpc-1"
    error_message = "the named subnets and VPC must be used"
  }
}

run "only_named_environments_of_one_repository_deploy" {
  command = apply

  variables {
    github = { repository = "acme/fleetest", environments = ["staging", "production"] }
  }

  assert {
    condition = jsondecode(aws_iam_role.deploy[0].assume_role_policy).Statement[0].Condition == {
      StringEquals = {
        "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
        "token.actions.githubusercontent.com:sub" = ["repo:acme/fleetest:environment:staging", "repo:acme/fleetest:environment:production"]
      }
    }
    error_message = "the deploy role must trust exactly the named environments"
  }
  # A role that could be made without the boundary could be made to do anything.
  assert {
    condition = alltrue([
      for one in jsondecode(aws_iam_role_policy.execution[0].policy).Statement :
      try(one.Condition.StringEquals["iam:PermissionsBoundary"], "") == output.boundary_arn
      if contains(flatten([one.Action]), "iam:CreateRole") || contains(flatten([one.Action]), "iam:PutRolePolicy")
    ])
    error_message = "roles may be made within the boundary only"
  }
  assert {
    condition = [
      for one in jsondecode(aws_iam_role_policy.execution[0].policy).Statement :
      try(one.Condition.StringEquals["iam:AWSServiceName"], [])
      if contains(flatten([one.Action]), "iam:CreateServiceLinkedRole")
    ] == [["ecs.amazonaws.com", "ops.apigateway.amazonaws.com"]]
    error_message = "roles of services may be made for two services only"
  }
  # Actions that know no resource are refused where a statement names some.
  assert {
    condition = alltrue([
      for action in ["ec2:DescribeAvailabilityZones", "ecs:RegisterTaskDefinition", "secretsmanager:GetRandomPassword"] :
      anytrue([
        for one in jsondecode(aws_iam_role_policy.execution[0].policy).Statement :
        contains(flatten([one.Action]), action) && flatten([one.Resource]) == ["*"]
      ])
    ])
    error_message = "CloudFormation needs these for the stack's network, tasks and token key"
  }
  assert {
    condition = alltrue([
      for one in jsondecode(aws_iam_role_policy.deploy[0].policy).Statement :
      !contains(flatten([one.Resource]), "*") || one.Sid == "Summaries"
    ])
    error_message = "the deploy role may use everything only for what knows no resource"
  }
}

run "an_account_that_knows_github_keeps_its_provider" {
  command = apply

  variables {
    github = {
      repository   = "acme/fleetest"
      environments = ["dev"]
      provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    }
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0
    error_message = "there can be only one provider per account"
  }
}

run "copies_go_to_the_second_region" {
  command = apply

  variables {
    vault_lock = true
  }

  assert {
    condition     = one(one(aws_backup_plan.daily.rule).copy_action).destination_vault_arn == aws_backup_vault.replica.arn
    error_message = "each backup must be copied"
  }
  assert {
    condition     = length(aws_backup_vault_lock_configuration.here) == 1 && length(aws_backup_vault_lock_configuration.replica) == 1
    error_message = "both vaults must be locked"
  }
  assert {
    condition     = aws_ecr_replication_configuration.replica[0].replication_configuration[0].rule[0].destination[0].region == "eu-west-1"
    error_message = "images must be copied to the second region"
  }
}

run "a_registry_that_replicates_already_is_left_alone" {
  command = apply

  variables {
    replicate_images = false
  }

  assert {
    condition     = length(aws_ecr_replication_configuration.replica) == 0
    error_message = "the account's own configuration would be replaced"
  }
}

run "a_budget_tells_somebody_three_times" {
  command = apply

  variables {
    budget = { limit_usd = 250, emails = ["ops@example.org"] }
  }

  assert {
    condition     = length(aws_budgets_budget.month[0].notification) == 3 && aws_budgets_budget.month[0].limit_amount == "250.00"
    error_message = "50 %, 80 % and the forecast were expected"
  }
}

run "nonsense_is_refused" {
  command = plan

  variables {
    replica_region = "eu-central-1"
    name           = "Fleetest!"
    cidr           = "10.0.0.0/24"
    zones          = 1
    network        = { vpc_id = "net", subnet_ids = [] }
    github         = { repository = "acme/*", environments = ["*"] }
    budget         = { limit_usd = 0, emails = [] }
    backup_days    = 1
    flow_log_days  = 2
  }

  expect_failures = [
    var.replica_region, var.name, var.cidr, var.zones, var.network, var.github, var.budget, var.backup_days, var.flow_log_days,
  ]
}
