# terraform test -filter=tests/production.tftest.hcl -var-file=production.tfvars.json, with TF_WORKSPACE=production

mock_provider "helm" {
  override_during = plan
}

mock_provider "kubernetes" {
  override_during = plan
}

mock_provider "kubernetes" {
  alias           = "argocd"
  override_during = plan
}

mock_provider "random" {
  override_during = plan

  mock_resource "random_password" {
    defaults = { result = "marked-generated-value" }
  }
}

variables {
  # Any file that is there.
  kubeconfig = "main.tf"
  context    = "mocked"
  secret_values = {
    "chat-service/AKKA_LICENSE_KEY"             = "marked-supplied-value"
    "location-service/AKKA_LICENSE_KEY"         = "marked-supplied-value"
    "location-service/MAPBOX_API_KEY"           = "marked-supplied-value"
    "notification-service/service-account.json" = "marked-supplied-value"
    "saves/access-key-id"                       = "marked-supplied-value"
    "saves/password"                            = "marked-supplied-value"
    "saves/secret-access-key"                   = "marked-supplied-value"
  }
}

run "argocd" {
  command = plan

  assert {
    condition     = helm_release.argocd[0].version == var.chart && helm_release.argocd[0].chart == "argo-cd"
    error_message = "The declared version of the chart is installed."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).configs.cm["resource.customizations.health.argoproj.io_Application"] == file("application-health.lua")
    error_message = "The health check of Applications is in the values."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).configs.cm["resource.customizations.health.autoscaling_HorizontalPodAutoscaler"] == file("autoscaler-health.lua")
    error_message = "The health check of autoscalers is in the values."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).configs.cm["application.resourceTrackingMethod"] == "annotation"
    error_message = "Argo CD knows its objects by an annotation."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).configs.cm["users.anonymous.enabled"] == "false"
    error_message = "Nobody gets in without a login."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).configs.cm["admin.enabled"] == "false"
    error_message = "There is no account with a password that nobody changes."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).configs.params["controller.diff.server.side"] == "true"
    error_message = "The API server computes differences."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).configs.params["controller.sync.timeout.seconds"] == tostring(var.sync_timeout_seconds)
    error_message = "A sync may take as long as the slowest healthy start."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).global.networkPolicy.create
    error_message = "Argo CD has its network policies."
  }
  assert {
    condition = alltrue([
      for name in ["controller", "server", "repoServer", "redis"] :
      can(yamldecode(helm_release.argocd[0].values[0])[name].resources.requests.cpu) && can(yamldecode(helm_release.argocd[0].values[0])[name].resources.limits.memory)
    ])
    error_message = "All of it has requests and a memory limit."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0])["redis-ha"].enabled && !yamldecode(helm_release.argocd[0].values[0]).redis.enabled
    error_message = "Redis is highly available in production."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).server.replicas == 2 && yamldecode(helm_release.argocd[0].values[0]).repoServer.replicas == 2 && yamldecode(helm_release.argocd[0].values[0]).server.pdb.enabled
    error_message = "What serves runs twice in production."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).server.service.type == "ClusterIP"
    error_message = "Nothing of Argo CD is exposed in production."
  }
}

