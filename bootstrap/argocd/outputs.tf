output "argocd" {
  description = "How to reach Argo CD and log in as admin."
  value = {
    forward  = "kubectl --kubeconfig ${var.kubeconfig} --context ${var.context} --namespace argocd port-forward service/argocd-server 8443:443"
    password = "kubectl --kubeconfig ${var.kubeconfig} --context ${var.context} --namespace argocd get secret argocd-initial-admin-secret --output jsonpath='{.data.password}' | base64 -d"
  }
}

output "secrets" {
  description = "Names of the values in the store, by who gives them."
  value       = { generated = local.generated, supplied = local.supplied }
}
