# One key per region for what the foundation keeps. The stack has a key of its own.

locals {
  administered_here = {
    Sid       = "Account"
    Effect    = "Allow"
    Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
    Action    = "kms:*"
    Resource  = "*"
  }
}

resource "aws_kms_key" "foundation" {
  description             = "${var.name}: images, backups, deployments, network logs"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      local.administered_here,
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.${local.dns_suffix}" }
        Action    = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
        Resource  = "*"
        Condition = {
          ArnLike = {
            "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${var.region}:${local.account}:log-group:/${var.name}/*"
          }
        }
      },
    ]
  })
}

resource "aws_kms_alias" "foundation" {
  name          = "alias/${var.name}-foundation"
  target_key_id = aws_kms_key.foundation.key_id
}

resource "aws_kms_key" "replica" {
  provider                = aws.replica
  description             = "${var.name}: copies of backups"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = jsonencode({ Version = "2012-10-17", Statement = [local.administered_here] })
}

resource "aws_kms_alias" "replica" {
  provider      = aws.replica
  name          = "alias/${var.name}-foundation"
  target_key_id = aws_kms_key.replica.key_id
}