run "secrets" {
  command = plan

  assert {
    condition     = kubernetes_namespace_v1.store.metadata[0].name == var.secret_store
    error_message = "The namespace is the one that the components' stores read."
  }
  assert {
    condition     = toset(keys(kubernetes_secret_v1.store)) == toset(keys(var.secret_readers))
    error_message = "Each component has one Secret."
  }
  assert {
    condition = alltrue(flatten([for component, reader in var.secret_readers : [
      for key, id in reader.copies : nonsensitive(local.store[component][key] == local.secret_values[id])
    ]]))
    error_message = "A copy is the value that the other component has."
  }
  assert {
    condition = alltrue([for component, value in local.store : toset(nonsensitive(keys(value))) == setunion(
      [for secret in var.secrets : secret.key if secret.component == component], keys(var.secret_readers[component].copies)
    )])
    error_message = "A component's Secret holds its own values and its copies, and nothing else."
  }
  assert {
    condition = alltrue([for component, role in kubernetes_role_v1.store :
      length(role.rule) == 1 && toset(role.rule[0].verbs) == toset(["get"]) && toset(role.rule[0].resources) == toset(["secrets"]) && toset(role.rule[0].resource_names) == toset([component])
    ])
    error_message = "A reader may get one Secret, by its name."
  }
  assert {
    condition = alltrue([for component, binding in kubernetes_role_binding_v1.store :
      binding.role_ref[0].name == component && length(binding.subject) == 1 && binding.subject[0].kind == "ServiceAccount" && binding.subject[0].name == var.secret_store && binding.subject[0].namespace == var.secret_readers[component].namespace
    ])
    error_message = "The reader of a component is in its own namespace."
  }
  assert {
    condition = alltrue([for id, secret in local.secrets :
      contains(try(nonsensitive(keys(local.store[secret.component])), []), secret.key) || contains(flatten([for reader in var.secret_readers : values(reader.copies)]), id)
    ])
    error_message = "Every declared value is in the Secret of its component, or, of what is outside, in those of its clients."
  }
  assert {
    condition     = nonsensitive(local.store["location-service"]["MAPBOX_API_KEY"]) == "marked-supplied-value" && nonsensitive(local.store["location-service"]["database-password"]) == "marked-generated-value"
    error_message = "Supplied values come from the person, generated ones from Terraform."
  }
  assert {
    condition     = alltrue([for secret in values(kubernetes_secret_v1.store) : nonsensitive(secret.data_wo_revision) >= 1 && secret.data_wo == null && nonsensitive(length(secret.data == null ? {} : secret.data)) == 0])
    error_message = "Values are written and never read back."
  }
  assert {
    condition     = alltrue([for component, secret in kubernetes_secret_v1.store : nonsensitive(secret.data_wo_revision != 1 + parseint(substr(sha256(jsonencode(local.store[component])), 0, 12), 16))])
    error_message = "What a plan shows of values cannot be had from the values alone."
  }
  assert {
    condition     = alltrue([for password in values(random_password.generated) : password.length >= 32 && !password.special])
    error_message = "Generated values are long, and safe in URLs and CQL."
  }
  assert {
    condition     = length(kubernetes_secret_v1.repository) == 0
    error_message = "A public repository needs no credential."
  }
}

run "rotation" {
  command = plan
  variables {
    secret_values = {
      "chat-service/AKKA_LICENSE_KEY"             = "marked-supplied-value"
      "location-service/AKKA_LICENSE_KEY"         = "marked-supplied-value"
      "location-service/MAPBOX_API_KEY"           = "marked-supplied-other"
      "notification-service/service-account.json" = "marked-supplied-value"
      "saves/access-key-id"                       = "marked-supplied-value"
      "saves/password"                            = "marked-supplied-value"
      "saves/secret-access-key"                   = "marked-supplied-value"
    }
  }

  assert {
    condition     = nonsensitive(kubernetes_secret_v1.store["location-service"].data_wo_revision) != nonsensitive(1 + parseint(substr(sha256(jsonencode([random_password.salt.result, merge(local.store["location-service"], { MAPBOX_API_KEY = "marked-supplied-value" })])), 0, 12), 16))
    error_message = "A changed value is written."
  }
}

run "private_repository_by_token" {
  command = plan
  variables {
    repository_credential = { username = "git", password = "marked-repository-value" }
  }

  assert {
    condition     = kubernetes_secret_v1.repository[0].metadata[0].labels["argocd.argoproj.io/secret-type"] == "repository" && kubernetes_secret_v1.repository[0].metadata[0].namespace == "argocd"
    error_message = "Argo CD finds the credential by its label."
  }
  assert {
    condition     = nonsensitive(kubernetes_secret_v1.repository[0].data_wo_revision != 1 + parseint(substr(sha256(jsonencode(local.repository)), 0, 12), 16))
    error_message = "What a plan shows of it cannot be had from the credential alone."
  }
  assert {
    condition     = nonsensitive(local.repository.url) == var.repository.url && nonsensitive(toset(keys(local.repository))) == toset(["type", "url", "username", "password"])
    error_message = "It is for the declared repository."
  }
}

