# terraform test -filter=tests/local.tftest.hcl -var-file=local.tfvars.json, with TF_WORKSPACE=local

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
  }
}

run "small" {
  command = plan

  assert {
    condition     = !yamldecode(helm_release.argocd[0].values[0])["redis-ha"].enabled && yamldecode(helm_release.argocd[0].values[0]).redis.enabled
    error_message = "One Redis is enough on a laptop."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).server.replicas == 1 && yamldecode(helm_release.argocd[0].values[0]).repoServer.replicas == 1 && !yamldecode(helm_release.argocd[0].values[0]).server.pdb.enabled
    error_message = "Everything runs once on a laptop."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).server.service == { type = "NodePort", nodePortHttps = 30443 }
    error_message = "The port that k3d maps leads to Argo CD."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).configs.cm["admin.enabled"] == "true"
    error_message = "A person at this machine logs in as admin."
  }
  assert {
    condition     = yamldecode(helm_release.argocd[0].values[0]).configs.cm["resource.customizations.health.argoproj.io_Application"] == file("application-health.lua")
    error_message = "The health check of Applications is in the values."
  }
}

run "root" {
  command = plan

  assert {
    condition     = yamldecode(helm_release.root.values[0]).objects[1].spec.source.path == "argocd/local"
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
    condition     = yamldecode(helm_release.root.values[0]).objects[1] == yamldecode(file("../../argocd/local/root.yaml"))
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
      contains(jsondecode(yamldecode(helm_release.root.values[0]).objects[2].spec.variables[4].expression), "positionpal-monitoring/kube-system") &&
      !anytrue([for grant in jsondecode(yamldecode(helm_release.root.values[0]).objects[2].spec.variables[4].expression) : strcontains(grant, "gateway")])
    )
    error_message = "The API server holds AppProjects of the branch to what is granted, and grants a component nothing but what its chart needs."
  }
  assert {
    condition     = helm_release.root.namespace == "argocd"
    error_message = "It lives beside Argo CD."
  }
}
