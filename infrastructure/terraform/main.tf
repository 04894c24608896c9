# The account's foundation: what is made once, by a person, and outlives every deployment of the stack.
# The stack itself (functions, queues, table, bucket, cluster) is `template.yaml`.

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

locals {
  tags       = merge({ "fleetest:part" = "foundation" }, var.tags)
  account    = data.aws_caller_identity.here.account_id
  partition  = data.aws_partition.here.partition
  dns_suffix = data.aws_partition.here.dns_suffix
}
