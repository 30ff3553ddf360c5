"""proxyrules: from Kubernetes Services to kube-proxy's iptables rules, and back."""
