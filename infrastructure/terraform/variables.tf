variable "region" {
  description = "Region in which Fleetest runs, as in `eu-central-1`."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "A region is wanted, as in eu-central-1."
  }
}

variable "replica_region" {
  description = "Second region: copies of backups and of runner images go there."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", var.replica_region))
    error_message = "A region is wanted, as in eu-west-1."
  }

  validation {
    condition     = var.replica_region != var.region
    error_message = "A replica in the same region would be lost with it: name another region."
  }
}

variable "name" {
  description = "Beginning of all names, also of the stacks that the deploy role may make (`NAME-dev`, `NAME-production`)."
  type        = string
  default     = "fleetest"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "3 to 20 small letters, digits and -, beginning with a letter: bucket names are made of it."
  }
}

variable "network" {
  description = "A network of your own for the runners; null = one is made."
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  default = null

  validation {
    condition = var.network == null ? true : (
      startswith(var.network.vpc_id, "vpc-") &&
      length(var.network.subnet_ids) >= 1 && length(var.network.subnet_ids) <= 16 &&
      alltrue([for id in var.network.subnet_ids : startswith(id, "subnet-")])
    )
    error_message = "Name a VPC (vpc-...) and 1 to 16 of its subnets (subnet-...)."
  }
}

variable "cidr" {
  description = "Addresses of the network that is made."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrsubnet(var.cidr, 4, 15)) && try(tonumber(split("/", var.cidr)[1]), 33) <= 20
    error_message = "An IPv4 block of /20 or larger is wanted, as in 10.42.0.0/16."
  }
}

variable "zones" {
  description = "Zones of the network that is made: spare capacity is found zone by zone."
  type        = number
  default     = 3

  validation {
    condition     = contains([2, 3], var.zones)
    error_message = "2 or 3 zones."
  }
}

variable "nat_gateway" {
  description = "Whether runners live in private subnets behind one NAT gateway (billed by the hour and by the byte) and not in public ones without any way in."
  type        = bool
  default     = false
}

variable "flow_log_days" {
  description = "Days for which flow logs of the network that is made are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.flow_log_days)
    error_message = "CloudWatch knows 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 and 365 days."
  }
}

variable "github" {
  description = "Who may deploy: a repository and its environments. `provider_arn` = the account's provider for GitHub if it has one already."
  type = object({
    repository   = string
    environments = list(string)
    provider_arn = optional(string)
  })
  default = null

  validation {
    condition = var.github == null ? true : (
      can(regex("^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$", var.github.repository)) &&
      length(var.github.environments) > 0 &&
      alltrue([for one in var.github.environments : can(regex("^[A-Za-z0-9_-]+$", one))])
    )
    error_message = "`repository` is OWNER/NAME, and at least one environment is named; wildcards are refused."
  }
}

variable "budget" {
  description = "US dollars per month, and who is told at 50 % and 80 % spent and at 100 % forecast; null = no budget."
  type = object({
    limit_usd = number
    emails    = list(string)
  })
  default = null

  validation {
    condition = var.budget == null ? true : (
      var.budget.limit_usd > 0 &&
      length(var.budget.emails) >= 1 && length(var.budget.emails) <= 10 &&
      alltrue([for one in var.budget.emails : can(regex("^[^@ ]+@[^@ ]+$", one))])
    )
    error_message = "A limit above 0 and 1 to 10 addresses are wanted: a budget that tells nobody is none."
  }
}

variable "replicate_images" {
  description = "Whether images of the runner are copied to the second region. An account's registry has one such configuration: one that has rules already adds ours by hand."
  type        = bool
  default     = true
}

variable "backup_days" {
  description = "Days for which daily backups are kept, here and in the second region."
  type        = number
  default     = 35

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 365
    error_message = "7 to 365 days."
  }
}

variable "vault_lock" {
  description = "Whether nobody can shorten the life of backups: once it is on for three days it cannot be taken off."
  type        = bool
  default     = false
}

variable "tags" {
  description = "More tags for everything."
  type        = map(string)
  default     = {}
}
