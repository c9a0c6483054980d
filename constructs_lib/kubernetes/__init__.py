"""What Kubernetes defines, whoever uses it: values, names, kinds, pods, and objects as YAML."""
