output "kubeconfig" {
  description = "Path of the kubeconfig."
  value       = local_sensitive_file.kubeconfig.filename
}

output "context" {
  description = "Context of the cluster in it."
  value       = nonsensitive(yamldecode(digitalocean_kubernetes_cluster.this.kube_config[0].raw_config)["current-context"])
}

output "kubernetes" {
  description = "Version of Kubernetes that runs."
  value       = digitalocean_kubernetes_cluster.this.version
}
