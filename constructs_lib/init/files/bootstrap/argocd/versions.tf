terraform {
  # 1.11 brought write-only arguments, and values for mocked resources while planning.
  required_version = ">= 1.11"

  required_providers {
    helm = {
      source = "hashicorp/helm"
      # 3.3 is the newest whose schema the tests know; this provider has changed its arguments before.
      version = ">= 3.0, < 3.4"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "~> 3.0"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.6"
    }
  }
}

# Argo CD and what it reads may be in another cluster than what it deploys.
provider "helm" {
  kubernetes = {
    config_path    = var.kubeconfig
    config_context = coalesce(var.argocd_context, var.context)
  }
}

provider "kubernetes" {
  alias          = "argocd"
  config_path    = var.kubeconfig
  config_context = coalesce(var.argocd_context, var.context)
}

provider "kubernetes" {
  config_path    = var.kubeconfig
  config_context = var.context
}
