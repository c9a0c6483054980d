# All values come from app.py: make synth writes them to <environment>.tfvars.json.

variable "generated_as" {
  description = "Path of the file with these inputs, by which make synth knows that it wrote the file itself."
  type        = string
  default     = null
}

variable "environment" {
  description = "Name of the environment; also that of the workspace, so that no state meets the inputs of another."
  type        = string

  validation {
    condition     = var.environment == terraform.workspace
    error_message = "The inputs are for the environment ${var.environment}, the workspace is ${terraform.workspace}. Run: terraform workspace select -or-create ${var.environment}"
  }
}

variable "name" {
  description = "Name of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.name))
    error_message = "A cluster's name has a-z, 0-9 and \"-\", at most 63."
  }
}

variable "region" {
  description = "Region of DigitalOcean, for instance fra1."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{3}[0-9]$", var.region))
    error_message = "A region is three letters and a digit, for instance fra1."
  }
}

variable "kubernetes" {
  description = "Minor version of Kubernetes, for instance 1.36; the newest patch that DigitalOcean offers is taken."
  type        = string

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes))
    error_message = "A minor version of Kubernetes is needed, for instance 1.36."
  }
}

variable "ha" {
  description = "Whether the control plane is highly available. It cannot be turned off again."
  type        = bool
}

variable "node_pool" {
  description = "The node pool; nodes_max turns autoscaling on."
  type = object({
    name      = string
    size      = string
    nodes     = number
    nodes_max = number
  })

  validation {
    condition     = can(regex("^(s|c|c2|g|gd|m|m3|m6|so|so1_5|gpu)-[a-z0-9]+(-[a-z0-9]+)*$", var.node_pool.size))
    error_message = "A size of a droplet is needed, for instance s-4vcpu-8gb."
  }

  validation {
    condition     = var.node_pool.nodes >= 1 && floor(var.node_pool.nodes) == var.node_pool.nodes
    error_message = "A node pool has at least one node."
  }

  validation {
    condition     = var.node_pool.nodes_max == null ? true : var.node_pool.nodes_max > var.node_pool.nodes
    error_message = "nodes_max must be more than nodes, or null."
  }
}

variable "maintenance" {
  description = "Day and time (UTC) from which DigitalOcean may maintain the cluster for four hours."
  type = object({
    day   = string
    start = string
  })

  validation {
    condition     = contains(["any", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"], var.maintenance.day)
    error_message = "The day is monday to sunday, or any."
  }

  validation {
    condition     = can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.maintenance.start))
    error_message = "The start is a time of day, for instance 02:00."
  }
}

variable "surge_upgrade" {
  description = "Whether an upgrade adds nodes before it drains the old ones."
  type        = bool
}

variable "tags" {
  description = "Tags of the cluster."
  type        = list(string)
}
