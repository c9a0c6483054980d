# What External Secrets reads: a namespace with one Secret a component.
#
# Supplied values reach the cluster as write-only arguments, so that no state holds them. Generated ones are made once
# and kept in the state: passwords of databases whose volumes outlive the cluster must outlive it, too. So the state is
# to be guarded like the passwords themselves (docs/bootstrap.md, "State").

locals {
  secrets   = { for secret in var.secrets : "${secret.component}/${secret.key}" => secret }
  generated = toset([for id, secret in local.secrets : id if secret.owner == "generated"])
  supplied  = toset([for id, secret in local.secrets : id if secret.owner == "supplied"])

  store = {
    for component in toset([for secret in var.secrets : secret.component]) : component => {
      for id, secret in local.secrets : secret.key => (
        secret.owner == "generated" ? random_password.generated[id].result : var.secret_values[id]
      ) if secret.component == component
    }
  }

  # Write-only values are sent when these numbers change. They follow from the values, so that nobody has to remember
  # them. The salt, which no plan shows, keeps what a plan does show from being tried against guessed values.
  revisions = { for component, values in local.store : component => 1 + parseint(substr(sha256(jsonencode([random_password.salt.result, values])), 0, 12), 16) }
}

resource "random_password" "salt" {
  length = 40
}

resource "random_password" "generated" {
  for_each = local.generated

  length = 40
  # Some end up in URLs, in shells and in CQL.
  special = false
}

resource "kubernetes_namespace_v1" "store" {
  metadata {
    name   = var.secret_store
    labels = { "app.kubernetes.io/managed-by" = "terraform" }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "kubernetes_secret_v1" "store" {
  for_each = local.store

  metadata {
    name      = each.key
    namespace = kubernetes_namespace_v1.store.metadata[0].name
    labels    = { "app.kubernetes.io/managed-by" = "terraform" }
  }

  data_wo          = each.value
  data_wo_revision = local.revisions[each.key]
}