run "private_repository_by_key" {
  command = plan
  variables {
    repository_credential = { ssh_private_key = "marked-repository-value" }
  }

  assert {
    condition     = nonsensitive(toset(keys(local.repository))) == toset(["type", "url", "sshPrivateKey"])
    error_message = "It holds the key."
  }
}

run "half_a_credential_is_refused" {
  command = plan
  variables {
    repository_credential = { username = "git" }
  }
  expect_failures = [var.repository_credential]
}

run "missing_value_is_refused" {
  command = plan
  variables {
    secret_values = {
      "chat-service/AKKA_LICENSE_KEY"             = "marked-supplied-value"
      "location-service/AKKA_LICENSE_KEY"         = "marked-supplied-value"
      "notification-service/service-account.json" = "marked-supplied-value"
      "saves/access-key-id"                       = "marked-supplied-value"
      "saves/password"                            = "marked-supplied-value"
      "saves/secret-access-key"                   = "marked-supplied-value"
    }
  }
  expect_failures = [var.secret_values]
}

run "unknown_value_is_refused" {
  command = plan
  variables {
    secret_values = {
      "chat-service/AKKA_LICENSE_KEY"             = "marked-supplied-value"
      "location-service/AKKA_LICENSE_KEY"         = "marked-supplied-value"
      "location-service/MAPBOX_API_KEY"           = "marked-supplied-value"
      "location-service/MAPBOX_KEY"               = "marked-supplied-value"
      "notification-service/service-account.json" = "marked-supplied-value"
      "saves/access-key-id"                       = "marked-supplied-value"
      "saves/password"                            = "marked-supplied-value"
      "saves/secret-access-key"                   = "marked-supplied-value"
    }
  }
  expect_failures = [var.secret_values]
}

run "empty_value_is_refused" {
  command = plan
  variables {
    secret_values = {
      "chat-service/AKKA_LICENSE_KEY"             = "marked-supplied-value"
      "location-service/AKKA_LICENSE_KEY"         = "marked-supplied-value"
      "location-service/MAPBOX_API_KEY"           = " "
      "notification-service/service-account.json" = "marked-supplied-value"
      "saves/access-key-id"                       = "marked-supplied-value"
      "saves/password"                            = "marked-supplied-value"
      "saves/secret-access-key"                   = "marked-supplied-value"
    }
  }
  expect_failures = [var.secret_values]
}

run "copy_of_an_unknown_value_is_refused" {
  command = plan
  variables {
    secret_readers = { for component in ["chat-service", "location-service", "monitoring", "notification-service", "rabbitmq", "user-service"] :
      component => { namespace = component, copies = { "rabbitmq.password" = "rabbitmq/passwort" } }
    }
  }
  expect_failures = [var.secret_readers]
}

run "value_of_what_is_outside_is_copied" {
  command = plan
  variables {
    secrets        = [{ component = "orders-db", key = "password", owner = "generated", purpose = "password of a managed database" }]
    secret_readers = { web = { namespace = "web", copies = { "orders-db.password" = "orders-db/password" } } }
    secret_values  = {}
  }
  assert {
    condition     = keys(kubernetes_secret_v1.store) == ["web"] && nonsensitive(local.store["web"] == { "orders-db.password" = local.secret_values["orders-db/password"] })
    error_message = "What is outside has no Secret, and its clients have a copy of its value."
  }
}

run "value_that_nobody_reads_is_refused" {
  command = plan
  variables {
    secrets        = [{ component = "orders-db", key = "password", owner = "generated", purpose = "password of a managed database" }]
    secret_readers = { web = { namespace = "web", copies = {} } }
    secret_values  = {}
  }
  expect_failures = [var.secret_readers]
}

run "range_of_charts_is_refused" {
  command = plan
  variables {
    chart = "~> 10.0"
  }
  expect_failures = [var.chart]
}

run "missing_public_key_is_refused" {
  command = plan
  variables {
    signed_by = ["0123456789ABCDEF"]
  }
  expect_failures = [var.signed_by]
}

run "missing_kubeconfig_is_refused" {
  command = plan
  variables {
    kubeconfig = "nowhere.yaml"
  }
  expect_failures = [var.kubeconfig]
}

run "inputs_of_another_environment_are_refused" {
  command = plan
  variables {
    environment = "local"
  }
  expect_failures = [var.environment]
}

