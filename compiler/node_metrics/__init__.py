"""kube-proxy's own metrics of many nodes, compared with what the manifests predict.

`names` says which metrics are read, `text` and `prometheus_api` read them, `nodes` finds out whose
they are, `predict` computes what they should be, and `compare` reports what differs.
"""
