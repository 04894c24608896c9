output "subnet_ids" {
  description = "Parameter `SubnetIds` of the stack."
  value       = join(",", local.subnet_ids)
}

output "security_group_id" {
  description = "Parameter `SecurityGroupIds` of the stack."
  value       = aws_security_group.runners.id
}

output "public_address" {
  description = "Parameter `PublicAddress` of the stack: whether runners need addresses of their own to call out."
  value       = local.makes_network ? tostring(!var.nat_gateway) : "false"
}

output "runner_repository" {
  description = "Where images of the runner are pushed; with a tag it is the parameter `RunnerImage` of the stack."
  value       = aws_ecr_repository.runner.repository_url
}

output "deployments_bucket" {
  description = "`--s3-bucket` of `sam deploy`."
  value       = aws_s3_bucket.deployments.id
}

output "deploy_role_arn" {
  description = "Role of the jobs that deploy; null = none was asked for."
  value       = one(aws_iam_role.deploy[*].arn)
}

output "execution_role_arn" {
  description = "`--role-arn` of `sam deploy`; null = none was asked for."
  value       = one(aws_iam_role.execution[*].arn)
}

output "boundary_arn" {
  description = "Parameter `PermissionsBoundary` of the stack; null = none was asked for."
  value       = one(aws_iam_policy.boundary[*].arn)
}
