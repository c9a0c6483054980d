locals {
  kubectl = "--kubeconfig ${var.kubeconfig} --context ${coalesce(var.argocd_context, var.context)} --namespace ${var.argocd.namespace}"
  # An address has one of the two fields.
  addresses = {
    ingress = "{.status.loadBalancer.ingress[0].ip}{.status.loadBalancer.ingress[0].hostname}"
    gateway = "{.status.addresses[0].value}"
  }
}

output "argocd" {
  description = "How to look at Argo CD: by the rights of the kubeconfig, or as admin where that account is open."
  value = var.node_port == null ? { dashboard = "argocd admin dashboard ${local.kubectl}" } : {
    forward  = "kubectl ${local.kubectl} port-forward service/argocd-server 8443:443"
    password = "kubectl ${local.kubectl} get secret argocd-initial-admin-secret --output jsonpath='{.data.password}' | base64 -d"
  }
}

output "dns" {
  description = "The DNS records to make, and the command that prints what each has to hold, once the load balancer has an address."
  value = { for each in var.hosts : each.host => {
    record  = "A if the command prints an address, CNAME if it prints a name"
    address = "kubectl --kubeconfig ${var.kubeconfig} --context ${var.context} --namespace ${each.namespace} get ${each.kind} ${each.name} --output jsonpath='${local.addresses[each.kind]}'"
  } }
}

output "follows" {
  description = "The branch from which Argo CD deploys, and what moves it. Without that branch, Argo CD deploys nothing."
  value = (
    var.repository.publication_branch == null ? "${var.repository.branch} of ${var.repository.url}" :
    "${var.repository.publication_branch} of ${var.repository.url}, which python app.py publish ${var.environment} makes and moves"
  )
}

output "secrets" {
  description = "Names of the values in the store, by who gives them."
  value       = { generated = local.generated, supplied = local.supplied }
}
