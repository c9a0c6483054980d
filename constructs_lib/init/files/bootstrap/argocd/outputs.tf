locals {
  kubectl = "--kubeconfig ${var.kubeconfig} --context ${coalesce(var.argocd_context, var.context)} --namespace ${var.argocd.namespace}"
}

output "argocd" {
  description = "How to look at Argo CD: by the rights of the kubeconfig, or as admin where that account is open."
  value = var.node_port == null ? { dashboard = "argocd admin dashboard ${local.kubectl}" } : {
    forward  = "kubectl ${local.kubectl} port-forward service/argocd-server 8443:443"
    password = "kubectl ${local.kubectl} get secret argocd-initial-admin-secret --output jsonpath='{.data.password}' | base64 -d"
  }
}

output "secrets" {
  description = "Names of the values in the store, by who gives them."
  value       = { generated = local.generated, supplied = local.supplied }
}
