# Where runners live. Nothing can reach them: they call out, by HTTPS and git over ssh.

data "aws_availability_zones" "here" {
  count = local.makes_network ? 1 : 0
  state = "available"
}

locals {
  makes_network = var.network == null
  vpc_id        = local.makes_network ? aws_vpc.runners[0].id : var.network.vpc_id
  zones         = local.makes_network ? slice(data.aws_availability_zones.here[0].names, 0, var.zones) : []
  public        = { for place, zone in local.zones : zone => cidrsubnet(var.cidr, 4, place) }
  private       = var.nat_gateway ? { for place, zone in local.zones : zone => cidrsubnet(var.cidr, 4, place + 8) } : {}
  subnet_ids = local.makes_network ? (
    var.nat_gateway ? [for zone in local.zones : aws_subnet.private[zone].id] : [for zone in local.zones : aws_subnet.public[zone].id]
  ) : var.network.subnet_ids
}

resource "aws_vpc" "runners" {
  count                = local.makes_network ? 1 : 0
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

# The group that a network brings along: without rules nobody can use it by mistake.
resource "aws_default_security_group" "runners" {
  count  = local.makes_network ? 1 : 0
  vpc_id = aws_vpc.runners[0].id
}

resource "aws_internet_gateway" "runners" {
  count  = local.makes_network ? 1 : 0
  vpc_id = aws_vpc.runners[0].id
  tags   = { Name = var.name }
}

# Addresses are given to tasks by their launch, not by the subnet.
resource "aws_subnet" "public" {
  for_each                = local.public
  vpc_id                  = aws_vpc.runners[0].id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.name}-public-${each.key}" }
}

resource "aws_route_table" "public" {
  count  = local.makes_network ? 1 : 0
  vpc_id = aws_vpc.runners[0].id
  tags   = { Name = "${var.name}-public" }
}

resource "aws_route" "public" {
  count                  = local.makes_network ? 1 : 0
  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.runners[0].id
}

resource "aws_route_table_association" "public" {
  for_each       = aws_subnet.public
  subnet_id      = each.value.id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_subnet" "private" {
  for_each          = local.makes_network ? local.private : {}
  vpc_id            = aws_vpc.runners[0].id
  availability_zone = each.key
  cidr_block        = each.value
  tags              = { Name = "${var.name}-private-${each.key}" }
}

resource "aws_eip" "nat" {
  count  = local.makes_network && var.nat_gateway ? 1 : 0
  domain = "vpc"
  tags   = { Name = "${var.name}-nat" }
}

# One is enough: a zone without it costs runners, and runs get over that.
resource "aws_nat_gateway" "runners" {
  count         = local.makes_network && var.nat_gateway ? 1 : 0
  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.public[local.zones[0]].id
  tags          = { Name = var.name }
  depends_on    = [aws_internet_gateway.runners]
}

resource "aws_route_table" "private" {
  count  = local.makes_network && var.nat_gateway ? 1 : 0
  vpc_id = aws_vpc.runners[0].id
  tags   = { Name = "${var.name}-private" }
}

resource "aws_route" "private" {
  count                  = local.makes_network && var.nat_gateway ? 1 : 0
  route_table_id         = aws_route_table.private[0].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.runners[0].id
}

resource "aws_route_table_association" "private" {
  for_each       = aws_subnet.private
  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[0].id
}

# Layers of images come from S3: through this they cost nothing.
resource "aws_vpc_endpoint" "s3" {
  count             = local.makes_network ? 1 : 0
  vpc_id            = aws_vpc.runners[0].id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = concat(aws_route_table.public[*].id, aws_route_table.private[*].id)
  tags              = { Name = "${var.name}-s3" }
}

resource "aws_security_group" "runners" {
  name        = "${var.name}-runners"
  description = "Runners of tests: nothing comes in"
  vpc_id      = local.vpc_id
  tags        = { Name = "${var.name}-runners" }
}

resource "aws_vpc_security_group_egress_rule" "runners" {
  for_each          = { https = 443, http = 80, ssh = 22 }
  security_group_id = aws_security_group.runners.id
  description       = "${each.key}: the coordinator, repositories, packages"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

resource "aws_flow_log" "runners" {
  count                = local.makes_network ? 1 : 0
  vpc_id               = aws_vpc.runners[0].id
  traffic_type         = "ALL"
  log_destination_type = "cloud-watch-logs"
  log_destination      = aws_cloudwatch_log_group.flow[0].arn
  iam_role_arn         = aws_iam_role.flow[0].arn
}

resource "aws_cloudwatch_log_group" "flow" {
  count             = local.makes_network ? 1 : 0
  name              = "/${var.name}/network"
  retention_in_days = var.flow_log_days
  kms_key_id        = aws_kms_key.foundation.arn
}

resource "aws_iam_role" "flow" {
  count = local.makes_network ? 1 : 0
  name  = "${var.name}-foundation-flow-logs"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "flow" {
  count = local.makes_network ? 1 : 0
  name  = "write"
  role  = aws_iam_role.flow[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
      Resource = "${aws_cloudwatch_log_group.flow[0].arn}:*"
    }]
  })
}
