data "digitalocean_kubernetes_versions" "offered" {
  version_prefix = "${var.kubernetes}."
}

resource "digitalocean_kubernetes_cluster" "this" {
  name    = var.name
  region  = var.region
  version = data.digitalocean_kubernetes_versions.offered.latest_version
  # DigitalOcean adds "k8s" (and "k8s:…") by itself, and the provider leaves these out when it reads the cluster. Passed
  # on, it would be missing for ever, and every plan would add it.
  tags = setsubtract(var.tags, ["k8s"])

  # Written out, because DigitalOcean's default depends on the version of Kubernetes.
  ha = var.ha
  # An upgrade is an apply that somebody has read the plan of.
  auto_upgrade  = false
  surge_upgrade = var.surge_upgrade
  # Volumes outlive the cluster.
  destroy_all_associated_resources = false

  node_pool {
    name       = var.node_pool.name
    size       = var.node_pool.size
    auto_scale = var.node_pool.nodes_max != null
    node_count = var.node_pool.nodes_max == null ? var.node_pool.nodes : null
    min_nodes  = var.node_pool.nodes_max == null ? null : var.node_pool.nodes
    max_nodes  = var.node_pool.nodes_max
  }

  maintenance_policy {
    day        = var.maintenance.day
    start_time = var.maintenance.start
  }

  lifecycle {
    # Another region, or another size of this pool, would replace the cluster.
    prevent_destroy = true

    precondition {
      condition     = startswith(data.digitalocean_kubernetes_versions.offered.latest_version, "${var.kubernetes}.")
      error_message = "DigitalOcean offers no Kubernetes ${var.kubernetes} (any more); \"doctl kubernetes options versions\" lists what it does."
    }
  }
}

# Its credentials expire after seven days; the next plan or apply fetches new ones.
resource "local_sensitive_file" "kubeconfig" {
  filename             = abspath("${path.module}/.kube/${var.environment}.yaml")
  content              = digitalocean_kubernetes_cluster.this.kube_config[0].raw_config
  file_permission      = "0600"
  directory_permission = "0700"
}
