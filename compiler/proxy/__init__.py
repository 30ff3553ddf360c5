"""Deciding what kube-proxy would write: typed objects to the plan."""
