# Who deploys: jobs of one repository's environments, without any stored key. The job may change only stacks named
# `NAME-...`, and hands what CloudFormation does to a second role; roles made by that one are held within a boundary.

locals {
  deploys       = var.github != null
  deploy_count  = local.deploys ? 1 : 0
  provider_host = "token.actions.githubusercontent.com"
  provider_arn  = !local.deploys ? null : coalesce(var.github.provider_arn, one(aws_iam_openid_connect_provider.github[*].arn))
  stacks        = "arn:${local.partition}:cloudformation:${var.region}:${local.account}:stack/${var.name}-*/*"
  roles         = "arn:${local.partition}:iam::${local.account}:role/${var.name}-*"
  here          = "${var.region}:${local.account}"
}

resource "aws_iam_openid_connect_provider" "github" {
  count          = local.deploys && try(var.github.provider_arn, null) == null ? 1 : 0
  url            = "https://${local.provider_host}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "deploy" {
  count                = local.deploy_count
  name                 = "${var.name}-foundation-deploy"
  description          = "Jobs of ${var.github.repository} that deploy"
  max_session_duration = 3600
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = local.provider_arn }
      Condition = {
        StringEquals = {
          "${local.provider_host}:aud" = "sts.amazonaws.com"
          "${local.provider_host}:sub" = [for one in var.github.environments : "repo:${var.github.repository}:environment:${one}"]
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "deploy" {
  count = local.deploy_count
  name  = "deploy"
  role  = aws_iam_role.deploy[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "Stacks"
        Effect = "Allow"
        Action = [
          "cloudformation:CreateChangeSet", "cloudformation:DescribeChangeSet", "cloudformation:ExecuteChangeSet",
          "cloudformation:DeleteChangeSet", "cloudformation:DescribeStacks", "cloudformation:DescribeStackEvents",
          "cloudformation:DescribeStackResources", "cloudformation:GetTemplate", "cloudformation:RollbackStack",
          "cloudformation:ContinueUpdateRollback", "cloudformation:UpdateTerminationProtection",
        ]
        Resource = local.stacks
      },
      {
        Sid      = "Transform"
        Effect   = "Allow"
        Action   = "cloudformation:CreateChangeSet"
        Resource = "arn:${local.partition}:cloudformation:${var.region}:aws:transform/Serverless-2016-10-31"
      },
      {
        Sid      = "Summaries"
        Effect   = "Allow"
        Action   = ["cloudformation:GetTemplateSummary", "cloudformation:ValidateTemplate", "ecr:GetAuthorizationToken"]
        Resource = "*"
      },
      {
        Sid       = "HandOver"
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = aws_iam_role.execution[0].arn
        Condition = { StringEquals = { "iam:PassedToService" = "cloudformation.amazonaws.com" } }
      },
      {
        Sid      = "Packages"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:GetBucketLocation"]
        Resource = [aws_s3_bucket.deployments.arn, "${aws_s3_bucket.deployments.arn}/*"]
      },
      {
        Sid      = "Encrypt"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = aws_kms_key.foundation.arn
      },
      {
        Sid    = "Images"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
          "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
        ]
        Resource = aws_ecr_repository.runner.arn
      },
    ]
  })
}

resource "aws_iam_role" "execution" {
  count       = local.deploy_count
  name        = "${var.name}-foundation-cloudformation"
  description = "What CloudFormation may do for stacks of ${var.name}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "cloudformation.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = local.stacks }
      }
    }]
  })
}

