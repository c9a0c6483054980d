"""What every cluster has: namespaces of its own, DNS, the API server, and labels that it reads itself."""

#: Namespaces of the cluster, and the one in which Argo CD mostly is.
NAMESPACES = frozenset({"argocd", "default", "kube-node-lease", "kube-public", "kube-system"})
#: The label that every namespace has with its name:
#: https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name
NAME_LABEL = "kubernetes.io/metadata.name"
#: The label by which a namespace enforces a level of the Pod Security Standards.
ENFORCE = "pod-security.kubernetes.io/enforce"
#: The pods that answer for names, and what they call their port, by its protocol:
#: https://kubernetes.io/docs/tasks/administer-cluster/dns-debugging-resolution/
DNS_NAMESPACE = "kube-system"
DNS_LABELS = {"k8s-app": "kube-dns"}
DNS_PORT = 53
DNS_PROTOCOLS = {"UDP": "dns", "TCP": "dns-tcp"}
#: The API server has a Service at 443, and mostly listens on 6443 behind it. Network policies see either port.
API_PORTS = (443, 6443)
