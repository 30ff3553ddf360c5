"""iptables rules as such: parsing, canonical form, printing. Knows nothing of Kubernetes."""
