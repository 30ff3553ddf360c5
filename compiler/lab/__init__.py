"""Network namespaces that stand in for a cluster, to try rules on real packets."""
