# Daily backups of whatever carries the tag `fleetest:backup = daily` (the stack's table and bucket), and a copy of
# each in the second region. Within a region the table's point-in-time recovery is the first choice.

resource "aws_backup_vault" "here" {
  name        = var.name
  kms_key_arn = aws_kms_key.foundation.arn
}

resource "aws_backup_vault" "replica" {
  provider    = aws.replica
  name        = "${var.name}-replica"
  kms_key_arn = aws_kms_key.replica.arn
}

resource "aws_backup_vault_lock_configuration" "here" {
  count               = var.vault_lock ? 1 : 0
  backup_vault_name   = aws_backup_vault.here.name
  min_retention_days  = 7
  changeable_for_days = 3
}

resource "aws_backup_vault_lock_configuration" "replica" {
  count               = var.vault_lock ? 1 : 0
  provider            = aws.replica
  backup_vault_name   = aws_backup_vault.replica.name
  min_retention_days  = 7
  changeable_for_days = 3
}

resource "aws_backup_plan" "daily" {
  name = "${var.name}-daily"

  rule {
    rule_name                = "daily"
    target_vault_name        = aws_backup_vault.here.name
    schedule                 = "cron(30 2 * * ? *)"
    start_window             = 60
    completion_window        = 480
    enable_continuous_backup = false

    lifecycle {
      delete_after = var.backup_days
    }

    copy_action {
      destination_vault_arn = aws_backup_vault.replica.arn

      lifecycle {
        delete_after = var.backup_days
      }
    }
  }
}

resource "aws_backup_selection" "tagged" {
  name         = "${var.name}-tagged"
  plan_id      = aws_backup_plan.daily.id
  iam_role_arn = aws_iam_role.backup.arn

  selection_tag {
    type  = "STRINGEQUALS"
    key   = "fleetest:backup"
    value = "daily"
  }
}

resource "aws_iam_role" "backup" {
  name = "${var.name}-foundation-backup"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "backup.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "backup" {
  for_each = toset([
    "service-role/AWSBackupServiceRolePolicyForBackup",
    "service-role/AWSBackupServiceRolePolicyForRestores",
    "AWSBackupServiceRolePolicyForS3Backup",
    "AWSBackupServiceRolePolicyForS3Restore",
  ])
  role       = aws_iam_role.backup.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.value}"
}
