# What the foundation is made with. `mock_provider` in the tests needs Terraform 1.7.
terraform {
  required_version = ">= 1.7.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # The state holds no secrets, but losing it is a nuisance: name a bucket of your own with
  # `terraform init -backend-config=FILE` after uncommenting this.
  # backend "s3" {}
}

provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }
}

# Everything that must survive the loss of the first region.
provider "aws" {
  alias  = "replica"
  region = var.replica_region

  default_tags {
    tags = local.tags
  }
}
