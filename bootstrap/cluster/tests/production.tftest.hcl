# terraform test -filter=tests/production.tftest.hcl -var-file=production.tfvars.json, with TF_WORKSPACE=production

mock_provider "digitalocean" {
  override_during = plan

  mock_data "digitalocean_kubernetes_versions" {
    defaults = { latest_version = "1.36.2-do.0" }
  }

  mock_resource "digitalocean_kubernetes_cluster" {
    defaults = {
      kube_config = [{ raw_config = "current-context: do-fra1-mocked\nusers: [{ user: { token: marked-mocked-token } }]\n" }]
    }
  }
}

mock_provider "local" {
  override_during = plan
}

run "as_declared" {
  command = plan

  assert {
    condition     = digitalocean_kubernetes_cluster.this.version == "1.36.2-do.0"
    error_message = "The newest patch of the declared minor version is taken."
  }
  assert {
    condition     = digitalocean_kubernetes_cluster.this.ha
    error_message = "The control plane is highly available in production."
  }
  assert {
    condition     = !digitalocean_kubernetes_cluster.this.auto_upgrade && digitalocean_kubernetes_cluster.this.surge_upgrade
    error_message = "Upgrades are applied by a person, and add nodes first."
  }
  assert {
    condition     = digitalocean_kubernetes_cluster.this.destroy_all_associated_resources == false
    error_message = "Volumes outlive the cluster."
  }
  assert {
    condition     = digitalocean_kubernetes_cluster.this.node_pool[0].auto_scale && digitalocean_kubernetes_cluster.this.node_pool[0].min_nodes == var.node_pool.nodes && digitalocean_kubernetes_cluster.this.node_pool[0].max_nodes == var.node_pool.nodes_max
    error_message = "The pool has the declared number of nodes, and grows up to the declared maximum."
  }
  assert {
    condition     = digitalocean_kubernetes_cluster.this.maintenance_policy[0].day == "sunday" && digitalocean_kubernetes_cluster.this.maintenance_policy[0].start_time == "02:00"
    error_message = "Maintenance happens in the declared window."
  }
  assert {
    condition     = output.context == "do-fra1-mocked" && endswith(output.kubeconfig, "/bootstrap/cluster/.kube/production.yaml")
    error_message = "The outputs name the kubeconfig and the context in it."
  }
  assert {
    condition     = local_sensitive_file.kubeconfig.file_permission == "0600"
    error_message = "The kubeconfig is for its owner alone."
  }
}

run "tags" {
  command = plan
  variables {
    tags = ["k8s", "team"]
  }

  assert {
    condition     = toset(digitalocean_kubernetes_cluster.this.tags) == toset(["team"])
    error_message = "The tag that DigitalOcean adds by itself is left to it."
  }
}

run "without_autoscaling" {
  command = plan
  variables {
    node_pool = { name = "pool", size = "s-4vcpu-8gb", nodes = 3, nodes_max = null }
  }

  assert {
    condition     = digitalocean_kubernetes_cluster.this.node_pool[0].node_count == 3 && !digitalocean_kubernetes_cluster.this.node_pool[0].auto_scale
    error_message = "Without nodes_max, the pool has the number of nodes and does not scale by itself."
  }
}

run "autoscaling" {
  command = plan
  variables {
    node_pool = { name = "pool", size = "s-4vcpu-8gb", nodes = 3, nodes_max = 6 }
  }

  assert {
    condition     = digitalocean_kubernetes_cluster.this.node_pool[0].auto_scale && digitalocean_kubernetes_cluster.this.node_pool[0].min_nodes == 3 && digitalocean_kubernetes_cluster.this.node_pool[0].max_nodes == 6
    error_message = "With nodes_max, the pool grows from nodes up to it."
  }
}

run "region_is_checked" {
  command = plan
  variables {
    region = "frankfurt"
  }
  expect_failures = [var.region]
}

run "size_is_checked" {
  command = plan
  variables {
    node_pool = { name = "pool", size = "large", nodes = 3, nodes_max = null }
  }
  expect_failures = [var.node_pool]
}

run "version_is_checked" {
  command = plan
  variables {
    kubernetes = "1.36.2"
  }
  expect_failures = [var.kubernetes]
}

run "no_nodes_are_refused" {
  command = plan
  variables {
    node_pool = { name = "pool", size = "s-4vcpu-8gb", nodes = 0, nodes_max = null }
  }
  expect_failures = [var.node_pool]
}

run "autoscaling_below_nodes_is_refused" {
  command = plan
  variables {
    node_pool = { name = "pool", size = "s-4vcpu-8gb", nodes = 3, nodes_max = 3 }
  }
  expect_failures = [var.node_pool]
}

run "maintenance_is_checked" {
  command = plan
  variables {
    maintenance = { day = "sunday", start = "24:00" }
  }
  expect_failures = [var.maintenance]
}

run "version_that_is_not_offered" {
  command = plan
  variables {
    kubernetes = "1.35"
  }
  expect_failures = [digitalocean_kubernetes_cluster.this]
}

run "inputs_of_another_environment_are_refused" {
  command = plan
  variables {
    environment = "staging"
  }
  expect_failures = [var.environment]
}