run "root" {
  command = plan

  assert {
    condition     = yamldecode(helm_release.root.values[0]).objects[1].spec.source.path == "argocd/production"
    error_message = "The root Application deploys the environment's folder."
  }
  assert {
    condition = (
      yamldecode(helm_release.root.values[0]).objects[1].spec.source.repoURL == var.repository.url &&
      yamldecode(helm_release.root.values[0]).objects[1].spec.source.targetRevision == "refs/heads/${coalesce(var.repository.publication_branch, var.repository.branch)}"
    )
    error_message = "It reads the declared repository and branch."
  }
  assert {
    condition     = strcontains(output.follows, "deploy/production of ") && strcontains(output.follows, "app.py publish production makes")
    error_message = "It is told that publications make and move the branch."
  }
  assert {
    condition     = yamldecode(helm_release.root.values[0]).objects[1] == yamldecode(file("../../argocd/production/root.yaml"))
    error_message = "It is the generated file, unchanged."
  }
  assert {
    condition     = yamldecode(helm_release.root.values[0]).objects[0].kind == "AppProject" && yamldecode(helm_release.root.values[0]).objects[0].metadata.annotations["helm.sh/resource-policy"] == "keep"
    error_message = "Its project comes with it and stays when the release goes."
  }
  assert {
    condition = (
      yamldecode(helm_release.root.values[0]).objects[2].kind == "ValidatingAdmissionPolicy" &&
      yamldecode(helm_release.root.values[0]).objects[3].spec.policyName == yamldecode(helm_release.root.values[0]).objects[2].metadata.name &&
      contains(jsondecode(yamldecode(helm_release.root.values[0]).objects[2].spec.variables[4].expression), "positionpal-metrics-server/apiregistration.k8s.io/APIService/v1beta1.metrics.k8s.io") &&
      !anytrue([for grant in jsondecode(yamldecode(helm_release.root.values[0]).objects[2].spec.variables[4].expression) : startswith(grant, "positionpal-gateway/")])
    )
    error_message = "The API server holds AppProjects of the branch to what is granted, and grants a component nothing but what its chart needs."
  }
  assert {
    condition     = helm_release.root.namespace == "argocd"
    error_message = "It lives beside Argo CD."
  }
}

run "argocd_elsewhere" {
  command = plan

  variables {
    argocd_context = "hub"
    argocd = {
      namespace    = "gitops"
      applications = "apps"
      install      = false
      remote       = true
      destination  = { name = "production-fra1" }
      others       = ["bank"]
    }
  }

  assert {
    condition     = length(helm_release.argocd) == 0 && length(kubernetes_namespace_v1.argocd) == 0 && length(kubernetes_namespace_v1.applications) == 0
    error_message = "What is there already is not installed."
  }
  assert {
    condition     = helm_release.root.namespace == "gitops" && helm_release.root.name == "root-positionpal"
    error_message = "The root stands with the Argo CD that is told, beside those of others."
  }
  assert {
    condition = alltrue([
      for text in ["to.name == \"production-fra1\" && (!has(to.server)", "![\"bank-\"].exists(", "each in [\"apps\"]", "serviceaccount:gitops:"] :
      strcontains(join("\n", [for text in local.guard : replace(text, "/\\s+/", " ")]), text)
    ])
    error_message = "The guard knows the cluster, the Argo CD, where its Applications are, and whose projects are not its own."
  }
}

run "argocd_elsewhere_needs_its_context" {
  command = plan

  variables {
    argocd = { install = false, remote = true, destination = { name = "production-fra1" } }
  }

  expect_failures = [var.argocd_context]
}

run "dns" {
  command = plan

  assert {
    condition     = toset(keys(output.dns)) == toset([for each in var.hosts : each.host]) && length(output.dns) == 1
    error_message = "Each host needs a record."
  }
  assert {
    condition     = output.dns[var.hosts[0].host].address == "kubectl --kubeconfig main.tf --context mocked --namespace pp-gws get ingress gateway --output jsonpath='{.status.loadBalancer.ingress[0].ip}{.status.loadBalancer.ingress[0].hostname}'"
    error_message = "The command prints the address of the load balancer, or its name."
  }
}