# By service and by name: a stack's things begin with its name. What has no name of its own is held by region. The actions are those
# that the schemas of the template's resource types name for their handlers, less what only properties need that it does not set.
resource "aws_iam_role_policy" "execution" {
  count = local.deploy_count
  name  = "stacks"
  role  = aws_iam_role.execution[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "Named"
        Effect = "Allow"
        Action = [
          "lambda:*", "sqs:*", "dynamodb:*", "ecs:*", "events:*", "scheduler:*", "sns:*", "codedeploy:*",
          "cloudwatch:*", "logs:*", "secretsmanager:*", "s3:*",
        ]
        Resource = [
          "arn:${local.partition}:lambda:${local.here}:function:${var.name}-*",
          # They have ids that AWS chooses; their tags are changed by these.
          "arn:${local.partition}:lambda:${local.here}:event-source-mapping:*",
          "arn:${local.partition}:sqs:${local.here}:${var.name}-*",
          "arn:${local.partition}:dynamodb:${local.here}:table/${var.name}-*",
          "arn:${local.partition}:ecs:${local.here}:cluster/${var.name}-*",
          "arn:${local.partition}:ecs:${local.here}:task-definition/${var.name}-*",
          "arn:${local.partition}:events:${local.here}:rule/${var.name}-*",
          "arn:${local.partition}:events:${local.here}:rule/${var.name}-*/*",
          "arn:${local.partition}:events:${local.here}:event-bus/${var.name}-*",
          "arn:${local.partition}:scheduler:${local.here}:schedule-group/${var.name}-*",
          "arn:${local.partition}:scheduler:${local.here}:schedule/${var.name}-*/*",
          "arn:${local.partition}:sns:${local.here}:${var.name}-*",
          "arn:${local.partition}:codedeploy:${local.here}:application:${var.name}-*",
          "arn:${local.partition}:codedeploy:${local.here}:deploymentgroup:${var.name}-*",
          "arn:${local.partition}:cloudwatch:${local.here}:alarm:${var.name}-*",
          "arn:${local.partition}:cloudwatch::${local.account}:dashboard/${var.name}-*",
          "arn:${local.partition}:logs:${local.here}:log-group:/${var.name}-*",
          "arn:${local.partition}:logs:${local.here}:log-group:/aws/lambda/${var.name}-*",
          "arn:${local.partition}:secretsmanager:${local.here}:secret:${var.name}-*",
          "arn:${local.partition}:s3:::${var.name}-*",
        ]
      },
      {
        # These have ids that AWS chooses, or actions that know no resource.
        Sid    = "Unnamed"
        Effect = "Allow"
        Action = [
          "apigateway:*", "cloudwatch:DescribeAlarms", "codedeploy:*DeploymentConfig*", "codedeploy:StopDeployment",
          "ec2:*InternetGateway*", "ec2:*Route*", "ec2:*SecurityGroup*", "ec2:*Subnet*", "ec2:*Tags", "ec2:*Vpc*",
          "ec2:DescribeAvailabilityZones", "ec2:DescribeInstances", "ec2:DescribeNetworkAcls", "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeVpnGateways", "ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition",
          "kms:CreateKey", "kms:ListAliases", "lambda:*EventSourceMapping*", "logs:*IndexPolic*", "logs:*LogDelivery*",
          "logs:*ResourcePolic*", "logs:DescribeLogGroups", "logs:ListLogDeliveries", "secretsmanager:GetRandomPassword",
          "sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe",
        ]
        Resource  = "*"
        Condition = { StringEquals = { "aws:RequestedRegion" = var.region } }
      },
      {
        Sid    = "Keys"
        Effect = "Allow"
        Action = [
          "kms:CreateAlias", "kms:CreateGrant", "kms:Decrypt", "kms:DeleteAlias", "kms:DescribeKey", "kms:EnableKeyRotation", "kms:Encrypt",
          "kms:GenerateDataKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags", "kms:PutKeyPolicy",
          "kms:RevokeGrant", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription",
        ]
        Resource = [
          "arn:${local.partition}:kms:${local.here}:key/*",
          "arn:${local.partition}:kms:${local.here}:alias/${var.name}-*",
        ]
      },
      {
        Sid       = "RolesMade"
        Effect    = "Allow"
        Action    = ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:DetachRolePolicy", "iam:DeleteRolePolicy"]
        Resource  = local.roles
        Condition = { StringEquals = { "iam:PermissionsBoundary" = aws_iam_policy.boundary[0].arn } }
      },
      {
        Sid      = "RolesKept"
        Effect   = "Allow"
        Action   = ["iam:DeleteRole", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole"]
        Resource = local.roles
      },
      {
        Sid      = "RolesPassed"
        Effect   = "Allow"
        Action   = "iam:PassRole"
        Resource = local.roles
        Condition = {
          StringEquals = {
            "iam:PassedToService" = [
              "lambda.amazonaws.com", "ecs-tasks.amazonaws.com", "scheduler.amazonaws.com", "codedeploy.amazonaws.com",
            ]
          }
        }
      },
      {
        # An account that has used neither service has not these roles, and both make them with the first cluster or API.
        Sid    = "RolesOfServices"
        Effect = "Allow"
        Action = "iam:CreateServiceLinkedRole"
        Resource = [
          "arn:${local.partition}:iam::${local.account}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS*",
          "arn:${local.partition}:iam::${local.account}:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway*",
        ]
        Condition = { StringEquals = { "iam:AWSServiceName" = ["ecs.amazonaws.com", "ops.apigateway.amazonaws.com"] } }
      },
      {
        # The foundation's own roles begin with the same name: they are not the stacks' to change or to use.
        Sid      = "NotTheFoundation"
        Effect   = "Deny"
        Action   = "iam:*"
        Resource = "arn:${local.partition}:iam::${local.account}:role/${var.name}-foundation-*"
      },
      {
        Sid      = "NotItsKey"
        Effect   = "Deny"
        Action   = ["kms:DisableKey", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"]
        Resource = aws_kms_key.foundation.arn
      },
      {
        Sid      = "NotItsBucket"
        Effect   = "Deny"
        Action   = ["s3:Delete*", "s3:Put*"]
        Resource = [aws_s3_bucket.deployments.arn, "${aws_s3_bucket.deployments.arn}/*"]
      },
      {
        Sid      = "Packages"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource = "${aws_s3_bucket.deployments.arn}/*"
      },
    ]
  })
}

