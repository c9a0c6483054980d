# What External Secrets reads: a namespace with one Secret a component, and beside each the right to get it, for the
# reader in that component's namespace and nobody else. A value that several components use stands in the Secret of each.
# Nothing that is deployed from Git may make anything in this namespace, so no change there can widen who reads what.
#
# Supplied values reach the cluster as write-only arguments, so that no state holds them. Generated ones are made once
# and kept in the state: passwords of databases whose volumes outlive the cluster must outlive it, too. So the state is
# to be guarded like the passwords themselves (State, in the documentation of the bootstrap).

locals {
  secrets   = { for secret in var.secrets : "${secret.component}/${secret.key}" => secret }
  generated = toset([for id, secret in local.secrets : id if secret.owner == "generated"])
  supplied  = toset([for id, secret in local.secrets : id if secret.owner == "supplied"])

  secret_values = {
    for id, secret in local.secrets : id =>
    secret.owner == "generated" ? random_password.generated[id].result : var.secret_values[id]
  }
  store = {
    for component, reader in var.secret_readers : component => merge(
      { for id, secret in local.secrets : secret.key => local.secret_values[id] if secret.component == component },
      { for key, id in reader.copies : key => local.secret_values[id] },
    )
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

resource "kubernetes_role_v1" "store" {
  for_each = var.secret_readers

  metadata {
    name      = each.key
    namespace = kubernetes_namespace_v1.store.metadata[0].name
    labels    = { "app.kubernetes.io/managed-by" = "terraform" }
  }

  rule {
    api_groups     = [""]
    resources      = ["secrets"]
    resource_names = [each.key]
    verbs          = ["get"]
  }
}

resource "kubernetes_role_binding_v1" "store" {
  for_each = var.secret_readers

  metadata {
    name      = each.key
    namespace = kubernetes_namespace_v1.store.metadata[0].name
    labels    = { "app.kubernetes.io/managed-by" = "terraform" }
  }

  role_ref {
    api_group = "rbac.authorization.k8s.io"
    kind      = "Role"
    name      = kubernetes_role_v1.store[each.key].metadata[0].name
  }

  # The component brings it, under the name of the store.
  subject {
    kind      = "ServiceAccount"
    name      = var.secret_store
    namespace = each.value.namespace
  }
}
