"""Deciding what kube-proxy would write: typed objects to the plan.

`planner` makes the neutral `plan`: which service ports there are (`service_port`), which endpoints
each has (`endpoint`) and uses (`topology`), and what the node is (`node`, `node_dependence`), under
a `configuration` and a Kubernetes `release`. A backend's projection adds what its rules need and
decides nothing about Services: `iptables_plan`, with its `chain_name`s. Another backend is another
projection, and templates for it.
"""
