# What is not a secret comes from app.py: make synth writes it to <environment>.tfvars.json.

variable "kubeconfig" {
  description = "Path of a kubeconfig."
  type        = string

  validation {
    condition     = fileexists(pathexpand(var.kubeconfig))
    error_message = "There is no file ${var.kubeconfig}. The outputs of bootstrap/cluster name it; for k3d, \"k3d kubeconfig write\" does."
  }
}

variable "context" {
  description = "Context of the cluster in it."
  type        = string
}

variable "generated_as" {
  description = "Path of the file with these inputs, by which make synth knows that it wrote the file itself."
  type        = string
  default     = null
}

variable "argocd_context" {
  description = "Context of the cluster in which Argo CD runs, in the same kubeconfig. Default: that of context."
  type        = string
  default     = null

  validation {
    condition     = var.argocd.remote == (var.argocd_context != null)
    error_message = var.argocd.remote ? "Argo CD runs in another cluster, by app.py: say which with argocd_context." : "Argo CD runs in the cluster itself, by app.py: leave argocd_context out."
  }
}

variable "argocd" {
  description = "The Argo CD: where it runs, whether this installs it, and the cluster and root Applications that it knows."
  type = object({
    namespace    = optional(string, "argocd")
    applications = optional(string, "argocd")
    install      = optional(bool, true)
    remote       = optional(bool, false)
    destination  = optional(map(string), { server = "https://kubernetes.default.svc" })
    others       = optional(list(string), [])
  })
  default = {}
}

variable "environment" {
  description = "Name of the environment; also that of the workspace, so that no state meets the inputs of another."
  type        = string

  validation {
    condition     = var.environment == terraform.workspace
    error_message = "The inputs are for the environment ${var.environment}, the workspace is ${terraform.workspace}. Run: terraform workspace select -or-create ${var.environment}"
  }
}

variable "chart" {
  description = "Version of the chart argo-cd."
  type        = string

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.chart))
    error_message = "An exact version of the chart is needed, for instance 10.10.0."
  }
}

variable "ha" {
  description = "Whether Argo CD is highly available; takes three nodes."
  type        = bool
}

variable "node_port" {
  description = "Port of every node behind which Argo CD answers, or null for none."
  type        = number
}

variable "repository" {
  description = "The Git repository that Argo CD reads."
  type = object({
    url    = string
    branch = string
    # The branch that only publications move, where the root Application follows one.
    publication_branch = optional(string)
  })
}

variable "signed_by" {
  description = "Ids of the OpenPGP keys of which one has signed every commit that is deployed; none demands no signature."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for key in var.signed_by : fileexists("${path.module}/keys/${key}.asc")])
    error_message = "Argo CD would deploy nothing, because it lacks public keys. For each: gpg --armor --export <id> > bootstrap/argocd/keys/<id>.asc; lacking are ${join(", ", [for key in var.signed_by : key if !fileexists("${path.module}/keys/${key}.asc")])}"
  }
}

variable "sync_timeout_seconds" {
  description = "Seconds after which Argo CD ends a sync that still runs: more than the slowest declared start takes."
  type        = number
}

variable "secret_store" {
  description = "Namespace from which External Secrets reads."
  type        = string
}

variable "secrets" {
  description = "Every secret value: whose it is, its key, who gives it (generated or supplied) and what it is for."
  type = list(object({
    component = string
    key       = string
    owner     = string
    purpose   = string
  }))

  validation {
    condition     = alltrue([for secret in var.secrets : contains(["generated", "supplied"], secret.owner)])
    error_message = "The owner of a secret value is generated or supplied."
  }
}

variable "secret_readers" {
  description = "Every component that reads secrets: its namespace, and its copies of others' values (\"component/key\") by their key in its Secret."
  type = map(object({
    namespace = string
    copies    = map(string)
  }))

  validation {
    condition     = length(setsubtract(toset(flatten([for reader in var.secret_readers : values(reader.copies)])), keys(local.secrets))) == 0
    error_message = "secret_readers has copies of values that secrets does not list: ${join(", ", setsubtract(toset(flatten([for reader in var.secret_readers : values(reader.copies)])), keys(local.secrets)))}"
  }

  validation {
    # What is outside of the system has values as well: it reads none, and its clients have copies.
    condition     = length([for id, secret in local.secrets : id if !contains(concat(keys(var.secret_readers), flatten([for reader in var.secret_readers : [for copy in values(reader.copies) : split("/", copy)[0]]])), secret.component)]) == 0
    error_message = "secret_readers lacks: ${join(", ", setsubtract(toset([for secret in var.secrets : secret.component]), keys(var.secret_readers)))}"
  }
}

variable "secret_values" {
  description = "The supplied values by \"component/key\"."
  type        = map(string)
  default     = {}
  sensitive   = true

  validation {
    condition     = length(setsubtract(local.supplied, nonsensitive(keys(var.secret_values)))) == 0
    error_message = "secret_values lacks: ${join(", ", [for id in setsubtract(local.supplied, nonsensitive(keys(var.secret_values))) : "${id} (${local.secrets[id].purpose})"])}"
  }

  validation {
    condition     = length(setsubtract(nonsensitive(keys(var.secret_values)), local.supplied)) == 0
    error_message = "secret_values has keys that nobody asks for: ${join(", ", setsubtract(nonsensitive(keys(var.secret_values)), local.supplied))}"
  }

  validation {
    condition     = nonsensitive(alltrue([for value in values(var.secret_values) : trimspace(value) != ""]))
    error_message = "secret_values has empty values: ${join(", ", nonsensitive([for id, value in var.secret_values : id if trimspace(value) == ""]))}"
  }
}

variable "hosts" {
  description = "Every host under which users come, and the object that tells the address of its load balancer: an ingress or a gateway."
  type = list(object({
    host      = string
    kind      = string
    namespace = string
    name      = string
  }))
  default = []
}

variable "repository_credential" {
  description = "For a private repository: username and password (a token that may read), or ssh_private_key."
  type = object({
    username        = optional(string)
    password        = optional(string)
    ssh_private_key = optional(string)
  })
  default   = null
  sensitive = true

  validation {
    condition = nonsensitive(var.repository_credential == null ? true : (
      var.repository_credential.ssh_private_key == null
      ? var.repository_credential.username != null && var.repository_credential.password != null
      : var.repository_credential.username == null && var.repository_credential.password == null
    ))
    error_message = "repository_credential is either username and password, or ssh_private_key."
  }
}