# No role of a stack can do more than this, whatever its own policy says.
# A boundary grants nothing: what a role may do is what both it and the role's own policy allow.
resource "aws_iam_policy" "boundary" {
  #checkov:skip=CKV_AWS_288:a boundary limits, it does not grant
  #checkov:skip=CKV_AWS_289:a boundary limits, it does not grant
  #checkov:skip=CKV_AWS_290:a boundary limits, it does not grant
  #checkov:skip=CKV_AWS_355:a boundary limits, it does not grant
  count       = local.deploy_count
  name        = "${var.name}-boundary"
  description = "The most that roles of Fleetest's stacks may do"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect = "Allow"
        Action = [
          "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricData", "codedeploy:*", "dynamodb:*", "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage", "ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer", "ecs:DescribeTasks",
          "ecs:ListTasks", "ecs:RunTask", "ecs:StopTask", "ecs:TagResource", "events:PutEvents", "kms:Decrypt", "kms:DescribeKey",
          "kms:Encrypt", "kms:GenerateDataKey", "lambda:GetFunction", "lambda:InvokeFunction", "lambda:ListAliases", "lambda:UpdateAlias",
          "lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "logs:CreateLogStream", "logs:PutLogEvents", "s3:*", "scheduler:*", "secretsmanager:GetSecretValue",
          "ses:SendEmail", "ses:SendRawEmail", "sns:Publish", "sqs:*", "xray:PutTelemetryRecords", "xray:PutTraceSegments",
          "xray:GetSamplingRules", "xray:GetSamplingTargets",
        ]
        Resource = "*"
      },
      {
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = local.roles
        Condition = { StringEquals = { "iam:PassedToService" = ["ecs-tasks.amazonaws.com", "scheduler.amazonaws.com"] } }
      },
    ]
  })
}
